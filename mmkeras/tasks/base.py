"""The functional assembly that every task shares, and what it does with raw rows."""

import functools
import re
from collections.abc import Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from mmkeras.data import Records, Report, Source, build_dataset, media, read, read_records
from mmkeras.fusion import Concatenation, Fusion
from mmkeras.modalities import Modality
from mmkeras.preprocessing import RowPreprocessor

_INPUT_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


class Task(keras.Model):
    """A functional Keras model: one encoder a modality, a fusion, a head.

    It is fed tensors: for each modality `name` its content, and `name_present`, bool `(batch,)`.
    `dataset` and `preprocessor` make them from raw rows.

    Args:
        modalities: dict from input name to an adapted `Modality`.
        fusion: a `Fusion`; None for `Concatenation()`.
        head: a layer from Features to the output.
        target: name of the column that the task answers.

    Attributes:
        modalities, fusion, head, target: as given.
        preprocessor: the `RowPreprocessor` from raw cells to the tensors that the model is fed.
    """

    def __init__(self, modalities: Mapping[str, Modality], fusion: Fusion | None, head, target: str, **kwargs):
        _check_modalities(modalities)
        modalities = dict(sorted(modalities.items()))
        fusion = Concatenation(name="concatenation") if fusion is None else fusion

        # === Layers ===
        encoders = {name: modality.build_encoder(name, fusion.reads) for name, modality in modalities.items()}

        # === Functional model ===
        inputs = {
            key: keras.Input(tensor.shape[1:], dtype=tensor.dtype, name=key)
            for encoder in encoders.values()
            for key, tensor in encoder.input.items()
        }
        features = {name: encoder({key: inputs[key] for key in encoder.input}) for name, encoder in encoders.items()}
        super().__init__(inputs=inputs, outputs=head(fusion(features)), **kwargs)

        # === Config ===
        self.modalities = modalities
        self.fusion = fusion
        self.head = head
        self.target = target
        self.preprocessor = RowPreprocessor({name: modality.preprocessor for name, modality in modalities.items()})

    @classmethod
    def from_source(cls, source: Source, modalities: Mapping[str, Modality], **kwargs):
        """A compiled task that has learned from the training rows what its modalities and its target need to know.

        The given modalities are copied, so the same declaration serves several tasks. Rows that cannot be used
        (see `Source.check`) teach nothing.

        Args:
            source: the training rows, read with a target.
            modalities: dict from input name to `Modality`.
            kwargs: arguments of the constructor.

        Returns: the task.
        """
        source.labels()  # without a target, say so before any work is done
        _check_modalities(modalities)
        modalities = {name: modality.copy() for name, modality in modalities.items()}
        usable = _keep_usable(source, source.check(modalities))
        for name, modality in modalities.items():
            if not modality.preprocessor.is_adapted:
                modality.preprocessor.adapt(usable.cells(modality.source_columns(name), modality.preprocessor))
        return cls._from_usable(usable, modalities, **kwargs)

    @classmethod
    def _from_usable(cls, source, modalities, **kwargs):
        """Builds and compiles the task once the modalities are adapted."""
        raise NotImplementedError

    def check(self, source: Source) -> Report:
        """`Source.check` with what this task knows: which cells of these rows it cannot use, and why."""
        raise NotImplementedError

    def encode_targets(self, source: Source) -> np.ndarray:
        """The target column as the loss takes it."""
        raise NotImplementedError

    def cells(self, source: Source) -> dict[str, list[str | bytes]]:
        """For each input the cells of all rows: text, the absolute path of a file, its bytes, or `""` for missing."""
        return {
            name: source.cells(modality.source_columns(name), modality.preprocessor)
            for name, modality in self.modalities.items()
        }

    def load_cells(self, source: Source) -> dict[str, np.ndarray]:
        """For each input the raw cells of all rows, with the content of files, as `preprocessor` takes them."""
        loaded = {}
        for name, cells in self.cells(source).items():
            preprocessor = self.preprocessor.preprocessors[name]
            if preprocessor.media_type:
                empty = "" if preprocessor.raw_shape == () else []
                options = preprocessor.media_options
                cells = [media.load(cell, preprocessor.media_type, options) if cell else empty for cell in cells]
            loaded[name] = preprocessor.pack(cells)
        return loaded

    def _describe(self, output: np.ndarray) -> dict:
        """What `predict_rows` says of one row of the output."""
        raise NotImplementedError

    def dataset(
        self,
        source: Source,
        batch_size: int = 32,
        shuffle: bool = False,
        cache: bool = False,
        seed: int = 0,
        deterministic: bool = True,
        data_service: str | None = None,
    ) -> tf.data.Dataset:
        """Raw rows to what `fit`, `evaluate` and `predict` take.

        Rows with a bad cell are left out; a warning says how many, and why. A missing cell is no bad cell.

        Args:
            source: the rows, or the `Records` of them. With a target, the dataset holds `(tensors, targets)`, else
                `tensors` alone. batch_size: rows a batch. shuffle: shuffle anew in every epoch. cache: prepare every
                distinct cell once, before the first batch, and keep it in memory. seed: of the shuffle. deterministic:
                keep the order of the rows, or, shuffled, the one that the seed gives; else rows come as
                they are ready, which may be faster.
            data_service: address of a tf.data service whose workers prepare the rows, such as `grpc://host:5000`. Every
                row arrives once, in no certain order.

        Raises:
            ValueError: when no usable row is left.
        """
        report = self.check(source)
        report.warn(stacklevel=2)
        source = _keep_usable(source, report)
        targets = self.encode_targets(source) if source.target is not None else None
        build = functools.partial(read_records, source) if isinstance(source, Records) else build_dataset
        options = (batch_size, shuffle, cache, seed, deterministic, data_service)
        return build(self.cells(source), self.preprocessor, targets, *options)

    def predict_rows(self, rows: Sequence[Mapping] | Source, batch_size: int = 256) -> list[dict]:
        """The answers to raw rows, one dict a row.

        Args:
            rows: dicts from column to cell, or a `Source`. A column that is left out, None or `""` is a missing
                modality; paths start from the current folder, or from the folder of the source.
            batch_size: rows a batch.

        Raises:
            ValueError: names every bad cell; no answer is given for any row then.
        """
        source = rows if isinstance(rows, Source) else self._read_rows(rows)
        source = source.without_target()
        report = self.check(source)
        if report.rejected:
            raise ValueError(f"These rows cannot be answered.\n{report}")
        report.warn(stacklevel=2)
        dataset = build_dataset(self.cells(source), self.preprocessor, batch_size=batch_size)
        return [self._describe(output) for output in self.predict(dataset, verbose=0)]

    def _read_rows(self, rows):
        source = read(rows)
        columns = {column for name, modality in self.modalities.items() for column in modality.source_columns(name)}
        given = set(source.table.columns) - {self.target}
        if columns - given and given - columns:
            raise ValueError(
                f"The rows have no {sorted(columns - given)}, but {sorted(given - columns)}, which the model does not "
                f"know. Its columns: {sorted(columns)}. To leave a modality out, give it as None."
            )
        return source.with_columns(sorted(columns))

    def get_config(self):
        # Not chained to the base, which would describe the functional graph; the parts describe it better.
        return {
            "modalities": {name: keras.saving.serialize_keras_object(m) for name, m in self.modalities.items()},
            "fusion": keras.saving.serialize_keras_object(self.fusion),
            "target": self.target,
            "name": self.name,
            "trainable": self.trainable,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        deserialize = keras.saving.deserialize_keras_object
        modalities = {name: deserialize(m, custom_objects) for name, m in config["modalities"].items()}
        return cls(**{**config, "modalities": modalities, "fusion": deserialize(config["fusion"], custom_objects)})


def _check_modalities(modalities):
    if not isinstance(modalities, Mapping) or not modalities:
        raise ValueError(f"`modalities` is a dict from input name to modality. Received: modalities={modalities!r}")
    for name, modality in modalities.items():
        if not isinstance(modality, Modality):
            raise TypeError(
                f"The modality '{name}' is an object such as mk.Text() or mk.Image(). Received: {modality!r}"
            )
        if not _INPUT_NAME.fullmatch(name) or name.endswith("_present"):
            raise ValueError(
                f"The name of an input is a letter followed by letters, digits and underscores, and does not end in "
                f"'_present'. Received: {name!r}. For a column of another name: "
                f"{{'my_name': mk.{type(modality).__name__}(column={name!r})}}"
            )


def _keep_usable(source, report):
    if len(report.rejected) == len(source):
        raise ValueError(f"No usable row is left.\n{report}")
    return source.without(report.rejected) if report.rejected else source
