"""Training on the Features of frozen encoders that are kept on disk."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import mmkeras as mk

RANDOM = np.random.default_rng(0)


def make_rows(count, folder=None):
    rows = []
    for index in range(count):
        pixels = RANDOM.integers(0, 128, (8, 8, 3), "uint8") + 100 * (index % 2)
        image = tf.io.encode_png(tf.cast(pixels, tf.uint8)).numpy()
        if folder is not None:
            (folder / f"{index % 20}.png").write_bytes(image)
            image = f"{index % 20}.png"
        cells = {"image": image, "a": RANDOM.normal(), "text": RANDOM.choice(["red tea", "blue"])}
        cells = {name: cell if RANDOM.random() < 0.8 else None for name, cell in cells.items()}
        rows.append({**cells, "label": index % 2})
    return mk.read(rows, target="label", **({} if folder is None else {"folder": folder}))


def build(rows, fusion, frozen=("image", "text")):
    keras.utils.set_random_seed(0)
    modalities = {
        "image": mk.Image(size=8, encoder=mk.encoders.ImageCNN(units=8, filters=(4,), dropout=0)),
        "text": mk.Text(encoder=mk.encoders.TextGRU(units=8, embedding_dim=8)),
        "facts": mk.Tabular(["a"], encoder=mk.encoders.TabularMLP(units=8, dropout=0)),
    }
    fusion = mk.fusion.get(fusion)
    fusion = type(fusion).from_config({**fusion.get_config(), "units": 8, "modality_dropout": 0})
    model = mk.Classifier.from_source(rows, modalities, fusion=fusion, optimizer=keras.optimizers.SGD(0.1))
    for name in frozen:
        mk.finetuning.freeze(model, name)
    return model


@pytest.mark.parametrize("fusion", ["gated", pytest.param("cross_attention", marks=pytest.mark.slow), "mean_logits"])
def test_training_with_the_cache_is_training_without(fusion, tmp_path):
    rows, valid = make_rows(48), make_rows(16)
    plain = build(rows, fusion)
    expected = plain.fit(plain.dataset(rows, 16), epochs=3, verbose=0, validation_data=plain.dataset(valid, 16)).history
    model = build(rows, fusion)
    cached = mk.finetuning.CachedTask(model, tmp_path)
    assert cached.frozen == ("image", "text")
    received = cached.fit(
        cached.dataset(rows, 16), epochs=3, verbose=0, validation_data=cached.dataset(valid, 16)
    ).history
    assert received.keys() == expected.keys()
    for name, values in expected.items():
        assert np.allclose(received[name], values, atol=1e-5), name
    for a, b in zip(model.get_weights(), plain.get_weights(), strict=True):
        assert np.allclose(a, b, atol=1e-5)
    answers = [each.predict(each.dataset(valid), verbose=0) for each in (model, plain)]
    assert np.allclose(*answers, atol=1e-5)


def test_what_is_kept_is_computed_anew_only_for_what_it_depends_on(tmp_path):
    folder, features = tmp_path / "images", tmp_path / "features"
    folder.mkdir()
    rows = make_rows(40, folder)
    model = build(rows, "gated", frozen=["image"])
    model.predict(model.dataset(rows), verbose=0)

    def count():
        mk.finetuning.CachedTask(model, features).dataset(rows)
        return len(list(features.iterdir()))

    assert count() == 1 and count() == 1
    (folder / "0.png").write_bytes((folder / "1.png").read_bytes() + b" ")
    assert count() == 2
    image = model.backbone.encoders["image"]
    image.get_layer("block1_conv").kernel.assign(2 * image.get_layer("block1_conv").kernel)
    assert count() == 3
    assert len(np.load(next(features.iterdir()) / "pooled.npy")) <= 21  # a file, or none, once


def test_the_rate_falls_over_the_epochs_and_the_optimizer_goes_on(tmp_path):
    rows = make_rows(32)
    model = build(rows, "gated")
    model.compile_default()
    cached = mk.finetuning.CachedTask(model, tmp_path)
    cached.fit(cached.dataset(rows, 16, shuffle=True), epochs=4, verbose=0)
    assert int(model.optimizer.iterations) == 8
    assert float(model.optimizer.learning_rate) == pytest.approx(0, abs=1e-8)


def test_what_cannot_be_cached_is_refused(tmp_path):
    rows = make_rows(32)
    with pytest.raises(ValueError, match=r"freeze\(model, name\) first. Received: a model that reads \['facts', 'im"):
        mk.finetuning.CachedTask(build(rows, "gated", frozen=()), tmp_path)
    flipped = mk.Image(size=8, augmentation=[keras.layers.RandomFlip()])
    model = mk.Classifier.from_source(rows, {"image": flipped})
    mk.finetuning.freeze(model, "image")
    with pytest.raises(ValueError, match=r"leave `augmentation` out. Received: \['image'\]"):
        mk.finetuning.CachedTask(model, tmp_path)
    model = build(rows, "gated")
    with pytest.raises(ValueError, match=r"A CachedTask trains, and the rows have no \['label'\]"):
        mk.finetuning.CachedTask(model, tmp_path).dataset(mk.read([{"text": "red", "a": 1, "image": None}] * 3))
