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
    rows, folder = _read()
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

    parts = []
    for rows in (train_rows, test_rows):
        modality = mk.Audio(seconds=5, sample_rate=16000)
        backbone = mk.Backbone({"sound": modality})
        batch = next(iter(backbone.dataset(rows, len(rows))))
        spectrograms = mk.layers.LogMelSpectrogram(16000, 64)(batch["sound"]).numpy()
        lengths = np.maximum(batch["sound_length"].numpy() // 160, 1)
        real = [steps[:length] for steps, length in zip(spectrograms, lengths, strict=True)]
        statistics = [
            [part.mean(axis=0), part.std(axis=0), *np.percentile(part, (10, 50, 90), axis=0)] for part in real
        ]
        parts.append(np.array(statistics).reshape(len(rows), -1))
    forest = RandomForestClassifier(500, random_state=seed).fit(parts[0], train_rows.table["label"])
    return forest.score(parts[1], test_rows.table["label"])


@functools.lru_cache(maxsize=1)
def _read():
    folder = unpack("esc10-16k")
    files = sorted(folder.rglob("*.ogg"))
    rows = [(str(path.relative_to(folder)), path.parent.name, path.name[0]) for path in files]
    return pd.DataFrame(rows, columns=["sound", "label", "fold"]), folder
