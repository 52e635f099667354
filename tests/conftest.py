"""Real rows, and one trained and exported model, made once a run."""

import json
from types import SimpleNamespace

import keras
import pytest
from sharing import find_shared_folder, make_once

import mmkeras as mk
from mmkeras.exporting import Artifact, ExportReport


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory):
    """A folder of this run, the same for all workers."""
    return find_shared_folder(tmp_path_factory)


@pytest.fixture(scope="session")
def easy_vqa(shared_folder):
    """The folder of the whole data set."""
    return make_once(shared_folder / "easy-vqa", mk.datasets.easy_vqa)


@pytest.fixture(scope="session")
def train(easy_vqa):
    """4,000 training rows."""
    return mk.read(easy_vqa / "train.csv", target="answer").select(range(4000))


@pytest.fixture(scope="session")
def test(easy_vqa):
    """500 test rows."""
    return mk.read(easy_vqa / "test.csv", target="answer").select(range(500))


@pytest.fixture(scope="session")
def modalities():
    return {"question": mk.Text(), "image": mk.Image(size=32)}


@pytest.fixture(scope="session")
def trained(train, modalities, shared_folder):
    """A classifier that has learned something, also from rows without question or without image."""

    def make(folder):
        keras.utils.set_random_seed(0)
        model = mk.Classifier.from_source(train, modalities, fusion=mk.fusion.Product(units=32, modality_dropout=0.1))
        batches = model.dataset(train, batch_size=64, shuffle=True, cache=True)
        rate = keras.optimizers.schedules.CosineDecay(3e-3, 6 * len(batches))
        model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
        model.fit(batches, epochs=6, verbose=0)
        model.save(folder / "model.keras")

    return keras.saving.load_model(make_once(shared_folder / "trained", make) / "model.keras")


@pytest.fixture(scope="session")
def exported(trained, test, shared_folder):
    """Its artifacts, with the report, and a few raw rows."""

    def make(folder):
        # After so short a training answers are often close to each other, and 8 bits change a few.
        tolerances = {"tflite_dynamic_range": mk.Tolerance(agreement=0.98)}
        mk.export(trained, folder / "out" / "artifacts", rows=test.select(range(200)), tolerances=tolerances)

    folder = make_once(shared_folder / "exported", make) / "out" / "artifacts"
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    report["artifacts"] = [Artifact(**artifact) for artifact in report["artifacts"]]
    rows = [
        {"question": question, "image": image}
        for question, image in zip(test.texts("question")[:8], test.files("image")[:8], strict=True)
    ]
    return SimpleNamespace(model=trained, folder=folder, report=ExportReport(**report), rows=rows)
