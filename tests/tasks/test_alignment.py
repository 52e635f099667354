"""The loss that draws the modalities of a row together."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import mmkeras as mk
from mmkeras.tasks.side_losses import measure_alignment, read_side_tensors

SMALL = mk.encoders.TabularMLP(units=8, dropout=0.1)


def make_source(rows=64):
    """The sides of a row say the same number in two ways, and its label says whether it is even."""
    random = np.random.default_rng(0)
    numbers = random.integers(0, 8, rows)
    return mk.read(
        [{"left": f"l{n}", "right": f"r{n}", "age": int(n), "label": "ab"[n % 2]} for n in map(int, numbers)], "label"
    )


def make_model(source, alignment_weight=1.0, **kwargs):
    keras.utils.set_random_seed(0)
    modalities = {side: mk.Tabular(categories=[side], encoder=SMALL) for side in ("left", "right")}
    return mk.Classifier.from_source(source, modalities, alignment_weight=alignment_weight, **kwargs)


def measure_cosines(model, batch, labels):
    """Mean cosine of the vectors of one row, and of those of rows with different labels."""
    (left, _), (right, _) = read_side_tensors(model(batch))["vectors"]
    cosines = tf.matmul(tf.math.l2_normalize(left, -1), tf.math.l2_normalize(right, -1), transpose_b=True).numpy()
    differs = labels[:, None] != labels[None]
    return np.diag(cosines).mean(), cosines[differs].mean()


def test_it_is_the_formula():
    random = np.random.default_rng(0)
    one, other = random.normal(size=(2, 6, 4)).astype("float32")
    truth = np.array([0, 1, 0, 2, 1, 2])
    present = np.array([[1, 1, 1, 0, 1, 1], [1, 1, 1, 1, 0, 1]], bool)
    found = measure_alignment(truth, [(one, present[0]), (other, present[1])])
    unit = [vectors / np.linalg.norm(vectors, axis=1, keepdims=True) for vectors in (one, other)]
    scores = unit[0] @ unit[1].T / 0.1
    rows = np.flatnonzero(present.all(axis=0))
    losses = []
    for table in (scores, scores.T):
        for i in rows:
            others = [table[i, j] for j in rows if truth[j] != truth[i]]
            losses.append(np.log(np.sum(np.exp([table[i, i], *others]))) - table[i, i])
    assert float(found) == pytest.approx(np.mean(losses), rel=1e-5)


def test_rows_without_a_second_modality_do_not_count():
    one, other = np.random.default_rng(0).normal(size=(2, 4, 3)).astype("float32")
    truth, present = np.arange(4), np.array([True, True, False, False])
    filled = [np.where(present[:, None], vectors, 1e6).astype("float32") for vectors in (one, other)]
    first, second = (
        float(measure_alignment(truth, [(a, np.ones(4, bool)), (b, present)])) for a, b in ((one, other), filled)
    )
    assert first == pytest.approx(second)
    assert float(measure_alignment(truth, [(one, present), (other, ~present)])) == 0


def test_weights_of_rows_count():
    one, other = np.random.default_rng(0).normal(size=(2, 4, 3)).astype("float32")
    pairs = [(one, np.ones(4, bool)), (other, np.ones(4, bool))]
    single = [float(measure_alignment(np.arange(4), pairs, np.eye(4)[i])) for i in range(4)]
    assert float(measure_alignment(np.arange(4), pairs)) == pytest.approx(np.mean(single))
    assert float(measure_alignment(np.arange(4), pairs, np.array([1, 3, 0, 0]))) == pytest.approx(
        (single[0] + 3 * single[1]) / 4
    )


def test_training_draws_the_sides_of_a_row_together():
    source = make_source()
    model = make_model(source)
    batch, labels = next(iter(model.dataset(source, batch_size=64)))
    model.fit(model.dataset(source, batch_size=16, shuffle=True), epochs=40, verbose=0)
    own, others = measure_cosines(model, batch, labels.numpy())
    assert own > others + 0.5


@pytest.mark.parametrize("fusion", ["concatenation", "cross_attention", "mean_logits"])
def test_it_is_a_loss_of_training_alone_and_reaches_every_weight(fusion):
    source = make_source()
    model = make_model(source, fusion=fusion, auxiliary_weight=0.1)
    batch, labels = next(iter(model.dataset(source)))
    outside, inside = (float(model.compute_loss(batch, labels, model(batch), training=flag)) for flag in (False, True))
    assert inside > outside + 0.5
    with tf.GradientTape() as tape:
        loss = model.compute_loss(batch, labels, model(batch, training=True), training=True)
    gradients = tape.gradient(loss, [weight.value for weight in model.trainable_weights])
    assert [w.path for w, g in zip(model.trainable_weights, gradients, strict=True) if g is None] == []


def test_a_regressor_takes_it():
    source = make_source()
    modalities = {side: mk.Tabular(categories=[side], encoder=SMALL) for side in ("left", "right")}
    model = mk.Regressor.from_source(source, modalities, "age", alignment_weight=0.5)
    assert np.isfinite(model.fit(model.dataset(source), verbose=0).history["loss"]).all()


def test_a_single_modality_has_nothing_to_align():
    source = make_source()
    model = mk.Classifier.from_source(source, {"left": mk.Tabular(categories=["left"])}, alignment_weight=1.0)
    assert np.isfinite(model.fit(model.dataset(source), verbose=0).history["loss"]).all()


def test_a_weight_below_zero_is_refused():
    with pytest.raises(ValueError, match="`alignment_weight` is 0 or more. Received: alignment_weight=-1"):
        make_model(make_source(), alignment_weight=-1)
