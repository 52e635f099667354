"""What the columns of a table seem to hold: proposals, which a person reads and decides on."""

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np

from mmkeras.data import media
from mmkeras.data.dates import DATE
from mmkeras.data.names import name_uniquely
from mmkeras.data.numbers import parse_number
from mmkeras.data.sources import Source

_LOOKED_AT = 10_000
_MOST = 0.9  # share of the cells that have to agree
_MOST_CATEGORIES, _SHARE_OF_CATEGORIES = 50, 0.1
SUFFIX_KINDS = {}  # by suffix the name of the modality of such files; each modality adds its own
_DATE = re.compile(DATE)
_IDENTIFIER = re.compile(r"(?=.*\d)[\w.:-]+")  # a code such as B00123, item_7 or a number
_FEWEST_ITEMS, _LONG_NUMBER = 1.5, 6


@dataclass(frozen=True)
class Proposal:
    """What a column seems to hold.

    Attributes:
        column: its name.
        kind: the name of a modality, such as `"Text"` or `"Image"`; `"number"`, `"category"`, `"date"`, or `"unused"`.
        why: the reason, in words.
        examples: three cells.
    """

    column: str
    kind: str
    why: str
    examples: tuple[str, ...]


class Proposals(list):
    """A list of `Proposal`; print it to read it."""

    def __str__(self):
        return format_proposals(self)


def propose(source: Source) -> Proposals:
    """One proposal for each column but the target. Up to 10,000 rows, evenly spaced, are looked at.

    Example:

    >>> [proposal.kind for proposal in propose(mk.read([{"photo": "1.jpg", "age": 3}, {"photo": "2.jpg", "age": 4}]))]
    ['Image', 'number']
    """
    rows = np.unique(np.linspace(0, len(source) - 1, min(len(source), _LOOKED_AT), dtype=int))
    sample = source.select(rows)
    return Proposals(_propose(sample, column) for column in sample.table.columns if column != source.target)


def _propose(source, column):
    raw = [cell for cell in source.table[column] if isinstance(cell, bytes | list | tuple | np.ndarray) and len(cell)]
    if raw and isinstance(raw[0], bytes):
        kind, why = _judge_bytes(raw)
        return Proposal(column, kind, why, tuple(f"{len(cell)} bytes" for cell in raw[:3]))
    if raw:
        lengths = [len(cell) for cell in raw]
        why = f"its cells are lists, of {min(lengths)} to {max(lengths)} items"
        return Proposal(column, "History", why, _show(" ".join(map(str, cell)) for cell in raw))
    cells = [cell.strip() for cell in source.texts(column) if cell.strip()]
    kind, why = _judge(cells)
    return Proposal(column, kind, why, _show(dict.fromkeys(cells)))


def _show(cells):
    return tuple(cell if len(cell) <= 40 else f"{cell[:37]}..." for cell, _ in zip(cells, range(3), strict=False))


def _judge_bytes(cells):
    starts = Counter(media.guess_media_type(cell[:64]) for cell in cells)
    media_type, count = starts.most_common(1)[0]
    if media_type is None:
        return "unused", "its cells are bytes that begin like no known file"
    return media_type.capitalize(), f"{count / len(cells):.0%} of its cells are bytes that begin like such a file"


def _judge(cells):
    if not cells:
        return "unused", "all cells are empty"
    distinct = set(cells)
    if len(distinct) == 1 and len(cells) > 1:
        return "unused", "all cells are the same"
    suffixes = Counter(SUFFIX_KINDS.get(_suffix(cell)) for cell in cells)
    kind, count = suffixes.most_common(1)[0]
    if kind is not None and count >= _MOST * len(cells):
        return kind, f"{count / len(cells):.0%} of its cells end in {_list_suffixes(cells, kind)}"
    if _share(cells, lambda cell: cell.startswith("[") and cell.endswith("]")) >= _MOST:
        return "History", "its cells are lists in brackets"
    if _share(cells, _DATE.fullmatch) >= _MOST:
        return "date", f"{_share(cells, _DATE.fullmatch):.0%} of its cells are dates like 2024-12-31"
    values = [number for cell in cells if (number := parse_number(cell)) is not None]
    numbers = len(values) / len(cells)
    few = len(distinct) <= min(_MOST_CATEGORIES, max(2, _SHARE_OF_CATEGORIES * len(cells)))
    if numbers >= _MOST:
        what = f"{numbers:.0%} of its cells are numbers, {min(values):g} to {max(values):g}"
        if len(distinct) == len(cells) > 20 and _are_identifiers(cells, values):
            return "unused", f"{what}, which count the rows, or name them"
        doubt = f"; there are only {len(distinct)}: is it a category?" if few else ""
        return "number", what + doubt
    if few and max(map(len, distinct)) <= 40:
        return "category", f"only {len(distinct)} different values in {len(cells):,} cells"
    if len(distinct) == len(cells) > 20 and all(map(_IDENTIFIER.fullmatch, cells)):
        return "unused", "each row has another code, which names the row"
    words = np.mean([len(cell.split()) for cell in cells])
    items = [item for cell in cells for item in cell.split()]
    if words >= _FEWEST_ITEMS and _share(items, _IDENTIFIER.fullmatch) >= _MOST and len(set(items)) < len(items) / 2:
        return "History", f"its cells are codes with spaces between them, {words:.1f} on average, which come back"
    return "Text", f"{len(distinct):,} different texts, of {words:.1f} words on average"


def _share(cells, condition):
    return sum(condition(cell) not in (None, False) for cell in cells) / len(cells)


def _suffix(cell):
    name = media.split_span(cell)[0].lower()
    return name[name.rfind(".") :] if "." in name else ""


def _list_suffixes(cells, kind):
    return ", ".join(sorted({suffix for cell in cells if SUFFIX_KINDS.get(suffix := _suffix(cell)) == kind}))


def _are_identifiers(cells, values):
    """Whether they count the rows, or are long whole numbers of the same length."""
    if len({second - first for first, second in zip(values, values[1:], strict=False)}) == 1:
        return True
    return all(map(str.isdecimal, cells)) and len(set(map(len, cells))) == 1 and len(cells[0]) >= _LONG_NUMBER


def format_proposals(proposals: list[Proposal]) -> str:
    """A table of the proposals, and the dict of modalities to start from."""
    if not proposals:
        return "There is no column besides that of the target."
    width = max(len(proposal.column) for proposal in proposals)
    lines = [f"{'column':<{width}}  {'guess':<9} why, and examples"]
    for proposal in proposals:
        lines.append(f"{proposal.column:<{width}}  {proposal.kind:<9} {proposal.why}")
        lines.append(f"{'':<{width}}  {'':<9} {' | '.join(proposal.examples)}")
    return "\n".join([*lines, "", "To start from, if these guesses are right:", write_modalities(proposals)])


def plan_modalities(proposals: list[Proposal]) -> dict[str, tuple[str, dict]]:
    """For each input the class of its modality and the arguments: one input a column, and one for all of a table."""
    plan, table = {}, {}
    for proposal in proposals:
        if proposal.kind[:1].isupper():  # the name of a modality
            name = re.sub("[^A-Za-z0-9]+", "_", proposal.column).strip("_") or proposal.kind.lower()
            name = name_uniquely(name if name[0].isalpha() else f"input_{name}", plan)
            plan[name] = proposal.kind, {} if name == proposal.column else {"column": proposal.column}
        elif proposal.kind != "unused":
            argument = {"number": "numbers", "category": "categories", "date": "dates"}[proposal.kind]
            table.setdefault(argument, []).append(proposal.column)
    if table:
        plan[name_uniquely("profile", plan)] = "Tabular", table
    return plan


def write_modalities(proposals: list[Proposal]) -> str:
    """The proposals as Python code: a dict of modalities.

    Example:

    >>> write_modalities([Proposal("photo", "Image", "", ()), Proposal("age", "number", "", ())])
    "modalities = {'photo': mk.Image(), 'profile': mk.Tabular(numbers=['age'])}"
    """
    parts = []
    for name, (kind, arguments) in plan_modalities(proposals).items():
        parts.append(f"{name!r}: mk.{kind}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})")
    return f"modalities = {{{', '.join(parts)}}}"
