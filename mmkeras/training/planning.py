"""What `fit` of a model that trains a backbone does before Keras's."""

import tempfile
from pathlib import Path

import keras
import tensorflow as tf

from mmkeras.distribute.cluster import is_chief
from mmkeras.distribute.workers import has_workers, require_same
from mmkeras.training.callbacks import Backup, Resume, StopAtNaN
from mmkeras.training.schedules import CosineToEnd, count_steps

_WRITERS = (keras.callbacks.TensorBoard, keras.callbacks.CSVLogger, keras.callbacks.RemoteMonitor)


def plan_fit(model: keras.Model, x, y, batch_size, epochs, kwargs) -> dict:
    """The arguments of `fit`, with callbacks that go on after an interruption, end it at NaN, and those of the model.

    A `CosineToEnd` is told how many steps there will be. Of several workers all see to it that they do the same, and
    the chief alone writes.
    """
    schedule = getattr(getattr(model, "optimizer", None), "_learning_rate", None)
    if isinstance(schedule, CosineToEnd):
        steps = kwargs.get("steps_per_epoch") or count_steps(x, batch_size)
        schedule.plan(
            int(keras.ops.convert_to_numpy(model.optimizer.iterations)),
            steps * (epochs - kwargs.get("initial_epoch", 0)),
        )
    strategy = model.distribute_strategy
    if has_workers(strategy):
        require_same(strategy, describe_training(model, x, batch_size, epochs))
        if not is_chief():
            kwargs = {**kwargs, "verbose": 0}
    callbacks = kwargs.get("callbacks")
    if isinstance(callbacks, keras.callbacks.CallbackList):
        return kwargs
    callbacks = [*(callbacks if isinstance(callbacks, list | tuple) else [callbacks])]
    callbacks = write_once([callback for callback in callbacks if callback is not None], strategy)
    data = x if y is None else (x, y)
    return {**kwargs, "callbacks": [*callbacks, Resume(x), StopAtNaN(data), *model.training_callbacks()]}


def describe_training(model: keras.Model, x, batch_size, epochs) -> dict[str, object]:
    """What has to be the same for all workers, by what a message calls it."""
    is_dataset = isinstance(x, tf.data.Dataset)
    return {
        "the version of Keras or TensorFlow": (keras.__version__, tf.__version__),
        "the model": (model.name, [(weight.path, weight.shape, weight.dtype) for weight in model.weights]),
        "the optimizer or the loss": model.get_compile_config(),
        "the number of epochs or the size of batches": (epochs, batch_size),
        "the form of the data": str((x.element_spec, int(x.cardinality())) if is_dataset else type(x)),
        "the rows": getattr(x, "rows_digest", None),
    }


def write_once(callbacks: list, strategy: tf.distribute.Strategy) -> list:
    """The callbacks, of which those that write files do so in the chief alone.

    Other workers write checkpoints too, because variables are read by all together, but to a folder that is thrown
    away.
    """
    if not has_workers(strategy) or is_chief():
        return callbacks
    kept = [callback for callback in callbacks if not isinstance(callback, _WRITERS)]
    for callback in kept:
        if isinstance(callback, keras.callbacks.ModelCheckpoint):
            callback.filepath = str(_make_scratch(callback) / Path(callback.filepath).name)
        if isinstance(callback, keras.callbacks.BackupAndRestore):
            _read_then_turn_away(callback)
        if isinstance(callback, Backup):
            callback.written_folder = _make_scratch(callback)
    return kept


def _make_scratch(callback):
    callback._scratch = tempfile.TemporaryDirectory()  # it goes with the callback
    return Path(callback._scratch.name)


def _read_then_turn_away(callback):
    """A backup that this worker reads where the chief wrote it, and writes elsewhere."""
    begin = callback.on_train_begin

    def begin_and_turn_away(logs=None):
        begin(logs)
        folder = _make_scratch(callback)
        for name, value in vars(callback).items():
            if isinstance(value, str) and value.startswith(str(callback.backup_dir)) and name != "backup_dir":
                setattr(callback, name, str(folder / Path(value).name))
        callback.backup_dir = str(folder)

    callback.on_train_begin = begin_and_turn_away
