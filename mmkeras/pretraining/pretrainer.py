"""A backbone and what it learns from rows without labels, as one Keras model."""

import warnings
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import keras
import tensorflow as tf

from mmkeras.backbone import Backbone
from mmkeras.data import Source
from mmkeras.data.names import refuse_unknown
from mmkeras.distribute import enter
from mmkeras.distribute.replicas import count_replicas, divide_sums
from mmkeras.distribute.strategies import require_same_strategy
from mmkeras.features import FEATURES
from mmkeras.modalities import Modality
from mmkeras.pipeline import DatasetOptions
from mmkeras.pretraining.base import Objective
from mmkeras.pretraining.gradient_caching import train_in_parts
from mmkeras.pretraining.watch import Watch
from mmkeras.training import TrainedModel
from mmkeras.training.schedules import CosineToEnd


@keras.saving.register_keras_serializable(package="mmkeras")
class Pretrainer(TrainedModel, keras.Model):
    """Trains a backbone on rows without labels, by one objective or the weighted sum of several.

    `fit` it, and build a task on `pretrainer.backbone`, which it shares. Heads that only the objectives need stay with
    the pretrainer. Objectives mask and compare rows in `evaluate` as in `fit`.

    Args:
        backbone: a `Backbone`.
        objectives: objects from `mk.pretraining`.
        rows_at_once: how many rows of a batch the encoders hold in memory at once (gradient caching): losses compare
            all of the batch, at the price of one more pass forward, and of batch normalization by these rows. None for
            all.
        name: of the model.

    Attributes:
        backbone, objectives, rows_at_once: as given.
        used_features: by name of the input which Features of its encoder an objective reads.

    Raises:
        TypeError: for something that is no objective.
        ValueError: without objectives, for two of one name, and for one that does not suit the backbone.

    Example:

    >>> rows = mk.read([{"color": c, "price": p} for c, p in (("red", 1), ("blue", 5)) * 8])
    >>> backbone = mk.Backbone.from_source(rows, {"color": mk.Text(), "price": mk.Tabular(["price"])})
    >>> pretrainer = mk.pretraining.Pretrainer(backbone, [mk.pretraining.Contrastive("color", "price")])
    >>> pretrainer.compile("adam")
    >>> history = pretrainer.fit(pretrainer.dataset(rows, 8, shuffle=True), epochs=1, verbose=0)
    >>> labeled = mk.read([{"color": "red", "price": 1, "label": "a"}, {"color": "blue", "price": 5, "label": "b"}])
    >>> model = mk.Classifier.from_source(labeled, backbone=pretrainer.backbone, target="label")
    """

    reads_contents = True

    def __new__(cls, *args, **kwargs):
        refuse_unknown(cls, kwargs)
        return super().__new__(cls, *args, **kwargs)

    def __init__(
        self,
        backbone: Backbone,
        objectives: Sequence[Objective],
        rows_at_once: int | None = None,
        name: str | None = None,
    ):
        objectives = _check_objectives(objectives)
        if rows_at_once is not None and rows_at_once < 1:
            raise ValueError(f"`rows_at_once` is at least 1, or None. Received: rows_at_once={rows_at_once}")
        require_same_strategy(backbone, "backbone")
        connected = {}
        for objective in objectives:
            objective.require_inputs(backbone)
            connected[objective] = objective.connect(backbone, connected)
        outputs = {objective.name: found for objective, found in connected.items()}
        super().__init__(inputs=backbone.input, outputs=outputs, name=name)
        self.backbone = backbone
        self.rows_at_once = rows_at_once
        self._objectives = tuple(objectives)
        self.used_features = MappingProxyType(_find_used(backbone, objectives))
        self._sums = {name: keras.metrics.Mean(name) for name in self._list_metrics()}
        self.prepare_training(_find_unused(backbone, objectives, self.used_features))

    @property
    def objectives(self) -> list[Objective]:
        return list(self._objectives)

    @property
    def loss_metrics(self) -> list[keras.metrics.Metric]:
        return list(self._sums.values())

    @property
    def modalities(self) -> dict[str, Modality]:
        """Those of the backbone."""
        return self.backbone.modalities

    @property
    def preprocessor(self):
        """That of the backbone."""
        return self.backbone.preprocessor

    @classmethod
    def from_source(
        cls,
        source: Source,
        modalities: Mapping[str, Modality] | None = None,
        objectives: Sequence[Objective] = (),
        *,
        backbone: Backbone | None = None,
        optimizer=None,
        rows_at_once: int | None = None,
        strategy: str | tf.distribute.Strategy | None = None,
        **kwargs,
    ) -> "Pretrainer":
        """A compiled pretrainer, whose modalities have learned from the rows what was not given.

        Args:
            source: the rows; they need no labels.
            modalities: dict from input name to `Modality`; they are copied.
            objectives: as for the constructor.
            backbone: a `Backbone` to build on, in place of `modalities`.
            optimizer: as for `compile`; None for Adam at a rate that falls from 0.002 to 0 over each call of `fit`.
            rows_at_once: as for the constructor.
            strategy: see `Task.from_source`.
            kwargs: arguments of `Backbone`.

        Raises:
            ValueError: when both of `modalities` and `backbone` are given, or none.
        """
        if (modalities is None) == (backbone is None):
            raise ValueError("A pretrainer is built from `modalities`, or on a `backbone`: give one of them.")
        with enter(strategy):
            if backbone is None:
                backbone = Backbone.from_source(source, modalities, **kwargs)
            pretrainer = cls(backbone, objectives, rows_at_once)
            pretrainer.compile(optimizer or keras.optimizers.Adam(CosineToEnd()))
        return pretrainer

    def dataset(self, source: Source, batch_size: int = 32, **options) -> tf.data.Dataset:
        """Raw rows to what `fit` takes; see `RowModel.dataset`.

        Rows that no objective learns from, because they lack what it is about, are left out; a warning says how many.

        Args:
            source: the rows, or the `Records` of them.
            batch_size: rows a batch.
            options: see `mk.DatasetOptions`.

        Raises:
            ValueError: when no row is left; for a batch of one row, where rows are compared.
        """
        options = DatasetOptions(batch_size=batch_size, **options)  # before the files are read
        source, _ = self.training_rows(source, batch_size)
        return self.backbone.make_dataset(source, None, options)

    def training_rows(self, source: Source, batch_size: int) -> tuple[Source, None]:
        several = [each.name for each in self.objectives if each.needs_several_rows]
        if several and batch_size < 2:
            raise ValueError(
                f"{several} compare the rows of a batch, and one row has no negatives. Use a hundred or "
                f"more. Received: batch_size={batch_size}"
            )
        return self.keep_usable(source), None

    def training_callbacks(self):
        return [Watch(self)]

    def keep_usable(self, source: Source) -> Source:
        """The rows that some objective learns from; warns how many are left out, and why.

        Raises:
            ValueError: when none is left.
        """
        source = self.backbone.keep_usable(source, stacklevel=4)
        present = {}
        for name, modality in self.backbone.modalities.items():
            present[name] = [not modality.preprocessor.is_empty(cell) for cell in modality.read(name, source)]
        rows = [dict(zip(present, flags, strict=True)) for flags in zip(*present.values(), strict=True)]
        needed = {each.name: [each.needs_row(row) for row in rows] for each in self.objectives}
        for name, flags in needed.items():
            if not all(flags):
                warnings.warn(
                    f"{source.name}: {len(flags) - sum(flags):,} of {len(flags):,} rows lack what '{name}' is about, "
                    "and do not count for it.",
                    stacklevel=4,
                )
        kept = [index for index, flags in enumerate(zip(*needed.values(), strict=True)) if any(flags)]
        if not kept:
            raise ValueError(
                f"{source.name}: no row has what an objective is about: "
                f"{ {each.name: list(each.inputs) for each in self.objectives} }"
            )
        return source.select(kept)

    def compile(self, optimizer="adam", **kwargs):
        """Keras's, without a loss: the objectives define it."""
        super().compile(optimizer, **kwargs)

    def prepare_compile(self, arguments):
        if given := [key for key, value in arguments.items() if value]:
            raise ValueError(f"The objectives of a Pretrainer define its loss and metrics. Received: {given}")
        if self.rows_at_once is not None and self.distribute_strategy.num_replicas_in_sync > 1:
            raise ValueError(
                "Gradients are cached on one device; several divide a batch among them already. "
                f"Received: rows_at_once={self.rows_at_once}, {self.distribute_strategy.num_replicas_in_sync} replicas"
            )
        return arguments

    def train_step(self, data):
        if self.rows_at_once is None:
            return super().train_step(data)
        inputs, *_ = keras.utils.unpack_x_y_sample_weight(data)
        loss, rows = train_in_parts(self, inputs, self.rows_at_once)
        self._loss_tracker.update_state(loss, sample_weight=rows)
        return self.get_metrics_result()

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The weighted sum of the losses of the objectives, each the mean over what counts in it."""
        total = 0.0
        for objective in self.objectives:
            found = objective.measure(y_pred[objective.name])
            loss = divide_sums(found.loss, found.count)
            total += objective.weight * loss
            counted = found.count if objective.gathers_rows else found.count * count_replicas()  # of which is the mean
            measured = {"loss": (found.loss, found.count), "counted": (counted, 1.0), **found.metrics}
            for name, (value, count) in measured.items():
                if tracker := self._sums.get(f"{objective.name}_{name}"):
                    tracker.update_state(value / tf.maximum(count, 1), sample_weight=count)
        return total

    def _list_metrics(self):
        """Of one objective alone the loss is that of the model."""
        names = []
        for objective in self.objectives:
            own = ("loss", *objective.metric_names) if len(self.objectives) > 1 else objective.metric_names
            names += [f"{objective.name}_{name}" for name in (*own, "counted")]
        return names

    def list_parts(self):
        return {"backbone": self.backbone, "objectives": self.objectives, "rows_at_once": self.rows_at_once}


def _check_objectives(objectives):
    objectives = list(objectives) if isinstance(objectives, list | tuple) else [objectives]
    for objective in objectives:
        if not isinstance(objective, Objective):
            raise TypeError(f"An objective is an object from `mk.pretraining`. Received: {objective!r:.100}")
    names = [objective.name for objective in objectives]
    if not names or len(set(names)) < len(names):
        raise ValueError(
            f"A Pretrainer has at least one objective, and several differ in their names: give them `name=`. "
            f"Received: {names}"
        )
    return objectives


def _find_used(backbone, objectives):
    """By name of the input which Features of its encoder some objective reads."""
    used = {name: set() for name in backbone.encoders}
    for objective in objectives:
        for name, keys in objective.used_features(backbone).items():
            used[name] |= keys & set(FEATURES)
    return {name: keys | {"present"} for name, keys in used.items()}


def _find_unused(backbone, objectives, used):
    """The weights of the backbone that no objective reads."""
    unused = backbone.find_unused(used)
    if not any(objective.reads_fused for objective in objectives):
        encoders = {id(weight) for encoder in backbone.encoders.values() for weight in encoder.weights}
        unused += [weight for weight in backbone.weights if id(weight) not in encoders]
    return unused
