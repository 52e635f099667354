"""Files that are whole or not there."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A path to write to, which takes the place of `path` when all is written, and not before.

    What was at `path` stays when writing fails, such as on a full disk.

    Example:

    >>> path = getfixture("tmp_path") / "answers.txt"
    >>> with mk.files.replacing(path) as scratch:
    ...     written = scratch.write_text("yes")
    >>> path.read_text(), scratch.exists()
    ('yes', False)
    """
    path = Path(path)
    scratch = path.with_name(f".{os.getpid()}.{path.name}")  # Keras goes by how a name ends
    try:
        yield scratch
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
