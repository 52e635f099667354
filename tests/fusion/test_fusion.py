"""One harness for every fusion."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import mmkeras as mk
from mmkeras.testing import check_fusion, make_features

pytestmark = pytest.mark.compat

FUSIONS = {
    "concatenation": lambda **kwargs: mk.fusion.Concatenation(units=16, **kwargs),
    "product": lambda **kwargs: mk.fusion.Product(units=16, **kwargs),
    "cross_attention": lambda **kwargs: mk.fusion.CrossAttention(units=16, num_heads=2, **kwargs),
}
DECISIONS = {"mean_logits": mk.fusion.MeanLogits}
every_level = pytest.mark.parametrize("make", [*FUSIONS.values(), *DECISIONS.values()], ids=[*FUSIONS, *DECISIONS])
every_fusion = pytest.mark.parametrize("make", FUSIONS.values(), ids=FUSIONS)


@every_level
@pytest.mark.parametrize("names", ["ab", "abc", "abcde"])
def test_the_contract_holds_for_two_to_five_modalities(make, names):
    check_fusion(make(), make_features({name: length for length, name in enumerate(names, 2)}))


@every_fusion
def test_a_row_without_anything_gets_a_finite_answer(make):
    features = make_features({"a": 3, "b": 4})
    nothing = {name: f | {"present": tf.zeros_like(f["present"])} for name, f in features.items()}
    output = make()(nothing)["fused"]
    assert np.isfinite(output["pooled"]).all()
    assert not output["present"].numpy().any()


@every_fusion
def test_mixed_precision_computes_in_half_and_keeps_its_weights_whole(make):
    fusion = make(dtype="mixed_bfloat16")
    output = fusion(make_features({"a": 3, "b": 4}))["fused"]
    assert output["pooled"].dtype == "bfloat16"
    assert {weight.dtype for weight in fusion.trainable_weights} == {"float32"}
    full = make()
    full(make_features({"a": 3, "b": 4}))
    full.set_weights(fusion.get_weights())
    expected = full(make_features({"a": 3, "b": 4}))["fused"]["pooled"]
    assert np.abs(expected - tf.cast(output["pooled"], "float32")).max() < 0.1


@every_fusion
def test_it_learns_what_no_single_modality_can_tell(make):
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
    hidden = keras.layers.Dense(16, activation="relu")(make()(features)["fused"]["pooled"])
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


def test_cross_attention_of_one_modality_is_refused():
    with pytest.raises(ValueError, match=r"CrossAttention fuses at least 2 modalities. Received: \['a'\]"):
        mk.fusion.CrossAttention()(make_features({"a": 3}))
