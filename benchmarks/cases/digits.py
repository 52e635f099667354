"""Spoken and seen digits: 3,000 recordings (FSDD), each with an image of the same digit (MNIST), another each epoch.

White noise is added to the sound, and the leading principal components that hold 75 % of the variance of the pixels are
taken out of the images.
"""

import functools
import wave

import keras
import numpy as np
import pandas as pd

import mmkeras as mk
from cases import Run
from cases.archives import WORK, find_archive, unpack

RATE = 8000
TEST_IMAGES = 10  # a recording of the test is seen with so many images, one after the other
MODALITIES = {"sound": mk.Audio(seconds=1, sample_rate=RATE), "image": mk.Image(28)}
# Noise in dB, and who is held out.
SETTINGS = {"0 dB": (0, None), "-10 dB": (-10, None), "speaker held out": (None, "nicolas")}


def train(run: Run, epochs: int) -> dict:
    """A model, and its accuracy with everything and without each modality."""
    sounds, images = read_sounds(run.case.removeprefix("digits, ")), read_images()
    modalities = {name: MODALITIES[name] for name in run.modalities}
    model = mk.Classifier(modalities, list(range(10)), run.fusion, **run.arguments)
    model.compile_default()
    options = {"inputs": list(model.input), "noise": run.noise}
    model.fit(Pairs(sounds["train"], images["train"], seed=run.seed, **options), epochs=epochs, verbose=0)

    def measure(*missing):
        rows = Pairs(sounds["test"], images["test"], batch_size=512, missing=missing, **options)
        return model.evaluate(rows, verbose=0)[1]

    figures = {"score": measure(), "parameters": model.count_params()}
    if len(run.modalities) > 1:
        figures |= {f"without {name}": measure(name) for name in run.modalities}
    return figures


@functools.lru_cache(maxsize=1)
def read_sounds(setting):
    """For train and test the samples `(recordings, samples)`, lengths and digits."""
    noise, held_out = SETTINGS[setting]
    random = np.random.default_rng(0)
    folder = mk.datasets.spoken_digits(WORK / "spoken-digits", archive=find_archive("fsdd"))
    tables = [pd.read_csv(folder / f"{split}.csv") for split in ("train", "test")]
    table = pd.concat([table.assign(is_test=index == 1) for index, table in enumerate(tables)])
    if held_out:
        table["is_test"] = table["speaker"] == held_out
    samples, lengths = [], []
    for cell in table["sound"]:
        with wave.open(str(folder / cell)) as file:
            clip = np.frombuffer(file.readframes(RATE), "<i2") / 32768
        if noise is not None:
            clip = clip + random.normal(size=len(clip)) * np.sqrt(np.mean(clip**2)) * 10 ** (-noise / 20)
        clip = 0.9 * clip / max(np.abs(clip).max(), 1e-9)
        samples.append(np.pad(clip, (0, RATE - len(clip))).astype("float32"))
        lengths.append(len(clip))
    arrays = np.array(samples), np.array(lengths, "int32"), table["digit"].to_numpy()
    is_test = table["is_test"].to_numpy()
    return {
        "train": [array[~is_test] for array in arrays],
        "test": [array[is_test] for array in arrays],
    }


@functools.lru_cache(maxsize=1)
def read_images():
    """For train and test the images `(images, 28, 28, 3)`, uint8, without most of their variance, and their digits."""
    files = sorted(unpack("mnist-npz").rglob("*.npz"), reverse=True)  # train, test
    parts = [np.load(path) for path in files]
    pixels = [part["x"].reshape(len(part["x"]), -1) / 255 for part in parts]
    mean = pixels[0].mean(axis=0)
    variances, components = np.linalg.eigh((pixels[0] - mean).T @ (pixels[0] - mean))
    shares = np.cumsum(variances[::-1]) / variances.sum()
    rest = components[:, ::-1][:, np.searchsorted(shares, 0.75) + 1 :]
    images = []
    for part, flat in zip(parts, pixels, strict=True):
        flat = np.clip(np.round(255 * ((flat - mean) @ rest @ rest.T + mean)), 0, 255)
        images.append((np.repeat(flat.reshape(-1, 28, 28, 1), 3, axis=-1).astype("uint8"), part["y"]))
    return dict(zip(("train", "test"), images, strict=True))


class Pairs(keras.utils.PyDataset):
    """Batches of recordings with an image of the same digit: another one in each epoch, or several in turn."""

    def __init__(self, sounds, images, inputs, batch_size=64, seed=None, missing=(), noise=None):
        super().__init__()
        self.samples, self.lengths, self.digits = sounds
        self.pixels, labels = images
        self.by_digit = [np.flatnonzero(labels == digit) for digit in range(10)]
        self.inputs, self.batch_size, self.missing, self.noise = inputs, batch_size, missing, noise
        self.random = None if seed is None else np.random.default_rng(seed)
        self.on_epoch_end()

    def on_epoch_end(self):
        count = len(self.digits)
        if self.random is None:
            self.rows = np.repeat(np.arange(count), TEST_IMAGES)
            choices = [self.by_digit[digit] for digit in self.digits[self.rows]]
            self.images = np.array([choice[index % len(choice)] for index, choice in enumerate(choices)])
        else:
            self.rows = self.random.permutation(count)
            self.images = np.array([self.random.choice(self.by_digit[digit]) for digit in self.digits[self.rows]])

    def __len__(self):
        return -(-len(self.rows) // self.batch_size)

    def __getitem__(self, index):
        part = slice(index * self.batch_size, (index + 1) * self.batch_size)
        rows, pixels = self.rows[part], self.pixels[self.images[part]]
        if self.noise == "image":
            pixels = np.random.default_rng([index, self.images[part][0]]).integers(0, 256, pixels.shape, "uint8")
        values = {"sound": self.samples[rows], "sound_length": self.lengths[rows], "image": pixels}
        values |= {f"{name}_present": np.full(len(rows), name not in self.missing) for name in MODALITIES}
        return {name: values[name] for name in self.inputs}, self.digits[rows]
