"""What mmkeras costs in training: a built model against the same network written by hand in plain Keras.

python benchmarks/overhead.py [--quick]

Both are trained on the same batches in turns, and each turn gives one ratio of their steps a second; what counts is the
median ratio. Writes benchmarks/results/overhead.json after every turn.
"""

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from keras import layers, ops  # noqa: E402

import mmkeras as mk  # noqa: E402

sys.path.append(str(Path(__file__).parent))

from first_run import find_commit  # noqa: E402

BATCH, WORDS, SIZE, CLASSES, UNITS = 128, 12, 32, 13, 64
LEAST_RATIO = 0.97


def build_by_mmkeras(vocabulary):
    text = mk.Text(mk.tokenizers.WordPiece(vocabulary), sequence_length=WORDS)
    image = mk.Image(size=SIZE, encoder=mk.encoders.ImageCNN(is_strided=True))
    modalities = {"question": text, "image": image}
    return mk.Classifier(modalities, [str(i) for i in range(CLASSES)], mk.fusion.Product(units=UNITS))


def build_by_hand(vocabulary):
    """The layers of the model above, without presence, masks of tokens, and what serves other fusions."""
    question = keras.Input((WORDS,), dtype="int32", name="question")
    embedded = layers.Embedding(len(vocabulary), 64)(question)
    words = layers.GRU(64)(embedded, mask=ops.not_equal(question, 0))
    image = keras.Input((SIZE, SIZE, 3), dtype="uint8", name="image")
    pixels = layers.Rescaling(1 / 127.5, offset=-1)(image)
    for filters in (16, 32, 64):
        pixels = layers.Conv2D(filters, 3, strides=2, padding="same", use_bias=False)(pixels)
        pixels = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(pixels))
    cells = layers.Dropout(0.3)(layers.Flatten()(pixels))
    joined = layers.Multiply()(
        [layers.Dense(UNITS)(layers.LayerNormalization()(v)) for v in (words, layers.Dense(64)(cells))]
    )
    hidden = layers.Dense(64, activation="relu")(joined)
    output = layers.Dense(CLASSES, activation="softmax")(hidden)
    return keras.Model({"question": question, "image": image}, output)


def make_batches(model, count):
    random = np.random.default_rng(0)
    rows = BATCH * count
    tensors = {
        "question": random.integers(0, 40, (rows, WORDS)).astype("int32"),
        "image": random.integers(0, 256, (rows, SIZE, SIZE, 3), "uint8"),
        "question_present": np.ones(rows, bool),
        "image_present": np.ones(rows, bool),
    }
    chosen = {name: tensors[name] for name in model.input}
    return tf.data.Dataset.from_tensor_slices((chosen, random.integers(0, CLASSES, rows))).batch(BATCH).cache()


def measure(model, batches):
    """Steps a second over one epoch."""
    start = time.perf_counter()
    model.fit(batches, verbose=0)
    return len(batches) / (time.perf_counter() - start)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer and shorter turns")
    quick = parser.parse_args().quick
    turns, steps = (5, 60) if quick else (25, 200)
    vocabulary = ["[PAD]", "[UNK]", *(f"word{i}" for i in range(38))]
    models, batches = {}, {}
    for name, build in {"mmkeras": build_by_mmkeras, "by hand": build_by_hand}.items():
        keras.utils.set_random_seed(0)
        models[name] = build(vocabulary)
        models[name].compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
        batches[name] = make_batches(models[name], steps)
        measure(models[name], batches[name])  # traces, and fills the cache
    rates = {name: [] for name in models}
    path = Path(__file__).parent / "results" / "overhead.json"
    for turn in range(turns):
        for name in sorted(models, reverse=turn % 2 == 1):
            rates[name].append(measure(models[name], batches[name]))
        ratios = [a / b for a, b in zip(rates["mmkeras"], rates["by hand"], strict=True)]
        results = {
            "commit": find_commit(),
            "quick": quick,
            "cores": os.cpu_count(),
            "versions": {"tensorflow": tf.__version__, "keras": keras.__version__},
            "parameters": {name: model.count_params() for name, model in models.items()},
            "steps a second, median": {name: statistics.median(values) for name, values in rates.items()},
            "ratio, median": statistics.median(ratios),
            "ratios": ratios,
            "target": LEAST_RATIO,
        }
        path.write_text(json.dumps(results, indent=2) + "\n")
    for name, rate in results["steps a second, median"].items():
        print(f"{name:<10}{rate:>8.1f} steps a second, {results['parameters'][name]:,} parameters")
    reached = "reached" if results["ratio, median"] >= LEAST_RATIO else "MISSED"
    print(f"ratio {results['ratio, median']:.3f}, at least {LEAST_RATIO}: {reached}. Written to {path}")


if __name__ == "__main__":
    main()
