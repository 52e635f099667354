"""A backbone as a folder of files that hold no code."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest

import mmkeras as mk

ROWS = mk.read([{"text": f"{word} tea {i}", "a": i} for i, word in enumerate(["red", "blue", "gold"] * 8)])


def build(units=16, fusion="gated"):
    text = mk.Text(encoder=mk.encoders.TextGRU(units=units))
    return mk.Backbone.from_source(ROWS, {"text": text, "facts": mk.Tabular(["a"])}, fusion=fusion)


def pool(backbone):
    return backbone.predict(backbone.dataset(ROWS), verbose=0)["fused"]["pooled"]


def test_it_is_the_same_in_a_fresh_process(tmp_path):
    backbone = build()
    mk.finetuning.freeze(backbone, "text")
    backbone.save_to_preset(tmp_path / "preset")
    assert {path.name for path in (tmp_path / "preset").iterdir()} == {
        "config.json",
        "metadata.json",
        "model.weights.h5",
    }
    script = (
        "import sys, numpy as np, mmkeras as mk\n"
        "backbone = mk.Backbone.from_preset(sys.argv[1])\n"
        "rows = mk.read([{'text': 'red tea 1', 'a': 1}, {'text': 'gold', 'a': None}])\n"
        "found = backbone.predict(backbone.dataset(rows), verbose=0)['fused']['pooled']\n"
        "np.savez(sys.argv[2], found, len(backbone.trainable_variables))"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "preset"), str(tmp_path / "found.npz")]
    process = subprocess.run(command, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    rows = mk.read([{"text": "red tea 1", "a": 1}, {"text": "gold", "a": None}])
    expected = backbone.predict(backbone.dataset(rows), verbose=0)["fused"]["pooled"]
    with np.load(tmp_path / "found.npz") as held:
        assert np.allclose(held["arr_0"], expected, atol=1e-6)
        assert held["arr_1"] == len(backbone.trainable_variables)


def test_weights_go_into_another_backbone_of_the_same_architecture(tmp_path):
    backbone, other = build(), build()
    backbone.save_to_preset(tmp_path)
    assert not np.allclose(pool(backbone), pool(other))
    other.load_preset(tmp_path)
    assert np.allclose(pool(backbone), pool(other), atol=1e-6)


def test_another_architecture_is_refused_by_the_key_that_differs(tmp_path):
    build().save_to_preset(tmp_path)
    with pytest.raises(ValueError, match="First differs modalities/text/.*/units: this model has 8. Received: 16"):
        build(units=8).load_preset(tmp_path)
    with pytest.raises(ValueError, match="First differs fusion/class_name: this model has 'Sum"):
        build(fusion="sum").load_preset(tmp_path)


def test_what_is_no_preset_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no config.json: it is no preset"):
        mk.Backbone.from_preset(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="config.json is no configuration of Keras"):
        mk.Backbone.from_preset(tmp_path)
    config = keras.saving.serialize_keras_object(keras.layers.Dense(3))
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="preset of Backbone is wanted. Received: .*, of Dense"):
        mk.Backbone.from_preset(tmp_path)


def test_a_damaged_file_of_weights_changes_nothing(tmp_path):
    backbone = build()
    backbone.save_to_preset(tmp_path)
    (tmp_path / "model.weights.h5").write_bytes(b"nothing")
    other = build()
    before = pool(other)
    with pytest.raises(ValueError, match="model.weights.h5 cannot be loaded into this model"):
        other.load_preset(tmp_path)
    assert np.array_equal(pool(other), before)
