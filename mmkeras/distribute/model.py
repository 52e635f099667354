"""`fit` under strategies: what is missing in Keras 3."""

import keras
import tensorflow as tf

from mmkeras.distribute.replicas import clip_the_sum, synchronize
from mmkeras.distribute.strategies import require_known_strategy

_MEANS = ("sum_over_batch_size", "mean")


class DistributedModel:
    """What a Keras model needs beside its base to train under a strategy as on one device, where it changes nothing."""

    def _prepare_replicas(self):
        """What the constructor of a model ends with."""
        require_known_strategy()
        synchronize(self)

    def _adopt(self, optimizer):
        """The optimizer, or one like it whose variables are on all replicas, where it was made outside of the scope."""
        made_under = getattr(optimizer, "_distribution_strategy", self.distribute_strategy)
        if made_under is self.distribute_strategy or getattr(optimizer, "built", False):
            return optimizer
        with self.distribute_strategy.scope():
            return type(optimizer).from_config(optimizer.get_config())

    def _refuse_on_replicas(self, optimizer, loss, jit_compile):
        """What `compile` begins with.

        Raises:
            ValueError: for what cannot be done, or would be something else, on several replicas.
        """
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

    def _clip_on_replicas(self):
        """What `compile` ends with."""
        if self.distribute_strategy.num_replicas_in_sync > 1 and self.optimizer is not None:
            clip_the_sum(self.optimizer)

    def _require_own_strategy(self, method):
        current = tf.distribute.get_strategy() if tf.distribute.has_strategy() else None
        if current is not None and current is not self._distribute_strategy:
            own = self._distribute_strategy
            raise ValueError(
                f"`{method}` was called under {type(current).__name__}, and the model was built before it, or under "
                f"another. Build the model under the scope too: from_source(..., strategy=...). "
                f"Received: a model of {type(own).__name__ if own else 'no strategy'}"
            )

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        # Keras builds by the mean of the first batch over the replicas (TensorFlowTrainer._maybe_symbolic_build,
        # `strategy.reduce("MEAN", ...)`), which flags do not have, with several workers fails, and for which the order
        # of the rows is drawn once more than on one device. Shapes and dtypes are all that it takes.
        if self._distribute_strategy is not None and iterator is not None:
            specs = iterator.data_adapter.get_tf_dataset().element_spec
            iterator, data_batch = None, tf.nest.map_structure(_find_spec_of_a_replica, specs)
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
