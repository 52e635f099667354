"""Every fusion, saved and exported: all of them in one model each, because processes take seconds to start."""

import keras
import numpy as np
import pytest

import mmkeras as mk
from mmkeras.testing import check_reload

ALL = mk.fusion.list_fusions()
DECISIONS = {name: fusion for name, fusion in ALL.items() if issubclass(fusion, mk.fusion.DecisionFusion)}
OTHERS = {name: fusion for name, fusion in ALL.items() if name not in DECISIONS}


def test_every_fusion_is_the_same_in_a_fresh_process():
    random = np.random.default_rng(0)
    values, inputs, features = {}, {}, {}
    for name, length in {"a": 2, "b": 3}.items():
        shapes = {"tokens": (length, 8), "mask": (length,), "pooled": (8,), "present": ()}
        dtypes = {"mask": "bool", "present": "bool"}
        for key, shape in shapes.items():
            full = f"{name}_{key}"
            inputs[full] = keras.Input(shape, dtype=dtypes.get(key, "float32"), name=full)
            is_flag = key in dtypes
            values[full] = random.random((5, *shape)) > 0.3 if is_flag else random.normal(size=(5, *shape))
        features[name] = {key: inputs[f"{name}_{key}"] for key in shapes}
    logits = {name: f["pooled"] for name, f in features.items()}
    present = {name: f["present"] for name, f in features.items()}
    outputs = [fusion(8)(features)["fused"]["pooled"] for fusion in OTHERS.values()]
    outputs += [fusion()(logits, present) for fusion in DECISIONS.values()]
    model = keras.Model(inputs, keras.layers.Concatenate()(outputs))
    model.set_weights([random.normal(0, 0.3, w.shape) for w in model.get_weights()])
    check_reload(model, values)


class Every(mk.fusion.Fusion):
    """The sum of what all fusions say, of the decision level too."""

    def __init__(self, **kwargs):
        super().__init__(8, **kwargs)
        self.fusions = [fusion(8) for fusion in OTHERS.values()]

    def build_fusion(self, shapes):
        for fusion in self.fusions:
            fusion.build(shapes)

    def fuse(self, features, present, training):
        parts = [fusion(features)["fused"] for fusion in self.fusions]
        pooled = sum(part["pooled"] for part in parts)
        return (parts[0]["tokens"], parts[0]["mask"], pooled), features

    def connect(self, outputs, head, encoded=None):
        logits, branches = super().connect(outputs, head, encoded or outputs["modalities"])
        present = {name: features["present"] for name, features in outputs["modalities"].items()}
        return sum((fusion()(branches, present) for fusion in DECISIONS.values()), logits), branches


@pytest.mark.slow
def test_every_fusion_is_exported(tmp_path):
    keras.utils.set_random_seed(0)
    words = ["red", "blue", "green", "tea", "cup"]
    random = np.random.default_rng(0)
    rows = [
        {
            "text": " ".join(random.choice(words, 3)) if i % 5 else None,
            "clicks": random.choice(words, 3).tolist() if i % 4 else None,
            "label": "ab"[i % 2],
        }
        for i in range(60)
    ]
    source = mk.read(rows)
    modalities = {"text": mk.Text(sequence_length=4), "clicks": mk.History(4)}
    model = mk.Classifier.from_source(source, modalities, "label", fusion=Every())
    model.fit(model.dataset(source), epochs=1, verbose=0)
    report = mk.export(model, tmp_path / "artifacts", rows=source)
    assert {artifact.format for artifact in report.artifacts} == {
        "saved_model",
        "tflite",
        "tflite_dynamic_range",
        "onnx",
    }
    exact = [artifact for artifact in report.artifacts if artifact.format != "tflite_dynamic_range"]
    assert all(artifact.max_difference < 1e-4 for artifact in exact)
