import json
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from mmkeras.backbone import Backbone
from mmkeras.data import Source
from mmkeras.pretraining import Objective, Pretrainer
from mmkeras.testing.requirements import require


def check_objective(objective: Objective, backbone: Backbone, source: Source, before: Sequence[Objective] = ()):
    """Checks what holds for every objective of pre-training, on a backbone and rows that it suits.

    A copy from the configuration is the same; the loss and the declared metrics are finite; a row that lacks what the
    objective is about does not count; layers that it adds carry its name; and every weight that it adds learns.

    Args:
        objective: the objective.
        backbone: reads its inputs.
        source: rows that have all of the inputs.
        before: objectives that it is connected after.
    """
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(objective)))
    copy = keras.saving.deserialize_keras_object(config)
    require(copy.get_config() == objective.get_config(), "a copy from the configuration has another one")
    require(repr(copy) == repr(objective) and " object at 0x" not in repr(objective), f"it is shown as {objective!r}")
    require(objective.needs_row(dict.fromkeys(backbone.modalities, True)), "it does not learn from a whole row")
    require(not objective.needs_row(dict.fromkeys(backbone.modalities, False)), "it learns from an empty row")
    require(set(objective.used_features(backbone)) <= set(backbone.modalities), "it uses inputs that are not there")

    known = {id(weight) for weight in backbone.weights}
    pretrainer = Pretrainer(backbone, [*before, objective])
    layers = {layer.name for layer in backbone.layers} | {
        name for each in before for name in _list_layers(pretrainer, each)
    }
    named = [layer.name for layer in pretrainer.layers if layer.weights and layer.name not in layers]
    require(all(name.startswith(objective.name) for name in named), f"it adds layers that are called {named}")

    pretrainer.compile(keras.optimizers.Adam(0.01))
    own = [weight for weight in pretrainer.trainable_variables if id(weight) not in known]
    values = [weight.numpy() for weight in own]
    history = pretrainer.fit(pretrainer.dataset(source, max(2, len(source) // 2)), epochs=2, verbose=0).history
    prefix = f"{objective.name}_"
    found = {name.removeprefix(prefix) for name in history if name.startswith(prefix)}
    require({*objective.metric_names, "counted"} <= found, f"it measures {sorted(found)}")
    wrong = {name: numbers for name, numbers in history.items() if not np.all(np.isfinite(numbers))}
    require(not wrong, f"not finite: {wrong}")
    require(history[f"{prefix}counted"][0] > 0, "no row counted")
    same = [weight.path for weight, value in zip(own, values, strict=True) if np.array_equal(weight.numpy(), value)]
    require(not same, f"no gradient reaches {same}")
    _check_absence(pretrainer, objective, source)


def _list_layers(pretrainer, objective):
    return [layer.name for layer in pretrainer.layers if layer.name.startswith(objective.name)]


def _check_absence(pretrainer, objective, source):
    """Rows that lack the inputs of the objective count for nothing."""
    tensors = next(iter(pretrainer.dataset(source, len(source))))
    absent = {f"{name}_present": tf.zeros(len(source), tf.bool) for name in objective.inputs}
    outputs = pretrainer({**tensors, **absent}, training=False)
    measured = objective.measure(outputs[objective.name])
    require(float(measured.count) == 0, f"{float(measured.count)} rows count that lack {list(objective.inputs)}")
    require(np.isfinite(float(measured.loss)), "the loss of rows that do not count is not finite")
