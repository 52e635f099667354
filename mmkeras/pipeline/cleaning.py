"""What is suspicious in rows that can be read: found, named, and taken out only on request."""

import hashlib
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from mmkeras.data import MediaError, Report, Source
from mmkeras.data.report import Finding
from mmkeras.pipeline.check import check_rows
from mmkeras.targets import ClassTarget

KINDS = (
    "duplicate",
    "contradiction",
    "near duplicate",
    "empty text",
    "silent audio",
    "constant image",
    "outlier",
    "impossible number",
)
_SILENCE = 1e-3  # peak, -60 dB of full scale
_CONSTANT = 2  # levels between the darkest and the brightest pixel
_FAR_OUT = 3  # interquartile ranges beyond the quartiles: Tukey, "Exploratory Data Analysis" (1977)
_HASH_SIDE, _NEAR_BITS = 8, 3


class Cleaned(NamedTuple):
    """The rows that are left, and what was found in all of them."""

    source: Source
    report: Report


def clean(
    source: Source,
    modalities: Mapping,
    drop: Sequence[str] = (),
    ranges: Mapping[str, tuple[float, float]] | None = None,
    target: str | None = None,
) -> Cleaned:
    """Finds what is suspicious, and takes out the rows with what `drop` names. Nothing is changed otherwise.

    - `"duplicate"`: all cells and the label are those of an earlier row; files count by their content.
    - `"contradiction"`: all cells are those of another row, and the label is another one.
    - `"near duplicate"`: a image looks like one of an earlier row: at most 3 of 64 bits of their difference hashes
      (Krawetz, "Kind of Like That", 2013) differ, and it is not the same file.
    - `"empty text"`: without a letter, a digit or a symbol such as an emoji.
    - `"silent audio"`: no sample is louder than -60 dB.
    - `"constant image"`: all pixels have the same color, up to 2 levels of 255; for a video, in all frames.
    - `"outlier"`: a number further than three interquartile ranges outside of the quartiles of its column.
    - `"impossible number"`: outside of its range in `ranges`.

    Args:
        source: the rows. Those that `mk.check` rejects are taken out and named, too.
        modalities: dict from input name to modality, as for a task.
        drop: the kinds whose rows are taken out.
        ranges: dict from a column of numbers to the lowest and the highest possible value.
        target: the column of the labels; None for that of the source, if it was read with one.

    Returns: the source without these rows, and the report.

    Raises:
        ValueError: for an unknown kind, or a column that is no number.

    Example:

    >>> rows = [{"note": "good", "label": "a"}, {"note": "good", "label": "b"}, {"note": "...", "label": "a"}]
    >>> cleaned = clean(mk.read(rows, target="label"), {"note": mk.Text()}, drop=["empty text"])
    >>> len(cleaned.source), [problem.kind for problem in cleaned.report.problems]
    (2, ['contradiction', 'contradiction', 'empty text'])
    """
    unknown = sorted(set(drop) - set(KINDS))
    if isinstance(drop, str) or unknown:
        raise ValueError(f"`drop` is a list of some of {list(KINDS)}. Received: drop={drop!r}")
    column = target or source.target
    target = None if column is None else ClassTarget(column)
    report = check_rows(source, modalities, target)
    usable = [index for index in range(len(source)) if index not in report.rejected]
    rows = source.select(usable)
    inputs = [_Input(rows, name, modality) for name, modality in modalities.items()]
    ranges = dict(ranges or {})
    findings = [*_find_repeated(rows, inputs, target)]
    for column in inputs:
        findings += column.find(ranges)
    if ranges:
        raise ValueError(f"`ranges` names columns of numbers of a Tabular. Received: {sorted(ranges)}")
    problems = [
        source.describe_problem(usable[row], column, cell, finding._replace(rejected=finding.kind in drop))
        for row, column, cell, finding in findings
    ]
    order = {kind: index for index, kind in enumerate(KINDS)}
    problems.sort(key=lambda problem: (problem.index, order[problem.kind]))
    report = replace(report, problems=sorted([*report.problems, *problems], key=lambda problem: problem.index))
    return Cleaned(source.without(report.rejected), report)


class _Facts(NamedTuple):
    """What is kept of a cell: enough to compare it, and not its content."""

    digest: bytes
    finding: Finding | None = None
    image_hash: int | None = None


def _says_something(character):
    """Whether it is a letter, a mark or a digit of any script, or a symbol such as an emoji."""
    category = unicodedata.category(character)
    return category[0] in "LMN" or category == "So"


class _Input:
    """One modality, and the facts about its cells."""

    def __init__(self, source, name, modality):
        self.row_numbers = source.row_numbers
        self.columns = modality.source_columns(name)
        self.preprocessor = modality.preprocessor
        self.cells = modality.read(name, source)
        distinct = list(dict.fromkeys(self.cells))
        self.facts = dict(zip(distinct, self._gather(distinct), strict=True))

    def _gather(self, cells):
        if self.preprocessor.media_type is None:
            return [_Facts(repr(cell).encode(), self._judge_text(cell)) for cell in cells]
        progress = keras.utils.Progbar(len(cells), unit_name="cell", verbose=int(len(cells) > 1000))
        prepare = tf.function(self.preprocessor.prepare_cell, autograph=False).get_concrete_function(
            tf.TensorSpec(self.preprocessor.raw_shape, tf.string)
        )
        facts = []
        with ThreadPoolExecutor() as pool:
            for found in pool.map(lambda cell: self._look_at(cell, prepare), cells):
                facts.append(found)
                progress.add(1)
        return facts

    def _judge_text(self, cell):
        if isinstance(cell, str) and cell.strip() and not any(map(_says_something, cell)):
            return Finding(
                "empty text", "it has no letter, digit or symbol", "leave the cell empty, or write a text", False
            )
        return None

    def _look_at(self, cell, prepare):
        if self.preprocessor.is_empty(cell):
            return _Facts(b"")
        media_type = self.preprocessor.media_type
        try:
            content = self.preprocessor.load(cell)
        except MediaError:  # it was in order a moment ago, when it was checked: nothing to compare
            return _Facts(repr(cell).encode())
        digest = hashlib.sha256(content if isinstance(content, bytes) else b"".join(content)).digest()
        prepared = prepare(tf.constant(content, tf.string))
        values = prepared[0][: prepared[1]].numpy() if self.preprocessor.has_length else prepared.numpy()
        if media_type == "audio":
            peak = float(np.abs(values).max(initial=0))
            return _Facts(digest, _SILENT if peak < _SILENCE else None)
        images = values if media_type == "video" else [values]
        constant = all(
            np.ptp(image.reshape(-1, image.shape[-1]).astype(int), axis=0).max() <= _CONSTANT for image in images
        )
        image_hash = _hash_image(values) if media_type == "image" and not constant else None
        return _Facts(digest, _CONSTANT_IMAGE if constant else None, image_hash)

    def find(self, ranges):
        """`(row, column, cell, finding)` of what is suspicious in this input alone."""
        for row, cell in enumerate(self.cells):
            if finding := self.facts[cell].finding:
                yield row, self.columns[0], cell, finding
        yield from self._find_similar_images()
        for part, column in enumerate(self.columns):
            if column in getattr(self.preprocessor, "numbers", ()):
                yield from _judge_numbers(column, [cell[part] for cell in self.cells], ranges.pop(column, None))

    def _find_similar_images(self):
        firsts = {}
        for row, cell in enumerate(self.cells):
            firsts.setdefault(cell, row)
        seen = defaultdict(list)  # hashes with at most 3 differing bits have one of four quarters in common
        for cell, row in firsts.items():
            facts = self.facts[cell]
            if facts.image_hash is None:
                continue
            quarters = [(index, facts.image_hash >> 16 * index & 0xFFFF) for index in range(4)]
            for other_row, other in [known for quarter in quarters for known in seen[quarter]]:
                if other.digest != facts.digest and (other.image_hash ^ facts.image_hash).bit_count() <= _NEAR_BITS:
                    detail = f"it looks like the image of row {self.row_numbers[other_row]}"
                    yield row, self.columns[0], cell, Finding("near duplicate", detail, "keep one of them", False)
                    break
            for quarter in quarters:
                seen[quarter].append((row, facts))


_SILENT = Finding("silent audio", "no sample is louder than -60 dB", "record it again, or leave the cell empty", False)
_CONSTANT_IMAGE = Finding("constant image", "it has one color only", "replace it, or leave the cell empty", False)


def _hash_image(pixels):
    """64 bits: whether each of 8x8 cells is darker than its neighbor to the right."""
    gray = tf.image.resize(pixels.mean(axis=-1, keepdims=True), (_HASH_SIDE, _HASH_SIDE + 1), antialias=True)[..., 0]
    bits = (gray[:, 1:] > gray[:, :-1]).numpy().ravel()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def _find_repeated(source, inputs, target):
    """Rows that say the same as another one, with the same label or another."""
    labels = source.texts(target.column) if target is not None else [""] * len(source)
    groups = defaultdict(list)
    for row, cells in enumerate(zip(*(column.cells for column in inputs), strict=True)):
        if not all(column.preprocessor.is_empty(cell) for column, cell in zip(inputs, cells, strict=True)):
            key = tuple(column.facts[cell].digest for column, cell in zip(inputs, cells, strict=True))
            groups[key].append(row)
    column = inputs[0].columns[0]
    for rows in groups.values():
        first = {}
        for row in rows:
            number = source.row_numbers[first.setdefault(labels[row], row)]
            if first[labels[row]] != row:
                detail = f"it equals row {number}"
                yield row, column, inputs[0].cells[row], Finding("duplicate", detail, "keep one of them", False)
        for row in rows if len(first) > 1 else []:
            others = [
                f"row {source.row_numbers[other]} '{label}'" for label, other in first.items() if label != labels[row]
            ]
            detail = f"it equals {others[0]}"
            yield row, target.column, labels[row], Finding("contradiction", detail, "decide on one label", False)


def _judge_numbers(column, cells, bounds):
    numbers = {row: float(cell) for row, cell in enumerate(cells) if cell.strip()}
    if not numbers:
        return
    low, high = np.percentile(list(numbers.values()), [25, 75])
    reach = _FAR_OUT * (high - low)
    for row, number in numbers.items():
        if bounds is not None and not bounds[0] <= number <= bounds[1]:
            detail = f"it is not between {bounds[0]:g} and {bounds[1]:g}"
            yield row, column, cells[row], Finding("impossible number", detail, "correct it, or leave it empty", False)
        elif reach > 0 and not low - reach <= number <= high + reach:
            detail = f"half of the column is between {low:g} and {high:g}"
            yield row, column, cells[row], Finding("outlier", detail, "look whether it is right", False)
