import inspect
from pathlib import Path

import keras
import numpy as np

from mmkeras.encoders.image.grid import locate_cells, read_cells
from mmkeras.encoders.needs import Needs
from mmkeras.encoders.pretrained import PretrainedEncoder, project, tell

_SIZE = 224
_SIZES = {"Xception": 299, "InceptionV3": 299, "InceptionResNetV2": 299, "NASNetLarge": 331}
_SIZES |= {f"EfficientNetB{index}": size for index, size in enumerate((224, 240, 260, 300, 380, 456, 528, 600))}
_SIZES |= {"EfficientNetV2B1": 240, "EfficientNetV2B2": 260, "EfficientNetV2B3": 300, "EfficientNetV2S": 384}
_SIZES |= {"EfficientNetV2M": 480, "EfficientNetV2L": 480}


@keras.saving.register_keras_serializable(package="mmkeras")
class Applications(PretrainedEncoder):
    """Any network of `keras.applications`, without its last layers, with the normalization of pixels that it needs.

    Tokens are the cells of its last maps, from left to right and from top to bottom; the pooled vector is their mean.
    It may also read the frames of a video (`VideoGRU(frame_encoder=...)`).

    Args:
        network: its name, such as `"MobileNetV2"`.
        weights: `"imagenet"`, which Keras downloads; the path of a file of weights of the network without its last
            layers; or None for random ones. They are read once, here: a saved model holds its own.
        units: size of the tokens and of the pooled vector; None for that of the maps.

    Raises:
        ValueError: for an unknown network, and for weights that cannot be read.

    Example:

    >>> encoder = mk.encoders.Applications("MobileNetV2", weights=None, units=8)
    >>> mk.Image(size=64, encoder=encoder).build_encoder("image").output["tokens"].shape
    (None, 4, 8)
    """

    def __init__(self, network: str, weights: str | Path | None = "imagenet", units: int | None = None):
        if network not in list_applications():
            raise ValueError(
                f"`network` of Applications is one of {', '.join(sorted(list_applications()))}. "
                f"Received: network={network!r}"
            )
        self.network = network
        self.weights = None if weights is None else str(weights)
        read = self._read(self.weights)
        self._values = None if weights is None else [np.asarray(weight) for weight in read.weights]
        super().__init__(read.output.shape[-1] if units is None else units)

    def _make(self, shape, weights=None):
        create = getattr(keras.applications, self.network)
        return create(include_top=False, weights=weights, input_shape=shape, name="network")

    def _read(self, weights):
        """The network with these weights."""
        try:
            if weights in (None, "imagenet"):
                return self._make((None, None, 3), weights)
            network = self._make((None, None, 3))
            network.load_weights(weights)
            return network
        except Exception as error:
            raise ValueError(
                f"The weights {weights!r} of {self.network} cannot be read. Without a network give the path of a file "
                f"that `save_weights` of the network without its last layers wrote (include_top=False). {tell(error)}"
            ) from error

    def preprocessing(self):
        return Needs(hard={"grayscale": False}, soft={"size": _SIZES.get(self.network, _SIZE)})

    def locate(self, preprocessor, cells=None):
        return locate_cells(preprocessor.size, self._make(preprocessor.shape).output.shape[1:3])

    def encode(self, inputs, preprocessor):
        network = self.fill(self._make(tuple(inputs.shape[1:])))
        pixels = list_applications()[self.network](keras.ops.cast(inputs, "float32"))
        tokens, mask, pooled = read_cells(network(pixels))
        tokens, pooled = project(tokens, pooled, self.units)
        return tokens, mask, pooled

    def get_config(self):
        weights = self.weights and Path(self.weights).name
        return {"network": self.network, "weights": weights, "units": self.units}


def list_applications() -> dict:
    """For each network of `keras.applications` its normalization of pixels."""
    found = {}
    for module in vars(keras.applications).values():
        if inspect.ismodule(module) and hasattr(module, "preprocess_input"):
            names = [name for name, value in vars(module).items() if inspect.isfunction(value) and name[0].isupper()]
            found |= dict.fromkeys(names, module.preprocess_input)
    return found
