import resource
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf

import mmkeras as mk


@pytest.fixture
def model():
    table = mk.Tabular(["a"], statistics={"a": (0, 1)}, vocabularies={}, encoder=mk.encoders.TabularMLP(units=4))
    model = mk.Classifier({"table": table}, ["no", "yes"])
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy", "log_loss"])
    return model


def make_rows(count, seed=0):
    random = np.random.default_rng(seed)
    values = random.normal(size=(count, 1, 2)).astype("float32") * [1, 0]
    inputs = {"table": values.astype("float32"), "table_present": np.ones(count, bool)}
    return inputs, (values[:, 0, 0] > 0).astype(int)


class Script(keras.callbacks.Callback):
    """Overwrites what an epoch was measured to be; before the others."""

    def __init__(self, **values):
        super().__init__()
        self.values = values
        self.weights = []

    def on_epoch_end(self, epoch, logs=None):
        logs.update({name: values[epoch] for name, values in self.values.items()})
        self.weights.append(self.model.get_weights())


def test_the_best_epoch_by_the_first_metric_is_kept(model):
    script = Script(val_accuracy=[0.5, 0.9, 0.7, 0.6, 0.6], val_loss=[5.0, 4.0, 3.0, 2.0, 1.0])
    history = model.fit(
        *make_rows(64),
        validation_data=make_rows(16, 1),
        epochs=5,
        callbacks=[script, mk.callbacks.best(patience=2)],
        verbose=0,
    )
    assert len(history.epoch) == 4
    assert all(np.array_equal(*pair) for pair in zip(model.get_weights(), script.weights[1], strict=True))


def test_it_never_stops_without_patience_and_begins_anew_with_each_fit(model):
    keep = mk.callbacks.best()
    for accuracy in ([0.9, 0.5, 0.5], [0.5, 0.6, 0.1]):
        script = Script(val_accuracy=accuracy)
        rows = {"validation_data": make_rows(16, 1), "epochs": 3, "verbose": 0}
        assert len(model.fit(*make_rows(64), callbacks=[script, keep], **rows).epoch) == 3
        expected = script.weights[int(np.argmax(accuracy))]
        assert all(np.array_equal(*pair) for pair in zip(model.get_weights(), expected, strict=True))


def test_of_an_error_the_lowest_is_best(model):
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["log_loss"])
    script = Script(val_log_loss=[0.5, 0.1, 0.7])
    model.fit(
        *make_rows(64),
        validation_data=make_rows(16, 1),
        epochs=3,
        callbacks=[script, mk.callbacks.best()],
        verbose=0,
    )
    assert all(np.array_equal(*pair) for pair in zip(model.get_weights(), script.weights[1], strict=True))


def test_it_needs_validation_rows_and_patience(model):
    with pytest.raises(ValueError, match="compares epochs on validation rows: fit"):
        model.fit(*make_rows(64), callbacks=[mk.callbacks.best()], verbose=0)
    with pytest.raises(ValueError, match="at least 1 epoch, or None. Received: patience=0"):
        mk.callbacks.best(patience=0)


def test_weights_that_are_lost_name_the_input(model):
    inputs, labels = make_rows(64)
    inputs["table"][37] = np.nan
    with pytest.raises(
        ValueError, match=r"(Weights '.*' are NaN|loss is nan).* What is no .*'table' \(first in row 37"
    ):
        model.fit(inputs, labels, batch_size=16, shuffle=False, verbose=0)
    dataset = tf.data.Dataset.from_tensor_slices((inputs, labels)).batch(16)
    with pytest.raises(ValueError, match=r"'table' \(first in row 5 of batch 2\)"):
        model.fit(dataset, verbose=0)


def test_data_without_an_end_are_looked_at_in_part(model):
    dataset = tf.data.Dataset.from_tensor_slices(make_rows(64)).batch(16).repeat()
    model.compile(keras.optimizers.SGD(1e38), "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match="the learning rate may be too high"):
        model.fit(dataset, steps_per_epoch=10, verbose=0)


def test_a_loss_that_bursts_names_the_learning_rate(model):
    inputs, labels = make_rows(64)
    model.compile(keras.optimizers.SGD(1e38), "sparse_categorical_crossentropy")
    with pytest.raises(
        ValueError, match=r"The loss is (nan|inf) at batch \d of epoch 1. All inputs are finite: the learning rate"
    ):
        model.fit(inputs, labels, batch_size=16, epochs=5, verbose=0)


def test_what_an_absent_modality_holds_is_not_blamed(model):
    inputs, labels = make_rows(64)
    inputs["table"][3] = np.inf
    inputs["table_present"][3] = False
    history = model.fit(inputs, labels, verbose=0)
    assert np.isfinite(history.history["loss"][0])


def test_weights_of_the_last_epochs_are_averaged(model):
    script = Script()
    averaging = mk.callbacks.Averaging(first_epoch=2)
    model.fit(*make_rows(64), epochs=5, callbacks=[script, averaging], verbose=0)
    expected = [np.mean(values, axis=0) for values in zip(*script.weights[2:], strict=True)]
    assert all(np.allclose(*pair, atol=1e-6) for pair in zip(model.get_weights(), expected, strict=True))
    with pytest.raises(ValueError, match="ended before the epoch that averaging begins at: first_epoch=2"):
        model.fit(*make_rows(64), epochs=1, callbacks=[averaging], verbose=0)
    with pytest.raises(ValueError, match="`first_epoch` is 0 or more. Received: first_epoch=-1"):
        mk.callbacks.Averaging(-1)


@pytest.mark.parametrize(
    "options", [{"use_ema": True, "ema_overwrite_frequency": 1}, {"gradient_accumulation_steps": 2}]
)
def test_moving_averages_and_accumulated_gradients_of_keras_change_what_is_learned(model, options):
    state, changes = model.get_weights(), []
    for chosen in ({}, options):
        model.set_weights(state)
        model.compile(keras.optimizers.SGD(0.1, **chosen), model.loss)
        model.fit(*make_rows(64), batch_size=32, verbose=0, shuffle=False)
        changes.append(np.abs(model.get_weights()[-2] - state[-2]).max())
    assert 0 < changes[1] < changes[0]


class Interruption(Exception):
    pass


class Interrupt(keras.callbacks.Callback):
    """Ends training in the middle of an epoch."""

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == (2, 1):
            raise Interruption


def fit_words(*callbacks, dropout=0.2):
    """Weights and losses of a classifier of words, with a rate that falls, on rows in another order in each epoch."""
    keras.utils.set_random_seed(0)
    rows = mk.read([{"text": f"red {i % 7} tea {i % 3}", "label": "ab"[i % 2]} for i in range(43)], target="label")
    model = mk.Classifier.from_source(rows, {"text": mk.Text()}, dropout=dropout)
    history = model.fit(model.dataset(rows, 8, shuffle=True), epochs=4, verbose=0, callbacks=[*callbacks])
    return model.get_weights(), history.history["loss"]


# What Keras's own keeps does not hold the state of random generators.
@pytest.mark.parametrize(
    "make, dropout",
    [
        (mk.callbacks.Backup, 0.2),
        pytest.param(keras.callbacks.BackupAndRestore, 0.0, marks=pytest.mark.slow),
    ],
)
def test_an_interrupted_training_ends_as_undisturbed(tmp_path, make, dropout):
    weights, losses = fit_words(dropout=dropout)
    with pytest.raises(Interruption):
        fit_words(make(str(tmp_path / "backup")), Interrupt(), dropout=dropout)
    resumed, rest = fit_words(make(str(tmp_path / "backup")), dropout=dropout)
    assert rest == losses[2:]
    assert all(map(np.array_equal, weights, resumed))
    assert not (tmp_path / "backup").exists()


def test_a_full_disk_leaves_the_state_of_the_epoch_before(tmp_path):
    class FillDisk(keras.callbacks.Callback):
        """From the third epoch on no file may grow over a kilobyte."""

        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                resource.setrlimit(resource.RLIMIT_FSIZE, (1024, hard))

        def on_epoch_end(self, epoch, logs=None):
            if epoch == 2:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
                assert [path.name for path in tmp_path.iterdir()] == ["000002.npz"]
                raise Interruption

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    signalled = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with (
            pytest.warns(UserWarning, match="after epoch 3 could not be kept, and that of an earlier epoch stays"),
            pytest.raises(Interruption),
        ):
            fit_words(mk.callbacks.Backup(tmp_path), FillDisk())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, signalled)
    assert len(fit_words(mk.callbacks.Backup(tmp_path))[1]) == 2


def test_the_backup_of_another_model_is_refused(model, tmp_path):
    with pytest.raises(Interruption):
        fit_words(mk.callbacks.Backup(tmp_path), Interrupt())
    with pytest.raises(ValueError, match="000002.npz holds the state of another model"):
        model.fit(*make_rows(64), epochs=3, verbose=0, callbacks=[mk.callbacks.Backup(tmp_path)])
