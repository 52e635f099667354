"""Tables as users have them, for `mk.fit`: rows to learn from and to test on, the target, and what stands beside."""

import functools
import wave
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import PIL.Image

import mmkeras as mk
from cases import digits, sentences, sounds, spoken_sentences, visits
from cases.archives import WORK, unpack

QUESTIONS = 10_000
TEST_IMAGES = 5  # a recording of the test is seen with so many images


@dataclass(frozen=True)
class Table:
    """One of the cases.

    Attributes:
        read: gives training rows, test rows, and the target.
        measure_baseline: of these rows, what another model reaches.
        metric: as `evaluate_rows` calls it.
        allowed: how much below the baseline is still good.
    """

    read: Callable
    measure_baseline: Callable
    metric: str = "accuracy"
    allowed: float = 0.01


def read_sentences():
    train, test = sentences.divide(0)
    return mk.read(train), mk.read(test), "label"


def read_sounds():
    rows, folder = sounds.read_sounds()
    is_test = rows["fold"] == "1"
    parts = [rows[chosen].drop(columns="fold").reset_index(drop=True) for chosen in (~is_test, is_test)]
    return *(mk.read(part, folder=folder) for part in parts), "label"


def read_visits():
    rows = mk.read(unpack("online-shoppers") / "online-shoppers" / "online_shoppers_intention.csv")
    return *rows.split(test_size=0.2, stratify="Revenue", seed=0), "Revenue"


def read_rates():
    """The same table, of which a column of numbers is predicted: how often a visit ends on the pages it saw, in %."""
    train, test, _ = read_visits()
    return train, test, "ExitRates in %"


def read_digits():
    """Spoken at 0 dB and seen without most of their variance: pairs that stay as they are."""
    folder, random = WORK / "digits-0db", np.random.default_rng(0)
    for name in ("train", "test"):
        if (folder / f"{name}.csv").exists():
            continue
        (samples, lengths, labels), (pixels, images) = digits._read_sounds("0 dB")[name], digits._read_images()[name]
        (folder / name).mkdir(parents=True, exist_ok=True)
        rows = []
        for index, (clip, length, label) in enumerate(zip(samples, lengths, labels, strict=True)):
            with wave.open(str(folder / name / f"{index}.wav"), "wb") as file:
                file.setparams((1, 2, digits.RATE, 0, "NONE", ""))
                file.writeframes((clip[:length] * 32767).astype("<i2").tobytes())
            for chosen in random.choice(np.flatnonzero(images == label), TEST_IMAGES if name == "test" else 1, False):
                PIL.Image.fromarray(pixels[chosen]).save(folder / name / f"{chosen}.png")
                rows.append({"sound": f"{name}/{index}.wav", "image": f"{name}/{chosen}.png", "digit": label})
        pd.DataFrame(rows).to_csv(folder / f"{name}.csv", index=False)
    return mk.read(folder / "train.csv"), mk.read(folder / "test.csv"), "digit"


def read_questions():
    folder = mk.datasets.easy_vqa(WORK / "easy-vqa")
    train, test = mk.read(folder / "train.csv"), mk.read(folder / "test.csv")
    return train.select(np.random.default_rng(0).permutation(len(train))[:QUESTIONS]), test, "answer"


def read_colors():
    """Clips of a speaker with their sound, and the color that is said."""
    parts = [mk.read(rows.table[["mouth", "color"]], folder=rows.folder) for rows in spoken_sentences._read()]
    return *parts, "color"


def boost_rates(train, test):
    from sklearn.ensemble import HistGradientBoostingRegressor

    parts = []
    for rows in (train, test):
        numbers = [name for name in visits.NUMBERS if name != "ExitRates in %"]
        categories = {
            name: pd.Categorical(rows.table[name], sorted(train.table[name].unique())) for name in visits.PROFILE
        }
        truth = rows.table["ExitRates in %"].astype(float)
        parts.append(
            (pd.concat([rows.table[numbers].astype(float), pd.DataFrame(categories, rows.table.index)], axis=1), truth)
        )
    model = HistGradientBoostingRegressor(categorical_features="from_dtype", random_state=0).fit(*parts[0])
    return model.score(*parts[1])


def regress_digits(train, test):
    """Logistic regression of the pixels beside log-mel statistics."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    parts = []
    for rows in (train, test):
        pixels = [np.asarray(PIL.Image.open(path).convert("L"), float).ravel() / 255 for path in rows.files("image")]
        heard = sounds.describe_sounds(rows, seconds=1, rate=digits.RATE)
        parts.append((np.concatenate([pixels, heard], axis=1), rows.table["digit"]))
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(*parts[0]).score(*parts[1])


def publish(value: float, *_):
    """What others have published, or wrote by hand, for these rows."""
    return value


CASES = {
    "sentences": Table(
        read_sentences, lambda train, test: sentences._train_baseline(sentences.BASELINES[1], train.table, test.table)
    ),
    "sounds": Table(read_sounds, lambda train, test: sounds._train_baseline(train, test, 1)),
    "visits": Table(
        read_visits, lambda train, test: visits._train_baseline(train.table, test.table, 0), "auroc", 0.003
    ),
    "rates": Table(read_rates, boost_rates, "r2_score"),
    "digits": Table(read_digits, regress_digits),
    "questions": Table(read_questions, functools.partial(publish, 0.938)),  # by the author of easy-VQA, on all rows
    "colors": Table(
        read_colors, functools.partial(publish, 0.87)
    ),  # a small network of convolutions and a GRU, by hand
}
