"""Rows prepared once: media decoded into TFRecord shards, which training reads many times."""

import contextlib
import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from mmkeras.data import MediaError, Problem, Report, Source, media
from mmkeras.data.cells import is_nothing
from mmkeras.data.report import Finding
from mmkeras.distribute.cluster import read_cluster
from mmkeras.files import replacing
from mmkeras.pipeline.batches import DatasetOptions, finish, share_rows, shuffle_rows
from mmkeras.pipeline.check import check_rows

_INDEX, _ROWS, _REJECTED = "records.json", "rows.jsonl", "rejected.jsonl"
_MEDIA = "media"  # the folder for files that were given as bytes
_POSITION = "/position"  # no input is called so
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
            rows = [[self._from_json(cell) for cell in json.loads(row)] for row in file]
        table = pd.DataFrame(rows, columns=index["columns"], dtype=object)
        super().__init__(table, index["target"], Path(index["folder"]), index["name"], True, np.array(index["rows"]))
        self.positions = np.arange(len(table))
        self.prepared_count = len(table)

    def select(self, indices):
        chosen = super().select(indices)
        chosen.positions = self.positions[np.asarray(indices, int)]
        return chosen

    def _from_json(self, cell):
        return str((self.path / _MEDIA / cell["bytes"]).absolute()) if isinstance(cell, dict) else cell

    @property
    def is_prepared(self):
        return True

    @property
    def is_in_order(self) -> bool:
        """Whether the rows stand in the order of the shards, each once."""
        return bool(np.all(np.diff(self.positions) > 0))

    def as_table(self):
        table = Source(self.table, self.target, self.folder, self.name, self.allow_outside, self.row_numbers)
        table.checked_cells = self.checked_cells
        return table

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

    def make_dataset(
        self,
        columns: Mapping[str, Sequence],
        row_preprocessor,
        targets: np.ndarray | tuple | None,
        options: DatasetOptions,
    ) -> tf.data.Dataset:
        """As `mmkeras.pipeline.make_dataset`, with the files from the shards.

        Shuffled, shards are read in another order in every epoch, four at a time, and rows in a buffer of 2,048.
        """
        self.require(row_preprocessor)
        if targets is not None and not isinstance(targets, tuple):
            targets = (targets,)
        dataset = share_rows(tf.data.Dataset.from_tensor_slices([str(path) for path in self.shards]), options)
        dataset = shuffle_rows(dataset, len(self.shards), options)
        if options.shuffle:
            dataset = dataset.interleave(
                tf.data.TFRecordDataset, _SHARDS_AT_A_TIME, num_parallel_calls=_SHARDS_AT_A_TIME
            )
        else:
            dataset = tf.data.TFRecordDataset(dataset)
        parser = _Parser(self, columns, row_preprocessor, targets)
        if len(self) < self.prepared_count:
            dataset = dataset.filter(parser.is_chosen)
        if options.cache:
            dataset = dataset.cache()
        dataset = shuffle_rows(dataset, _SHUFFLED_RECORDS, options)
        dataset = dataset.batch(options.batch_size).map(parser.parse, num_parallel_calls=tf.data.AUTOTUNE)
        cluster = read_cluster()
        by_file = cluster is not None and 1 < len(cluster.addresses) <= len(self.shards)
        dataset = finish(dataset, options, len(self), by_file)
        if options.data_service is None and not by_file:
            dataset = dataset.apply(tf.data.experimental.assert_cardinality(-(-len(self) // options.batch_size)))
        return dataset


def describe_media(preprocessor) -> dict:
    """What decides how a file is prepared, as JSON gives it back."""
    return json.loads(json.dumps({"preprocessor": type(preprocessor).__name__, **preprocessor.get_config()}))


class _Parser:
    """Takes serialized records to batches; cells that are no files come from the table."""

    def __init__(self, records, columns, row_preprocessor, targets):
        self.row_preprocessor = row_preprocessor
        self.targets = targets
        self.features = {_POSITION: tf.io.FixedLenFeature((), tf.int64)}
        self.packed = {}
        for name, preprocessor in row_preprocessor.preprocessors.items():
            if preprocessor.media_type:
                for key in _list_parts(name, preprocessor).values():
                    self.features[key] = tf.io.FixedLenFeature((), tf.string)
            else:
                self.packed[name] = tf.constant(preprocessor.pack(columns[name]), tf.string)
        # The last stands for rows that are not among these.
        self.indices = np.full(max(records.positions, default=-1) + 2, -1)
        self.indices[records.positions] = np.arange(len(records))

    def _find_index(self, position):
        return tf.gather(self.indices, tf.minimum(position, len(self.indices) - 1))

    def is_chosen(self, serialized):
        position = tf.io.parse_single_example(serialized, {_POSITION: self.features[_POSITION]})[_POSITION]
        return self._find_index(position) >= 0

    def parse(self, serialized):
        parsed = tf.io.parse_example(serialized, self.features)
        index = self._find_index(parsed[_POSITION])
        batch = {name: tf.gather(cells, index) for name, cells in self.packed.items()}
        for name in self.row_preprocessor.files:
            preprocessor = self.row_preprocessor.preprocessors[name]
            specs = preprocessor.tensor_specs()
            names = self.row_preprocessor.tensor_names(name)
            for part, key in _list_parts(name, preprocessor).items():
                batch[names[part]] = _decode_tensors(parsed[key], specs[part])
            batch[names["present"]] = tf.strings.length(parsed[name]) > 0
        tensors = self.row_preprocessor.prepare_batch(batch)
        targets = tf.nest.map_structure(lambda array: tf.gather(array, index), self.targets or ())
        return tensors, *targets, index


def _list_parts(name, preprocessor):
    """For the tensors that `prepare_cell` gives, under which key they stand in a record."""
    return {"content": name} | ({"length": f"{name}/length"} if preprocessor.has_length else {})


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
    source = source.as_table()
    report = check_rows(source, {name: m for name, m in modalities.items() if not m.preprocessor.media_type})
    usable = [index for index in range(len(source)) if index not in report.rejected]
    writer = _ShardWriter(modalities)
    problems, rows, shards = list(report.problems), [], []
    progress = keras.utils.Progbar(len(usable), unit_name="row", verbose=int(len(usable) > 200))
    for start in range(0, len(usable), rows_a_shard):
        part = usable[start : start + rows_a_shard]
        shards.append(folder / f"shard-{len(shards):05d}.tfrecord")
        part_rows, part_problems = writer.write(source, part, shards[-1], len(rows))
        rows += part_rows
        problems += part_problems
        progress.add(len(part))
    for stale in set(folder.glob("shard-*")) - {path.with_suffix(s) for path in shards for s in (".tfrecord", ".json")}:
        stale.unlink()
    problems.sort(key=lambda problem: problem.index)
    if not rows:
        raise ValueError(f"No usable row is left.\n{Report(source.name, len(source), report.missing, problems)}")
    _write_tables(source.select(rows), folder, writer.inputs, shards, problems)
    _print_summary(source, folder, rows, shards, problems)
    return Records(folder)


def _write_tables(source, folder, inputs, shards, problems):
    """Writes the cells that are no media, what was rejected, and last the index, without which there are no records."""
    with replacing(folder / _REJECTED) as scratch, scratch.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(asdict(p), ensure_ascii=False) + "\n" for p in problems if p.rejected)
    columns = list(source.table.columns)
    with replacing(folder / _ROWS) as scratch, scratch.open("w", encoding="utf-8") as file:
        for cells in zip(*(source.table[name] for name in columns), strict=True):
            file.write(json.dumps([_to_json(cell, folder) for cell in cells], ensure_ascii=False) + "\n")
    index = {
        "name": source.name,
        "folder": str(source.folder),
        "target": source.target,
        "columns": columns,
        "inputs": inputs,
        "shards": [path.name for path in shards],
        "rows": source.row_numbers.tolist(),
    }
    with replacing(folder / _INDEX) as scratch:
        scratch.write_text(json.dumps(index, ensure_ascii=False), encoding="utf-8")


def _print_summary(source, folder, rows, shards, problems):
    left_out = len(source) - len(rows)
    print(f"{len(rows):,} rows in {len(shards):,} shards in {folder}, {left_out:,} left out")
    for kind, count in Counter(problem.kind for problem in problems if problem.rejected).most_common():
        print(f"  {count:,} {kind}")
    if left_out:
        print(f"  {folder / _REJECTED} names them all")


def _to_json(cell, folder):
    """A cell as JSON; bytes go to a file of their own, which stands for them from now on."""
    if isinstance(cell, bytes):
        name = hashlib.sha256(cell).hexdigest()
        path = folder / _MEDIA / name
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(cell)
        return {"bytes": name} if cell else ""
    if isinstance(cell, np.ndarray | list | tuple):
        return [_to_json(item, folder) for item in cell]
    if is_nothing(cell):
        return None
    return cell if isinstance(cell, str | int | float | bool) else str(cell)


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

    def write(
        self, source: Source, indices: Sequence[int], path: Path, first_position: int
    ) -> tuple[list[int], list[Problem]]:
        """Returns the indices of the rows that were written, and what is wrong with the others."""
        part = source.select(indices)
        cells = {name: m.read(name, part) for name, m in self.modalities.items()}
        digest = self._digest([*zip(part.row_numbers.tolist(), indices, strict=True)], cells, first_position)
        summary_path = path.with_suffix(".json")
        if summary_path.exists() and path.exists():
            summary = json.loads(summary_path.read_text(encoding="utf-8"))
            if summary["digest"] == digest:
                return summary["rows"], [Problem(**problem) for problem in summary["problems"]]
        summary_path.unlink(missing_ok=True)
        prepared = {name: self._prepare_distinct(name, column, part) for name, column in cells.items()}
        rows, problems = [], []
        with replacing(path) as scratch, tf.io.TFRecordWriter(str(scratch)) as writer:
            for i, index in enumerate(indices):
                row_cells = {name: prepared[name][column[i]] for name, column in cells.items()}
                bad = {name: value for name, value in row_cells.items() if isinstance(value, Finding)}
                for name, finding in bad.items():
                    column = self.modalities[name].source_columns(name)[0]
                    problems.append(source.describe_problem(index, column, cells[name][i], finding))
                if not bad:
                    writer.write(_serialize(row_cells, first_position + len(rows)))
                    rows.append(index)
        summary = {"digest": digest, "rows": rows, "problems": [asdict(problem) for problem in problems]}
        with replacing(summary_path) as scratch:
            scratch.write_text(json.dumps(summary, ensure_ascii=False), encoding="utf-8")
        return rows, problems

    def _digest(self, rows, cells, first_position):
        digest = hashlib.sha256(json.dumps([self.inputs, rows, first_position]).encode())
        for column in cells.values():
            for cell in column:
                digest.update(cell if isinstance(cell, bytes) else cell.encode())
                digest.update(b"\n")
            for path in sorted({media.split_span(cell)[0] for cell in column if isinstance(cell, str) and cell}):
                with contextlib.suppress(OSError), open(path, "rb") as file:
                    digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()

    def _prepare_distinct(self, name, cells, part):
        """Dict from cell to the bytes of its tensors by part, or to the `Finding` that says why there are none."""
        distinct = list(dict.fromkeys(cells))
        outside = part.find_outside(distinct)
        with ThreadPoolExecutor() as pool:
            prepared = pool.map(lambda cell: outside.get(cell) or self._prepare(name, cell), distinct)
            return dict(zip(distinct, prepared, strict=True))

    def _prepare(self, name, cell):
        preprocessor = self.modalities[name].preprocessor
        keys = _list_parts(name, preprocessor).values()
        if preprocessor.is_empty(cell):
            return dict.fromkeys(keys, b"")
        try:
            content = preprocessor.load(cell)
        except MediaError as error:
            return error.finding
        try:
            tensors = self.prepare_cell[name](tf.constant(content, tf.string))
            tensors = tensors if preprocessor.has_length else [tensors]
            return {key: tensor.numpy().tobytes() for key, tensor in zip(keys, tensors, strict=True)}
        except tf.errors.InvalidArgumentError as error:
            known = [finding for finding in preprocessor.find_problems([content])[0] if finding.rejected]
            unknown = Finding("cannot be prepared", error.message.splitlines()[0], "replace the file", True)
            return known[0] if known else unknown


def _serialize(cells, position):
    features = {
        key: tf.train.Feature(bytes_list=tf.train.BytesList(value=[data]))
        for parts in cells.values()
        for key, data in parts.items()
    }
    features[_POSITION] = tf.train.Feature(int64_list=tf.train.Int64List(value=[position]))
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
