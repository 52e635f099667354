"""One harness for every fusion."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import mmkeras as mk
from mmkeras.testing import check_fusion, make_features

pytestmark = pytest.mark.compat

ALL = mk.fusion.list_fusions()
DECISIONS = [name for name, fusion in ALL.items() if issubclass(fusion, mk.fusion.DecisionFusion)]
every_level = pytest.mark.parametrize("fusion", ALL)
every_fusion = pytest.mark.parametrize("fusion", sorted(ALL.keys() - set(DECISIONS)))


def make(name, **kwargs):
    """A small fusion of this name."""
    sizes = {} if name in DECISIONS else {"units": 16}
    if issubclass(ALL[name], mk.fusion.TokenFusion):
        sizes["num_heads"] = 2
    return ALL[name](**sizes, **kwargs)


def test_there_are_fusions_of_each_level():
    assert len(DECISIONS) >= 5
    assert {"sum", "film", "low_rank_tensor", "cross_attention", "majority_vote"} <= set(ALL)


@every_level
@pytest.mark.parametrize("names", ["a", "ab", pytest.param("abcdef", marks=pytest.mark.slow)])
def test_the_contract_holds_for_one_to_six_modalities(fusion, names):
    check_fusion(make(fusion), make_features({name: length for length, name in enumerate(names, 2)}))


@every_fusion
def test_a_row_without_anything_gets_a_finite_answer(fusion):
    features = make_features({"a": 3, "b": 4})
    nothing = {name: f | {"present": tf.zeros_like(f["present"])} for name, f in features.items()}
    output = make(fusion)(nothing)["fused"]
    assert np.isfinite(output["pooled"]).all()
    assert not output["present"].numpy().any()


@every_fusion
def test_mixed_precision_computes_in_half_and_keeps_its_weights_whole(fusion):
    half = make(fusion, dtype="mixed_bfloat16")
    output = half(make_features({"a": 3, "b": 4}))["fused"]
    assert output["pooled"].dtype == "bfloat16"
    assert {weight.dtype for weight in half.trainable_weights} == {"float32"}
    full = make(fusion)
    full(make_features({"a": 3, "b": 4}))
    full.set_weights(half.get_weights())
    expected = full(make_features({"a": 3, "b": 4}))["fused"]["pooled"]
    assert np.abs(expected - tf.cast(output["pooled"], "float32")).max() < 0.05 * np.abs(expected).max()


@pytest.mark.slow
@every_fusion
def test_it_learns_what_no_single_modality_can_tell(fusion):
    """Exclusive or of two bits, one in each modality."""
    keras.utils.set_random_seed(0)
    bits = np.random.default_rng(0).integers(0, 2, (256, 2)).astype("float32")
    inputs = {name: keras.Input((4,), name=name) for name in "ab"}
    features = {
        name: mk.Features(
            tokens=keras.ops.expand_dims(tensor, 1),
            mask=keras.ops.ones_like(tensor[:, :1], dtype="bool"),
            pooled=tensor,
            present=keras.ops.ones_like(tensor[:, 0], dtype="bool"),
        )
        for name, tensor in inputs.items()
    }
    hidden = keras.layers.Dense(16, activation="relu")(make(fusion)(features)["fused"]["pooled"])
    model = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(hidden))
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy", metrics=["accuracy"])
    x = {name: np.eye(4, dtype="float32")[bits[:, i].astype(int)] for i, name in enumerate("ab")}
    model.fit(x, bits.sum(axis=1) % 2, epochs=30, verbose=0)
    assert model.evaluate(x, bits.sum(axis=1) % 2, verbose=0)[1] > 0.99


def test_product_multiplies_the_projected_vectors():
    features = make_features({"a": 1, "b": 1})
    fusion = mk.fusion.Product(units=3)
    fusion(features)
    expected = np.ones((6, 3))
    for name, f in features.items():
        kernel, bias = fusion.projections[name].get_weights()
        vector = f["pooled"].numpy() @ kernel + bias
        expected *= np.where(f["present"].numpy()[:, None], vector, 1)
    assert np.allclose(fusion(features)["fused"]["pooled"], expected, atol=1e-6)


def test_concatenation_is_a_dense_layer_over_the_vectors_side_by_side():
    features = make_features({"a": 1, "b": 1})
    fusion = mk.fusion.Concatenation(units=3)
    fusion(features)
    vectors = []
    for name, f in features.items():
        kernel, bias = fusion.projections[name].get_weights()
        vectors.append(np.where(f["present"].numpy()[:, None], f["pooled"].numpy() @ kernel + bias, 0))
    kernel, bias = fusion.dense.get_weights()
    expected = np.maximum(np.concatenate(vectors, axis=1) @ kernel + bias, 0)
    assert np.allclose(fusion(features)["fused"]["pooled"], expected, atol=1e-6)


def test_the_harness_finds_a_fusion_that_reads_absent_content():
    class Careless(mk.fusion.Concatenation):
        def fuse(self, features, present, training):
            (tokens, mask, pooled), modalities = super().fuse(features, present, training)
            return (tokens, mask, pooled + keras.ops.sum(features["first"]["pooled"])), modalities

    with pytest.raises(AssertionError, match="the other rows of the batch matter|an absent modality matters"):
        check_fusion(Careless(units=4))


def _logits(*rows):
    """Logits of one row for each modality; None for an absent one."""
    logits = {name: np.array([row or [0, 0, 0]], "float32") for name, row in zip("abcd", rows, strict=False)}
    return logits, {name: np.array([row is not None]) for name, row in zip("abcd", rows, strict=False)}


def test_decisions_by_votes_by_products_and_by_means_differ():
    outvoted = _logits([9, 0, 0], [0, 1, 0], [0, 1, 0], None)
    assert mk.fusion.MajorityVote()(*outvoted).numpy().argmax() == 1
    assert mk.fusion.MeanLogits()(*outvoted).numpy().argmax() == 0
    tied = _logits([3, 0, 0], [0, 2, 0])
    assert mk.fusion.MajorityVote()(*tied).numpy().argmax() == 0
    agreeing = _logits([1, 0, 0], [1, 0, 0])
    sure, mean = mk.fusion.ProductOfExperts()(*agreeing), mk.fusion.MeanLogits()(*agreeing)
    assert tf.nn.softmax(sure)[0, 0] > tf.nn.softmax(mean)[0, 0] + 0.1
    alone = _logits([1, 0, 0], None)
    assert np.array_equal(mk.fusion.WeightedLogits()(*alone), mk.fusion.ProductOfExperts()(*alone))


def test_learned_weights_are_those_of_the_modalities():
    fusion = mk.fusion.WeightedLogits()
    logits, present = _logits([1, 0, 0], [0, 1, 0])
    fusion(logits, present)
    fusion.log_weights.assign([np.log(3), 0])
    assert np.allclose(fusion(logits, present), [[0.75, 0.25, 0]])


def test_a_low_rank_tensor_is_a_tensor_of_low_rank():
    """Of rank 1 and without bias it is a bilinear form whose matrix is an outer product."""
    features = {
        name: f | {"present": tf.ones_like(f["present"])} for name, f in make_features({"a": 1, "b": 1}).items()
    }
    fusion = mk.fusion.LowRankTensor(units=1, rank=1)
    fusion(features)
    fusion.set_weights([np.zeros_like(w) if "bias" in v.path else w for v, w in _named_weights(fusion)])
    vectors = {
        name: fusion.factors[name](fusion.projections[name](f["pooled"])).numpy() for name, f in features.items()
    }
    expected = vectors["a"] * vectors["b"] * fusion.rank_weights.numpy()
    assert np.allclose(fusion(features)["fused"]["pooled"], expected, atol=1e-6)


def _named_weights(layer):
    return zip(layer.weights, layer.get_weights(), strict=True)


def test_a_fusion_of_tokens_names_the_encoder_that_gives_none():
    features = make_features({"a": 3, "b": 4})
    del features["b"]["tokens"], features["b"]["mask"]
    message = r"CrossAttention reads .*, and the encoder of 'b' gives no tokens and no mask. Fusions of the feature"
    with pytest.raises(ValueError, match=message):
        mk.fusion.CrossAttention(units=8, num_heads=2)(features)
    fused = mk.fusion.Concatenation(units=8)(features)["fused"]
    assert fused["pooled"].shape == (6, 8)


def test_votes_need_classes():
    target = mk.targets.NumberTarget(["width"], statistics=[(10, 2)])
    with pytest.raises(
        ValueError, match="MajorityVote joins answers that are one class each, and Regressor predicts others"
    ):
        mk.Regressor({"image": mk.Image(size=8)}, target, "majority_vote")
    mk.Regressor({"image": mk.Image(size=8)}, target, "weighted_logits")


def test_outer_products_of_many_modalities_stay_small():
    features = make_features(dict.fromkeys("abcdef", 2))
    fusion = mk.fusion.Tensor(units=4, max_products=100)
    fusion(features)
    assert fusion.dense.kernel.shape[0] == 64
    with pytest.raises(ValueError, match="`max_products` of Tensor is at least 64 for 6 modalities"):
        mk.fusion.Tensor(max_products=63)(features)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"units": 0}, "`units` of CrossAttention is at least 1"),
        (
            {"units": 10, "num_heads": 4},
            "`num_heads` of CrossAttention divides `units`. Received: units=10, num_heads=4",
        ),
        ({"modality_dropout": 1.5}, "`rate` of ModalityDropout is a probability"),
    ],
)
def test_arguments_that_cannot_work_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        mk.fusion.CrossAttention(**arguments)
