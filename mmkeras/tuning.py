"""Search for a good fusion, size and rate, by KerasTuner."""

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import keras
import pandas as pd
import tensorflow as tf

from mmkeras import fusion
from mmkeras.data import Source
from mmkeras.distribute import get, require_one_clock
from mmkeras.metrics import is_lower_better
from mmkeras.modalities import Modality
from mmkeras.pipeline import Cache
from mmkeras.tasks import Classifier, Task
from mmkeras.training import callbacks
from mmkeras.training.schedules import CosineToEnd


@dataclass(frozen=True)
class Tuning:
    """What `mk.tune` found.

    Attributes:
        model: the best of the trained tasks, with the weights of its best epoch.
        trials: a row for each that was trained, the best first: what was chosen, its metric on the validation rows, the
            epochs that it was trained, and the seconds.
        metric: by which they are compared.
    """

    model: Task
    trials: pd.DataFrame
    metric: str

    def __str__(self):
        return self.trials.to_string(index=False)


def tune(
    source: Source,
    modalities: Mapping[str, Modality],
    target=None,
    *,
    validation: Source,
    task: type[Task] = Classifier,
    fusions: Sequence[str] = ("gated", "concatenation", "cross_attention"),
    units: Sequence[int] = (32, 64, 128),
    rates: tuple[float, float] = (3e-4, 1e-2),
    batch_size: int = 32,
    epochs: int = 10,
    time_limit: float = 600.0,
    max_trials: int = 30,
    seed: int = 0,
    strategy: str | tf.distribute.Strategy | None = None,
) -> Tuning:
    """Searches fusion, units of the fusion, and learning rate at random within a time limit, and keeps the best model.

    Each trial is a task of `from_source`, trained by `fit`; prepared cells are shared (`mk.Cache`). The search is that
    of KerasTuner (O'Malley et al., 2019), at random (Bergstra and Bengio, "Random Search for Hyper-Parameter
    Optimization", 2012).

    Args:
        source: the training rows.
        modalities: dict from input name to `Modality`.
        target: as for `from_source`.
        validation: the rows to compare by.
        task: the class of the models.
        fusions: names to choose from.
        units: of the fusion, to choose from.
        rates: the lowest and the highest learning rate, between which it is drawn on a logarithmic scale.
        batch_size, epochs: of each training.
        time_limit: seconds, in all; the trial that it ends in is trained no further.
        max_trials: how many at most.
        seed: of the search and of every model.
        strategy: to train on several devices, an object or the name of a kind: see `mk.distribute.strategy`; None for
            the one whose scope is open.

    Raises:
        ImportError: without KerasTuner.
        ValueError: for an unknown fusion, or a time limit that is none.

    Example::

        found = mk.tune(train, {"text": mk.Text(), "image": mk.Image(size=32)}, "label", validation=valid)
        print(found)
        found.model.save("model.keras")
    """
    try:
        import keras_tuner
    except ImportError as error:
        raise ImportError("mk.tune needs `pip install 'mmkeras[tune]'`.") from error
    if not time_limit > 0:
        raise ValueError(f"`time_limit` is a number of seconds. Received: time_limit={time_limit}")
    strategy = get(strategy)
    require_one_clock(strategy, "mk.tune")
    deadline = time.perf_counter() + time_limit
    choices = {name: fusion.get(name) for name in fusions}
    cache, rows, best = Cache(), [], {}

    def make(parameters):
        keras.utils.set_random_seed(seed)
        chosen = choices[parameters.Choice("fusion", list(choices))]
        size = parameters.Choice("units", list(units))
        rate = parameters.Float("rate", *rates, sampling="log")
        config = chosen.get_config()
        sized = type(chosen).from_config({**config, "units": size} if "units" in config else config)
        optimizer = keras.optimizers.Adam(CosineToEnd(rate))
        return task.from_source(source, modalities, target, fusion=sized, optimizer=optimizer, strategy=strategy)

    class Tuner(keras_tuner.Tuner):
        def run_trial(self, trial, **_):
            started, model = time.perf_counter(), make(trial.hyperparameters)
            history = model.fit(
                model.dataset(source, batch_size, shuffle=True, cache=cache, seed=seed),
                validation_data=model.dataset(validation, 256, cache=cache),
                epochs=epochs,
                callbacks=[_Deadline(deadline), callbacks.best()],
                verbose=0,
            ).history
            name = _find_metric(history)
            score = (min if is_lower_better(name) else max)(history[f"val_{name}"])
            loss = score if is_lower_better(name) else -score
            seconds = time.perf_counter() - started
            chosen = dict(trial.hyperparameters.values)
            rows.append({**chosen, name: score, "epochs": len(history["loss"]), "seconds": seconds, "_loss": loss})
            if loss <= min(row["_loss"] for row in rows):
                best.update(model=model, metric=name)
            if time.perf_counter() > deadline:
                self.oracle.max_trials = len(rows)
            return loss

    with tempfile.TemporaryDirectory() as folder:
        oracle = keras_tuner.oracles.RandomSearchOracle(
            keras_tuner.Objective("default_objective", "min"), max_trials=max_trials, seed=seed
        )
        Tuner(oracle, make, directory=folder, project_name="tune").search(verbose=0)
    table = pd.DataFrame(rows).sort_values("_loss", kind="stable").drop(columns="_loss").reset_index(drop=True)
    return Tuning(best["model"], table, best["metric"])


def _find_metric(history):
    """The first metric that the model was compiled with, else the loss."""
    names = [name for name in history if f"val_{name}" in history]
    return next((name for name in names if name != "loss"), "loss")


class _Deadline(keras.callbacks.Callback):
    """Ends training when the time is up; an epoch is trained to its end."""

    def __init__(self, deadline):
        super().__init__()
        self.deadline = deadline

    def on_epoch_end(self, epoch, logs=None):
        if time.perf_counter() > self.deadline:
            self.model.stop_training = True
