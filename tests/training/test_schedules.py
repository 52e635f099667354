import keras
import numpy as np
import pytest
import tensorflow as tf

import mmkeras as mk
from mmkeras.training.schedules import CosineToEnd, count_steps


@pytest.fixture
def model():
    table = mk.Tabular(["a"], statistics={"a": (0, 1)}, vocabularies={}, encoder=mk.encoders.TabularMLP(units=4))
    model = mk.Classifier({"table": table}, ["no", "yes"])
    model.compile(keras.optimizers.Adam(CosineToEnd(0.01)), "sparse_categorical_crossentropy")
    return model


def make_inputs(count):
    random = np.random.default_rng(0)
    inputs = {"table": random.normal(size=(count, 1, 2)).astype("float32"), "table_present": np.ones(count, bool)}
    return inputs, random.integers(0, 2, count)


class Rates(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.rates = []

    def on_train_batch_end(self, batch, logs=None):
        self.rates.append(float(self.model.optimizer.learning_rate))


def test_the_rate_falls_to_zero_over_each_call_of_fit(model):
    inputs, labels = make_inputs(64)
    for _ in range(2):
        rates = Rates()
        model.fit(inputs, labels, batch_size=16, epochs=2, verbose=0, callbacks=[rates])
        expected = 0.01 * (1 + np.cos(np.pi * np.arange(1, 9) / 8)) / 2
        assert np.allclose(rates.rates, expected, atol=1e-6)


def test_it_warms_up_first():
    schedule = CosineToEnd(0.01, warmup=0.2)
    schedule.plan(first_step=100, steps=10)
    rates = [float(schedule(100 + step)) for step in range(11)]
    falling = 0.01 * (1 + np.cos(np.pi * np.arange(9) / 8)) / 2
    assert np.allclose(rates, [0.005, 0.01, *falling], atol=1e-6)
    copy = CosineToEnd.from_config(schedule.get_config())
    assert float(copy(3)) == pytest.approx(0.01)  # nobody told it how many steps there are
    with pytest.raises(ValueError, match="from 0 to less than 1. Received: warmup=1"):
        CosineToEnd(warmup=1)


def test_a_dataset_without_an_end_keeps_the_rate(model):
    dataset = tf.data.Dataset.from_tensor_slices(make_inputs(64)).batch(16).repeat()
    rates = Rates()
    model.fit(dataset, steps_per_epoch=4, epochs=1, verbose=0, callbacks=[rates])
    assert rates.rates[-1] == pytest.approx(0, abs=1e-6)
    assert count_steps(dataset) == 0


def test_it_goes_on_after_loading(model, tmp_path):
    inputs, labels = make_inputs(64)
    model.fit(inputs, labels, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    rates = Rates()
    loaded.fit(inputs, labels, batch_size=16, epochs=1, verbose=0, callbacks=[rates])
    assert rates.rates[0] > rates.rates[-1] == pytest.approx(0, abs=1e-6)


def test_another_optimizer_is_left_as_it_is(model):
    model.compile("sgd", "sparse_categorical_crossentropy")
    inputs, labels = make_inputs(8)
    model.fit(inputs, labels, verbose=0)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.01)
