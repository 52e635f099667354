"""The main job from raw rows to proven artifacts, on real questions about real images. `mmkeras demo` runs it."""

import importlib.metadata
import json
import os
import platform
import resource
import sys
import time
from dataclasses import asdict
from pathlib import Path

import keras
import numpy as np

import mmkeras as mk
from mmkeras.demo import answering
from mmkeras.demo.report import write_report

BATCH_SIZE = 128
SHOWN_ROWS = 12
ANSWERED_ROWS = 4
_PACKAGES = ("mmkeras", "tensorflow", "tensorflow-text", "keras", "numpy")


def run(folder: str | Path = "demo", epochs: int = 10, rows: int | None = None, seed: int = 0) -> dict:
    """Trains on questions alone, on images alone and on both, exports the last, and writes what came of it.

    Args:
        folder: gets the data, the artifacts, `report.html` and `results.json`.
        epochs: for each of the three models.
        rows: how many training and test rows to use; None for all 38,575 and 9,673.
        seed: of the split, the weights and the shuffle.

    Returns: what `results.json` holds.
    """
    started = time.perf_counter()
    keras.utils.set_random_seed(seed)
    folder = Path(folder)
    train, validation, test = _read_data(folder, rows, seed)
    modalities = {"question": mk.Text(), "image": mk.Image(size=32)}
    print(f"\nThe training rows:\n{mk.check(train, modalities)}")
    candidates = {
        "question": {"question": modalities["question"]},
        "image": {"image": modalities["image"]},
        "fused": modalities,
    }
    models, histories, seconds, accuracy = {}, {}, {}, {}
    for name, chosen in candidates.items():
        title = " and ".join(chosen) if len(chosen) > 1 else f"{name} alone"
        print(f"\n=== {title}, {epochs} epochs ===", flush=True)
        if len(chosen) > 1:
            print("Rows lack a modality at random in training, not in validation: accuracy is lower there.", flush=True)
        start = time.perf_counter()
        models[name], histories[name] = _train(train, validation, chosen, epochs, seed)
        seconds[name] = time.perf_counter() - start
        _, accuracy[name] = models[name].evaluate(models[name].dataset(test, batch_size=256), verbose=0)

    print("\n=== What fusing brought: accuracy on the test rows ===")
    for name in candidates:
        print(f"{name:<10}{accuracy[name]:>8.2%}{seconds[name]:>7.0f} s of training")

    print("\n=== Export ===", flush=True)
    start = time.perf_counter()
    # A model that was trained on a part of the rows is unsure more often, and 8 bits then change more answers.
    tolerances = {} if rows is None else {"tflite_dynamic_range": mk.Tolerance(agreement=0.9)}
    export_report = mk.export(models["fused"], folder / "artifacts", rows=test, tolerances=tolerances)
    seconds["export"] = time.perf_counter() - start
    print(export_report)

    shown = test.select(np.linspace(0, len(test) - 1, ANSWERED_ROWS, dtype=int))
    answers = answering.answer_with_all(models["fused"], folder / "artifacts", shown)
    print("\n=== The same raw rows, answered by the model and by each artifact ===")
    for row in answers:
        told = ", ".join(f"{name}: {answer}" for name, answer in row["answers"].items())
        print(f"{row['question']} [{row['image']}] {told}")

    results = {
        "accuracy": accuracy,
        "seconds": seconds,
        "peak_mib": _measure_peak_mib(),
        "artifacts": [asdict(artifact) for artifact in export_report.artifacts],
        "rows": {"training": len(train), "validation": len(validation), "test": len(test)},
        "epochs": epochs,
        "seed": seed,
        "cores": os.cpu_count(),
        "versions": {"python": platform.python_version()}
        | {package: importlib.metadata.version(package) for package in _PACKAGES},
    }
    write_report(folder / "report.html", models["fused"], test, SHOWN_ROWS, histories, export_report, answers, results)
    seconds["total"] = time.perf_counter() - started
    (folder / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    print(f"\nDone in {seconds['total']:.0f} s. Open {folder / 'report.html'}")
    return results


def _read_data(folder, rows, seed):
    """Training, validation and test rows; no image is in two of them."""
    print(f"Writing the data to {folder / 'data'} ...", flush=True)
    data = mk.datasets.easy_vqa(folder / "data")
    train, test = mk.read(data / "train.csv"), mk.read(data / "test.csv")
    if rows is not None:
        train, test = train.select(range(min(rows, len(train)))), test.select(range(min(rows, len(test))))
    train, validation = train.split(test_size=0.05, by="image", seed=seed)
    return train, validation, test


def _train(train, validation, modalities, epochs, seed):
    model = mk.Classifier.from_source(train, modalities, target="answer")
    training_batches = model.dataset(train, BATCH_SIZE, shuffle=True, cache=True, seed=seed)
    history = model.fit(
        training_batches,
        validation_data=model.dataset(validation, batch_size=256, cache=True),
        epochs=epochs,
        verbose=1 if sys.stdout.isatty() else 2,  # a progress bar, or a line an epoch in a log
    )
    return model, history.history


def _measure_peak_mib():
    """Largest resident memory of this process, plus that of the largest of its children."""
    unit = 1024 if platform.system() == "Linux" else 1024**2  # macOS counts bytes
    usage = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return round(sum(usage) / unit)
