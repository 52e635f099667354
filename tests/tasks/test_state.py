"""What a user sets on the layers of a model is there again when it was saved and loaded in another process."""

import copy

import keras
import numpy as np
import pytest

import mmkeras as mk
from mmkeras.testing import check_reload
from mmkeras.testing.reload import describe_model


@pytest.fixture(scope="module")
def few(train):
    return train.select(range(64))


@pytest.fixture
def modalities():
    return {
        "question": mk.Text(encoder=mk.encoders.TextGRU(units=8, embedding_dim=8)),
        "image": mk.Image(size=16, encoder=mk.encoders.ImageCNN(units=8, filters=(4, 4))),
    }


def build(few, modalities, **kwargs):
    model = mk.Classifier.from_source(few, modalities, target="answer", fusion=mk.fusion.Product(units=8), **kwargs)
    return model, next(iter(model.dataset(few, batch_size=32)))


def check(model, batch):
    model.fit(*batch, verbose=0)
    check_reload(model, {name: tensor.numpy() for name, tensor in batch[0].items()})


def test_what_is_frozen_stays_frozen(few, modalities):
    model, batch = build(few, modalities)
    trained = len(model.trainable_weights)
    model.get_layer("image_encoder").trainable = False
    model.get_layer("question_encoder").get_layer("embedding").trainable = False
    model.fusion.projections["image"].trainable = False
    assert len(model.trainable_weights) < trained
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    before = [weight.numpy() for weight in model.get_layer("image_encoder").weights if "norm" not in weight.path]
    check(model, batch)
    after = [weight.numpy() for weight in model.get_layer("image_encoder").weights if "norm" not in weight.path]
    assert all(np.array_equal(*pair) for pair in zip(before, after, strict=True))


def test_mixed_precision_stays_and_so_does_another_policy_of_one_layer(few, modalities):
    backbone = mk.Backbone.from_source(few, modalities, fusion=mk.fusion.Product(units=8), dtype="mixed_bfloat16")
    assert keras.config.dtype_policy().name == "float32"
    model = mk.Classifier.from_source(few, target="answer", backbone=backbone)
    assert model.get_layer("image_encoder").get_layer("pooled_dense").compute_dtype == "bfloat16"
    model.get_layer("question_encoder").get_layer("pooled_norm").dtype_policy = "float32"
    check(model, next(iter(model.dataset(few, batch_size=32))))


def test_lora_stays(few, modalities):
    model, batch = build(few, modalities)
    model.get_layer("image_encoder").get_layer("pooled_dense").enable_lora(2)
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    facts = describe_model(model)[0]
    assert [facts[f"image_encoder/pooled_dense/{name}"][0] for name in ("kernel", "lora_kernel_a")] == [False, True]
    check(model, batch)


def test_weights_that_an_encoder_starts_from_survive_copies(modalities):
    donor = modalities["image"].build_encoder("donor")
    encoder = copy.copy(modalities["image"].encoder)
    encoder.initial_weights = {path: weight.numpy() + 1 for path, weight in mk.weights.list_weights(donor).items()}
    image = mk.Image(size=16, encoder=encoder)
    for model in (image.build_encoder("image"), image.copy().build_encoder("image")):
        weights = mk.weights.list_weights(model)
        assert all(np.array_equal(weights[path], value) for path, value in encoder.initial_weights.items())
    with pytest.raises(ValueError, match="The weights do not fit the model image: .*paths differ"):
        encoder.initial_weights.popitem()
        image.build_encoder("image")


def test_the_check_finds_what_was_lost(few, modalities, monkeypatch):
    model, batch = build(few, modalities)
    model.get_layer("image_encoder").trainable = False
    monkeypatch.setattr(mk.backbone, "read_state", lambda model: {})
    with pytest.raises(AssertionError, match="image_encoder.*is .* in the loaded model, and was|cannot be loaded"):
        check_reload(model, {name: tensor.numpy() for name, tensor in batch[0].items()})


@pytest.mark.parametrize(
    "call",
    [
        lambda few, m: mk.Classifier.from_source(few, m, target="answer", fushion="product"),
        lambda few, m: mk.Classifier(m, ["a", "b"], hidden_unit=3),
        lambda few, m: mk.Backbone(m, fuse="product"),
        lambda few, m: mk.Regressor.from_source(few, m, target="answer", clases=["a"]),
    ],
)
def test_an_argument_with_a_typo_is_an_error(few, modalities, call):
    with pytest.raises(TypeError, match="has no argument '(fushion|hidden_unit|fuse|clases)'"):
        call(few, modalities)
