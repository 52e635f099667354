"""One model on trial: what it is made of, and how it is trained in the time there is."""

import math
import sys
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field

import keras
import numpy as np
import tensorflow as tf

from mmkeras.distribute import enter
from mmkeras.fitting.plan import Plan
from mmkeras.metrics import is_lower_better
from mmkeras.pipeline import Cache
from mmkeras.targets import MultiTarget
from mmkeras.tasks import Task
from mmkeras.training import callbacks

_SHORT = 0.25  # share of the epochs after the first in which the rate falls to 0 for the second time
_FEWEST_STEPS = 5  # that say how long an epoch takes
_LEAST = 1e-3  # seconds of an epoch, which may be a single step
_FORWARD = 0.4  # what a row costs that is not learned from


@dataclass
class Trial:
    """A model that may be chosen.

    Attributes:
        name: what messages call it.
        inputs: the encoder by the name of the input, as `Plan.variants` names them.
        fusion: by name; None for one input.
        status: `"new"`, `"begun"` (one epoch), `"trained"`, `"dropped"`, `"failed"` or `"interrupted"`.
        why: it was dropped, or failed.
        score: the metric on the validation rows.
        epochs: how many it was trained; the last one may have been cut short by the time.
        is_cut: whether the time allowed less than one epoch.
        seconds: how long that took, with validation, and with preparing the cells that no trial before it had read.
        epoch_seconds: how long an epoch takes.
        setup_seconds: how long all took that is done once.
        parameters: how many numbers were learned.
        history: by name the metrics after each epoch, as `fit` gives them.
    """

    name: str
    inputs: Mapping[str, str]
    fusion: str | None = None
    status: str = "new"
    why: str = ""
    score: float = math.nan
    epochs: int = 0
    is_cut: bool = False
    seconds: float = 0.0
    epoch_seconds: float = math.nan
    setup_seconds: float = 0.0
    parameters: int = 0
    history: dict[str, list[float]] = field(default_factory=dict)

    @property
    def is_open(self) -> bool:
        """Whether it may still be trained."""
        return self.status in ("new", "begun")


class Trainer:
    """Trains trials on the rows of a plan, which are prepared once for all of them.

    Args:
        plan: what was decided.
        seed: of the weights and of the order of the rows.
        keep_cells: whether prepared cells are kept in memory.
        strategy: that the models are built under; None for the one that is open.
    """

    def __init__(self, plan: Plan, seed: int, keep_cells: bool, strategy=None):
        self.plan, self.seed, self.strategy = plan, seed, strategy
        self.cache = Cache() if keep_cells else False
        self.truth = plan.target.encode(plan.validation.values(plan.target.columns))
        self.constant = self.measure(plan.target.measures.answer_constantly(self.truth))
        self.models: dict[str, Task] = {}
        self.outputs: dict[str, dict] = {}
        self._rows: dict[str, tuple] = {}

    def begin(self, trial: Trial, seconds: float):
        """The first epoch, or as much of it as the time allows."""
        started = time.perf_counter()
        keras.utils.set_random_seed(self.seed)
        plan = self.plan
        modalities = {name: plan.variants[name][encoder] for name, encoder in trial.inputs.items()}
        fusion = plan.fusions[trial.fusion] if trial.fusion else None
        fusion = type(fusion).from_config(fusion.get_config()) if fusion else None  # a layer belongs to one model
        with enter(self.strategy):
            model = plan.task(modalities, target=plan.target, fusion=fusion)
            model.compile_default()
        if self._monitored != "loss":
            metrics = dict.fromkeys([plan.metric, *plan.target.default_metrics])
            model.compile(model.optimizer, model.loss, metrics=list(metrics))
        trial.parameters = model.count_params()
        self.models[trial.name] = model
        options = {"cache": self.cache, "seed": self.seed}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the plan has said what is wrong with the cells
            self._rows[trial.name] = (
                model.dataset(plan.train, plan.batch_size, shuffle=True, mixup=plan.mixup, **options),
                self.make_validation(model),
            )
        prepared = time.perf_counter()
        trial.seconds = prepared - started
        self._fit(trial, 1, seconds)
        trial.setup_seconds = max(0.0, time.perf_counter() - prepared - trial.epoch_seconds)
        trial.status = "begun"

    def finish(self, trial: Trial, epochs: int, seconds: float):
        """The other epochs of those that the trial gets, and no more than the time allows.

        The rate falls to 0 in the first epoch, then in a few, then in all others, and starts anew each time
        (Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2017): a model that has learned
        all it can in the first epoch is as good at its end as it will be, and is not trained until it knows the rows by
        heart. One that has learned nothing yet goes on.
        """
        started = time.perf_counter()
        if trial.name not in self.models:  # it was begun before an interruption
            trial.history, trial.epochs = {}, 0
            self.begin(trial, seconds)
        first = trial.score
        for stop in (1 + math.ceil((epochs - 1) * _SHORT), epochs):
            left = seconds - (time.perf_counter() - started)
            if stop > trial.epochs and left > 0:
                self._fit(trial, stop, left)
                if stop < epochs and self.has_learned(trial) and self.advantage(trial.score, first) <= 0:
                    break
        trial.status = "trained"
        self._rows.pop(trial.name)

    def make_validation(self, model: Task) -> tf.data.Dataset:
        """Batches of the validation rows."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return model.dataset(self.plan.validation, 256, cache=self.cache)

    def settle(self, trial: Trial, model: Task | None = None):
        """Takes a trial for trained as its model is now; or as `model`, which was trained before."""
        if model is not None:
            self.models[trial.name] = model
        self._measure(trial)
        trial.status = "trained"

    def drop(self, trial: Trial, status: str, why: str):
        """Gives a trial up."""
        trial.status, trial.why = status, why
        for held in (self.models, self.outputs, self._rows):
            held.pop(trial.name, None)

    def measure(self, outputs: Mapping[str, np.ndarray], rows: np.ndarray | None = None) -> float:
        """The metric of outputs of the validation rows, or of some of them."""
        target, truth = self.plan.target, self.truth
        if rows is not None:
            outputs, truth = keras.tree.map_structure(lambda array: array[rows], (dict(outputs), truth))
        if self.plan.metric == target.measures.score_name:
            return target.measures.score(outputs, truth)
        return target.measures.measure_all(outputs, truth)[self.plan.metric]

    def advantage(self, score: float, other: float) -> float:
        """How much better one value of the metric is than another."""
        return other - score if is_lower_better(self.plan.metric) else score - other

    def measure_gain(self, trial: Trial) -> float:
        """How much better a trial is than the best answer that is the same for all rows."""
        return self.advantage(trial.score, self.constant)

    def has_learned(self, trial: Trial) -> bool:
        """Whether that is none of chance: three standard errors of a share."""
        return self.measure_gain(trial) > 3 * math.sqrt(0.25 / len(self.plan.validation))

    @property
    def _monitored(self):
        """By which metric of `fit` the best epoch is chosen: of several targets their loss."""
        target = self.plan.target
        is_one = not isinstance(target, MultiTarget) and len(target.columns) == 1
        return self.plan.metric if is_one else "loss"

    def _fit(self, trial, epochs, seconds):
        """Trains up to this epoch. The first one is not validated by `fit`, which would trace one more graph."""
        model, (train, validation) = self.models[trial.name], self._rows[trial.name]
        clock = _Clock(seconds, len(self.plan.validation) / len(self.plan.train))
        rest = {}
        if trial.epochs:
            best = callbacks.best(metric=self._monitored)
            rest = {"validation_data": validation, "callbacks": [clock, best], "initial_epoch": trial.epochs}
        kept = model.get_weights(), trial.score, self.outputs.get(trial.name)
        started = time.perf_counter()
        history = model.fit(
            train, epochs=epochs, verbose=int(sys.stdout.isatty()), **{"callbacks": [clock], **rest}
        ).history
        self._measure(trial)
        trial.seconds += time.perf_counter() - started
        if self.advantage(trial.score, kept[1]) < 0:
            model.set_weights(kept[0])
            trial.score, self.outputs[trial.name] = kept[1:]
        if not trial.epochs:
            history[f"val_{self._monitored}"] = [trial.score if self._monitored == self.plan.metric else math.nan]
        for name, values in history.items():
            known = trial.history.setdefault(name, [math.nan] * trial.epochs)
            known.extend(map(float, values))
        trial.epochs += len(history.get("loss", ()))
        trial.is_cut = trial.epochs <= 1 and clock.is_cut
        trial.epoch_seconds = clock.epoch_seconds

    def _measure(self, trial):
        model = self.models[trial.name]
        rows = self._rows[trial.name][1] if trial.name in self._rows else self.make_validation(model)
        rows = rows.map(lambda tensors, _: tensors)
        self.outputs[trial.name] = model.name_outputs(model.predict(rows, verbose=0))
        trial.score = self.measure(self.outputs[trial.name])


class _Clock(keras.callbacks.Callback):
    """Says how long an epoch takes, without what is done once, and ends training before the time is up.

    Args:
        seconds: from the first step on, which traces the graphs and is none that could be spared.
        validation_share: of the training rows as many are validated on.
    """

    def __init__(self, seconds, validation_share):
        super().__init__()
        self.seconds, self.validation_share = seconds, validation_share
        self.deadline = self.epoch_seconds = math.nan
        self.is_first = True
        self.is_cut = False

    def on_epoch_begin(self, epoch, logs=None):
        self.started = self.last = time.perf_counter()
        self.batches = 0

    def on_train_batch_end(self, batch, logs=None):
        self.last = time.perf_counter()
        self.batches += 1
        if self.is_first and self.batches == 1:
            self.started = self.last
            self.deadline = self.last + self.seconds
        if self.last > self.deadline and self.batches > _FEWEST_STEPS:
            self.is_cut = self.model.stop_training = True

    def on_epoch_end(self, epoch, logs=None):
        if self.is_first:
            steps = self.params.get("steps") or self.batches
            step = (self.last - self.started) / max(self.batches - 1, 1)
            self.epoch_seconds = max(_LEAST, step * steps * (1 + _FORWARD * self.validation_share))
            self.is_first = False
        else:
            self.epoch_seconds = time.perf_counter() - self.started
        if time.perf_counter() + self.epoch_seconds > self.deadline:
            self.model.stop_training = True
