"""Fusions on spoken and seen digits: accuracy, what is lost without a modality, and what a useless one costs.

MMKERAS_DATA=<folder> python benchmarks/fusion.py [--quick]

The folder holds fsdd.tar.xz (3,000 recordings of six speakers who say a digit, CC BY-SA 4.0) and mnist-npz.tar.xz. A
recording is paired with an image of the same digit, another one in every epoch. White noise is added to the sound, and
the leading principal components that hold 75 % of the variance of the pixels are taken out of the images. Writes
benchmarks/results/fusion.json after each training, and goes on from there on the same commit.
"""

import argparse
import importlib.metadata
import json
import os
import statistics
import tarfile
import time
import wave
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from first_run import find_commit

import mmkeras as mk

HERE = Path(__file__).parent
WORK = HERE / "work" / "fusion"
RESULTS = HERE / "results" / "fusion.json"
RATE = 8000
EPOCHS = 12
TEST_IMAGES = 10  # a recording of the test is seen with so many images, one after the other
DROPOUT, AUXILIARY = 0.3, 0.5
DEFAULT = "concatenation"
SETTINGS = {"0 dB": (0, None), "-10 dB": (-10, None), "speaker held out": (None, "nicolas")}
TARGETS = {"0 dB": 0.95, "-10 dB": 0.92, "speaker held out": 0.93}
MODALITIES = {"sound": mk.Audio(seconds=1, sample_rate=RATE), "image": mk.Image(28)}


def unpack(name: str) -> Path:
    """The folder that an archive of the data was unpacked to."""
    data = os.environ.get("MMKERAS_DATA")
    if data is None:
        raise SystemExit("MMKERAS_DATA names the folder with fsdd.tar.xz and mnist-npz.tar.xz.")
    folder = WORK / name
    if not folder.exists():
        with tarfile.open(Path(data) / f"{name}.tar.xz") as archive:
            archive.extractall(folder, filter="data")
    return folder


def read_recordings(noise, held_out, random):
    """Samples `(recordings, samples)`, lengths, digits, and which are those of the test."""
    samples, lengths, digits, is_test = [], [], [], []
    for path in sorted(unpack("fsdd").rglob("*.wav")):
        digit, speaker, index = path.stem.split("_")
        with wave.open(str(path)) as file:
            clip = np.frombuffer(file.readframes(RATE), "<i2") / 32768
        if noise is not None:
            clip = clip + random.normal(size=len(clip)) * np.sqrt(np.mean(clip**2)) * 10 ** (-noise / 20)
        clip = 0.9 * clip / max(np.abs(clip).max(), 1e-9)
        samples.append(np.pad(clip, (0, RATE - len(clip))).astype("float32"))
        lengths.append(len(clip))
        digits.append(int(digit))
        is_test.append(speaker == held_out if held_out else int(index) < 5)
    return np.array(samples), np.array(lengths, "int32"), np.array(digits), np.array(is_test)


def read_images():
    """Training and test images `(images, 28, 28, 3)`, uint8, without three quarters of their variance; their digits."""
    parts = [np.load(path) for path in sorted(unpack("mnist-npz").rglob("*.npz"), reverse=True)]
    pixels = [part["x"].reshape(len(part["x"]), -1) / 255 for part in parts]  # train, test
    mean = pixels[0].mean(axis=0)
    variances, components = np.linalg.eigh((pixels[0] - mean).T @ (pixels[0] - mean))
    shares = np.cumsum(variances[::-1]) / variances.sum()
    rest = components[:, ::-1][:, np.searchsorted(shares, 0.75) + 1 :]
    images = []
    for part, flat in zip(parts, pixels, strict=True):
        flat = np.clip(np.round(255 * ((flat - mean) @ rest @ rest.T + mean)), 0, 255)
        images.append((np.repeat(flat.reshape(-1, 28, 28, 1), 3, axis=-1).astype("uint8"), part["y"]))
    return images


class Pairs(keras.utils.PyDataset):
    """Batches of recordings with an image of the same digit: another one in each epoch, or several in turn."""

    def __init__(self, sounds, images, inputs, batch_size=64, seed=None, missing=(), is_noise=False):
        super().__init__()
        self.samples, self.lengths, self.digits = sounds
        self.pixels, labels = images
        self.by_digit = [np.flatnonzero(labels == digit) for digit in range(10)]
        self.inputs, self.batch_size, self.seed, self.missing, self.is_noise = (
            inputs,
            batch_size,
            seed,
            missing,
            is_noise,
        )
        self.random = np.random.default_rng(seed)
        self.on_epoch_end()

    def on_epoch_end(self):
        count = len(self.digits)
        if self.seed is None:
            self.rows = np.repeat(np.arange(count), TEST_IMAGES)
            chosen = [
                self.by_digit[digit][i % len(self.by_digit[digit])] for i, digit in enumerate(self.digits[self.rows])
            ]
        else:
            self.rows = self.random.permutation(count)
            chosen = [self.random.choice(self.by_digit[digit]) for digit in self.digits[self.rows]]
        self.images = np.array(chosen)

    def __len__(self):
        return -(-len(self.rows) // self.batch_size)

    def __getitem__(self, index):
        part = slice(index * self.batch_size, (index + 1) * self.batch_size)
        rows = self.rows[part]
        pixels = self.pixels[self.images[part]]
        if self.is_noise:
            pixels = np.random.default_rng([index, self.images[part][0]]).integers(0, 256, pixels.shape, "uint8")
        values = {"sound": self.samples[rows], "sound_length": self.lengths[rows], "image": pixels}
        values |= {f"{name}_present": np.full(len(rows), name not in self.missing) for name in MODALITIES}
        return {name: values[name] for name in self.inputs}, self.digits[rows]


def train(data, fusion, names, seed, epochs, is_noise=False) -> dict:
    """Trains one model, and measures it with everything and without each modality."""
    keras.utils.set_random_seed(seed)
    fusion = mk.fusion.list_fusions()[fusion](modality_dropout=DROPOUT)
    modalities = {name: MODALITIES[name] for name in names}
    model = mk.Classifier(modalities, list(range(10)), fusion, auxiliary_weight=AUXILIARY if len(names) > 1 else 0)
    model.compile_default()
    sounds, images = data
    started = time.perf_counter()
    batches = Pairs(sounds["train"], images["train"], list(model.input), seed=seed, is_noise=is_noise)
    model.fit(batches, epochs=epochs, verbose=0)
    result = {"seconds": time.perf_counter() - started, "parameters": model.count_params()}

    def measure(*missing):
        rows = Pairs(sounds["test"], images["test"], list(model.input), 512, missing=missing, is_noise=is_noise)
        return model.evaluate(rows, verbose=0)[1]

    result["accuracy"] = measure()
    if len(names) > 1:
        result |= {f"without {name}": measure(name) for name in names}
    return result


def load(setting):
    noise, held_out = SETTINGS[setting]
    *arrays, is_test = read_recordings(noise, held_out, np.random.default_rng(0))
    sounds = {"train": [a[~is_test] for a in arrays], "test": [a[is_test] for a in arrays]}
    return sounds, dict(zip(("train", "test"), read_images(), strict=True))


def plan(quick):
    """What is trained, in order: setting, fusion, modalities, seed, whether the images are noise."""
    alone = [(setting, DEFAULT, [name], 0, False) for setting in SETTINGS for name in MODALITIES]
    fusions = ["concatenation", "gated", "mean_logits"] if quick else list(mk.fusion.list_fusions())
    first = [("0 dB", fusion, list(MODALITIES), 0, False) for fusion in fusions]
    return (alone[:2] if quick else alone) + first


def plan_best(results):
    """Further trainings of the two best and the default: other seeds, other settings, and noise in place of images."""
    whole = {key[1]: run["accuracy"] for key, run in results if key[0] == "0 dB" and len(key[2]) > 1 and key[3] == 0}
    best = list(dict.fromkeys([*sorted(whole, key=whole.get, reverse=True)[:2], DEFAULT]))
    both = list(MODALITIES)
    seeds = [("0 dB", fusion, both, seed, False) for seed in (1, 2) for fusion in best]
    seeds += [("0 dB", DEFAULT, [name], seed, False) for seed in (1, 2) for name in both]
    others = [(setting, fusion, both, 0, False) for setting in list(SETTINGS)[1:] for fusion in best]
    return seeds + others + [("0 dB", fusion, both, 0, True) for fusion in best]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="3 fusions, 4 epochs, one seed and setting")
    quick = parser.parse_args().quick
    commit, epochs = find_commit(), 4 if quick else EPOCHS
    held = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results = held["runs"] if held.get("commit") == commit and held.get("quick") == quick else []
    loaded = {}

    def run(entries):
        for entry in entries:
            if any(key == list(entry) for key, _ in results):
                continue
            setting, fusion, names, seed, is_noise = entry
            if setting not in loaded:
                loaded.clear()
                loaded[setting] = load(setting)
            results.append([list(entry), train(loaded[setting], fusion, names, seed, epochs, is_noise)])
            figures = {name: round(value, 4) for name, value in results[-1][1].items()}
            print(setting, fusion, "+".join(names), f"seed {seed}", "noise" if is_noise else "", figures, flush=True)
            write(commit, quick, epochs, results)

    run(plan(quick))
    if not quick:
        run(plan_best(results))
    print_tables(results)


def write(commit, quick, epochs, results):
    versions = {name: importlib.metadata.version(name) for name in ("mmkeras", "tensorflow", "keras", "numpy")}
    facts = {"commit": commit, "quick": quick, "epochs": epochs, "cores": os.cpu_count(), "versions": versions}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(
        json.dumps({**facts, "modality_dropout": DROPOUT, "auxiliary_weight": AUXILIARY, "runs": results}, indent=1)
        + "\n"
    )


def print_tables(results):
    def find(setting, names, is_noise=False):
        found = {}
        for key, run in results:
            if (key[0], key[2], key[4]) == (setting, names, is_noise):
                found.setdefault(key[1], []).append(run)
        return found

    both = list(MODALITIES)
    for setting, target in TARGETS.items():
        alone = {name: [r["accuracy"] for r in find(setting, [name]).get(DEFAULT, [])] for name in both}
        if not all(alone.values()):
            continue
        alone = {name: statistics.fmean(values) for name, values in alone.items()}
        print(f"\n{setting}: alone " + ", ".join(f"{name} {value:.1%}" for name, value in alone.items()))
        print(f"{'fusion':<22}{'seeds':>6}{'accuracy':>10}{'range':>8}{'no sound':>10}{'no image':>10}{'seconds':>9}")
        for fusion, runs in sorted(find(setting, both).items(), key=lambda item: -item[1][0]["accuracy"]):
            values = [run["accuracy"] for run in runs]
            means = {
                key: statistics.fmean(run[key] for run in runs) for key in ("without sound", "without image", "seconds")
            }
            reached = statistics.fmean(values) >= max(target, *alone.values())
            print(
                f"{fusion:<22}{len(runs):>6}{statistics.fmean(values):>10.1%}{max(values) - min(values):>8.1%}"
                f"{means['without sound']:>10.1%}{means['without image']:>10.1%}{means['seconds']:>9.0f}"
                f"  {'reached' if reached else 'MISSED'} {target:.0%}"
            )
    noisy, sound = find("0 dB", both, True), find("0 dB", ["sound"]).get(DEFAULT)
    for fusion, runs in noisy.items():
        cost = statistics.fmean(r["accuracy"] for r in sound) - runs[0]["accuracy"]
        print(f"noise in place of images costs {fusion} {100 * cost:.1f} points against sound alone (at most 1)")


if __name__ == "__main__":
    main()
