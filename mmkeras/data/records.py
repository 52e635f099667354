"""Rows prepared once: media decoded into TFRecord shards, which training reads many times."""

import contextlib
import hashlib
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from mmkeras.data import media
from mmkeras.data.decoders import MediaError
from mmkeras.data.pipeline import finish
from mmkeras.data.report import Finding, Problem, Report
from mmkeras.data.sources import Source

_INDEX, _ROWS, _REJECTED = "records.json", "rows.jsonl", "rejected.jsonl"
_POSITION = "position"
_SHARDS_AT_A_TIME = 4
_SHUFFLED_RECORDS = 2048


class Records(Source):
    """Rows that `mk.prepare` has prepared; used like any other `Source`, and faster.

    The media are in the shards, all other cells in a table, where they may still be corrected.

    Args:
        path: the folder that `mk.prepare` wrote.

    Attributes:
        path: as given.
        shards: the TFRecord files.
        inputs: for each input of media how its cells were prepared.
        positions: index of each row among all that were prepared.
        prepared_count: how many that are.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        if not (self.path / _INDEX).exists():
            raise FileNotFoundError(f"{path} holds no {_INDEX}: mk.prepare has not written it, or did not end.")
        index = json.loads((self.path / _INDEX).read_text(encoding="utf-8"))
        self.shards = [self.path / name for name in index["shards"]]
        self.inputs = index["inputs"]
        with (self.path / _ROWS).open(encoding="utf-8") as file:
            table = pd.DataFrame([json.loads(row) for row in file], columns=index["columns"], dtype=object)
        super().__init__(table, index["target"], Path(index["folder"]), index["name"], True, np.array(index["rows"]))
        self.positions = np.arange(len(table))
        self.prepared_count = len(table)

    def select(self, indices):
        chosen = super().select(indices)
        chosen.positions = self.positions[np.asarray(indices, int)]
        return chosen

    def _check_cells(self, columns, cells, preprocessor):
        # Media were read when they were prepared.
        return [] if preprocessor.media_type else super()._check_cells(columns, cells, preprocessor)

    def require(self, row_preprocessor):
        """Sees to it that the media were prepared as `row_preprocessor` would.

        Raises:
            ValueError: says what differs.
        """
        for name, preprocessor in row_preprocessor.preprocessors.items():
            wanted = describe_media(preprocessor)
            if preprocessor.media_type and self.inputs.get(name) != wanted:
                raise ValueError(
                    f"{self.path} was prepared with {self.inputs.get(name, 'nothing')} for the input '{name}', and the "
                    f"model wants {wanted}. Prepare the rows again: mk.prepare(source, folder, model.modalities)"
                )


def describe_media(preprocessor) -> dict:
    """What decides how a file is prepared, as JSON gives it back."""
    return json.loads(json.dumps({"preprocessor": type(preprocessor).__name__, **preprocessor.get_config()}))


def read_records(
    records: Records,
    columns: Mapping[str, Sequence],
    row_preprocessor,
    targets: np.ndarray | None = None,
    batch_size: int = 256,
    shuffle: bool = False,
    cache: bool = False,
    seed: int = 0,
    deterministic: bool = True,
    data_service: str | None = None,
) -> tf.data.Dataset:
    """As `build_dataset`, with the media from the shards.

    In training, shards are read in another order in every epoch, four at a time, and shuffled in a buffer of 2,048
    rows.
    """
    records.require(row_preprocessor)
    preprocessors = row_preprocessor.preprocessors
    features = {_POSITION: tf.io.FixedLenFeature((), tf.int64)}
    packed = {}
    for name, preprocessor in preprocessors.items():
        if preprocessor.media_type:
            features[name] = tf.io.FixedLenFeature((), tf.string)
        else:
            packed[name] = tf.constant(preprocessor.pack(columns[name]), tf.string)
    indices = np.full(max(records.positions, default=-1) + 2, -1)  # the last stands for rows that are not among these
    indices[records.positions] = np.arange(len(records))

    def find_index(position):
        return tf.gather(indices, tf.minimum(position, len(indices) - 1))

    def is_chosen(serialized):
        position = tf.io.parse_single_example(serialized, {_POSITION: features[_POSITION]})[_POSITION]
        return find_index(position) >= 0

    def parse(serialized):
        parsed = tf.io.parse_example(serialized, features)
        index = find_index(parsed[_POSITION])
        batch = {name: tf.gather(cells, index) for name, cells in packed.items()}
        for name in preprocessors.keys() - packed.keys():
            batch[f"{name}_present"] = tf.strings.length(parsed[name]) > 0
            batch[name] = _decode_tensors(parsed[name], preprocessors[name].cell_spec)
        tensors = row_preprocessor.prepare_batch(batch)
        return tensors if targets is None else (tensors, tf.gather(targets, index))

    shards = tf.data.Dataset.from_tensor_slices([str(path) for path in records.shards])
    if shuffle:
        shards = shards.shuffle(len(shards), seed=seed)
        dataset = shards.interleave(tf.data.TFRecordDataset, _SHARDS_AT_A_TIME, num_parallel_calls=_SHARDS_AT_A_TIME)
    else:
        dataset = tf.data.TFRecordDataset(shards)
    if len(records) < records.prepared_count:
        dataset = dataset.filter(is_chosen)
    if cache:
        dataset = dataset.cache()
    if shuffle:
        dataset = dataset.shuffle(_SHUFFLED_RECORDS, seed=seed)
    dataset = dataset.batch(batch_size).map(parse, num_parallel_calls=tf.data.AUTOTUNE)
    dataset = finish(dataset, deterministic, data_service)
    if data_service is None:
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(-(-len(records) // batch_size)))
    return dataset


def _decode_tensors(serialized, spec):
    """Tensors of `spec` from their bytes `(batch,)`; zeros from no bytes."""
    dtype = spec.dtype
    length = spec.shape.num_elements() * dtype.size
    decoded = tf.io.decode_raw(tf.where(serialized == "", b"\0" * length, serialized), dtype, fixed_length=length)
    return tf.reshape(decoded, (-1, *spec.shape))


def prepare(source: Source, folder: str | Path, modalities: Mapping, rows_a_shard: int = 1000) -> Records:
    """Decodes the media of all rows once, in parallel, into TFRecord shards in `folder`.

    Interrupted and started again, it goes on where it was. Shards whose rows, files or modalities have changed since,
    by their SHA-256, are made anew. A row with a bad cell is left out, and stands in `rejected.jsonl` with its reason.

    Args:
        source: the rows.
        folder: where to write.
        modalities: dict from input name to modality, as for a task.
        rows_a_shard: rows in one file.

    Returns: the `Records`, to be used instead of `source`; `mk.Records(folder)` opens them again.

    Raises:
        ValueError: when no usable row is left.

    Example:

        records = mk.prepare(mk.read("train.csv", target="answer"), "prepared", {"image": mk.Image(size=64)})
        model.fit(model.dataset(records, shuffle=True))
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _INDEX).unlink(missing_ok=True)  # written anew when all is there
    report = source.check(
        {name: modality for name, modality in modalities.items() if not modality.preprocessor.media_type}
    )
    usable = source.without(report.rejected)
    writer = _ShardWriter(modalities)
    problems, rows, shards = list(report.problems), [], []
    progress = keras.utils.Progbar(len(usable), unit_name="row", verbose=int(len(usable) > 200))
    for start in range(0, len(usable), rows_a_shard):
        part = usable.select(range(start, min(start + rows_a_shard, len(usable))))
        shards.append(folder / f"shard-{len(shards):05d}.tfrecord")
        part_rows, part_problems = writer.write(part, shards[-1], len(rows))
        rows += part_rows
        problems += part_problems
        progress.add(len(part))
    for stale in set(folder.glob("shard-*")) - {path.with_suffix(s) for path in shards for s in (".tfrecord", ".json")}:
        stale.unlink()
    problems.sort(key=lambda problem: problem.row)
    if not rows:
        raise ValueError(f"No usable row is left.\n{Report(source.name, len(source), report.missing, problems)}")
    _write_tables(source, folder, writer.inputs, shards, rows, problems)
    _print_summary(source, folder, rows, shards, problems)
    return Records(folder)


def _write_tables(source, folder, inputs, shards, rows, problems):
    """Writes the cells that are no media, what was rejected, and last the index, without which there are no records."""
    with _replacing(folder / _REJECTED) as file:
        file.writelines(json.dumps(asdict(p), ensure_ascii=False) + "\n" for p in problems if p.rejected)
    table = source.table[np.isin(source.row_numbers, rows)]
    columns = [name for name in table.columns if not any(isinstance(cell, bytes) for cell in table[name])]
    with _replacing(folder / _ROWS) as file:
        for cells in zip(*(table[name] for name in columns), strict=True):
            file.write(json.dumps([_to_json(cell) for cell in cells], ensure_ascii=False) + "\n")
    index = {
        "name": source.name,
        "folder": str(source.folder),
        "target": source.target,
        "columns": columns,
        "inputs": inputs,
        "shards": [path.name for path in shards],
        "rows": rows,
    }
    with _replacing(folder / _INDEX) as file:
        json.dump(index, file, ensure_ascii=False)


def _print_summary(source, folder, rows, shards, problems):
    left_out = len(source) - len(rows)
    print(f"{len(rows):,} rows in {len(shards):,} shards in {folder}, {left_out:,} left out")
    for kind, count in Counter(problem.kind for problem in problems if problem.rejected).most_common():
        print(f"  {count:,} {kind}")
    if left_out:
        print(f"  {folder / _REJECTED} names them all")


def _to_json(cell):
    if isinstance(cell, np.ndarray | list | tuple):
        return [_to_json(item) for item in cell]
    if cell is None or cell is pd.NA or cell is pd.NaT or cell != cell:
        return None
    return cell if isinstance(cell, str | int | float | bool) else str(cell)


@contextlib.contextmanager
def _replacing(path):
    """A text file that replaces `path` when all of it is written, and not before."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with scratch.open("w", encoding="utf-8") as file:
            yield file
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


class _ShardWriter:
    """Writes the media of some rows to a TFRecord file, with a summary as JSON beside it."""

    def __init__(self, modalities):
        self.modalities = {name: m for name, m in sorted(modalities.items()) if m.preprocessor.media_type}
        self.inputs = {name: describe_media(m.preprocessor) for name, m in self.modalities.items()}
        self.prepare_cell = {
            name: tf.function(m.preprocessor.prepare_cell, autograph=False).get_concrete_function(
                tf.TensorSpec(m.preprocessor.raw_shape, tf.string)
            )
            for name, m in self.modalities.items()
        }

    def write(self, part: Source, path: Path, first_position: int) -> tuple[list[int], list[Problem]]:
        """Returns the numbers of the rows that were written, and what is wrong with the others."""
        cells = {name: part.files(m.source_columns(name)[0]) for name, m in self.modalities.items()}
        digest = self._digest(part, cells, first_position)
        summary_path = path.with_suffix(".json")
        if summary_path.exists() and path.exists():
            summary = json.loads(summary_path.read_text(encoding="utf-8"))
            if summary["digest"] == digest:
                return summary["rows"], [Problem(**problem) for problem in summary["problems"]]
        summary_path.unlink(missing_ok=True)
        prepared = {name: self._prepare_distinct(name, column, part) for name, column in cells.items()}
        rows, problems = [], []
        scratch = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with tf.io.TFRecordWriter(str(scratch)) as writer:
                for i, row in enumerate(part.row_numbers):
                    row_cells = {name: prepared[name][column[i]] for name, column in cells.items()}
                    bad = {name: value for name, value in row_cells.items() if isinstance(value, Finding)}
                    for name, finding in bad.items():
                        column = self.modalities[name].source_columns(name)[0]
                        problems.append(part.describe_problem(row, column, cells[name][i], finding))
                    if not bad:
                        writer.write(_serialize(row_cells, first_position + len(rows)))
                        rows.append(int(row))
            scratch.replace(path)
        finally:
            scratch.unlink(missing_ok=True)
        with _replacing(summary_path) as file:
            summary = {"digest": digest, "rows": rows, "problems": [asdict(problem) for problem in problems]}
            json.dump(summary, file, ensure_ascii=False)
        return rows, problems

    def _digest(self, part, cells, first_position):
        digest = hashlib.sha256(json.dumps([self.inputs, part.row_numbers.tolist(), first_position]).encode())
        for column in cells.values():
            for cell in column:
                digest.update(cell if isinstance(cell, bytes) else cell.encode())
                digest.update(b"\n")
            for path in sorted({media.split_span(cell)[0] for cell in column if isinstance(cell, str) and cell}):
                with contextlib.suppress(OSError), open(path, "rb") as file:
                    digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()

    def _prepare_distinct(self, name, cells, part):
        """Dict from cell to the bytes of its tensor, or to the `Finding` that says why there is none."""
        distinct = list(dict.fromkeys(cells))
        outside = part.find_outside(distinct)
        with ThreadPoolExecutor() as pool:
            prepared = pool.map(lambda cell: outside.get(cell) or self._prepare(name, cell), distinct)
            return dict(zip(distinct, prepared, strict=True))

    def _prepare(self, name, cell):
        if not cell:
            return b""
        preprocessor = self.modalities[name].preprocessor
        try:
            content = media.load(cell, preprocessor.media_type, preprocessor.media_options)
        except MediaError as error:
            return error.finding
        try:
            return self.prepare_cell[name](tf.constant(content, tf.string)).numpy().tobytes()
        except tf.errors.InvalidArgumentError as error:
            known = [finding for finding in preprocessor.find_problems([content])[0] if finding.rejected]
            unknown = Finding("cannot be prepared", error.message.splitlines()[0], "replace the file", True)
            return known[0] if known else unknown


def _serialize(cells, position):
    features = {name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[data])) for name, data in cells.items()}
    features[_POSITION] = tf.train.Feature(int64_list=tf.train.Int64List(value=[position]))
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
