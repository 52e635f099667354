"""The folder in which artifacts are made, of which nothing is left behind."""

import contextlib
import glob
import os
import shutil
import signal
import sys
import tempfile
import threading
from pathlib import Path


@contextlib.contextmanager
def open_scratch(folder: Path):
    """A folder beside `folder`, so that the last step is a rename on the same disk; it ends with this context.

    So it does when the process is told to end (SIGTERM). What a killed process left is removed by the next export.
    """
    _remove_left_behind(folder)
    prefix = f".{folder.name}-{os.getpid()}-"
    with _end_by_exception(), tempfile.TemporaryDirectory(prefix=prefix, dir=folder.parent) as scratch:
        yield Path(scratch)


@contextlib.contextmanager
def _end_by_exception():
    """In this context SIGTERM is an exception, so that nothing is left behind."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield  # signals belong to somebody else
        return
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _remove_left_behind(folder):
    """The scratch folders of exports to this folder whose process was killed."""
    for path in folder.parent.glob(f".{glob.escape(folder.name)}-*-*"):
        owner = path.name.removeprefix(f".{folder.name}-").partition("-")[0]
        if owner.isdecimal() and not _is_running(int(owner)):
            shutil.rmtree(path, ignore_errors=True)


def _is_running(number):
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
