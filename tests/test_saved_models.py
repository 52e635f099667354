"""Models saved by earlier versions load, and answer as they did then.

`python tests/test_saved_models.py VERSION` writes them to tests/saved_models once, for all later versions; a file that
is there is never written again.
"""

import json
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import mmkeras as mk

pytestmark = pytest.mark.compat

FOLDER = Path(__file__).parent / "saved_models"
NAMES = sorted(path.stem for path in FOLDER.glob("*.keras"))


PARTS = {
    "media": (
        ["image", "sound", "clip"],
        lambda: mk.fusion.CrossAttention(8, num_heads=2, modality_dropout=0.1, seed=3),
    ),
    "words": (["text", "profile", "clicks"], lambda: mk.fusion.MeanLogits()),
    "pairs": (["sound", "text"], lambda: mk.fusion.Product(8)),
}


def build(names, fusion):
    """A model of these modalities, with what a user may have set."""
    encoders = mk.encoders
    small = encoders.TabularMLP(8)
    modalities = {
        "text": mk.Text(
            mk.tokenizers.WordPiece(["[PAD]", "[UNK]", "good", "bad"]), 4, encoder=encoders.TextGRU(8, embedding_dim=4)
        ),
        "image": mk.Image(8, encoder=encoders.ImageCNN(8, (4,)), augmentation=[keras.layers.RandomFlip()]),
        "sound": mk.Audio(0.1, 8000, encoder=encoders.AudioCNN(8, (4,), mel_bins=8)),
        "clip": mk.Video(2, 8, encoder=encoders.VideoGRU(8, encoders.ImageCNN(8, (4,)))),
        "profile": mk.Tabular(
            ["age"], ["city"], ["day"], {"age": [40, 9], "day": [9e3, 99]}, {"city": ["Rome"]}, encoder=small
        ),
        "clicks": mk.History(3, ["tea", "cup"], times="times", encoder=encoders.HistoryGRU(8, embedding_dim=4)),
    }
    backbone = mk.Backbone({name: modalities[name] for name in names}, fusion)
    backbone.encoders[names[0]].trainable = False
    model = mk.Classifier(backbone=backbone, classes=["no", "yes", "a\nb"], target="answer", hidden_units=8)
    model.compile(
        keras.optimizers.SGD(mk.schedules.CosineToEnd()), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model


def make_inputs(model):
    random = np.random.default_rng(0)
    inputs = {}
    for name, spec in model.preprocessor.tensor_specs(4).items():
        dtype, shape = spec.dtype.as_numpy_dtype, spec.shape.as_list()
        large = 256 if dtype == np.uint8 else 2
        inputs[name] = random.uniform(0, large, shape).astype(dtype)
        if name.endswith("_present"):
            inputs[name] = random.random(shape) < 0.7
    return inputs


@pytest.mark.parametrize("name", NAMES)
def test_it_loads_and_answers_as_it_did(name):
    model = keras.saving.load_model(FOLDER / f"{name}.keras")
    with np.load(FOLDER / f"{name}.npz") as archive:
        inputs = {key.removeprefix("input/"): archive[key] for key in archive if key.startswith("input/")}
        expected, frozen = archive["output"], json.loads(str(archive["frozen"]))
    assert np.allclose(model.predict(inputs, verbose=0), expected, atol=1e-5)
    assert [path for path, layer in mk.weights.walk_layers(model) if not layer.trainable] == frozen
    model.fit(inputs, np.array([0, 1, 2, 0]), verbose=0)


def test_there_is_a_saved_model_and_none_is_large():
    assert NAMES
    assert all(path.stat().st_size < 300 * 1024 for path in FOLDER.iterdir())


def write(version, part):
    path = FOLDER / f"{version}-{part}.keras"
    if path.exists():
        raise FileExistsError(f"{path} is there; later versions have to load it as it is. Choose another name.")
    keras.utils.set_random_seed(0)
    names, make_fusion = PARTS[part]
    model = build(names, make_fusion())
    inputs = make_inputs(model)
    model.fit(inputs, np.array([0, 1, 2, 0]), verbose=0)
    FOLDER.mkdir(exist_ok=True)
    model.save(path)
    frozen = json.dumps([path for path, layer in mk.weights.walk_layers(model) if not layer.trainable])
    named = {f"input/{key}": array for key, array in inputs.items()}
    np.savez_compressed(path.with_suffix(".npz"), output=model.predict(inputs, verbose=0), frozen=frozen, **named)


if __name__ == "__main__":
    for part in PARTS:
        write(sys.argv[1], part)
