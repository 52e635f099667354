"""How fast raw rows are answered: `predict_rows` beside the SavedModel, `mk.export`, and learning from sentences.

python benchmarks/raw_rows.py [--quick]

Writes benchmarks/results/raw_rows.json after each entry. The targets are those of the issue that asked for it.
"""

import argparse
import json
import os
import resource
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

import mmkeras as mk  # noqa: E402
from mmkeras.datasets import easy_vqa  # noqa: E402

sys.path.append(str(Path(__file__).parent))

from first_run import find_commit  # noqa: E402

RESULTS = Path(__file__).parent / "results" / "raw_rows.json"
RANDOM = np.random.default_rng(0)
TARGETS = {
    "predict_rows, ratio to the SavedModel": 1.5,
    "growth of memory over 2,000 calls, MiB": 8,
    "mk.export of all formats, 1,024 rows, s": 45,
    "from_source on 8,000 sentences, s": 5,
}


def encode_photo():
    pixels = tf.image.resize(RANDOM.integers(0, 256, (30, 40, 3)), (375, 500))
    return tf.io.encode_jpeg(tf.cast(pixels, tf.uint8)).numpy()


def encode_sound():
    return tf.audio.encode_wav(RANDOM.uniform(-0.5, 0.5, (16000 * 5, 1)).astype("float32"), 16000).numpy()


MODALITIES = {
    "text": (mk.Text(), {"text": "what is the color of the shape in the image?"}),
    "image": (mk.Image(size=64), {"image": encode_photo()}),
    "sound": (mk.Audio(seconds=5), {"sound": encode_sound()}),
    "table": (
        mk.Tabular(["age", "income"], ["city"], ["day"]),
        {"age": 31, "income": 2.5, "city": "Rome", "day": "2026-01-31"},
    ),
    "history": (mk.History(times="at"), {"history": [f"item{i}" for i in range(40)], "at": list(range(40))}),
}


def build(names):
    """A model of these modalities, that learned what it needs from a few rows, and a row for it."""
    row = {}
    for name in names:
        row |= MODALITIES[name][1]
    other = {key: value + 1 if isinstance(value, int | float) else value for key, value in row.items()}
    other |= {"day": "2026-02-01"} if "day" in row else {}
    rows = [row | {"label": "a"}, other | {"label": "b"}]
    return mk.Classifier.from_source(mk.read(rows), {name: MODALITIES[name][0] for name in names}, "label"), row


def load_signature(model, row, folder):
    mk.export(model, folder, ["saved_model"], rows=[row])
    loaded = tf.saved_model.load(str(folder / "saved_model"))
    cells = model.preprocessor.split_columns(model.load_cells(mk.read([row])))
    inputs = {name: tf.constant(array, tf.string) for name, array in cells.items()}
    signature = loaded.signatures["serving_default"]

    def serve():
        return {name: tensor.numpy() for name, tensor in signature(**inputs).items()}, loaded

    return serve


def measure_latency(names, runs):
    """Median milliseconds of both ways, in turns, and their ratio."""
    model, row = build(names)
    with tempfile.TemporaryDirectory() as folder:
        serve = load_signature(model, row, Path(folder) / "artifacts")
        ways = {"SavedModel": serve, "predict_rows": lambda: model.predict_rows([row])}
        times = {name: [] for name in ways}
        for run in range(runs + 10):
            for name, answer in ways.items():
                start = time.perf_counter()
                answer()
                if run >= 10:
                    times[name].append(1000 * (time.perf_counter() - start))
    medians = {f"{name}, ms": statistics.median(values) for name, values in times.items()}
    return {**medians, "ratio": medians["predict_rows, ms"] / medians["SavedModel, ms"]}


def measure_memory(calls):
    """Growth of the process in MiB, over calls after the first 200."""
    model, row = build(["text", "table"])
    for _ in range(200):
        model.predict_rows([row])
    before = read_memory()
    for _ in range(calls):
        model.predict_rows([row])
    return read_memory() - before


def read_memory():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def measure_threads(calls):
    """Calls a second by one thread and by eight, whose answers have to be the same."""
    model, row = build(["text", "table"])
    expected = model.predict_rows([row])
    rates = {}
    for threads in (1, 8):
        with ThreadPoolExecutor(threads) as pool:
            start = time.perf_counter()
            answers = list(pool.map(lambda _: model.predict_rows([row]), range(calls)))
            rates[f"{threads} threads, calls a second"] = calls / (time.perf_counter() - start)
        if any(abs(answer[0]["probability"] - expected[0]["probability"]) > 1e-5 for answer in answers):
            raise RuntimeError("Threads disturb each other.")
    return rates


def measure_export(row_count):
    folder = easy_vqa(Path(__file__).parent / "work" / "easy-vqa")
    train, test = (mk.read(folder / f"{part}.csv", target="answer") for part in ("train", "test"))
    modalities = {"question": mk.Text(), "image": mk.Image(size=32)}
    model = mk.Classifier.from_source(train.select(range(4000)), modalities, fusion="product")
    model.fit(model.dataset(train.select(range(4000)), batch_size=128, cache=True), epochs=1, verbose=0)
    loose = {name: mk.Tolerance(agreement=0.9) for name in ("tflite_dynamic_range",)}  # it has hardly learned
    with tempfile.TemporaryDirectory() as artifacts:
        start = time.perf_counter()
        mk.export(model, Path(artifacts) / "out", rows=test, row_count=row_count, tolerances=loose)
        return time.perf_counter() - start


def measure_learning(count):
    words = ["".join(RANDOM.choice(list("abdeghiklmnoprstu"), RANDOM.integers(2, 9))) for _ in range(20_000)]
    ranks = np.minimum(RANDOM.zipf(1.3, (count, 20)), len(words)) - 1
    rows = [{"text": " ".join(words[rank] for rank in line), "label": "ab"[i % 2]} for i, line in enumerate(ranks)]
    source = mk.read(rows, target="label")
    start = time.perf_counter()
    mk.Classifier.from_source(source, {"text": mk.Text()})
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer runs")
    quick = parser.parse_args().quick
    keras.utils.set_random_seed(0)
    entries = {
        "from_source on 8,000 sentences, s": lambda: measure_learning(1000 if quick else 8000),
        "growth of memory over 2,000 calls, MiB": lambda: measure_memory(300 if quick else 2000),
        "threads": lambda: measure_threads(100 if quick else 1000),
        **{
            f"one row of {name}": lambda name=name: measure_latency([name], 50 if quick else 300) for name in MODALITIES
        },
        "one row of all": lambda: measure_latency(list(MODALITIES), 50 if quick else 300),
        "mk.export of all formats, 1,024 rows, s": lambda: measure_export(64 if quick else 1024),
    }
    results = {
        "commit": find_commit(),
        "quick": quick,
        "cores": os.cpu_count(),
        "versions": {"tensorflow": tf.__version__, "keras": keras.__version__},
        "targets": TARGETS,
    }
    for name, measure in entries.items():
        results[name] = value = measure()
        RESULTS.write_text(json.dumps(results, indent=2) + "\n")
        limit, reached = TARGETS.get(name), value
        if isinstance(value, dict) and "ratio" in value:
            limit, reached = TARGETS["predict_rows, ratio to the SavedModel"], value["ratio"]
        shown = (
            ", ".join(f"{key} {part:.4g}" for key, part in value.items()) if isinstance(value, dict) else f"{value:.3g}"
        )
        verdict = "" if limit is None else f"at most {limit}: {'reached' if reached <= limit else 'MISSED'}"
        print(f"{name:<44}{shown:<64}{verdict}", flush=True)
    print(f"Written to {RESULTS}")


if __name__ == "__main__":
    main()
