from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

DIGEST = 16  # bytes


class Store:
    """Arrays on disk that grow at their ends, with a digest for each row.

    Args:
        folder: of the files.
        specs: for each array its dtype and the shape of a row.

    Attributes:
        rows: the number of the row of each digest.
    """

    def __init__(self, folder: Path, specs: Mapping[str, tuple[str, tuple]]):
        self.folder, self.specs = folder, specs
        folder.mkdir(parents=True, exist_ok=True)
        keys = self._path("digests").read_bytes() if self._path("digests").exists() else b""
        count = min([len(keys) // DIGEST, *(self._count(name) for name in specs)])
        for name, size in {"digests": DIGEST, **{name: self._size(name) for name in specs}}.items():
            with self._path(name).open("ab") as file:
                file.truncate(count * size)  # what an interruption left behind
        self.rows = {keys[start : start + DIGEST]: row for row, start in enumerate(range(0, count * DIGEST, DIGEST))}

    def append(self, digests: Sequence[bytes], arrays: Mapping):
        """Rows at the end of all arrays; their digests last, so that a row that has one is whole."""
        for name in self.specs:
            with self._path(name).open("ab") as file:
                file.write(np.ascontiguousarray(arrays[name]).tobytes())
        with self._path("digests").open("ab") as file:
            file.write(b"".join(digests))
        self.rows |= {digest: len(self.rows) + number for number, digest in enumerate(digests)}

    def read(self) -> dict[str, np.ndarray]:
        """The arrays, which stay on disk."""
        return {
            name: np.memmap(self._path(name), dtype, "r", shape=(len(self.rows), *shape))
            for name, (dtype, shape) in self.specs.items()
        }

    def _path(self, name):
        return self.folder / f"{name}.bin"

    def _size(self, name):
        dtype, shape = self.specs[name]
        return int(np.dtype(dtype).itemsize * np.prod(shape, dtype=int))

    def _count(self, name):
        return self._path(name).stat().st_size // self._size(name) if self._path(name).exists() else 0
