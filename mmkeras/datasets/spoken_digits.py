"""Digits spoken by six people."""

import hashlib
import itertools
import tarfile
import urllib.request
from pathlib import Path, PurePosixPath

import pandas as pd

ADDRESS = "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/tags/v1.0.10.tar.gz"
# Of the names and contents of the recordings: an archive of the same files may be packed in another way.
SHA256 = "a2e8a660492f28d9eed6270b290d26cbc5c81d6077ce87d3c0ad5adf4d4ee696"
_MAX_BYTES, _MAX_FILES = 2**20, 10_000  # of a recording, and of what the archive may hold


def spoken_digits(folder: str | Path = "spoken-digits", archive: str | Path | None = None) -> Path:
    """3,000 recordings of the digits 0 to 9 by six speakers (Jackson et al., FSDD, 2016; CC BY-SA 4.0).

    Writes the WAV files, 8 kHz, into `recordings`, and `train.csv` (2,700 rows) and `test.csv` (the recordings 0 to 4
    of each speaker and digit, 300 rows) with the columns `sound,digit,speaker`. A folder that holds the data already
    is left as it is.

    Args:
        folder: where to write.
        archive: a tar file of the data set, packed in any way; None to download it, about 16 MB.

    Returns: the folder.

    Raises:
        ValueError: when the recordings are not those of version 1.0.10, by SHA-256.
        OSError: when the archive cannot be read or downloaded.
    """
    folder = Path(folder)
    if (folder / "test.csv").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    if archive is None:
        archive = folder / "archive.tar.gz"
        urllib.request.urlretrieve(ADDRESS, archive)  # noqa: S310
    recordings = _read_archive(archive)
    digest = hashlib.sha256()
    for name, content in sorted(recordings.items()):
        digest.update(name.encode() + b"\0" + hashlib.sha256(content).digest())
    if digest.hexdigest() != SHA256:
        raise ValueError(
            f"{archive} holds {len(recordings)} recordings that are not the 3,000 of version 1.0.10 of the Free Spoken "
            f"Digit Dataset. Fix: remove it and download it again from {ADDRESS}. Expected SHA-256 {SHA256}. "
            f"Received: {digest.hexdigest()}"
        )
    (folder / "recordings").mkdir(exist_ok=True)
    rows = []
    for name, content in sorted(recordings.items()):
        (folder / "recordings" / name).write_bytes(content)
        digit, speaker, index = name.removesuffix(".wav").split("_")
        rows.append((f"recordings/{name}", digit, speaker, int(index) < 5))
    table = pd.DataFrame(rows, columns=["sound", "digit", "speaker", "is_test"])
    for split, is_test in {"train": False, "test": True}.items():
        part = table[table["is_test"] == is_test].drop(columns="is_test")
        part.to_csv(folder / f"{split}.csv", index=False)
    return folder


def _read_archive(archive):
    """The WAV files of the archive in memory, by name, without their folders."""
    with tarfile.open(archive) as file:
        return {
            PurePosixPath(member.name).name: file.extractfile(member).read(_MAX_BYTES)
            for member in itertools.islice(file, _MAX_FILES)
            if member.isfile() and PurePosixPath(member.name).match("recordings/*.wav")
        }
