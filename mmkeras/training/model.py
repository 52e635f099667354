"""The one base of models that train a backbone."""

from collections.abc import Mapping

import keras
import tensorflow as tf

from mmkeras.data import Source
from mmkeras.distribute.replicas import clip_the_sum, synchronize
from mmkeras.distribute.strategies import require_known_strategy
from mmkeras.state import apply_state, read_state
from mmkeras.training.optimizers import RatesByPart
from mmkeras.training.planning import plan_fit
from mmkeras.weights import list_weights, walk_layers

_MEANS = ("sum_over_batch_size", "mean")


class TrainedModel:
    """A base, before one of Keras, of models that train a backbone: `compile`, `fit`, and a configuration with state.

    It trains under a strategy as on one device. Layers that serve only Features which a model does not read get no
    gradient, and are not among its trainable weights.

    A subclass calls `prepare_training` at the end of its constructor, and lists its arguments in `list_parts`.

    Attributes:
        backbone: the shared `Backbone`.
        used_features: by name of the input which Features of its encoder a loss depends on.
        reads_contents: whether the outputs need what goes into an encoder, besides what comes out of it.
        loss_metrics: what `compute_loss` measures, in the order of the log.
    """

    reads_contents = False
    loss_metrics = ()
    _unused = frozenset()

    def prepare_training(self, unused=()):
        """What the constructor of a model ends with.

        Args:
            unused: the variables that no loss depends on.
        """
        self._unused = frozenset(map(id, unused))
        require_known_strategy()
        synchronize(self)

    def training_callbacks(self) -> list:
        """What `fit` adds to the callbacks of the caller."""
        return []

    def training_rows(self, source: Source, batch_size: int) -> tuple:
        """The rows to learn from, without those that are left out, which a warning counts; and their targets or None.

        Raises:
            ValueError: for rows that nothing learns from.
        """
        raise NotImplementedError

    def prepare_compile(self, arguments: dict) -> dict:
        """The arguments of `compile` as Keras takes them.

        Raises:
            ValueError: for arguments that this model does not take.
        """
        return arguments

    def bind_optimizer(self):
        """Gives an optimizer with rates by part the names of the weights."""
        if isinstance(self.optimizer, RatesByPart):
            branches = {name: encoder.name for name, encoder in self.backbone.encoders.items()}
            self.optimizer.bind(list_weights(self), branches)

    def list_parts(self) -> dict:
        """The constructor arguments besides `name`."""
        raise NotImplementedError

    # === Which weights are trained ===

    @property
    def trainable_variables(self):
        return [variable for variable in super().trainable_variables if id(variable) not in self._unused]

    @property
    def trainable_weights(self):
        return [variable for variable in super().trainable_weights if id(variable) not in self._unused]

    @property
    def non_trainable_variables(self):
        trained = {id(variable) for variable in self.trainable_variables}
        return [variable for variable in self.variables if id(variable) not in trained]

    @property
    def non_trainable_weights(self):
        trained = {id(variable) for variable in self.trainable_variables}
        return [variable for variable in self.weights if id(variable) not in trained]

    # === Compile and fit ===

    def compile(
        self, optimizer="rmsprop", loss=None, loss_weights=None, metrics=None, weighted_metrics=None, *args, **kwargs
    ):
        """Keras's."""
        self._refuse_on_replicas(optimizer, loss, kwargs.get("jit_compile"))
        given = {"loss": loss, "loss_weights": loss_weights, "metrics": metrics, "weighted_metrics": weighted_metrics}
        with self.distribute_strategy.scope():
            super().compile(self._adopt(optimizer), *self.prepare_compile(given).values(), *args, **kwargs)
        self.bind_optimizer()
        if self.distribute_strategy.num_replicas_in_sync > 1 and self.optimizer is not None:
            clip_the_sum(self.optimizer)

    def compile_from_config(self, config):
        """Keras's, which leaves out models with a `compile` of their own."""
        with self.distribute_strategy.scope():
            self.compile(**keras.saving.deserialize_keras_object(config))
            if self.optimizer is not None and self.built:
                self.optimizer.build(self.trainable_variables)

    def fit(self, x=None, y=None, batch_size=None, epochs=1, **kwargs):
        """Keras's; a `CosineToEnd` is given the number of steps.

        Raises:
            ValueError: names the batch after which the loss is no finite number, and the inputs that hold such.
        """
        self._require_tensors(x, "fit")
        self._require_tensors(kwargs.get("validation_data"), "fit")
        return super().fit(x, y, batch_size, epochs, **plan_fit(self, x, y, batch_size, epochs, kwargs))

    def evaluate(self, x=None, *args, **kwargs):
        self._require_tensors(x, "evaluate")
        return super().evaluate(x, *args, **kwargs)

    def predict(self, x, *args, **kwargs):
        self._require_tensors(x, "predict")
        return super().predict(x, *args, **kwargs)

    def _require_tensors(self, x, method):
        if isinstance(x, Source):
            raise TypeError(
                f"`{method}` takes tensors, which `dataset` makes of rows: model.{method}(model.dataset(source))"
                + ("; or model.predict_rows(source)" if method == "predict" else "")
            )
        current = tf.distribute.get_strategy() if tf.distribute.has_strategy() else None
        if current is not None and current is not self._distribute_strategy:
            own = self._distribute_strategy
            raise ValueError(
                f"`{method}` was called under {type(current).__name__}, and the model was built before it, or under "
                f"another. Build the model under the scope too: from_source(..., strategy=...). "
                f"Received: a model of {type(own).__name__ if own else 'no strategy'}"
            )

    # === Config ===

    def get_config(self):
        # Not chained to the base, which would describe the functional graph; the parts describe it better.
        inside = dict(walk_layers(self.backbone))
        state = {path: changed for path, changed in read_state(self).items() if path not in inside}
        parts = {key: keras.saving.serialize_keras_object(part) for key, part in self.list_parts().items()}
        return {**parts, "name": self.name, "state": state}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        parts = {
            key: keras.saving.deserialize_keras_object(part, custom_objects) if _is_serialized(part) else part
            for key, part in config.items()
            if key != "state"
        }
        model = cls(**parts)
        apply_state(model, {**read_state(model), **config["state"]})
        return model

    # === Several replicas ===

    def _adopt(self, optimizer):
        """The optimizer, or one like it whose variables are on all replicas, where it was made outside of the scope."""
        made_under = getattr(optimizer, "_distribution_strategy", self.distribute_strategy)
        if made_under is self.distribute_strategy or getattr(optimizer, "built", False):
            return optimizer
        with self.distribute_strategy.scope():
            return type(optimizer).from_config(optimizer.get_config())

    def _refuse_on_replicas(self, optimizer, loss, jit_compile):
        """Raises for what cannot be done, or would be something else, on several replicas."""
        if self.distribute_strategy.num_replicas_in_sync == 1:
            return
        if jit_compile is True:
            raise ValueError(
                f"XLA does not compile a step of {type(self.distribute_strategy).__name__}: leave `jit_compile` out, "
                "or train on one device. Received: jit_compile=True"
            )
        for each in keras.tree.flatten(loss):
            reduction = getattr(each, "reduction", _MEANS[0])
            if reduction not in _MEANS:
                raise ValueError(
                    f"On several replicas a loss is the mean over the rows: reduction='{_MEANS[0]}'. "
                    f"Received: {type(each).__name__}(reduction={reduction!r})"
                )
        if steps := getattr(optimizer, "gradient_accumulation_steps", None):
            raise ValueError(
                "Keras does not accumulate gradients on several replicas: they divide a batch among them already, so "
                f"give a larger `batch_size`. Received: gradient_accumulation_steps={steps}"
            )

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        # Under a strategy Keras builds by the mean of the first batch over the replicas
        # (TensorFlowTrainer._maybe_symbolic_build, `strategy.reduce("MEAN", ...)`), which flags do not have, with
        # several workers fails, and for which the order of the rows is drawn once more than on one device. Without one
        # it builds nothing, so that the variables of optimizer, loss and metrics are made while the step is traced,
        # and it is traced a second time. Shapes and dtypes are all that it takes.
        if iterator is not None:
            specs = iterator.data_adapter.get_tf_dataset().element_spec
            iterator, data_batch = None, tf.nest.map_structure(_find_spec_of_a_replica, specs)
            if self._distribute_strategy is None:
                self._symbolic_build(data_batch=data_batch)
        super()._maybe_symbolic_build(iterator, data_batch)

    def predict_on_batch(self, x):
        # Keras gives every replica the whole batch, and returns the answers of all, one after the other
        # (TensorFlowTrainer.predict_on_batch, "concat").
        outputs, rows = super().predict_on_batch(x), len(keras.tree.flatten(x)[0])
        return keras.tree.map_structure(lambda array: array[:rows], outputs)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        # With several workers Keras reduces metrics along their first axis, which scalars do not have (trainer.py,
        # reduce_per_replica, `strategy.reduce("MEAN", v, axis=0)`): each gets one.
        found = super().compute_metrics(x, y, y_pred, sample_weight)
        strategy = self._distribute_strategy
        if (
            not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
            or tf.distribute.in_cross_replica_context()
        ):
            return found
        return keras.tree.map_structure(lambda value: keras.ops.expand_dims(value, 0), found)


def _find_spec_of_a_replica(spec):
    """Of a dataset that the user has distributed; the spec itself of any other."""
    return getattr(spec, "_value_specs", [spec])[0]


def _is_serialized(part):
    return isinstance(part, Mapping | list | tuple)
