"""Pairs find each other; what is no pair, and what is no negative, does not count."""

import warnings
import wave

import keras
import numpy as np
import pytest
import tensorflow as tf

import mmkeras as mk
from mmkeras.pretraining.pairs import HashContent, PairVectors, measure_pairs
from mmkeras.pretraining.watch import Watch
from mmkeras.testing import check_reload

COLORS = ("red", "blue", "green", "gold", "black", "white", "brown", "pink")
MODALITIES = {"color": mk.Text(), "facts": mk.Tabular(["price"], encoder=mk.encoders.TabularMLP(dropout=0))}


def make_rows(count=64, **changes):
    return [{"color": COLORS[index % 8], "price": index % 8, **changes} for index in range(count)]


def make_pretrainer(rows, objectives=None, **options):
    keras.utils.set_random_seed(0)
    objectives = objectives or [mk.pretraining.Contrastive("color", "facts", units=16)]
    return mk.pretraining.Pretrainer.from_source(mk.read(rows), MODALITIES, objectives, **options)


def measure(one, other, counts=None, hashes=None, loss="info_nce"):
    column = np.ones((len(one), 1), "float32")
    count = len(one)
    counts = np.ones(count, bool) if counts is None else counts
    if hashes is None:
        hashes = np.arange(2 * count).reshape(count, 1, 2)
    vectors = {"one": np.hstack([one, 0 * column]), "other": np.hstack([other, column])}
    return measure_pairs({**vectors, "counts": counts, "hashes": hashes.astype("int32")}, loss, ("a", "b"))


def random_vectors(rows=5, units=4):
    random = np.random.default_rng(0)
    return random.normal(size=(2, rows, units)).astype("float32")


def test_info_nce_is_that_of_the_paper():
    one, other = random_vectors()
    scores = one @ other.T
    losses = [-np.diag(s - np.log(np.exp(s).sum(axis=1, keepdims=True))) for s in (scores, scores.T)]
    found = measure(one, other)
    assert np.isclose(found.loss, np.mean(losses, axis=0).sum(), rtol=1e-5) and found.count == 5
    ranks = [(s > np.diag(s)[:, None]).sum(axis=1) for s in (scores, scores.T)]
    assert np.isclose(found.metrics["recall_at_1"][0] / 5, np.mean([rank == 0 for rank in ranks]))
    assert found.metrics["recall_at_5"][0] == 5


def test_the_sigmoid_loss_is_that_of_the_paper():
    one, other = random_vectors()
    signs = 2 * np.eye(5) - 1
    assert np.isclose(
        measure(one, other, loss="sigmoid").loss, np.log1p(np.exp(-signs * (one @ other.T))).sum(), rtol=1e-5
    )


@pytest.mark.parametrize("loss", ["info_nce", pytest.param("sigmoid", marks=pytest.mark.slow)])
def test_rows_without_a_half_do_not_count(loss):
    one, other = random_vectors()
    counts = np.array([True, False, True, True, False])
    expected = measure(one[counts], other[counts], loss=loss)
    other[~counts] = 1e6
    found = measure(one, other, counts, loss=loss)
    assert np.isclose(found.loss, expected.loss, rtol=1e-5) and found.count == 3


def test_equal_contents_are_no_negatives():
    one, other = random_vectors()
    hashes = np.array([[[0, 0]], [[1, 1]], [[0, 0]], [[3, 3]], [[4, 4]]])
    scores = one @ other.T
    scores[0, 2] = scores[2, 0] = -np.inf
    losses = [-np.diag(s - np.log(np.exp(s).sum(axis=1, keepdims=True))) for s in (scores, scores.T)]
    assert np.isclose(measure(one, other, hashes=hashes).loss, np.mean(losses, axis=0).sum(), rtol=1e-5)


def test_a_row_with_nothing_to_be_told_from_does_not_count():
    one, other = random_vectors(rows=1)
    found = measure(one, other)
    assert found.count == 0 and found.loss == 0


def test_vectors_that_are_alike_have_no_spread():
    one, other = random_vectors(rows=1000, units=32)
    found = measure(one, np.ones_like(other))
    assert 0.95 < found.metrics["spread_a"][0] <= 1 and found.metrics["spread_b"][0] < 1e-3


def test_the_temperature_and_the_bias_are_in_the_vectors():
    one, other = random_vectors()
    layer = PairVectors(temperature=0.5, bias=-3.0)
    left, right = (np.asarray(each) for each in layer(one, other))
    normalized = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in (one, other)]
    assert np.allclose(left @ right.T, normalized[0] @ normalized[1].T / 0.5 - 3, atol=1e-5)


def test_hashes_know_contents_that_differ_in_one_value():
    random = np.random.default_rng(0)
    content = random.normal(size=(3, 50)).astype("float32")
    content[1] = content[0]
    content[2] = content[0]
    content[2, 17] = np.nextafter(content[2, 17], 9)
    pixels = np.array([[[1, 2]], [[2, 1]], [[1, 2]]], "uint8")
    hashes = np.asarray(HashContent()({"content": content}))
    assert (hashes[0] == hashes[1]).all() and (hashes[0] != hashes[2]).any()
    hashes = np.asarray(HashContent()({"content": pixels}))
    assert (hashes[0] == hashes[2]).all() and (hashes[0] != hashes[1]).any()


@pytest.mark.parametrize("loss", ["info_nce", pytest.param("sigmoid", marks=pytest.mark.slow)])
def test_pairs_find_each_other_after_training(loss):
    rows = make_rows()
    pretrainer = make_pretrainer(rows, [mk.pretraining.Contrastive("color", "facts", units=16, loss=loss)])
    before = {path: weight.numpy() for path, weight in mk.weights.list_weights(pretrainer.backbone).items()}
    history = pretrainer.fit(pretrainer.dataset(mk.read(rows), 16, shuffle=True), epochs=25, verbose=0).history
    recall = history["contrastive_color_facts_recall_at_1"]
    assert recall[-1] > 0.95 > recall[0]
    after = mk.weights.list_weights(pretrainer.backbone)
    moved = {path for path, weight in after.items() if np.any(weight.numpy() != before[path])}
    assert any(path.startswith("color_encoder/") for path in moved)
    assert not any(path.startswith("fusion/") for path in moved)


def test_a_task_goes_on_from_the_backbone():
    rows = make_rows(label=None)
    pretrainer = make_pretrainer(rows)
    pretrainer.fit(pretrainer.dataset(mk.read(rows), 16), epochs=1, verbose=0)
    labeled = mk.read([{**row, "label": row["color"]} for row in make_rows(16)], target="label")
    model = mk.Classifier.from_source(labeled, backbone=pretrainer.backbone)
    assert model.backbone is pretrainer.backbone
    model.fit(model.dataset(labeled, 8), epochs=1, verbose=0)


def test_it_is_the_same_after_save_and_load_in_a_fresh_process():
    rows = make_rows()
    pretrainer = make_pretrainer(rows, [mk.pretraining.Contrastive("color", "facts", units=16, hidden_units=8)])
    batches = pretrainer.dataset(mk.read(rows), 16)
    pretrainer.fit(batches, epochs=1, verbose=0)
    check_reload(pretrainer, {name: tensor.numpy() for name, tensor in next(iter(batches)).items()})


def test_rows_without_a_half_are_left_out_and_counted():
    rows = [*make_rows(), {"color": "red", "price": None}, {"color": None, "price": 3}]
    pretrainer = make_pretrainer(rows)
    with pytest.warns(UserWarning, match=r"2 of 66 rows lack what 'contrastive_color_facts' is about"):
        batches = pretrainer.dataset(mk.read(rows), 16)
    assert sum(len(batch["color"]) for batch in batches) == 64


def test_what_cannot_teach_is_refused():
    rows = make_rows()
    pretrainer = make_pretrainer(rows)
    with pytest.raises(ValueError, match="compare the rows of a batch.*batch_size=1"):
        pretrainer.dataset(mk.read(rows), 1)
    with pytest.raises(ValueError, match="no row has what an objective is about"), pytest.warns(UserWarning):
        pretrainer.dataset(mk.read(make_rows(color=None)), 8)
    with pytest.raises(ValueError, match="for two views of one: mk.pretraining.TwoViews"):
        mk.pretraining.Contrastive("color", "color")
    with pytest.raises(ValueError, match=r"reads \['color', 'facts'\]. Received: \['image'\]"):
        make_pretrainer(rows, [mk.pretraining.Contrastive("color", "image")])
    with pytest.raises(ValueError, match="one of .*'info_nce'.*Received: loss='triplet'"):
        mk.pretraining.Contrastive("color", "facts", loss="triplet")
    with pytest.raises(TypeError, match="An objective is an object from `mk.pretraining`. Received: 'contrastive'"):
        make_pretrainer(rows, ["contrastive"])
    with pytest.raises(ValueError, match="objectives of a Pretrainer define its loss"):
        pretrainer.compile("adam", loss="mse")


def test_pooled_vectors_are_compared_as_they_are():
    rows = make_rows()
    pretrainer = make_pretrainer(rows, [mk.pretraining.Contrastive("color", "facts", units=None)])
    names = {weight.name for weight in pretrainer.trainable_variables} - {
        weight.name for weight in pretrainer.backbone.trainable_variables
    }
    assert names == {"log_scale"}
    pretrainer.fit(pretrainer.dataset(mk.read(rows), 16), epochs=20, verbose=0)
    table = mk.Retriever(pretrainer.backbone, ("color", "facts")).evaluate_rows(rows[:8])
    assert table.loc["color -> facts", "recall_at_1"] > 0.9
    facts = mk.Tabular(["price"], encoder=mk.encoders.TabularMLP(units=8))
    with pytest.raises(ValueError, match="compares pooled vectors of one size.*Received: 64 and 8"):
        mk.pretraining.Pretrainer.from_source(
            mk.read(rows), {**MODALITIES, "facts": facts}, [mk.pretraining.Contrastive("color", "facts", units=None)]
        )


def test_a_constant_modality_is_named():
    rows = make_rows(color="red")
    pretrainer = make_pretrainer(rows)
    with pytest.raises(ValueError, match="'contrastive_color_facts' had no usable rows in epoch 1"):
        pretrainer.fit(pretrainer.dataset(mk.read(rows), 16), verbose=0)


def test_a_collapse_is_named_once():
    watch = Watch(make_pretrainer(make_rows()))
    logs = {"contrastive_color_facts_counted": 16.0, "contrastive_color_facts_spread_facts": 0.01}
    with pytest.warns(UserWarning, match="spread_facts is 0.010 after epoch 3: nearly all vectors of this input"):
        watch.on_epoch_end(2, logs)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        watch.on_epoch_end(3, logs)


def test_a_loss_that_is_no_number_names_batch_and_modality():
    rows = make_rows()
    pretrainer = make_pretrainer(rows)
    inputs = next(iter(pretrainer.dataset(mk.read(rows), 16)))
    is_third = np.arange(16).reshape(-1, *[1] * (len(inputs["facts"].shape) - 1)) == 3
    inputs["facts"] = tf.where(is_third, np.nan, inputs["facts"])
    with pytest.raises(ValueError, match="loss is nan at batch 0 of epoch 1.*'facts' .first in row 3 of batch 0"):
        pretrainer.fit(tf.data.Dataset.from_tensors(inputs), verbose=0)


@pytest.mark.parametrize("loss", ["info_nce", pytest.param("sigmoid", marks=pytest.mark.slow)])
def test_two_views_of_a_recording_find_each_other(loss, tmp_path):
    random = np.random.default_rng(0)
    for index in range(24):
        times = np.arange(8000 + 1000 * (index % 3)) / 16000
        samples = 8000 * np.sin(2 * np.pi * (200 + 150 * index) * times) + random.normal(0, 300, len(times))
        with wave.open(str(tmp_path / f"{index}.wav"), "wb") as sound:
            sound.setparams((1, 2, 16000, 0, "NONE", ""))
            sound.writeframes(samples.astype("<i2").tobytes())
    rows = mk.read([{"sound": str(tmp_path / f"{index}.wav")} for index in range(24)], allow_outside=True)
    modalities = {"sound": mk.Audio(seconds=0.7, encoder=mk.encoders.AudioCNN(units=32, filters=(32, 32)))}
    keras.utils.set_random_seed(0)
    pretrainer = mk.pretraining.Pretrainer.from_source(
        rows, modalities, [mk.pretraining.TwoViews("sound", units=32, hidden_units=32, loss=loss)]
    )
    history = pretrainer.fit(pretrainer.dataset(rows, 24, cache=True), epochs=12, verbose=0).history
    recall = history["two_views_sound_recall_at_1"]
    assert recall[-1] > max(0.6, recall[0])
