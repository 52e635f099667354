"""What every task does: a backbone, a head, and what is predicted."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import keras
import numpy as np
import tensorflow as tf

from mmkeras.backbone import Backbone
from mmkeras.data import Source, read
from mmkeras.data.names import name_uniquely, refuse_unknown
from mmkeras.data.numbers import parse_number
from mmkeras.data.report import Finding
from mmkeras.distribute import enter
from mmkeras.distribute.replicas import average_rows, count_replicas, gather_rows
from mmkeras.distribute.strategies import require_same_strategy
from mmkeras.features import FEATURES
from mmkeras.fusion.base import WHOLE, select_source
from mmkeras.modalities import Modality
from mmkeras.pipeline import DatasetOptions, check_rows, keep_usable, mix_batches, read_mixed
from mmkeras.row_model import RowModel, adapt_modalities, check_modalities
from mmkeras.targets import Target
from mmkeras.tasks.evaluation import Evaluation, evaluate, find_disagreement
from mmkeras.tasks.side_losses import SideTensors, measure_alignment, measure_branches, read_side_tensors
from mmkeras.training import TrainedModel
from mmkeras.training.schedules import CosineToEnd

AUXILIARY_WEIGHT = 0.5  # by benchmarks/fusion.py


class Task(TrainedModel, RowModel):
    """A backbone, a head that gives logits, and a target that makes answers of them, as one functional Keras model.

    A subclass names in `target_class` what it predicts, which is how `mk.fit` finds it, and makes it in `make_target`
    from the arguments `target_arguments` of `from_source`.

    Args:
        backbone: a `Backbone`; tasks on the same one share its variables.
        target: what is predicted, an adapted `Target`.
        head: a layer from Features to logits.
        auxiliary_weight: weight of the losses of heads that see one modality alone, so that none is left unlearned
            beside a stronger one (their mean is added to the loss in training); 0 for none.
        alignment_weight: weight of a loss that draws the vectors of the modalities of one row together and those of
            rows with another truth apart (InfoNCE, added in training); 0 for none.
        name: of the model.

    Attributes:
        backbone, target, head, auxiliary_weight, alignment_weight: as given.
        used_features: by name of the input which Features of its encoder the answer depends on, or a loss of training.
        report: what `mk.fit` found, a `mk.FitReport`; None for a model that it did not make, or that was loaded.
    """

    report = None
    target_class: type[Target]
    target_arguments: Sequence[str] = ()

    def __init__(
        self,
        backbone: Backbone,
        target: Target,
        head,
        auxiliary_weight: float = AUXILIARY_WEIGHT,
        alignment_weight: float = 0.0,
        name=None,
    ):
        for key, weight in {"auxiliary_weight": auxiliary_weight, "alignment_weight": alignment_weight}.items():
            if not weight >= 0:
                raise ValueError(f"`{key}` is 0 or more. Received: {key}={weight}")
        taken = {layer.name for layer in backbone.layers} | set(backbone.input)
        output_name = name_uniquely(target.output_name, taken)

        # === Functional model ===
        require_same_strategy(backbone, "backbone")
        _require_features(backbone, head)
        if backbone.fusion.needs_classes and not target.has_classes:
            raise ValueError(
                f"{type(backbone.fusion).__name__} joins answers that are one class each, and {type(self).__name__} "
                f"predicts others. Use a fusion that takes any, such as 'mean_logits'. Received: target={target!r}"
            )
        is_fused = len(backbone.modalities) > 1
        has_branches = is_fused and auxiliary_weight > 0
        logits, branches = backbone.fusion.connect(
            backbone.output, head, encoded=backbone.encoded if has_branches else None
        )
        mask = select_source(backbone.output, head.source)["mask"] if head.per_token else None
        output = target.activate(logits, mask, output_name)
        is_aligned = is_fused and alignment_weight > 0
        if branches or is_aligned:
            answers = {key: target.activate(value, name=f"{head.name}-{key}-answer") for key, value in branches.items()}
            vectors = _connect_vectors(backbone, head.name) if is_aligned else {}
            present = {key: features["present"] for key, features in backbone.encoded.items()}
            side = SideTensors(name=f"{head.name}-side", dtype="float32")
            if isinstance(output, Mapping):
                first = min(output)
                output = {**output, first: side(output[first], answers, vectors, present)}
            else:
                output = side(output, answers, vectors, present)
        super().__init__(inputs=backbone.input, outputs=output, name=name)

        # === Config ===
        self.set_row_parts(backbone.modalities, target, (layer.name for layer in backbone.layers))
        self.backbone = backbone
        self.head = head
        self.auxiliary_weight = auxiliary_weight
        self.alignment_weight = alignment_weight
        self.used_features = MappingProxyType(_find_used(backbone, head, bool(branches), is_aligned))
        unused = backbone.find_unused(self.used_features)
        self.prepare_training(unused if head.source in WHOLE else unused + _find_unreached(self, backbone.fusion))

    @property
    def fusion(self):
        """The fusion of the backbone."""
        return self.backbone.fusion

    @classmethod
    def make_target(cls, target, **arguments) -> Target:
        """A `Target` from the name of a column, or as given."""
        raise NotImplementedError

    @classmethod
    def from_source(
        cls,
        source: Source,
        modalities: Mapping[str, Modality] | None = None,
        target=None,
        *,
        backbone: Backbone | None = None,
        optimizer=None,
        loss=None,
        strategy: str | tf.distribute.Strategy | None = None,
        **kwargs,
    ):
        """A compiled task that has learned from the training rows what its modalities and its target need to know.

        Rows that cannot be used (see `mk.check`) teach nothing.

        Args:
            source: the training rows.
            modalities: dict from input name to `Modality`; they are copied, so the same declaration serves several
                tasks.
            target: the column to predict, or an object from `mk.targets`; None for that of the source.
            backbone: a `Backbone` to build on, in place of `modalities`.
            optimizer: as for `compile`; None for Adam at a rate that falls from 0.002 to 0 over each call of `fit`
                (`mk.schedules.CosineToEnd`).
            loss: as for `compile`; None for what the task needs.
            strategy: to train on several devices or machines, an object or the name of a kind: see
                `mk.distribute.strategy`; None for the one whose scope is open.
            kwargs: arguments of the constructor.

        Raises:
            ValueError: when the source has no such column; when no usable row is left.
            TypeError: for an unknown argument.
        """
        refuse_unknown(cls, kwargs)  # before any work is done
        if (modalities is None) == (backbone is None):
            raise ValueError("A task is built from `modalities`, or on a `backbone`: give one of them.")
        target = source.target if target is None else target
        if target is None:
            raise ValueError(f"{source.name} has no target column: name it by from_source(..., target='<column>').")
        target = cls.make_target(target, **{key: kwargs.pop(key) for key in cls.target_arguments if key in kwargs})
        target = type(target).from_config(target.get_config())  # what is given stays as it is
        declared = check_modalities(modalities) if backbone is None else backbone.modalities
        usable = keep_usable(source, check_rows(source, declared))
        if not target.is_adapted:
            target.adapt(usable.values(target.columns))
        usable = keep_usable(usable, check_rows(usable, {}, target))
        if backbone is None:
            kwargs["modalities"] = adapt_modalities(modalities, usable, target)
        else:
            kwargs["backbone"] = backbone
        with enter(strategy):
            task = cls(target=target, **kwargs)
            task.compile_default(optimizer, loss)
        return task

    def compile_default(self, optimizer=None, loss=None):
        """`compile` with what `from_source` takes where nothing is given."""
        optimizer = optimizer or keras.optimizers.Adam(CosineToEnd())
        metrics = self.target.default_metrics
        metrics = dict(metrics) if isinstance(metrics, Mapping) else list(metrics)
        self.compile(optimizer, loss or self.target.default_loss, metrics=metrics)

    def dataset(
        self,
        source: Source,
        batch_size: int = 32,
        sample_weight: str | None = None,
        mixup: float = 0.0,
        **options,
    ) -> tf.data.Dataset:
        """Raw rows to what `fit`, `evaluate` and `predict` take.

        Rows with a bad cell are left out; a warning says how many, and why. A missing cell is no bad cell.

        Args:
            source: the rows, or the `Records` of them. Where they have the column of the target, and it is not empty,
                the dataset holds `(tensors, targets)`, else `tensors` alone.
            batch_size: rows a batch.
            sample_weight: a column with a weight for each row, a number of 0 or more; the dataset then holds
                `(tensors, targets, weights)`.
            mixup: mixes each row of images, sounds and videos with another of its batch, for training: about 0.2, the
                larger, the more evenly (Zhang et al., "mixup: Beyond Empirical Risk Minimization", 2018); 0 for none.
            options: `shuffle`, `cache`, `seed`, `deterministic`, `data_service`: see `mk.DatasetOptions`.

        Raises:
            ValueError: when no usable row is left.
            TypeError: for an unknown option.
        """
        options = DatasetOptions(batch_size=batch_size, **options)
        source = self.keep_usable(source)
        targets = self.encode_targets(source) if self.has_target(source) else None
        if sample_weight is not None:
            if targets is None:
                raise ValueError(f"Weights go with a target, and the rows have no {self.target.columns}.")
            targets = targets, _read_weights(source, sample_weight)
        dataset = self.make_dataset(source, targets, options)
        if not mixup:
            return dataset
        if targets is None:
            raise ValueError(f"Rows are mixed with their targets, and these have no {list(self.target.columns)}.")
        return mix_batches(dataset, self.modalities, mixup)

    def training_rows(self, source: Source, batch_size: int) -> tuple:
        if not self.has_target(source):
            raise ValueError(f"{self.name} learns from labels, and the rows have no {list(self.target.columns)}.")
        source = self.keep_usable(source, stacklevel=3)
        return source, self.encode_targets(source)

    def evaluate_rows(self, source: Source, batch_size: int = 256) -> Evaluation:
        """How good the model is on labeled rows; beside it each modality alone, and the best constant answer.

        Args:
            source: the rows; those with a bad cell or without a label are left out, and a warning says how many.
            batch_size: rows a batch.

        Returns: an `Evaluation`; print it to read it.

        Raises:
            ValueError: when the rows have no label.
        """
        if not self.has_target(source):
            raise ValueError(f"The rows to measure on have no {list(self.target.columns)}. Received: {source.name}")
        source = self.keep_usable(source)
        options = DatasetOptions(batch_size=batch_size)
        return evaluate(self, self.make_dataset(source, self.encode_targets(source), options))

    def disagreement(self, rows: Sequence[Mapping] | Source, batch_size: int = 256) -> list[dict]:
        """What each modality says alone, and how far these answers contradict each other; the farthest rows first.

        A modality alone is the row with all others missing. Where they contradict each other, a label may be wrong, a
        file may belong to another row, or the modalities really tell different things.

        Args:
            rows: as for `predict_rows`.
            batch_size: rows a batch.

        Returns: for each row a dict of its `index`; `disagreement`, 0 where the answers agree or there is but one: of a
            classifier the Jensen-Shannon divergence of their probabilities, up to 1, of a regressor their standard
            deviation in deviations of the column; and `answers`, for each modality that the row has what `predict_rows`
            says of it alone.

        Raises:
            ValueError: names every bad cell.
        """
        if not len(rows):
            return []
        source = rows if isinstance(rows, Source) else read(self._name_columns(rows)).with_columns(self.columns)
        self.require_answerable(source)
        return find_disagreement(self, self.make_dataset(source, None, DatasetOptions(batch_size=batch_size)))

    def prepare_compile(self, arguments):
        """Metrics as the target takes them. A classifier also takes metrics that want one label a class, such as
        `keras.metrics.AUC()`, and by name `"auroc"`, `"balanced_accuracy"`, `"macro_f1"`, `"log_loss"` and others of
        `mmkeras.metrics.fit_labels`. From here on `predict_rows` sees what changed in the layers, as `predict` does.
        """
        self.reset_graph()
        metrics = {key: self.target.prepare_metrics(arguments[key]) for key in ("metrics", "weighted_metrics")}
        return {**arguments, **metrics}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Keras's, on what the target prepared of truth and output; in training with the losses of each modality alone
        and of their alignment. Of rows that were mixed it is the mean by their shares.
        """
        loss = self._compute_own_loss(x, y, y_pred, sample_weight, training)
        return average_rows(loss, tf.shape(keras.tree.flatten(y_pred)[0])[0])

    def _compute_own_loss(self, x, y, y_pred, sample_weight, training):
        """Of the rows of this replica, divided by the number of replicas, as Keras's losses all are."""
        if mixed := read_mixed(y):
            first, second, share = mixed
            weight = 1.0 if sample_weight is None else sample_weight
            return self._compute_own_loss(x, first, y_pred, weight * share, training) + self._compute_own_loss(
                x, second, y_pred, weight * (1 - share), training
            )
        weights = self.target.weigh(y, sample_weight)
        loss = super().compute_loss(x, *self.target.prepare_loss(y, y_pred), weights, training)
        if not training:
            return loss
        side = read_side_tensors(y_pred)
        if side["branches"]:
            branches = [(*self.target.prepare_loss(y, answer), present) for answer, present in side["branches"]]
            loss += self.auxiliary_weight * measure_branches(self.loss, branches, weights)
        if side["vectors"]:  # rows are compared with those of all replicas
            compared = gather_rows((y, side["vectors"], sample_weight))
            loss += self.alignment_weight / count_replicas() * measure_alignment(*compared)
        return loss

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """Keras's; of rows that were mixed the first of both truths counts, which is that of the larger part."""
        mixed = read_mixed(y)
        return super().compute_metrics(x, mixed[0] if mixed else y, y_pred, sample_weight)

    def list_parts(self):
        return {
            "backbone": self.backbone,
            "target": self.target,
            "auxiliary_weight": self.auxiliary_weight,
            "alignment_weight": self.alignment_weight,
        }


def _require_features(backbone, head):
    known = {*WHOLE, *backbone.modalities}
    if head.source not in known:
        raise ValueError(f"`source` of a head is one of {sorted(known)}. Received: source={head.source!r}")
    if lacking := set(head.feature_keys) - set(backbone.feature_keys):
        raise ValueError(
            f"{type(head).__name__} reads {sorted(lacking)}, which the backbone does not give. "
            f"Received: feature_keys={backbone.feature_keys}"
        )


def _connect_vectors(backbone, prefix):
    """For each modality a projection of its pooled vector, of one size for all."""
    size = min(features["pooled"].shape[-1] for features in backbone.encoded.values())
    return {
        key: keras.layers.Dense(size, use_bias=False, name=f"{prefix}-{key}-vector", dtype="float32")(
            features["pooled"]
        )
        for key, features in backbone.encoded.items()
    }


def _find_used(backbone, head, with_branches, is_aligned):
    """By name of the input the Features of its encoder that an answer depends on, or a loss of training."""
    fusion = backbone.fusion
    used = {name: {*fusion.feature_keys, "present"} for name in backbone.modalities}
    for name in used:
        if with_branches or (fusion.passes_on and head.source in (name, "all")):
            used[name] |= set(head.feature_keys)
        if is_aligned:
            used[name].add("pooled")
    return {name: keys & set(FEATURES) for name, keys in used.items()}


def _find_unreached(model, fusion):
    """The weights of the fusion that the answer does not depend on, because the head reads one input alone.

    A fusion is one layer of the graph, so that what depends on what inside of it is found by the gradients of a row.
    """
    row = {name: tf.ones((1, *tensor.shape[1:]), tensor.dtype) for name, tensor in model.input.items()}
    with tf.GradientTape() as tape:
        total = sum(tf.reduce_sum(output) for output in keras.tree.flatten(model(row, training=False)))
    gradients = tape.gradient(total, [weight.value for weight in fusion.trainable_weights])
    return [weight for weight, gradient in zip(fusion.trainable_weights, gradients, strict=True) if gradient is None]


def _read_weights(source, column):
    cells = source.values([column])
    weights = [parse_number(cell) for cell in cells]
    for index, weight in enumerate(weights):
        if weight is None or weight < 0:
            finding = Finding("no weight", "it is no number of 0 or more", "correct it", True)
            raise ValueError(str(source.describe_problem(index, column, str(cells[index]), finding)))
    return np.array(weights, "float32")


def find_task(target: Target) -> type[Task]:
    """The task that predicts a target of this class.

    Raises:
        TypeError: when there is none.
    """
    tasks = {kind.__dict__["target_class"]: kind for kind in _list_tasks(Task) if "target_class" in kind.__dict__}
    if type(target) not in tasks:
        known = ", ".join(sorted(kind.__name__ for kind in tasks))
        raise TypeError(f"No task predicts this target; there are tasks for {known}. Received: target={target!r}")
    return tasks[type(target)]


def _list_tasks(kind):
    for subclass in kind.__subclasses__():
        yield subclass
        yield from _list_tasks(subclass)
