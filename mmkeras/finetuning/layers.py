"""Which layers of an encoder learn, and how."""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

import keras

from mmkeras.data.names import suggest
from mmkeras.weights import walk_layers

_ATTENTION = ("query", "value")


def freeze(model: keras.Model, name: str, layers: Sequence[str] | None = None):
    """Keeps layers of an encoder as they are in training; batch normalization keeps its statistics too.

    A compiled model is compiled anew, with the same arguments: its optimizer begins again.

    Args:
        model: a task or an `mk.Backbone`.
        name: of the input that the encoder reads.
        layers: paths in the encoder, also with `*` and `?`, such as `["network/*embedding*"]`, each with what is inside
            of it; None for all.

    Raises:
        ValueError: for an input or a path that is not there.

    Example:

    >>> model = mk.Classifier({"image": mk.Image(size=8)}, ["a", "b"])
    >>> mk.finetuning.freeze(model, "image")
    >>> len(model.backbone.encoders["image"].trainable_variables)
    0
    """
    set_trainable(model, name, layers, False)
    recompile(model)


def unfreeze(model: keras.Model, name: str, layers: Sequence[str] | None = None):
    """Lets layers of an encoder learn. See `freeze`."""
    set_trainable(model, name, layers, True)
    recompile(model)


def add_lora(model: keras.Model, name: str, rank: int = 8, layers: Sequence[str] = _ATTENTION):
    """Lets an encoder learn by small additions to some of its matrices, `W + A B` with A and B of a low rank.

    All else of the network that was trained elsewhere is frozen; of other encoders, all else. A saved model keeps the
    additions; in artifacts they cost nothing, for they are added up. Reference: Hu et al., "LoRA: Low-Rank Adaptation
    of Large Language Models" (2021).

    Args:
        model: a task or an `mk.Backbone`. A compiled one is compiled anew.
        name: of the input that the encoder reads.
        rank: of the additions.
        layers: names of the layers that get one, wherever they are in the encoder: dense ones and embeddings.

    Raises:
        ValueError: when the encoder has no such layer, or has additions already.

    Example:

    >>> model = mk.Classifier({"image": mk.Image(size=8)}, ["a", "b"])
    >>> mk.finetuning.add_lora(model, "image", rank=2, layers=["pooled_dense"])
    >>> sorted(v.name for v in model.backbone.encoders["image"].trainable_variables)
    ['bias', 'lora_kernel_a', 'lora_kernel_b']
    """
    encoder = find_encoder(model, name)
    inside = dict(walk_layers(encoder))
    able = {path: layer for path, layer in inside.items() if hasattr(layer, "enable_lora")}
    chosen = {path: layer for path, layer in able.items() if path.split("/")[-1] in layers}
    if not chosen:
        known = sorted({path.split("/")[-1] for path in able})
        raise ValueError(f"The encoder of '{name}' has no such layers. It has {known}. Received: layers={layers!r}")
    if enabled := [path for path, layer in chosen.items() if layer.lora_enabled]:
        raise ValueError(f"These layers of '{name}' have additions already: {enabled}")
    set_trainable(model, name, ["network"] if "network" in inside else None, False)
    set_trainable(model, name, list(chosen), True)
    for layer in chosen.values():
        layer.enable_lora(rank)
    recompile(model)


def decay_by_depth(model: keras.Model, name: str, decay: float = 0.9) -> dict[str, float]:
    """Factors for `by_part` that fall from the last block of an encoder to its first: `decay ** blocks behind it`.

    Reference: Howard and Ruder, "Universal Language Model Fine-tuning for Text Classification" (2018), section 3.2.

    Args:
        model: a task or an `mk.Backbone`.
        name: of the input that the encoder reads.
        decay: more than 0, at most 1.

    Raises:
        ValueError: for an input that is not there, or another decay.
    """
    if not 0 < decay <= 1:
        raise ValueError(f"`decay` is more than 0 and at most 1. Received: decay={decay}")
    blocks = list_blocks(find_encoder(model, name))
    return {f"{name}/{path}": decay**depth for depth, block in enumerate(reversed(blocks)) for path in block}


def find_encoder(model: keras.Model, name: str) -> keras.Model:
    """The encoder of an input.

    Raises:
        ValueError: names the inputs there are.
    """
    encoders = getattr(model, "backbone", model).encoders
    if name not in encoders:
        raise ValueError(f"The model reads {sorted(encoders)}.{suggest(name, encoders)} Received: name={name!r}")
    return encoders[name]


def set_trainable(model: keras.Model, name: str, layers: Sequence[str] | None, is_trainable: bool):
    """As `freeze` and `unfreeze`, for a model that is compiled by the caller."""
    encoder = find_encoder(model, name)
    inside = dict(walk_layers(encoder))
    wanted = {path: layer.trainable for path, layer in inside.items()}
    for pattern in ["*"] if layers is None else layers:
        matched = [path for path in inside if fnmatchcase(path, pattern)]
        if not matched:
            raise ValueError(
                f"The encoder of '{name}' has no such layer.{suggest(pattern, inside)} Received: layers={layers!r}"
            )
        for path in matched:
            wanted |= {each: is_trainable for each in inside if each == path or each.startswith(f"{path}/")}
    # Of a layer that is frozen nothing learns, whatever is set inside of it.
    wanted |= {path: True for path in inside if any(wanted[each] for each in inside if each.startswith(f"{path}/"))}
    inside, wanted = {"": encoder, **inside}, {"": any(wanted.values()), **wanted}
    for path, layer in inside.items():  # a layer sets those inside of it, which come later
        if layer.trainable != wanted[path]:
            layer.trainable = wanted[path]


def list_blocks(encoder: keras.Model) -> list[list[str]]:
    """The layers with weights, from the input to the output, in blocks, by path: those of a network that was trained
    elsewhere, if there is one.

    Layers with the same first number in their names are a block; those without one belong to the block before them, and
    those at the beginning to the first.

    Example:

    >>> mk.finetuning.list_blocks(mk.Image(size=8).build_encoder("image"))[0]
    ['block1_conv', 'block1_norm']
    """
    network = next((layer for layer in encoder.layers if layer.name == "network"), None)
    prefix, layers = ("", encoder.layers) if network is None else ("network/", network.layers)
    blocks, last = [], None
    for layer in layers:
        if not layer.weights:
            continue
        number = re.match(r"\D*\d+", layer.name)
        number = number and number[0]
        if not blocks or (number and last and number != last):
            blocks.append([])
        blocks[-1].append(f"{prefix}{layer.name}")
        last = number or last
    return blocks


def recompile(model: keras.Model):
    """Compiles a model with the arguments that it was compiled with, where it was: what learns is read then."""
    if getattr(model, "compiled", False):
        model.compile_from_config(model.get_compile_config())
