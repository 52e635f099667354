"""Layers and weights by path, and moving weights from one model to another."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import keras
import numpy as np


class Moved(NamedTuple):
    """What `move_weights` did, by path.

    Attributes:
        moved: weights that got the values of the other model.
        missing: weights that the other model does not have; they stay as they were.
        misshapen: weights that both have, in different shapes; they stay as they were.
        unused: weights of the other model that this one does not have.
    """

    moved: list[str]
    missing: list[str]
    misshapen: list[str]
    unused: list[str]


def walk_layers(model: keras.layers.Layer, prefix: str = "") -> Iterator[tuple[str, keras.layers.Layer]]:
    """Every layer of a model with its path, and the layers inside of layers; each comes before those inside of it.

    A path does not depend on what else was made in this process: layers without a name, which Keras counts, are counted
    within the model.
    """
    backbone = getattr(model, "backbone", model)
    fusion = getattr(backbone, "fusion", None)
    counts = Counter()
    layers = model.layers if isinstance(model, keras.Model) else model._layers
    if backbone is not model:  # also those that the answer of this model does not need
        known = set(map(id, layers))
        layers = [*layers, *(layer for layer in backbone.layers if id(layer) not in known)]
    for layer in layers:
        name = "fusion" if layer is fusion else layer.name
        default = _name_by_default(layer)
        if re.fullmatch(rf"{default}(_\d+)?", name):
            name = f"{default}_{counts[default]}" if counts[default] else default
            counts[default] += 1
        yield f"{prefix}{name}", layer
        yield from walk_layers(layer, f"{prefix}{name}/")


def _name_by_default(layer):
    """What Keras calls a layer without a name, before it counts: MyLayer is my_layer."""
    words = re.sub(r"\W+", "", type(layer).__name__)
    words = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", words)
    return re.sub("([a-z])([A-Z])", r"\1_\2", words).lower()


def list_weights(model: keras.Model) -> dict[str, keras.Variable]:
    """The weights of a functional model by path: the layers that they are in, and their own name.

    Example:

    >>> image = mk.Image(size=8, encoder=mk.encoders.ImageCNN(units=4, filters=[2]))
    >>> list(mk.weights.list_weights(image.build_encoder("image")))[:2]
    ['block1_conv/kernel', 'block1_norm/gamma']
    """
    paths = {}  # of the innermost layer that a weight is in
    for path, layer in walk_layers(model):
        paths.update({id(weight): f"{path}/{weight.name}" for weight in layer.weights})
    return {paths[id(weight)]: weight for weight in model.weights}


def assign_weights(model: keras.Model, values: Mapping[str, np.ndarray]):
    """Sets every weight of a model.

    Raises:
        ValueError: when a path is missing or unknown, or a shape differs; nothing is set then.
    """
    weights = list_weights(model)
    wrong = sorted(set(weights) ^ set(values))
    wrong += [path for path in weights.keys() & values.keys() if tuple(weights[path].shape) != values[path].shape]
    if wrong:
        raise ValueError(f"The weights do not fit the model {model.name}: {wrong[:5]} of {len(wrong)} paths differ.")
    for path, value in values.items():
        weights[path].assign(value)


def move_weights(source: keras.Model, target: keras.Model) -> Moved:
    """Gives weights of one model to those of the same path and shape in another.

    Args:
        source: the model to take weights from, such as a pretrained `mk.Backbone`.
        target: the model that gets them.

    Returns: `Moved`, which lists by path what was moved and what was not.

    Example:

    >>> trained, fresh = (mk.Backbone({"image": mk.Image(size=8)}, mk.fusion.Product(units)) for units in (8, 16))
    >>> moved = mk.move_weights(trained, fresh)
    >>> len(moved.moved) > 0, moved.misshapen[:1]
    (True, ['fusion/image_projection/kernel'])
    """
    given, own = list_weights(source), list_weights(target)
    moved = Moved([], [], [], sorted(given.keys() - own.keys()))
    for path, variable in own.items():
        if path not in given:
            moved.missing.append(path)
        elif given[path].shape != variable.shape:
            moved.misshapen.append(path)
        else:
            variable.assign(given[path])
            moved.moved.append(path)
    return moved
