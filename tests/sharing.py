"""What one worker of a test run makes, and all of them use."""

import contextlib
import fcntl
import os
from pathlib import Path


def find_shared_folder(factory) -> Path:
    """A folder of this test run, the same for all its workers.

    Args:
        factory: pytest's `tmp_path_factory`.
    """
    base = factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


def make_once(folder: Path, make) -> Path:
    """The folder, filled by `make(folder)` unless another worker has done so."""
    folder.mkdir(exist_ok=True)
    with _lock(folder / ".lock"):
        done = folder / ".done"
        if not done.exists():
            make(folder)
            done.touch()
    return folder


@contextlib.contextmanager
def _lock(path):
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # ends with the file
        yield
