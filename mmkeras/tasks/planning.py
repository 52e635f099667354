"""What `fit` of a model that trains a backbone does before Keras's."""

import keras
import tensorflow as tf

from mmkeras.callbacks import Resume, StopAtNaN
from mmkeras.distribute.cluster import is_chief
from mmkeras.distribute.workers import has_workers, require_same, write_once
from mmkeras.schedules import CosineToEnd, count_steps


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
