"""Optimizers of Keras with learning rates of their own for parts of a model."""

from collections.abc import Mapping

import keras
import tensorflow as tf


class RatesByPart:
    """What an optimizer of Keras lacks: the rate of a weight is the optimizer's times a factor of the part it is in.

    Weight decay takes the same factor. Clipping, accumulation of gradients and moving averages are the optimizer's own.

    Args:
        rates: factor by path of the part, as `by_part` takes it.
        args, kwargs: of the optimizer.
    """

    def __init__(self, *args, rates: Mapping[str, float] | None = None, **kwargs):
        super().__init__(*args, **kwargs)
        self.rates = dict(rates or {})
        self._factors = {}

    def bind(self, weights: Mapping[str, keras.Variable], branches: Mapping[str, str]):
        """Says what the weights of a model are called; `compile` of a task does.

        Args:
            weights: by path, as `mmkeras.weights.list_weights` gives them.
            branches: the layer that encodes an input, by name of the input.

        Raises:
            ValueError: for a part that the model does not have.
        """
        self._factors, unused, paths = {}, set(self.rates), {}
        for part in self.rates:
            first, *rest = part.split("/")
            paths[part] = "/".join([branches.get(first, first), *rest])
        for path, weight in weights.items():
            inside = [part for part, start in paths.items() if path == start or path.startswith(f"{start}/")]
            unused -= set(inside)
            if inside:
                longest = max(inside, key=lambda part: len(paths[part]))
                self._factors[id(weight)] = self.rates[longest]
        if unused:
            parts = sorted({path.split("/")[0] for path in weights} - set(branches.values()))
            raise ValueError(
                f"A part is an input, {sorted(branches)}, or a layer, {parts}, or a path inside of one. "
                f"Received: rates of {sorted(unused)}"
            )

    def _find_factor(self, variable):
        return self._factors.get(id(self._trainable_variables[self._get_variable_index(variable)]), 1.0)

    def update_step(self, gradient, variable, learning_rate):
        return super().update_step(gradient, variable, learning_rate * self._find_factor(variable))

    def _apply_weight_decay(self, variables):
        # Not Keras's with another `weight_decay` for a while: replicas run in threads that share the optimizer.
        if self.weight_decay is None:
            return

        def decay(strategy, variables):
            for variable in filter(self._use_weight_decay, variables):
                share = tf.cast(self.learning_rate * self.weight_decay * self._find_factor(variable), variable.dtype)
                strategy.extended.update(
                    variable.value, lambda value, share: value.assign_sub(value * share), (share,), group=False
                )

        tf.__internal__.distribute.interim.maybe_merge_call(decay, self._distribution_strategy, variables)

    def get_config(self):
        return {**super().get_config(), "rates": self.rates}


def _make_class(kind):
    made = type(f"{kind.__name__}ByPart", (RatesByPart, kind), {"__doc__": RatesByPart.__doc__})
    return keras.saving.register_keras_serializable(package="mmkeras")(made)


_NAMES = ("SGD", "RMSprop", "Adam", "AdamW", "Adagrad", "Adadelta", "Adamax", "Nadam", "Ftrl", "Lion", "Lamb")
_CLASSES = {kind: _make_class(kind) for name in _NAMES if (kind := getattr(keras.optimizers, name, None))}


def by_part(optimizer: keras.optimizers.Optimizer, rates: Mapping[str, float]) -> keras.optimizers.Optimizer:
    """The optimizer, with another rate for parts of a model, to `compile` a task with.

    What was trained elsewhere takes smaller steps than what is new (Howard and Ruder, "Universal Language Model
    Fine-tuning for Text Classification", 2018, section 3.2).

    Args:
        optimizer: one of Keras; its rate may be a schedule.
        rates: dict from a part to the factor by which its rate differs, such as `{"text": 0.05}`. A part is the name of
            an input, of a layer, or a path into one, such as `"text/network/transformer_layer_0"`; the longest counts.

    Raises:
        TypeError: for another optimizer.
        ValueError: for a factor below 0; in `compile`, for a part that the model does not have.

    Example:

    >>> rates = mk.finetuning.by_part(keras.optimizers.Adam(1e-3), {"image": 0.1})
    >>> model = mk.Classifier({"image": mk.Image(size=8)}, ["a", "b"])
    >>> model.compile(rates, "sparse_categorical_crossentropy")
    """
    if type(optimizer) not in _CLASSES:
        raise TypeError(
            f"Rates by part are known of {', '.join(kind.__name__ for kind in _CLASSES)}. Received: {optimizer!r}"
        )
    if wrong := {part: factor for part, factor in rates.items() if not factor >= 0}:
        raise ValueError(f"A factor is 0 or more. Received: {wrong}")
    return _CLASSES[type(optimizer)].from_config({**optimizer.get_config(), "rates": dict(rates)})
