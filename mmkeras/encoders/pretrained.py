"""What encoders around a network that was trained elsewhere have in common."""

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from mmkeras.encoders.base import Encoder

_OWN = ("name", "dtype", "trainable")  # what a model says of the networks in it, whatever they were
_TOLD = 300  # characters of an error of another package


class PretrainedEncoder(Encoder):
    """Base of the encoders around a network that was trained elsewhere.

    Its weights are read once, by the constructor. A model holds them as all others; made again from its configuration,
    as by `keras.models.load_model`, an encoder starts with random ones, which the file of the model replaces. Nothing
    is downloaded then.
    """

    _values: Sequence[np.ndarray] | None = None

    def fill(self, network: keras.Model) -> keras.Model:
        """The network with the weights that were read, if any were."""
        if self._values is not None:
            network.set_weights(self._values)
        return network

    @classmethod
    def from_config(cls, config):
        encoder = cls.__new__(cls)
        vars(encoder).update(config)
        return encoder


class HubEncoder(PretrainedEncoder):
    """Base of the encoders around a network of KerasHub.

    Args:
        preset: the name of one that KerasHub knows, which it downloads; or a folder that `save_to_preset` wrote, or
            one in the format of Hugging Face.
        units: size of the tokens and of the pooled vector; None for that of the network.

    Attributes:
        network: the configuration of the network.

    Raises:
        ImportError: without KerasHub.
        ValueError: when the preset cannot be read, or is of another kind.
    """

    kept: Sequence[str] = ()  # attributes that belong to the configuration besides these

    def __init__(self, preset: str | Path, units: int | None = None):
        self.preset = str(preset)
        backbone = read_preset(import_keras_hub().models.Backbone, preset)
        if type(backbone).__name__ not in self.networks:
            raise ValueError(
                f"{type(self).__name__} takes presets of {', '.join(self.networks)}. "
                f"Received: preset={self.preset!r}, of {type(backbone).__name__}"
            )
        self.network = keras.saving.serialize_keras_object(backbone)
        self.network["config"] = {key: value for key, value in self.network["config"].items() if key not in _OWN}
        network = self.cut(backbone)
        self._values = [np.asarray(weight) for weight in network.weights]
        super().__init__(network.output.shape[-1] if units is None else units)

    def cut(self, backbone) -> keras.Model:
        """The part of a network that is used, with tokens `(batch, ..., size)` as its output."""
        raise NotImplementedError

    def make_network(self) -> keras.Model:
        """That part, with the weights of the preset, in the current precision."""
        import_keras_hub()  # which registers its classes
        config = {**self.network["config"], "name": "network", "dtype": keras.config.dtype_policy().name}
        return self.fill(self.cut(keras.saving.deserialize_keras_object({**self.network, "config": config})))

    def get_config(self):
        kept = {name: vars(self)[name] for name in self.kept}
        return {**super().get_config(), "preset": Path(self.preset).name, "network": self.network, **kept}


def project(tokens, pooled, units: int):
    """Both, brought to so many units where they have another size."""
    if tokens.shape[-1] == units:
        return tokens, pooled
    return (
        keras.layers.Dense(units, name="tokens_dense")(tokens),
        keras.layers.Dense(units, name="pooled_dense")(pooled),
    )


def import_keras_hub():
    """The package, which takes some seconds to import, and is asked for only where it is used."""
    try:
        import keras_hub
    except ImportError as error:
        raise ImportError(f"Presets of KerasHub need `pip install 'mmkeras[hub]'`. {error}") from error
    return keras_hub


def read_preset(kind: type, preset: str | Path):
    """An object of this class of KerasHub from a preset, with its weights in float32.

    Raises:
        ValueError: when it cannot be read.
    """
    try:
        return kind.from_preset(str(preset), **({"dtype": "float32"} if issubclass(kind, keras.Model) else {}))
    except Exception as error:  # of any of the hubs it knows
        raise ValueError(
            f"The preset {str(preset)!r} cannot be read. Without a network give a folder: one that `save_to_preset` of "
            "KerasHub wrote, or one in the format of Hugging Face (config.json, model.safetensors, vocab.txt). "
            f"{tell(error)}"
        ) from error


def tell(error: Exception) -> str:
    """What another package says, on a line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:_TOLD]}"
