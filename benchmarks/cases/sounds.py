"""400 environmental sounds of 5 s in 10 classes (ESC-10, Piczak 2015), on its five folds."""

import functools

import numpy as np
import pandas as pd

import mmkeras as mk
from cases.archives import unpack

NAME, METRICS = "environmental sounds", ("accuracy",)
SEEDS = (1, 2, 3, 4, 5)  # the fold that is the test
EPOCHS, BATCH = 40, 16
BASELINES = ("log-mel statistics, random forest",)
MODELS = ("cnn2d",)
TARGETS = {("cnn2d", "accuracy"): (0.82, 0.88)}


def train(model: str, seed: int, is_quick: bool) -> dict[str, float]:
    """The accuracy of a baseline, or of a classifier with this encoder, on the fold."""
    rows, folder = read_sounds()
    is_test = rows["fold"] == str(seed)
    train_rows, test_rows = (
        mk.read(rows[chosen].reset_index(drop=True), target="label", folder=folder) for chosen in (~is_test, is_test)
    )
    if model in BASELINES:
        return {"accuracy": _train_baseline(train_rows, test_rows, seed)}
    modalities = {"sound": mk.Audio(seconds=5, sample_rate=16000, encoder=model)}
    classifier = mk.Classifier.from_source(train_rows, modalities)
    batches = classifier.dataset(train_rows, BATCH, shuffle=True, cache=True, seed=seed, mixup=0.2)
    classifier.fit(batches, epochs=1 if is_quick else EPOCHS, verbose=0)
    return {"accuracy": classifier.evaluate(classifier.dataset(test_rows, 64), verbose=0)[1]}


def _train_baseline(train_rows, test_rows, seed):
    from sklearn.ensemble import RandomForestClassifier

    parts = [describe_sounds(rows, 5, 16000) for rows in (train_rows, test_rows)]
    forest = RandomForestClassifier(500, random_state=seed).fit(parts[0], train_rows.table["label"])
    return forest.score(parts[1], test_rows.table["label"])


def describe_sounds(rows: mk.Source, seconds: float, rate: int) -> np.ndarray:
    """Mean, deviation and quantiles over time of each band of the log-mel spectrogram, `(rows, 320)`."""
    backbone = mk.Backbone({"sound": mk.Audio(seconds=seconds, sample_rate=rate)})
    layer, statistics = mk.layers.LogMelSpectrogram(rate, 64), []
    for batch in backbone.dataset(rows, 256):
        lengths = np.maximum(batch["sound_length"].numpy() // (rate // 100), 1)
        for steps, length in zip(layer(batch["sound"]).numpy(), lengths, strict=True):
            real = steps[:length]
            quantiles = np.percentile(real, (10, 50, 90), axis=0)
            statistics.append(np.concatenate([real.mean(axis=0), real.std(axis=0), *quantiles]))
    return np.array(statistics)


@functools.lru_cache(maxsize=1)
def read_sounds():
    folder = unpack("esc10-16k")
    files = sorted(folder.rglob("*.ogg"))
    rows = [(str(path.relative_to(folder)), path.parent.name, path.name[0]) for path in files]
    return pd.DataFrame(rows, columns=["sound", "label", "fold"]), folder
