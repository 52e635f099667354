"""A tabular view of recordings: what openSMILE measures of them."""

import importlib.util
import io
import subprocess
import sys
import tempfile
import wave
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from mmkeras.data import media
from mmkeras.data.decoders import MediaError
from mmkeras.data.sources import Source

_SCRIPT = Path(__file__).parent / "scripts" / "measure.py"
_RATE = 16000
_MAX_SECONDS = 600.0


def add_functionals(source: Source, column: str) -> tuple[Source, list[str]]:
    """Adds a column for each of the 88 functionals of eGeMAPS: pitch, loudness, spectrum and rhythm of a recording.

    For `mk.Tabular(numbers=names)`, beside `mk.Audio` or instead of it. They are computed here and not in the model:
    what is served gets them as numbers. Of a recording that is missing or cannot be read, they are missing. Reference:
    Eyben et al., "The Geneva Minimalistic Acoustic Parameter Set" (2016), version 02, by openSMILE (free for research
    only).

    Args:
        source: the rows.
        column: of paths of sound or video files, or their bytes; at most the first 10 minutes are measured.

    Returns: the rows with the new columns, and the names of these, `<column>_<functional>`.

    Raises:
        ImportError: when openSMILE is not installed.
        RuntimeError: when it fails; with the end of its log.

    Example:

        source, names = mk.add_functionals(mk.read("calls.csv", target="mood"), "recording")
        modalities = {"voice": mk.Tabular(numbers=names), "recording": mk.Audio(seconds=5)}
    """
    if importlib.util.find_spec("opensmile") is None:
        raise ImportError("Acoustic functionals need a package of its own: pip install 'mmkeras[opensmile]'")
    cells = source.files(column)
    distinct = list(dict.fromkeys(cells))
    outside = source.find_outside(distinct)
    with ThreadPoolExecutor() as pool:
        sounds = list(pool.map(lambda cell: None if not cell or cell in outside else _load(cell), distinct))
    names, measured = _measure({f"sound{i}": sound for i, sound in enumerate(sounds) if sound is not None})
    nothing = np.full(len(names), np.nan)
    by_cell = {cell: measured.get(f"sound{i}", nothing) for i, cell in enumerate(distinct)}
    names = [f"{column}_{name}" for name in names]
    return source.with_numbers(names, np.stack([by_cell[cell] for cell in cells])), names


def _measure(sounds):
    """The names of the functionals, and their values by name of the sound."""
    with tempfile.TemporaryDirectory(prefix="mmkeras-") as folder:
        paths = [str(Path(folder) / name) for name in ("sounds.npz", "values.npz")]
        np.savez(paths[0], **sounds)
        command = [sys.executable, "-P", "-W", "ignore", str(_SCRIPT), *paths]
        process = subprocess.run(command, capture_output=True, text=True)
        if process.returncode != 0:
            raise RuntimeError(f"openSMILE failed with exit code {process.returncode}:\n{process.stderr[-1000:]}")
        with np.load(paths[1]) as values:
            return values["names"].tolist(), {name: values[name] for name in sounds}


def _load(cell):
    options = {"sample_rate": _RATE, "max_seconds": _MAX_SECONDS, "decoder": "ffmpeg"}
    try:
        content = media.load(cell, "audio", options)
    except MediaError:
        return None
    with wave.open(io.BytesIO(content)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, file.getnchannels())
    return samples.mean(axis=1).astype("float32") / 2**15
