"""A part of each kind that somebody else writes: what it takes is what the table in docs/design.md lists."""

import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import mmkeras as mk
from mmkeras.data.report import Finding
from mmkeras.tasks import find_task
from mmkeras.tasks.dense import DenseTask
from mmkeras.testing import (
    check_encoder,
    check_format,
    check_fusion,
    check_head,
    check_objective,
    check_target,
    check_task,
)

PACKAGE = "mmkeras_new_parts"

# === An encoder ===


@keras.saving.register_keras_serializable(package=PACKAGE)
class TextBag(mk.encoders.Encoder):
    """The mean of the embeddings of the pieces."""

    def encode(self, inputs, preprocessor):
        tokens = keras.layers.Embedding(len(preprocessor.vocabulary), self.units, name="embedding")(inputs)
        mask = ops.not_equal(inputs, 0)
        weights = ops.expand_dims(ops.cast(mask, tokens.dtype), -1)
        pooled = ops.sum(tokens * weights, axis=1) / ops.maximum(ops.sum(weights, axis=1), 1.0)
        return tokens, mask, pooled


# === A fusion ===


@keras.saving.register_keras_serializable(package=PACKAGE)
class Largest(mk.fusion.VectorFusion):
    """The largest of the projections, element by element."""

    def join_vectors(self, vectors, present):
        return ops.max(ops.stack(vectors, axis=1), axis=1)


# === A target with answers for tokens, its head, and its task ===


@keras.saving.register_keras_serializable(package=PACKAGE)
class PieceTarget(mk.targets.Target):
    """The place of one piece of a text, which is answered as the id of the piece that stands there."""

    output_name = "places"
    output_units = 1
    default_loss = "sparse_categorical_crossentropy"
    default_metrics = ("accuracy",)
    needs_tensors = True
    is_adapted = True

    def __init__(self, column, text):
        self.column, self.text = column, text
        self.columns = [column]

    def is_missing(self, cell):
        return cell is None or cell == ""

    def find_problems(self, cells):
        finding = Finding("no place", "the cell is empty", "fill it", True)
        return [[finding] if self.is_missing(cell) else [] for cell in cells]

    def encode(self, cells, tensors=None):
        last = np.maximum((np.asarray(tensors[self.text]) != 0).sum(axis=1) - 1, 0)
        return np.minimum([int(cell) for cell in cells], last).astype("int32")

    def activate(self, logits, mask=None, name=None):
        scores = ops.where(mask, logits[..., 0], -1e9)
        return keras.layers.Softmax(name=name, dtype="float32")(scores)

    def decode(self, outputs, tensors=None):
        places = tf.argmax(outputs[self.output_name], axis=1)
        return {self.name_answer(self.column): places, "piece": tf.gather(tensors[self.text], places, batch_dims=1)}

    answer_names = ("piece",)

    def same_answer(self, expected, received):
        return expected[self.output_name].argmax(axis=1) == received[self.output_name].argmax(axis=1)

    @property
    def measures(self):
        return PieceMeasures()

    def get_config(self):
        return {"column": self.column, "text": self.text}


class PieceMeasures(mk.targets.measures.Measures):
    score_name = "exact_match"

    def measure(self, outputs, truth):
        return {"exact_match": float(np.mean(outputs["places"].argmax(axis=1) == truth))}

    def score(self, outputs, truth):
        return self.measure(outputs, truth)["exact_match"]

    def answer_constantly(self, truth):
        places = np.zeros((len(truth), int(max(truth)) + 1), "float32")
        places[:, np.bincount(truth).argmax()] = 1
        return {"places": places}

    def measure_errors(self, outputs, truth):
        return 1 - np.take_along_axis(outputs["places"], truth[:, None], axis=1)[:, 0]

    def measure_disagreement(self, outputs, present):
        return outputs["places"].std(axis=0).mean(axis=1)


@keras.saving.register_keras_serializable(package=PACKAGE)
class TokenHead(mk.heads.Head):
    """A logit for each token of an input."""

    feature_keys = ("tokens", "mask")
    per_token = True

    def __init__(self, units, hidden_units=0, dropout=0.0, source="fused", **kwargs):
        super().__init__(units, hidden_units, dropout, **kwargs)
        self.source = source
        self.logits = keras.layers.Dense(units, dtype="float32", name="logits")

    def build(self, features_shape):
        self.hidden.build(features_shape["tokens"])
        self.logits.build((None, None, self.hidden_units or features_shape["tokens"][-1]))

    def call(self, features, training=False):
        return self.logits(self.drop(self.hidden(features["tokens"]), training=training))

    def compute_output_spec(self, features, training=False):
        return keras.KerasTensor((*features["tokens"].shape[:2], self.units), dtype="float32")

    def get_config(self):
        return {**super().get_config(), "source": self.source}


@keras.saving.register_keras_serializable(package=PACKAGE)
class Pointer(DenseTask):
    """Points at a piece of a text."""

    target_class = PieceTarget

    def __init__(
        self,
        modalities=None,
        target=None,
        fusion=None,
        hidden_units=0,
        dropout=0.0,
        backbone=None,
        auxiliary_weight=0.5,
        alignment_weight=0.0,
        name=None,
    ):
        super().__init__(
            modalities, target, fusion, hidden_units, dropout, backbone, auxiliary_weight, alignment_weight, name
        )

    @classmethod
    def make_target(cls, target):
        return target if isinstance(target, PieceTarget) else PieceTarget(target, "words")

    @staticmethod
    def make_head(target, hidden_units, dropout, **kwargs):
        return TokenHead(1, hidden_units, dropout, source=target.text, **kwargs)


# === An objective ===


@keras.saving.register_keras_serializable(package=PACKAGE)
class Presence(mk.pretraining.Objective):
    """Learns the length of a text from its vector."""

    kind = "text_length"

    def __init__(self, input, weight=1.0, name=None):
        super().__init__((input,), weight, name)
        self.input = input

    def connect(self, backbone, connected):
        features = backbone.encoded[self.input]
        length = keras.layers.Dense(1, name=self.layer_name("length"), dtype="float32")(features["pooled"])
        wanted = ops.sum(ops.cast(features["mask"], "float32"), axis=1)
        return {"length": length[:, 0], "wanted": wanted, "present": features["present"]}

    def measure(self, outputs):
        counts = ops.cast(outputs["present"], "float32")
        error = ops.square(outputs["length"] - outputs["wanted"]) * counts
        return mk.pretraining.Measured(ops.sum(error), ops.sum(counts), {})

    def get_config(self):
        return {"input": self.input, **super().get_config()}


# === A format ===


class TensorsOnly(mk.formats.Format):
    """A SavedModel with the tensor signature alone and constant weights."""

    name = file = "tensors_only"
    tolerance = mk.Tolerance(1e-5)

    @classmethod
    def convert(cls, formats, work):
        for target in formats:
            shutil.copytree(work.freeze(None), target)

    @classmethod
    def run(cls, formats, work):
        runs = []
        for target in formats:
            found = work.folder / f"{target.name}.npz"
            rows = {"inputs": {"tensors": work.row_files["tensors"]}, "outputs": {"tensors": str(found)}}
            answer = work.run("run_saved_model", ["tensorflow"], artifact=target, signatures=["tensors"], **rows)
            runs.append(mk.formats.Run([work.load(found)], answer["tensors"]["latency_ms"]))
        return runs


# === They hold their contracts ===

ROWS = mk.read(
    [
        {"words": " ".join("abcdefgh"[i % 5 : i % 5 + 3 + i % 3]), "n": i % 3, "place": i % 3, "label": "xy"[i % 2]}
        for i in range(30)
    ]
)
MODALITIES = {
    "words": mk.Text(encoder=TextBag(8)),
    "facts": mk.Tabular(["n"], encoder=mk.encoders.TabularMLP(units=8, dropout=0)),
}


def test_an_encoder():
    text = mk.Text(encoder=TextBag(8))
    text.adapt(ROWS.texts("words"))
    content = text.preprocessor.prepare_batch(tf.constant(ROWS.texts("words"))).numpy()
    check_encoder(text.build_encoder("words"), content)


def test_a_fusion():
    check_fusion(Largest(8))


def test_a_target_and_a_head_with_answers_for_tokens():
    tensors = {"words": np.array([[3, 4, 0], [5, 6, 7]], "int32")}
    check_target(PieceTarget("place", "words"), ["1", 2], length=3, tensors=tensors)
    check_head(TokenHead(2, hidden_units=4))


@pytest.fixture(scope="module")
def pointer():
    keras.utils.set_random_seed(0)
    return Pointer.from_source(
        ROWS, MODALITIES, "place", fusion=mk.fusion.CrossAttention(8, num_heads=2, has_pooled_tokens=False)
    )


def test_a_task_whose_answer_is_a_piece_of_its_text(pointer):
    check_task(pointer, ROWS, modules=[__name__])
    pieces = pointer.modalities["words"].preprocessor.vocabulary
    ids = pointer.prepare_tensors(ROWS)["words"]
    for row, answer in enumerate(pointer.predict_rows(ROWS)):
        assert pieces[answer["piece"]] == pieces[ids[row][answer["place"]]]


def test_its_artifacts_answer_pieces_too(pointer, tmp_path):
    report = mk.export(pointer, tmp_path / "out", ["saved_model", "tflite", "onnx"], rows=ROWS)
    assert min(artifact.agreement for artifact in report.artifacts) == 1
    outputs = json.loads((tmp_path / "out" / "signature.json").read_text())["serving_default"]["outputs"]
    assert outputs["piece"] == {"shape": [], "dtype": "int32"}
    served = tf.saved_model.load(str(tmp_path / "out" / "saved_model")).signatures["serving_default"]
    answers = served(words=tf.constant(["a b c"]), facts_n=tf.constant(["1"]))
    (expected,) = pointer.predict_rows([{"words": "a b c", "n": 1}])
    assert int(answers["piece"][0]) == expected["piece"]


def test_heads_for_tokens_are_left_out_of_branches_and_refused_by_decisions(pointer):
    assert not [layer.name for layer in pointer.layers if layer.name.startswith("head-")]
    with pytest.raises(ValueError, match="MeanLogits joins one answer of each modality, and TokenHead answers for"):
        Pointer.from_source(ROWS, MODALITIES, "place", fusion="mean_logits")


def test_mk_fit_finds_the_task_of_a_target():
    assert find_task(PieceTarget("place", "words")) is Pointer
    with pytest.raises(TypeError, match="No task predicts this target; .* Received: target=VectorTarget"):
        find_task(mk.targets.VectorTarget(3))


def test_an_objective():
    backbone = mk.Backbone.from_source(ROWS, MODALITIES, fusion=mk.fusion.Product(8))
    check_objective(Presence("words"), backbone, ROWS)


def test_a_format(pointer):
    report = check_format(TensorsOnly(), pointer, ROWS)
    assert report.artifacts[0].max_difference < 1e-5
