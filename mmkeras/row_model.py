"""What everything that answers raw rows has in common."""

import re
from collections.abc import Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from mmkeras.data import Report, Source, read
from mmkeras.modalities import Modality
from mmkeras.pipeline import DatasetOptions, check_rows, keep_usable, load_cells, make_dataset
from mmkeras.preprocessing import RowPreprocessor

_INPUT_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


class RowModel(keras.Model):
    """A functional Keras model that also answers raw rows.

    It is fed tensors: for each modality `name` its content, `name_present`, bool `(batch,)`, and `name_length`, int32
    `(batch,)`, of sound and video. `dataset` and `preprocessor` make them from raw rows.

    Attributes:
        modalities: dict from input name to an adapted `Modality`.
        preprocessor: the `RowPreprocessor` from raw cells to the tensors that the model is fed.
    """

    def _set_modalities(self, modalities):
        self.modalities = modalities
        self.preprocessor = make_preprocessor(modalities)

    @property
    def columns(self) -> list[str]:
        """The columns that its inputs are read from."""
        columns = [column for name, modality in self.modalities.items() for column in modality.source_columns(name)]
        return list(dict.fromkeys(columns))

    def check(self, source: Source) -> Report:
        """`mk.check` with what this model knows: which cells of these rows it cannot use, and why."""
        return check_rows(source, self.modalities)

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
        report = self.check(source)
        report.warn(stacklevel=3)
        return self._make_dataset(keep_usable(source, report), None, options)

    def _make_dataset(self, source, targets, options):
        return make_dataset(source, self.modalities, self.preprocessor, targets, options)

    def predict_rows(self, rows: Sequence[Mapping] | Source, batch_size: int = 256) -> list[dict]:
        """The answers to raw rows, one dict a row, with the names that the raw signature of an artifact has.

        Args:
            rows: dicts from column to cell, or a `Source`. A column that is left out, None or `""` is a missing
                modality; paths start from the current folder, or from the folder of the source.
            batch_size: rows a batch.

        Raises:
            ValueError: names every bad cell; no answer is given for any row then.
        """
        source = rows if isinstance(rows, Source) else self._read_rows(rows)
        report = check_rows(source, self.modalities)
        if report.rejected:
            raise ValueError(f"These rows cannot be answered.\n{report}")
        report.warn(stacklevel=2)
        dataset = self._make_dataset(source, None, DatasetOptions(batch_size=batch_size))
        return self._describe(self.predict(dataset, verbose=0))

    def _read_rows(self, rows):
        source = read(rows)
        columns, given = set(self.columns), set(source.table.columns) - self._answered_columns()
        if columns - given and given - columns:
            raise ValueError(
                f"The rows have no {sorted(columns - given)}, but {sorted(given - columns)}, which the model does not "
                f"know. Its columns: {sorted(columns)}. To leave a modality out, give it as None."
            )
        return source.with_columns(sorted(columns))

    def _answered_columns(self):
        """Columns that rows may have besides those of the inputs."""
        return set()

    def _describe(self, outputs) -> list[dict]:
        """What `predict_rows` says of the outputs of `predict`."""
        raise NotImplementedError

    def load_cells(self, source: Source) -> dict[str, np.ndarray]:
        """For each input the raw cells of all rows, with the content of files, as `preprocessor` takes them."""
        return load_cells(source, self.modalities, self.preprocessor)


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


def adapt_modalities(modalities: Mapping[str, Modality], source: Source) -> dict[str, Modality]:
    """Copies of the modalities that have learned from the rows what was not given.

    The given ones stay as they are, so the same declaration serves several models. Rows that cannot be used teach
    nothing.
    """
    modalities = {name: modality.copy() for name, modality in check_modalities(modalities).items()}
    usable = keep_usable(source, check_rows(source, modalities))
    for name, modality in modalities.items():
        modality.adapt(modality.read(name, usable))
    return modalities
