"""The rows on which artifacts are proven, in the forms that their runtimes read."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from mmkeras.data import Source
from mmkeras.exporting.signatures import name_exported
from mmkeras.preprocessing import RowPreprocessor

_ROWS_WITHOUT = 16


@dataclass(frozen=True)
class ProofRows:
    """Raw cells and tensors of the same rows, what the Keras model answers to them, and the true answers.

    Attributes:
        raw: for each input its raw cells, an array of text and bytes `(rows, *raw_shape)`, `""` for missing.
        tensors: what the preprocessor makes of them.
        expected: outputs of the Keras model by their names in artifacts, each `(rows, ...)`.
        targets: what the loss takes of the first rows, `(labeled rows, ...)`, or a dict of such; None without labels.
    """

    raw: dict[str, np.ndarray]
    tensors: dict[str, np.ndarray]
    expected: dict[str, np.ndarray]
    targets: np.ndarray | dict[str, np.ndarray] | None

    def __len__(self):
        return len(next(iter(self.raw.values())))

    def measure(self, target, outputs: dict[str, np.ndarray]) -> dict[str, float]:
        """The metrics of the labeled rows by name; none without labels."""
        if self.targets is None or target.measures is None:
            return {}
        count = len(tf.nest.flatten(self.targets)[0])
        return target.measures.measure({name: array[:count] for name, array in outputs.items()}, self.targets)

    def count_missing(self) -> dict[str, int]:
        return {name: int(np.sum(~self.tensors[f"{name}_present"])) for name in self.raw}

    def write(self, preprocessor: RowPreprocessor, folder: Path) -> dict[str, str]:
        """Writes the raw cells as serialized string tensors, and the tensors as such and as `.npz`."""
        (folder / "raw").mkdir(parents=True)
        (folder / "tensors").mkdir()
        write_cells(preprocessor, self.raw, folder / "raw")
        for name, array in self.tensors.items():
            _write_tensor(folder / "tensors" / f"{name}.tensor", array)
        np.savez(folder / "tensors.npz", **self.tensors)
        return {"raw": str(folder / "raw"), "tensors": str(folder / "tensors"), "npz": str(folder / "tensors.npz")}


def write_cells(preprocessor: RowPreprocessor, raw: dict[str, np.ndarray], folder: Path):
    """Writes raw cells as serialized string tensors, a file for each input of the raw signature."""
    for name, cells in preprocessor.split_columns(raw).items():
        _write_tensor(folder / f"{name}.tensor", cells)


def _write_tensor(path, value):
    tf.io.write_file(str(path), tf.io.serialize_tensor(tf.convert_to_tensor(value)))


def choose_rows(model, source: Source, row_count: int) -> ProofRows:
    """Up to `row_count` rows, evenly spaced; then some of them again without each modality, and one without any."""
    source = model.keep_usable(source, stacklevel=3)
    source = source.select(np.unique(np.linspace(0, len(source) - 1, min(row_count, len(source)), dtype=int)))
    raw = _add_rows_without(model.load_cells(source))
    prepare = tf.function(model.preprocessor, autograph=False)  # op by op it takes a hundred times as long
    tensors = prepare({name: tf.constant(cells, tf.string) for name, cells in raw.items()})
    expected = name_exported(model, model.predict(tensors, batch_size=256, verbose=0))
    targets = model.encode_targets(source) if model.has_target(source) else None
    return ProofRows(raw, {name: tensor.numpy() for name, tensor in tensors.items()}, expected, targets)


def _add_rows_without(raw):
    """The rows, then the first few without each modality in turn, then one without any."""
    again = {name: cells[:_ROWS_WITHOUT] for name, cells in raw.items()}
    nothing = {name: np.full_like(cells, "") for name, cells in again.items()}
    parts = [raw] + [again | {left_out: nothing[left_out]} for left_out in raw]
    parts.append({name: cells[:1] for name, cells in nothing.items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in raw}
