"""The folder in which artifacts are made, of which nothing is left behind."""

import contextlib
import glob
import os
import shutil
import tempfile
from pathlib import Path

from mmkeras.distribute.processes import end_by_exception


@contextlib.contextmanager
def open_scratch(folder: Path):
    """A folder beside `folder`, so that the last step is a rename on the same disk; it ends with this context.

    So it does when the process is told to end (SIGTERM). What a killed process left is removed by the next export.
    """
    _remove_left_behind(folder)
    prefix = f".{folder.name}-{os.getpid()}-"
    with end_by_exception(), tempfile.TemporaryDirectory(prefix=prefix, dir=folder.parent) as scratch:
        yield Path(scratch)


def put_in_place(path: Path, target: Path, scratch: Path):
    """Moves a finished file or folder to where it belongs; a folder that was there ends with the scratch."""
    if target.is_dir():
        target.rename(scratch / f"earlier-{target.name}")
    path.replace(target)


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
