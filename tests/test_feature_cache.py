"""Training on the Features of frozen encoders that are kept on disk."""

import importlib
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import mmkeras as mk
from mmkeras.finetuning.store import Store

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


def test_all_encoders_may_be_frozen(tmp_path):
    rows = make_rows(32)
    model = build(rows, "gated", ("image", "text", "facts"))
    cached = mk.finetuning.CachedTask(model, tmp_path)
    cached.fit(cached.dataset(rows, 16, shuffle=True), epochs=1, verbose=0)
    expected = model.evaluate(model.dataset(rows, 16), verbose=0)
    assert np.allclose(cached.evaluate(cached.dataset(rows, 16), verbose=0), expected, atol=1e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*lack what")
def test_pre_training_with_the_cache_is_pre_training_without(tmp_path):
    rows = make_rows(48)
    objectives = [mk.pretraining.Contrastive("text", "image"), mk.pretraining.Contrastive("image", "facts")]
    histories = []
    for is_cached in (False, True):
        backbone = build(rows, "gated", ("text",)).backbone
        keras.utils.set_random_seed(1)
        pretrainer = mk.pretraining.Pretrainer(backbone, objectives)
        pretrainer.compile(keras.optimizers.SGD(0.01))
        fitted = mk.finetuning.CachedTask(pretrainer, tmp_path) if is_cached else pretrainer
        histories.append(fitted.fit(fitted.dataset(rows, 16), epochs=3, verbose=0).history)
    plain, cached = histories
    assert plain.keys() == cached.keys() and "contrastive_text_image_recall_at_1" in plain
    for name, values in plain.items():
        assert np.allclose(cached[name], values, atol=1e-5), name


def test_pre_training_with_the_cache_says_what_it_says_without(tmp_path):
    rows = mk.read([{"text": "red tea", "name": "tea"}] * 8)
    modalities = {name: mk.Text(encoder=mk.encoders.TextGRU(units=8)) for name in ("text", "name")}
    objective = mk.pretraining.Contrastive("text", "name")
    pretrainer = mk.pretraining.Pretrainer.from_source(rows, modalities, [objective])
    mk.finetuning.freeze(pretrainer, "text")
    cached = mk.finetuning.CachedTask(pretrainer, tmp_path)
    with pytest.raises(ValueError, match="compare the rows of a batch.*Received: batch_size=1"):
        cached.dataset(rows, 1)
    with pytest.raises(ValueError, match="'contrastive_text_name' had no usable rows in epoch 1"):
        cached.fit(cached.dataset(rows, 4), verbose=0)


def test_media_that_were_prepared_are_not_checked_again(tmp_path, monkeypatch):
    (tmp_path / "images").mkdir()
    rows = make_rows(16, tmp_path / "images")
    model = build(rows, "gated")
    records = mk.prepare(rows, tmp_path / "records", model.modalities)
    module, checked = importlib.import_module("mmkeras.pipeline.check"), []  # its function has the same name
    check = module._check_distinct
    monkeypatch.setattr(
        module, "_check_distinct", lambda cells, *rest: (checked.append(rest[-1]), check(cells, *rest))[1]
    )
    batches = mk.finetuning.CachedTask(model, tmp_path / "features").dataset(records, 8)
    assert len(list(batches)) == 2
    assert "image" not in checked


@pytest.mark.parametrize(
    "fusion", ["gated", *(pytest.param(name, marks=pytest.mark.slow) for name in ("cross_attention", "mean_logits"))]
)
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


def test_what_is_kept_is_computed_anew_only_for_what_it_depends_on(tmp_path, monkeypatch):
    folder, features = tmp_path / "images", tmp_path / "features"
    folder.mkdir()
    rows = make_rows(40, folder)
    model = build(rows, "gated", frozen=["image"])
    appended, append = [], Store.append
    monkeypatch.setattr(
        Store, "append", lambda store, digests, arrays: (appended.append(len(digests)), append(store, digests, arrays))
    )

    def count(source):
        """How many cells are encoded for these rows, and what is read of them."""
        appended.clear()
        cached = mk.finetuning.CachedTask(model, features)
        batches = list(cached.dataset(source, 64))
        return sum(appended), np.concatenate([batch[0]["image/pooled"] for batch in batches])

    distinct = len({cell for cell in rows.files("image")})
    first, some = count(rows.select(range(10)))
    rest, whole = count(rows)
    assert first > 0 and rest > 0 and first + rest == distinct
    assert np.array_equal(whole[:10], some)
    assert count(rows.select(range(39, -1, -1)))[0] == 0  # in another order
    (path,) = features.iterdir()
    with (path / "pooled.bin").open("ab") as file:
        file.write(b"cut off")  # by an interruption
    assert np.array_equal(count(rows)[1], whole)
    changed = next(cell for cell in rows.files("image") if cell)
    Path(changed).write_bytes(Path(changed).read_bytes() + b" ")
    assert count(rows)[0] == 1
    image = model.backbone.encoders["image"]
    image.get_layer("block1_conv").kernel.assign(2 * image.get_layer("block1_conv").kernel)
    assert count(rows)[0] == distinct and len(list(features.iterdir())) == 2


def test_tasks_that_read_other_features_of_an_encoder_do_not_disturb_each_other(tmp_path):
    rows = make_rows(24)
    backward = rows.select(range(23, -1, -1))
    encoder = mk.encoders.ImageCNN(units=8, filters=(4,), dropout=0)
    donor = mk.Image(size=8, encoder=encoder).build_encoder("donor")
    encoder.initial_weights = {path: weight.numpy() for path, weight in mk.weights.list_weights(donor).items()}

    def read(fusion, source, folder):
        modalities = {"image": mk.Image(size=8, encoder=encoder), "facts": mk.Tabular(["a"])}
        model = mk.Classifier.from_source(rows, modalities, fusion=fusion)
        mk.finetuning.freeze(model, "image")
        return mk.finetuning.CachedTask(model, folder).dataset(source, 24)

    first, second = read("gated", rows, tmp_path / "one"), read("cross_attention", backward, tmp_path / "one")
    (batch,), (expected,) = first, read("gated", rows, tmp_path / "other")
    assert "image/tokens" in second.element_spec[0] and "image/tokens" not in batch[0]
    assert np.array_equal(batch[0]["image/pooled"], expected[0]["image/pooled"])


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
    with pytest.raises(ValueError, match=r"learns from labels, and the rows have no \['label'\]"):
        mk.finetuning.CachedTask(model, tmp_path).dataset(mk.read([{"text": "red", "a": 1, "image": None}] * 3))
