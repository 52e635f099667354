"""What every preprocessor offers, and the preprocessor of a whole row."""

import tensorflow as tf


class Preprocessor:
    """Takes the raw cells of one column to one numeric tensor, with TensorFlow ops only.

    The same ops run in `tf.data` and inside the exported SavedModel, in two steps: `prepare_cell` for what is
    done to one cell (decoding), `prepare_batch` for what is faster in a batch (tokenising). An empty cell is
    an absent one.

    Subclasses set `shape` (of one row, static) and `dtype`, what the model is fed, and `cell_spec`, what
    `prepare_cell` returns. `reads_files` says that text in a cell is a path to the content.
    """

    reads_files = False
    shape: tuple[int, ...]
    dtype: str
    cell_spec = tf.TensorSpec((), tf.string)

    def is_present(self, cells):
        """Bool tensor: which of these raw cells hold something."""
        return tf.strings.length(cells) > 0

    def prepare_cell(self, cell):
        """One raw cell (scalar string) to a tensor of `cell_spec`."""
        return cell

    def prepare_batch(self, batch):
        """A batch of what `prepare_cell` returned, to the tensor `(batch, *shape)` that the model is fed."""
        return batch

    def find_problems(self, cells: list[bytes]) -> list[tuple[str, str, str, bool] | None]:
        """For each non-empty cell None, or what is wrong: kind, detail, remedy, and whether the row is rejected."""
        return [None] * len(cells)


class RowPreprocessor:
    """Takes rows of raw cells to the tensors that a task is fed: for each column the content and `<column>_present`.

    Args:
        preprocessors: dict from input name to the `Preprocessor` of that column.

    Call arguments:
        rows: dict from input name to a string tensor `(batch,)`: text, or the encoded bytes of a file; `""` for absent.

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
        """The preprocessor of some of the columns."""
        return RowPreprocessor({name: self.preprocessors[name] for name in names})

    def prepare_cells(self, row: dict) -> dict:
        """The first step, for one row of scalar cells."""
        prepared = {}
        for name, preprocessor in self.preprocessors.items():
            prepared[name] = preprocessor.prepare_cell(row[name])
            prepared[f"{name}_present"] = preprocessor.is_present(row[name])
        return prepared

    def prepare_batch(self, batch: dict) -> dict:
        """The second step, for a batch of what the first returned."""
        return batch | {name: p.prepare_batch(batch[name]) for name, p in self.preprocessors.items()}

    def __call__(self, rows: dict) -> dict:
        rows = {name: tf.convert_to_tensor(rows[name]) for name in self.preprocessors}
        signature = {name: p.cell_spec for name, p in self.preprocessors.items()}
        signature |= {f"{name}_present": tf.TensorSpec((), tf.bool) for name in self.preprocessors}
        return self.prepare_batch(tf.map_fn(self.prepare_cells, rows, fn_output_signature=signature))

    def tensor_specs(self, batch_size: int | None = None) -> dict[str, tf.TensorSpec]:
        """Shape and dtype of every tensor that `__call__` returns."""
        specs = {}
        for name, preprocessor in self.preprocessors.items():
            specs[name] = tf.TensorSpec((batch_size, *preprocessor.shape), preprocessor.dtype, name=name)
            specs[f"{name}_present"] = tf.TensorSpec((batch_size,), tf.bool, name=f"{name}_present")
        return specs
