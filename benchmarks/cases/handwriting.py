"""10,000 handwritten digits for training and 10,000 for the test (MNIST)."""

import functools

import numpy as np

import mmkeras as mk
from cases.archives import unpack

NAME, METRICS = "handwritten digits, 10,000 for training", ("accuracy",)
SEEDS = (0, 1, 2)
EPOCHS, BATCH = 8, 64
BASELINES = ("logistic regression",)
MODELS = ("cnn",)
TARGETS = {("cnn", "accuracy"): (0.98, 0.985)}


def train(model: str, seed: int, is_quick: bool) -> dict[str, float]:
    """The accuracy of a baseline, or of a classifier with this encoder."""
    train_part, test_part = _read()
    if model in BASELINES:
        from sklearn.linear_model import LogisticRegression

        pixels = [part[0].reshape(len(part[0]), -1) / 255 for part in (train_part, test_part)]
        return {
            "accuracy": LogisticRegression(max_iter=200).fit(pixels[0], train_part[1]).score(pixels[1], test_part[1])
        }
    classifier = mk.Classifier({"image": mk.Image(28, encoder=model)}, list(range(10)))
    classifier.compile_default()
    inputs, test_inputs = (
        {"image": np.repeat(x[..., None], 3, -1), "image_present": np.ones(len(x), bool)}
        for x, _ in (train_part, test_part)
    )
    classifier.fit(inputs, train_part[1], BATCH, epochs=1 if is_quick else EPOCHS, verbose=0)
    return {"accuracy": classifier.evaluate(test_inputs, test_part[1], batch_size=500, verbose=0)[1]}


@functools.lru_cache(maxsize=1)
def _read():
    """Pixels, uint8 `(images, 28, 28)`, and digits of the training, every sixth, and of the test."""
    train_part, test_part = (np.load(path) for path in sorted(unpack("mnist-npz").rglob("*.npz"), reverse=True))
    return (train_part["x"][::6].reshape(-1, 28, 28), train_part["y"][::6].astype("int32")), (
        test_part["x"].reshape(-1, 28, 28),
        test_part["y"].astype("int32"),
    )
