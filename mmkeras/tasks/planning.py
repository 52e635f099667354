"""What `fit` of a task does before Keras's."""

import keras

from mmkeras.callbacks import StopAtNaN
from mmkeras.schedules import CosineToEnd, count_steps


def plan_fit(model: keras.Model, x, y, batch_size, epochs, kwargs) -> dict:
    """The arguments of `fit` and a callback that ends it at NaN; tells a `CosineToEnd` how many steps there will be."""
    schedule = getattr(getattr(model, "optimizer", None), "_learning_rate", None)
    if isinstance(schedule, CosineToEnd):
        steps = kwargs.get("steps_per_epoch") or count_steps(x, batch_size)
        schedule.plan(
            int(keras.ops.convert_to_numpy(model.optimizer.iterations)),
            steps * (epochs - kwargs.get("initial_epoch", 0)),
        )
    callbacks = kwargs.get("callbacks")
    if isinstance(callbacks, keras.callbacks.CallbackList):
        return kwargs
    callbacks = [*(callbacks if isinstance(callbacks, list | tuple) else [callbacks])]
    data = x if y is None else (x, y)
    return {**kwargs, "callbacks": [*(callback for callback in callbacks if callback is not None), StopAtNaN(data)]}
