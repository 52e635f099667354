"""Small data for the trainings of `train.py`."""

import wave

import numpy as np
import pytest

import mmkeras as mk


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """A folder with tables of pairs, of a shop and of sounds."""
    folder = mk.datasets.easy_vqa(tmp_path_factory.mktemp("distribution"))
    random = np.random.default_rng(0)
    with (folder / "shop.csv").open("w") as file:
        file.write("width,kind,weight,price\n")
        for index in range(300):
            width, kind = random.normal(5, 2), random.integers(3)
            file.write(f"{width:.3f},{'abc'[kind]},{1 + index % 3},{2 * width + 3 * kind + random.normal():.3f}\n")
    with (folder / "sounds.csv").open("w") as file:
        file.write("sound,label\n")
        for index in range(60):
            label, frequency = [("low", 220), ("high", 880)][index % 2]
            times = np.arange(4000 + 2000 * (index % 3)) / 16000
            samples = 3000 * np.sin(2 * np.pi * frequency * times) + random.normal(0, 300, len(times))
            with wave.open(str(folder / f"{index}.wav"), "wb") as sound:
                sound.setparams((1, 2, 16000, 0, "NONE", ""))
                sound.writeframes(samples.astype("<i2").tobytes())
            file.write(f"{index}.wav,{label}\n")
    return folder
