"""Texts spoken by a synthesizer, for data whose questions or orders are to be heard."""

import functools
import io
import itertools
import os
import re
import shutil
import subprocess
import wave
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

_SECONDS = 60  # that one text may take


def speak(
    texts: Sequence[str], folder: str | Path, voices: Sequence[str] = ("en-us",), sample_rate: int = 16000
) -> pd.DataFrame:
    """Every text in every voice as a WAV file of 16 bits, said by the program espeak-ng.

    Args:
        texts: what is said; one text twice is said once.
        folder: where the files go, made where it is not there; a file of an earlier call is written anew.
        voices: of espeak-ng: a language and, behind a plus sign, a speaker, such as `"en-us+f2"`. `espeak-ng --voices`
            and `espeak-ng --voices=variant` list them.
        sample_rate: of the files, in hertz, from 8,000 to the 22,050 of espeak-ng.

    Returns: a DataFrame with the columns `text`, `voice` and `file`, the name of the file in the folder.

    Raises:
        RuntimeError: when espeak-ng is not installed.
        ValueError: for a voice that it does not have, an empty text, or another sample rate.

    Example::

        speech = mk.datasets.speak(["is it red?"], "spoken", ["en-us", "en-gb-x-rp+f2"], sample_rate=8000)
    """
    if not 8000 <= sample_rate <= 22050:
        raise ValueError(f"`sample_rate` lies between 8000 and 22050. Received: sample_rate={sample_rate}")
    if shutil.which("espeak-ng") is None:
        raise RuntimeError("Texts are spoken by the program espeak-ng. On Debian and Ubuntu: apt-get install espeak-ng")
    texts = list(dict.fromkeys(texts))
    if empty := [text for text in texts if not text.strip()]:
        raise ValueError(f"A text to be spoken holds at least one word. Received: {empty[0]!r}")
    _check_voices(voices)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)

    def say(voice, index):
        name = f"{voice.replace('/', '-')}-{index}.wav"
        _write_wav(folder / name, *_synthesize(texts[index], voice), sample_rate)
        return texts[index], voice, name

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        rows = list(pool.map(lambda pair: say(*pair), itertools.product(voices, range(len(texts)))))
    return pd.DataFrame(rows, columns=["text", "voice", "file"])


def _check_voices(voices):
    """espeak-ng itself takes an unknown speaker for the usual one, and an unknown accent for its language."""
    languages = {name for line in _list("--voices") for name in (line.split()[1], *re.findall(r"\((\S+) \d+\)", line))}
    speakers = {line.split("!v/")[1].split()[0] for line in _list("--voices=variant") if "!v/" in line}
    for voice in voices:
        language, _, speaker = voice.partition("+")
        for kind, name, known in (("language", language, languages), ("speaker", speaker, {"", *speakers})):
            if name not in known:
                raise ValueError(
                    f"espeak-ng has no {kind} '{name}'; `espeak-ng --voices` and `espeak-ng --voices=variant` list "
                    f"what it has. Received: voice={voice!r}"
                )


@functools.lru_cache
def _list(option):
    process = subprocess.run(["espeak-ng", option], capture_output=True, text=True, timeout=_SECONDS)
    return process.stdout.splitlines()[1:]


def _synthesize(text, voice):
    """Samples, float64 in [-1, 1], and their rate."""
    command = ["espeak-ng", "-v", voice, "-s", "160", "--stdin", "--stdout"]
    process = subprocess.run(command, input=text.encode(), capture_output=True, timeout=_SECONDS)
    if process.returncode:
        message = process.stderr.decode(errors="replace").strip()
        raise ValueError(f"espeak-ng could not speak: {message} Received: text={text!r}, voice={voice!r}")
    with wave.open(io.BytesIO(process.stdout)) as file:
        # A stream says nothing true of its length: all that follows are samples.
        samples = np.frombuffer(file.readframes(len(process.stdout)), "<i2")
        return samples / 32768, file.getframerate()


def _write_wav(path, samples, rate, sample_rate):
    """Resampled exactly, by leaving out the frequencies above half of the new rate."""
    count = round(len(samples) * sample_rate / rate)
    spectrum = np.fft.rfft(samples)[: count // 2 + 1]
    samples = np.fft.irfft(spectrum, count) * count / len(samples)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, sample_rate, count, "NONE", ""))
        file.writeframes(np.clip(np.round(samples * 32768), -32768, 32767).astype("<i2").tobytes())
