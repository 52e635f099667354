"""A large batch in parts is the large batch."""

import keras
import numpy as np
import pytest

import mmkeras as mk
from mmkeras.testing import check_reload

ROWS = mk.read([{"text": f"{word} tea {i % 7}", "a": i % 7} for i, word in enumerate(["red", "blue", "gold"] * 14)])


def train(rows_at_once, dropout=0.0, epochs=3):
    keras.utils.set_random_seed(0)
    text = mk.encoders.TextTransformer(units=16, num_layers=1, num_heads=2, dropout=dropout)
    modalities = {"text": mk.Text(encoder=text), "facts": mk.Tabular(["a"], encoder=mk.encoders.TabularMLP(dropout=0))}
    pretrainer = mk.pretraining.Pretrainer.from_source(
        ROWS,
        modalities,
        [mk.pretraining.Contrastive("text", "facts", units=8), mk.pretraining.TwoViews("facts", units=8)],
        optimizer=keras.optimizers.SGD(0.1),
        rows_at_once=rows_at_once,
    )
    history = pretrainer.fit(pretrainer.dataset(ROWS, 32), epochs=epochs, verbose=0).history
    return pretrainer, history


@pytest.mark.parametrize("rows_at_once", [pytest.param(5, marks=pytest.mark.slow), 8, 99])
def test_parts_give_weights_losses_and_metrics_of_the_whole(rows_at_once):
    """Also where the last part, and the last batch, have fewer rows."""
    whole, expected = train(None)
    parts, received = train(rows_at_once)
    assert expected.keys() == received.keys()
    for name, values in expected.items():
        assert np.allclose(received[name], values, atol=1e-5), name
    for one, other in zip(whole.weights, parts.weights, strict=True):
        assert np.allclose(one, other, atol=1e-5), one.path


def test_the_second_pass_draws_what_the_first_drew():
    whole, expected = train(None, dropout=0.5)
    parts, received = train(99, dropout=0.5)
    assert np.allclose(expected["loss"], received["loss"], atol=1e-5)
    for one, other in zip(whole.weights, parts.weights, strict=True):
        assert np.allclose(one, other, atol=1e-5), one.path


def test_it_is_the_same_after_save_and_load_in_a_fresh_process():
    pretrainer, _ = train(8, epochs=1)
    inputs = {name: tensor.numpy() for name, tensor in next(iter(pretrainer.dataset(ROWS, 8))).items()}
    check_reload(pretrainer, inputs)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_an_interrupted_training_has_the_curve_of_the_undisturbed(dropout, tmp_path):
    _, expected = train(None, dropout, epochs=4)

    class Interrupt(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    curve = []
    for callbacks in ([Interrupt()], []):
        pretrainer, _ = train(None, dropout, epochs=0)
        keep = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: curve.append(logs["loss"]))
        callbacks = [mk.callbacks.Backup(tmp_path / "backup"), keep, *callbacks]
        batches = pretrainer.dataset(ROWS, 32)
        try:
            pretrainer.fit(batches, epochs=4, callbacks=callbacks, verbose=0)
        except KeyboardInterrupt:
            continue
    assert np.allclose(curve, expected["loss"], atol=1e-6)


def test_no_rows_at_once_are_refused():
    with pytest.raises(ValueError, match="`rows_at_once` is at least 1, or None. Received: rows_at_once=0"):
        train(0)
