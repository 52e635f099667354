"""Real rows, and one trained and exported model, made once a run."""

from types import SimpleNamespace

import keras
import pytest

import mmkeras as mk


@pytest.fixture(scope="session")
def easy_vqa(tmp_path_factory):
    """The folder of the whole data set."""
    return mk.datasets.easy_vqa(tmp_path_factory.mktemp("easy-vqa"))


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
def trained(train, modalities):
    """A classifier that has learned something, also from rows without question or without image."""
    keras.utils.set_random_seed(0)
    model = mk.Classifier.from_source(train, modalities, fusion=mk.fusion.Product(units=32, modality_dropout=0.1))
    batches = model.dataset(train, batch_size=64, shuffle=True, cache=True)
    rate = keras.optimizers.schedules.CosineDecay(3e-3, 6 * len(batches))
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(batches, epochs=6, verbose=0)
    return model


@pytest.fixture(scope="session")
def exported(trained, test, tmp_path_factory):
    """Its artifacts, with the report, and a few raw rows."""
    folder = tmp_path_factory.mktemp("export") / "artifacts"
    # After so short a training answers are often close to each other, and 8 bits change a few.
    report = mk.export(trained, folder, rows=test, tolerances={"tflite_dynamic_range": mk.Tolerance(agreement=0.98)})
    rows = [
        {"question": question, "image": image}
        for question, image in zip(test.texts("question")[:8], test.files("image")[:8], strict=True)
    ]
    return SimpleNamespace(model=trained, folder=folder, report=report, rows=rows)
