"""Archives of the folder that MMKERAS_DATA names."""

import os
import tarfile
from pathlib import Path

WORK = Path(__file__).parents[1] / "work" / "fusion"


def find_archive(name: str) -> Path:
    data = os.environ.get("MMKERAS_DATA")
    if data is None or not (path := Path(data) / f"{name}.tar.xz").exists():
        raise SystemExit(f"MMKERAS_DATA names the folder with {name}.tar.xz. Received: MMKERAS_DATA={data}")
    return path


def unpack(name: str) -> Path:
    """The folder that an archive of the data was unpacked to."""
    folder = WORK / name
    if not folder.exists():
        unfinished = folder.with_name(f"{name}-unfinished")
        with tarfile.open(find_archive(name)) as archive:
            archive.extractall(unfinished, filter="data")
        unfinished.rename(folder)
    return folder
