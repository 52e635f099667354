"""What every preprocessor offers, and the preprocessor of a whole row."""

import re
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from mmkeras.data.report import Finding


class Preprocessor:
    """Takes the raw cells of one modality to one numeric tensor, with TensorFlow ops only.

    The same ops run in `tf.data` and inside the exported SavedModel, in two steps: `prepare_cell` for what is
    done to one file (decoding), `prepare_batch` for what is faster in a batch (tokenizing). A raw cell is a string,
    or a tensor of strings; an empty one is an absent one.

    Subclasses set:

    - `shape` (of one row, static) and `dtype`: what the model is fed.
    - `raw_shape`: of one raw cell; `()` for one string, `(None,)` for any number of them.
    - `media_type`: `"image"`, `"audio"` or `"video"` where a cell is a file; `media_options`: how such a file is
      converted when it is in a format that TensorFlow does not read; `cell_spec`: what `prepare_cell` makes of it.
    - `tables`: the lookup tables that its graph uses, which a SavedModel must know of.
    - `parts`: names for the columns, where it reads several; the strings of a raw cell are then in this order, along
      the last axis.
    """

    media_type: str | None = None
    media_options: dict = {}
    tables: dict = {}
    parts: tuple[str, ...] = ()
    raw_shape: tuple[int | None, ...] = ()
    shape: tuple[int, ...]
    dtype: str
    cell_spec: tf.TensorSpec

    @property
    def is_adapted(self) -> bool:
        """Whether everything is known that data must teach."""
        return True

    def adapt(self, cells: Sequence):
        """Learns from the cells of the training rows what was not given."""

    def pack(self, cells: Sequence) -> np.ndarray:
        """Raw cells, of text or bytes, to an array of objects `(rows, *raw_shape)`; shorter cells end in `""`."""
        if None not in self.raw_shape:
            return np.array(list(cells), dtype=object).reshape(len(cells), *self.raw_shape)
        length = max((len(cell) for cell in cells), default=0)
        packed = np.full((len(cells), length, *self.raw_shape[1:]), "", dtype=object)
        for row, cell in zip(packed, cells, strict=True):
            row[: len(cell)] = np.array(cell, dtype=object).reshape(len(cell), *self.raw_shape[1:])
        return packed

    def is_present(self, cells):
        """Bool tensor `(...)`: which of these raw cells `(..., *raw_shape)` hold something."""
        filled = tf.strings.length(cells if self.media_type else tf.strings.strip(cells)) > 0
        return tf.reduce_any(filled, axis=list(range(-len(self.raw_shape), 0)))

    def prepare_cell(self, cell):
        """One raw cell of a media_type to a tensor of `cell_spec`."""
        raise NotImplementedError

    def prepare_batch(self, batch):
        """A batch of raw cells, or of what `prepare_cell` returned, to what the model is fed: `(batch, *shape)`."""
        return batch

    def find_problems(self, cells: Sequence) -> list[list[Finding]]:
        """For each non-empty cell what is wrong with it."""
        return [[] for _ in cells]

    def get_config(self) -> dict:
        raise NotImplementedError


class RowPreprocessor:
    """Takes rows of raw cells to the tensors that a task is fed: for each input the content and `<name>_present`.

    Args:
        preprocessors: dict from input name to its `Preprocessor`.

    Call arguments:
        rows: dict from input name to a string tensor `(batch, *raw_shape)`: text, or the encoded bytes of a file; `""`
            for absent.

    Returns: dict of tensors, `name` of shape `(batch, ...)` and `name_present` of shape `(batch,)`, bool.

    Example:

    >>> preprocess = RowPreprocessor({"image": mk.Image(size=8).preprocessor})
    >>> tensors = preprocess({"image": tf.constant(["", ""])})
    >>> tensors["image"].shape.as_list(), tensors["image_present"].numpy().tolist()
    ([2, 8, 8, 3], [False, False])
    """

    def __init__(self, preprocessors: dict[str, Preprocessor]):
        self.preprocessors = dict(sorted(preprocessors.items()))

    def select(self, names) -> "RowPreprocessor":
        """The preprocessor of some of the inputs."""
        return RowPreprocessor({name: self.preprocessors[name] for name in names})

    def prepare_cells(self, row: dict) -> dict:
        """The first step, for one row of raw cells: decodes its media, and leaves other cells as they are."""
        prepared = dict(row)
        for name, preprocessor in self.preprocessors.items():
            if preprocessor.media_type:
                prepared[name] = preprocessor.prepare_cell(row[name])
                prepared[f"{name}_present"] = preprocessor.is_present(row[name])
        return prepared

    def prepare_batch(self, batch: dict) -> dict:
        """The second step, for a batch of what the first returned."""
        prepared = dict(batch)
        for name, preprocessor in self.preprocessors.items():
            if not preprocessor.media_type:
                prepared[f"{name}_present"] = preprocessor.is_present(batch[name])
            prepared[name] = preprocessor.prepare_batch(batch[name])
        return prepared

    def __call__(self, rows: dict) -> dict:
        rows = {name: tf.convert_to_tensor(rows[name]) for name in self.preprocessors}
        media = self.select(name for name, preprocessor in self.preprocessors.items() if preprocessor.media_type)
        if media.preprocessors:
            specs = {name: p.cell_spec for name, p in media.preprocessors.items()}
            specs |= {f"{name}_present": tf.TensorSpec((), tf.bool) for name in media.preprocessors}
            files = {name: rows[name] for name in media.preprocessors}
            rows |= tf.map_fn(media.prepare_cells, files, fn_output_signature=specs)
        return self.prepare_batch(rows)

    def raw_specs(self) -> dict[str, tf.TensorSpec]:
        """The strings that are given for a batch of rows when columns are apart: one input a column.

        An input of several columns is called `<name>_<column>`, with `_` for what is no letter or digit.
        """
        specs = {}
        for name, preprocessor in self.preprocessors.items():
            shape = preprocessor.raw_shape[:-1] if preprocessor.parts else preprocessor.raw_shape
            for column in _name_columns(name, preprocessor):
                specs[column] = tf.TensorSpec((None, *shape), tf.string, name=column)
        return specs

    def join_columns(self, inputs: dict) -> dict:
        """String tensors as in `raw_specs` to the rows that `__call__` takes."""
        rows = {}
        for name, preprocessor in self.preprocessors.items():
            columns = [inputs[column] for column in _name_columns(name, preprocessor)]
            rows[name] = tf.stack(columns, axis=-1) if preprocessor.parts else columns[0]
        return rows

    def split_columns(self, rows: dict) -> dict:
        """The inverse of `join_columns`, on arrays."""
        inputs = {}
        for name, preprocessor in self.preprocessors.items():
            for part, column in enumerate(_name_columns(name, preprocessor)):
                inputs[column] = rows[name][..., part] if preprocessor.parts else rows[name]
        return inputs

    def tensor_specs(self, batch_size: int | None = None) -> dict[str, tf.TensorSpec]:
        """Shape and dtype of every tensor that `__call__` returns."""
        specs = {}
        for name, preprocessor in self.preprocessors.items():
            specs[name] = tf.TensorSpec((batch_size, *preprocessor.shape), preprocessor.dtype, name=name)
            specs[f"{name}_present"] = tf.TensorSpec((batch_size,), tf.bool, name=f"{name}_present")
        return specs


def _name_columns(name, preprocessor):
    return [f"{name}_{re.sub('[^A-Za-z0-9]', '_', part)}" for part in preprocessor.parts] or [name]
