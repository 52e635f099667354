"""What everything that answers raw rows has in common."""

import hashlib
import os
import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import MappingProxyType

import keras
import numpy as np
import tensorflow as tf

from mmkeras.data import MediaError, Report, Source, read
from mmkeras.data.names import name_uniquely, refuse_unknown
from mmkeras.distribute.workers import agree_on_number, has_workers
from mmkeras.modalities import Modality
from mmkeras.pipeline import DatasetOptions, check_rows, keep_usable, load_cells, make_dataset, pack_cells
from mmkeras.preprocessing import RowPreprocessor, to_strings
from mmkeras.targets import Target

_INPUT_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


class RowModel(keras.Model):
    """A functional Keras model that also answers raw rows.

    It is fed tensors: for each modality `name` its content, `name_present`, bool `(batch,)`, and `name_length`, int32
    `(batch,)`, of sound and video. `dataset` and `preprocessor` make them from raw rows.

    A subclass calls `set_row_parts` in its constructor. What evaluation, export and serving read is public here.

    Attributes:
        modalities: dict from input name to an adapted `Modality`.
        preprocessor: the `RowPreprocessor` from raw cells to the tensors that the model is fed.
        target: the `Target` that reads the outputs.
        exported_names: for each output of the target what TFLite and ONNX files call it.
    """

    def __new__(cls, *args, **kwargs):
        refuse_unknown(cls, kwargs)
        return super().__new__(cls, *args, **kwargs)

    def set_row_parts(self, modalities: Mapping[str, Modality], target: Target, taken: Iterable[str] = ()):
        """Sets what the attributes are.

        Args:
            modalities: dict from input name to an adapted `Modality`.
            target: reads the outputs.
            taken: names that no exported output may have besides those of the inputs, such as those of layers.
        """
        self._modalities = MappingProxyType(modalities)  # of a dict Keras would make one that cannot be pickled
        self.preprocessor = make_preprocessor(modalities)
        self.target = target
        taken = {*taken, *self.preprocessor.tensor_specs()}
        self.exported_names = {name: name_uniquely(name, taken) for name in target.output_names}
        self.reset_graph()

    def reset_graph(self):
        """Lets `predict_rows` trace its graph again, after layers have changed."""
        self._graph = _RowGraph(self)

    @property
    def modalities(self) -> dict[str, Modality]:
        return dict(self._modalities)

    @property
    def columns(self) -> list[str]:
        """The columns that its inputs are read from."""
        columns = [column for name, modality in self.modalities.items() for column in modality.source_columns(name)]
        return list(dict.fromkeys(columns))

    def has_target(self, source: Source) -> bool:
        """Whether the rows have labels, at least some of them."""
        columns = self.target.columns
        if not columns or not set(columns) <= set(source.table.columns):
            return False
        return not all(map(self.target.is_missing, source.values(columns)))

    def encode_targets(self, source: Source) -> np.ndarray:
        """The labels of the rows, all of them usable, as the loss takes them."""
        tensors = self.prepare_tensors(source) if self.target.needs_tensors else None
        return self.target.encode(source.values(self.target.columns), tensors)

    def prepare_tensors(self, source: Source) -> dict[str, np.ndarray]:
        """What the model is fed of these rows, all of them usable, by name."""
        batches = list(make_dataset(source, self.modalities, self.preprocessor, None, DatasetOptions(batch_size=256)))
        return {key: np.concatenate([batch[key] for batch in batches]) for key in batches[0]}

    def name_outputs(self, outputs) -> dict:
        """The outputs of the model by the names of the target."""
        return self.target.name_outputs(outputs)

    def check(self, source: Source) -> Report:
        """`mk.check` with what this model knows: which cells of these rows it cannot use, and why."""
        return check_rows(source, self.modalities, self.target if self.has_target(source) else None)

    def dataset(self, source: Source, batch_size: int = 32, **options) -> tf.data.Dataset:
        """Raw rows to what `fit`, `evaluate` and `predict` take.

        Rows with a bad cell are left out; a warning says how many, and why. A missing cell is no bad cell.

        Args:
            source: the rows, or the `Records` of them.
            batch_size: rows a batch.
            options: `shuffle`, `cache`, `seed`, `deterministic`, `data_service`: see `mk.DatasetOptions`.

        Raises:
            ValueError: when no usable row is left.
            TypeError: for an unknown option.
        """
        options = DatasetOptions(batch_size=batch_size, **options)
        return self.make_dataset(self.keep_usable(source, stacklevel=3), None, options)

    def keep_usable(self, source: Source, stacklevel: int = 2) -> Source:
        """The rows without a bad cell; warns how many are left out, by default the caller of the caller.

        Args:
            source: the rows.
            stacklevel: as for `warnings.warn`.

        Raises:
            ValueError: when none is left.
        """
        report = self.check(source)
        report.warn(stacklevel + 1)
        return keep_usable(source, report)

    def make_dataset(self, source: Source, targets, options: DatasetOptions) -> tf.data.Dataset:
        """Usable rows to batches of tensors, of those of this worker where there are several.

        Args:
            source: the rows.
            targets: array `(rows, ...)`, or a tuple of targets and weights; None for rows without.
            options: how rows become batches.
        """
        strategy = self.distribute_strategy
        if options.batch_size < strategy.num_replicas_in_sync:
            raise ValueError(
                f"A batch is divided among all replicas, and has at least one row for each of the "
                f"{strategy.num_replicas_in_sync}. Received: batch_size={options.batch_size}"
            )
        if not has_workers(strategy):
            return make_dataset(source, self.modalities, self.preprocessor, targets, options)
        if options.data_service and options.job_name is None:
            options = replace(options, job_name=f"rows-{agree_on_number(strategy)}")
        dataset = make_dataset(source, self.modalities, self.preprocessor, targets, options)
        dataset.rows_digest = hash_rows(source, self.columns, targets, options)
        return dataset

    def predict_rows(self, rows: Sequence[Mapping] | Source, batch_size: int = 256, **options) -> list[dict]:
        """The answers to raw rows, one dict a row, with the names that the raw signature of an artifact has.

        Args:
            rows: dicts from column to cell, or a `Source`, which suits many rows. A column that is left out, None or
                `""` is a missing modality; paths start from the current folder, or from the folder of the source.
            batch_size: rows a batch.
            options: of the answers; of a classifier `top`, which adds the `probabilities` of so many classes, the most
                probable first, as a dict.

        Raises:
            ValueError: names every bad cell; no answer is given for any row then.
            TypeError: when it is given one row by itself.
        """
        if isinstance(rows, Mapping):
            raise TypeError(f"`predict_rows` takes a list of rows: predict_rows([row]). Received: {dict(rows)!r:.80}")
        if not len(rows):
            return []
        if isinstance(rows, Source):
            self.require_answerable(rows).warn(stacklevel=2)
            dataset = self.make_dataset(rows, None, DatasetOptions(batch_size=batch_size))
            outputs = self.predict(dataset, verbose=0)
            answers = None
            if self.target.needs_tensors:
                answers = self.target.decode_arrays(self.name_outputs(outputs), self.prepare_tensors(rows))
            return self.describe(outputs, answers, **options)
        rows = self._name_columns(rows)
        parts = [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
        if len(parts) == 1:
            answered = [self._answer_part(rows)]
        else:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                answered = list(pool.map(self._answer_part, parts))
        outputs, remarks = zip(*answered, strict=True)
        if any(remarks):
            source = read(rows)
            problems = [
                source.describe_problem(batch_size * number + index, *remark)
                for number, found in enumerate(remarks)
                for index, *remark in found
            ]
            Report(source.name, len(rows), {}, problems).warn(stacklevel=2)
        return self.describe(*tf.nest.map_structure(lambda *arrays: np.concatenate(arrays), *outputs), **options)

    def _name_columns(self, rows):
        """The rows with text for the names of their columns."""
        for index, row in enumerate(rows):
            if not isinstance(row, Mapping):
                raise TypeError(f"A row is a dict from column to cell. Received: row {index} is {row!r:.80}")
        rows = [{str(column): cell for column, cell in row.items()} for row in rows]
        columns, given = set(self.columns), {column for row in rows for column in row} - set(self.target.columns)
        if columns - given and given - columns:
            raise ValueError(
                f"The rows have no {sorted(columns - given)}, but {sorted(given - columns)}, which the model does not "
                f"know. Its columns: {sorted(columns)}. To leave a modality out, give it as None."
            )
        return rows

    def _answer_part(self, rows):
        """The outputs for rows that are dicts, as arrays; and index, column, cell and finding of each remark."""
        folder = os.getcwd()
        try:
            cells = {name: modality.convert(name, rows, folder) for name, modality in self._modalities.items()}
            packed = {
                name: pack_cells(cells[name], modality.preprocessor) for name, modality in self._modalities.items()
            }
            results = self._graph({name: to_strings(array) for name, array in packed.items()})
            outputs, answers, errors, measures = tf.nest.map_structure(lambda tensor: tensor.numpy(), results)
            first = next(filter(None, errors.tolist()), None)
        except MediaError as error:
            first = error
        if first is None:
            return (outputs, answers), self._find_remarks(cells, packed, measures)
        self.require_answerable(read(rows).with_columns(sorted(self.columns)))
        raise ValueError(f"These rows cannot be answered.\n{first}")

    def require_answerable(self, source: Source) -> Report:
        """The report of the check, of rows that are all to be answered.

        Raises:
            ValueError: names every bad cell.
        """
        report = check_rows(source, self.modalities)
        if report.rejected:
            raise ValueError(f"These rows cannot be answered.\n{report}")
        return report

    def _find_remarks(self, cells, packed, measures):
        remarks = []
        for name, modality in self._modalities.items():
            preprocessor, columns = modality.preprocessor, modality.source_columns(name)
            contents = packed[name] if preprocessor.media_type else cells[name]
            indices = [index for index, content in enumerate(contents) if not preprocessor.is_empty(content)]
            chosen = [array[indices] for array in measures[name]]
            found = preprocessor.find_remarks([contents[index] for index in indices], chosen) if indices else []
            for index, findings in zip(indices, found, strict=True):
                cell = cells[name][index]
                for finding in findings:
                    shown = cell[finding.part] if preprocessor.parts else cell
                    remarks.append((index, columns[finding.part], shown, finding))
        return remarks

    def decode(self, outputs, tensors) -> dict:
        """The answers in the outputs for these inputs, as tensors by name; in the graph."""
        return self.target.decode(self.name_outputs(outputs), tensors)

    def describe(self, outputs, answers, **options) -> list[dict]:
        """The answers as `predict_rows` returns them; `answers` are those of `decode`, None where not decoded yet."""
        return self.target.describe(self.name_outputs(outputs), answers, **options)

    def load_cells(self, source: Source) -> dict[str, np.ndarray]:
        """For each input the raw cells of all rows, with the content of files, as `preprocessor` takes them."""
        return load_cells(source, self.modalities, self.preprocessor)


class _RowGraph:
    """From raw cells to the outputs of a model, and for each row why it has none; traced once, by its first caller.

    Not an attribute of the model by itself, because Keras would save it with the model.
    """

    def __init__(self, model):
        self._model = model
        self._lock = threading.Lock()
        self._graph = None

    def __call__(self, rows):
        with self._lock:
            if self._graph is None:
                self._graph = self._trace()
        return self._graph(rows)

    def _trace(self):
        model = self._model
        specs = {
            name: tf.TensorSpec((None, *preprocessor.raw_shape), tf.string)
            for name, preprocessor in model.preprocessor.preprocessors.items()
        }

        @tf.function(input_signature=[specs], autograph=False)
        def answer(rows):
            tensors, errors = model.preprocessor.explain_rows(rows)
            outputs = model(tensors, training=False)
            measures = {name: p.measure(rows[name]) for name, p in model.preprocessor.preprocessors.items()}
            return outputs, model.decode(outputs, tensors), errors, measures

        return answer.get_concrete_function()


def hash_rows(source: Source, columns: Sequence[str], targets, options: DatasetOptions) -> str:
    """Of what a dataset is made of: cells, targets, and the order."""
    digest = hashlib.sha256(repr((options.batch_size, options.shuffle, options.seed)).encode())
    digest.update(hash_cells(source, columns).encode())
    for array in tf.nest.flatten(targets) if targets is not None else ():
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def hash_cells(source: Source, columns: Sequence[str]) -> str:
    """Of the cells of these columns as the table has them, files by name."""
    digest = hashlib.sha256(repr(columns).encode())
    for cells in source.values([column for column in columns if column in source.table.columns]):
        digest.update(repr(cells).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def make_preprocessor(modalities: Mapping[str, Modality]) -> RowPreprocessor:
    """The preprocessor of rows with these modalities."""
    return RowPreprocessor(
        {name: modality.preprocessor for name, modality in modalities.items()},
        {name: modality.source_columns(name) for name, modality in modalities.items()},
    )


def check_modalities(modalities: Mapping[str, Modality]) -> dict[str, Modality]:
    """The modalities by name, in order; raises what is wrong with them."""
    if not isinstance(modalities, Mapping) or not modalities:
        raise ValueError(f"`modalities` is a dict from input name to modality. Received: modalities={modalities!r}")
    for name, modality in modalities.items():
        if not isinstance(modality, Modality):
            raise TypeError(
                f"The modality '{name}' is an object such as mk.Text() or mk.Image(). Received: {modality!r}"
            )
        if not _INPUT_NAME.fullmatch(name):
            raise ValueError(
                f"The name of an input is a letter followed by letters, digits and underscores. "
                f"Received: {name!r}. For a column of another name: "
                f"{{'my_name': mk.{type(modality).__name__}(column={name!r})}}"
            )
    make_preprocessor(modalities)  # names that clash
    return dict(sorted(modalities.items()))


def adapt_modalities(modalities: Mapping[str, Modality], source: Source, target=None) -> dict[str, Modality]:
    """Copies of the modalities that have learned from the rows what was not given, and what classes a target has.

    The given ones stay as they are, so the same declaration serves several models. Rows that cannot be used teach
    nothing.

    Raises:
        ValueError: for a modality that no row has.
    """
    modalities = {name: modality.copy() for name, modality in check_modalities(modalities).items()}
    usable = keep_usable(source, check_rows(source, modalities))
    classes = None
    if target is not None and target.has_classes:
        classes = target.encode(usable.values(target.columns))
    for name, modality in modalities.items():
        cells = modality.read(name, usable)
        if all(map(modality.preprocessor.is_empty, cells)):
            raise ValueError(
                f"None of the {len(usable):,} rows has '{name}', so nothing can be learned of it. Leave it out of "
                f"`modalities`, or give rows that have it. Received: columns {modality.source_columns(name)}"
            )
        modality.adapt(cells)
        if classes is not None:
            modality.encoder = modality.encoder.learn(modality.preprocessor, cells, classes, target.output_units)
    return modalities
