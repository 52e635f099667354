"""Every target, head, task and objective holds its contract."""

import keras
import numpy as np
import pytest

import mmkeras as mk
from mmkeras.testing import check_format, check_head, check_objective, check_target, check_task, make_features

LABELS = ["red", " blue", "", None, "red", "green"]
NUMBERS = [("1.5", 10), ("", 3), (2, "7"), (4.25, "many"), (3, 8)]
TARGETS = {
    "classes": (mk.targets.ClassTarget("color"), LABELS),
    "two classes": (mk.targets.ClassTarget("color", ["red", "blue"]), [*LABELS, ["a", "list"]]),
    "a number": (mk.targets.NumberTarget("size"), ["1", 2, None, "x", 4.5]),
    "numbers": (mk.targets.NumberTarget(["size", "price"]), NUMBERS),
    "several": (
        mk.targets.MultiTarget(["color", mk.targets.NumberTarget(["size", "price"])]),
        [("red", 1, 2), ("blue", 3, 4), ("", 5, 6), ("red", "", ""), ("", "", "")],
    ),
}


@pytest.mark.parametrize("name", TARGETS)
def test_targets(name):
    target, cells = TARGETS[name]
    check_target(type(target).from_config(target.get_config()), cells)


def test_a_target_without_labels_has_no_measures():
    for target in (mk.targets.VectorTarget(3), mk.targets.FeaturesTarget(["a"], ["pooled"])):
        assert target.measures is None and target.is_adapted and not target.columns
        assert type(target).from_config(target.get_config()).get_config() == target.get_config()


HEADS = [
    mk.heads.DenseHead(3),
    mk.heads.DenseHead(3, hidden_units=0, source="first"),
    mk.heads.AttentionHead([2, 4], hidden_units=8),
]


@pytest.mark.parametrize("head", HEADS, ids=repr)
def test_heads(head):
    check_head(head)


ROWS = mk.read(
    [
        {"word": f"w{index % 3} x", "n": index % 5, "color": "ab"[index % 2], "size": index % 3 + 0.5, "m": index % 4}
        for index in range(24)
    ]
)
MODALITIES = {
    "word": mk.Text(encoder=mk.encoders.TextGRU(units=4, embedding_dim=4)),
    "facts": mk.Tabular(["n", "m"], encoder=mk.encoders.TabularMLP(units=4, dropout=0)),
}
TASKS = {
    "classifier": (mk.Classifier, "color", {}),
    "regressor": (mk.Regressor, ["size", "m"], {}),
    "several": (mk.MultiTask, ["color", mk.targets.NumberTarget("size")], {"hidden_units": 8}),
}


@pytest.mark.parametrize("name", TASKS)
def test_tasks(name):
    kind, target, arguments = TASKS[name]
    check_task(kind.from_source(ROWS, MODALITIES, target, fusion=mk.fusion.Gated(8), **arguments), ROWS)


@pytest.fixture(scope="module")
def exportable():
    return mk.Regressor.from_source(ROWS, MODALITIES, ["size", "m"], fusion=mk.fusion.Gated(8))


@pytest.mark.parametrize("format", mk.formats.DEFAULTS.values(), ids=repr)
def test_formats(exportable, format):
    report = check_format(format, exportable, ROWS)
    assert report.signature["tensors"]["outputs"] == {"values": {"shape": [2], "dtype": "float32"}}
    inputs = report.signature["serving_default"]["inputs"]
    assert inputs["word"] == {"input": "word", "column": "word", "kind": "text", "shape": []}
    assert inputs["facts_n"] == {"input": "facts", "column": "n", "kind": "number", "shape": []}


def test_a_format_of_tflite_is_one_of_those_that_exist():
    with pytest.raises(ValueError, match="`quantize` of TFLite is one of .* Received: quantize='int3'"):
        mk.formats.TFLite("int3")


TRANSFORMER = mk.encoders.TextTransformer(units=8, num_layers=1, dropout=0)
OBJECTIVES = {
    "contrastive": mk.pretraining.Contrastive("word", "facts", units=8),
    "matching": mk.pretraining.Matching("word", "facts"),
    "two views": mk.pretraining.TwoViews("image", [keras.layers.RandomFlip("horizontal")], units=8, hidden_units=8),
    "masked modality": mk.pretraining.MaskedModality("facts", units=8),
    "masked language": mk.pretraining.MaskedLanguage("word", rate=0.5),
    "causal language": mk.pretraining.CausalLanguage("word", given="image", num_layers=1),
    "masked patches": mk.pretraining.MaskedPatches("image", patch_size=(4, 4), num_layers=1),
}


@pytest.fixture(scope="module")
def pairs():
    """Rows with a text, numbers and an image."""
    import tensorflow as tf

    random = np.random.default_rng(0)
    images = [tf.io.encode_png(random.integers(0, 255, (8, 8, 3)).astype("uint8")).numpy() for _ in range(12)]
    return mk.read([{"word": f"w{i % 5} of {i}", "n": i, "m": i % 4, "image": image} for i, image in enumerate(images)])


@pytest.mark.parametrize("name", OBJECTIVES)
def test_objectives(pairs, name):
    modalities = {
        "word": mk.Text(encoder=TRANSFORMER),
        "facts": MODALITIES["facts"],
        "image": mk.Image(size=8, encoder=mk.encoders.ImageCNN(units=8, filters=(4,), dropout=0)),
    }
    backbone = mk.Backbone.from_source(pairs, modalities, fusion=mk.fusion.Product(8))
    before = [mk.pretraining.Contrastive("word", "facts", units=8, name="pairs")] if name == "matching" else []
    check_objective(OBJECTIVES[name], backbone, pairs, before)


# === What the checks find ===


class Careless(mk.targets.ClassTarget):
    def activate(self, logits, mask=None, name=None):
        return super().activate(logits - keras.ops.mean(logits, axis=0), mask, name)


class Forgetful(mk.targets.ClassTarget):
    def get_config(self):
        return {"column": self.column}


class Impolite(mk.targets.ClassTarget):
    def describe(self, outputs, decoded=None):
        return [{**row, "probability": np.float32(1)} for row in super().describe(outputs, decoded)]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Careless, "the other rows of the batch matter to an output"),
        (Forgetful, "it is shown as|a copy"),
        (Impolite, "not JSON serializable"),
    ],
)
def test_the_check_of_targets_finds_faults(kind, message):
    with pytest.raises((AssertionError, TypeError), match=message):
        check_target(kind("color"), LABELS)


class Greedy(mk.heads.DenseHead):
    """Reads the tokens, and does not say so; their padding too."""

    feature_keys = ("pooled", "tokens", "mask")

    def call(self, features, training=False):
        return super().call(features) + keras.ops.mean(features["tokens"], axis=(1, 2), keepdims=True)[:, 0]


class Hidden(Greedy):
    feature_keys = ("pooled",)


def test_the_check_of_heads_finds_faults():
    with pytest.raises(AssertionError, match="padding matters"):
        check_head(Greedy(3))
    with pytest.raises(KeyError, match="tokens"):
        check_head(Hidden(3))
    features = make_features({"first": 2})
    check_head(mk.heads.DenseHead(2), {"modalities": features, "fused": features["first"]})
