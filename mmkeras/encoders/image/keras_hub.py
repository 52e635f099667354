from pathlib import Path

import keras
import numpy as np
from keras import ops

from mmkeras.encoders.image.grid import locate_cells, read_cells
from mmkeras.encoders.needs import Needs
from mmkeras.encoders.pretrained import HubEncoder, import_keras_hub, project, read_preset
from mmkeras.preprocessing import Places


@keras.saving.register_keras_serializable(package="mmkeras")
class KerasHubImage(HubEncoder):
    """A network for images of KerasHub that was trained elsewhere: ViT, ResNet, EfficientNet and their like.

    `mk.Image` takes the size from it, and pixels are normalized as it was trained. Tokens are the patches, or the cells
    of the last maps; the pooled vector is that of the class token, where there is one, else their mean. It may also
    read the frames of a video (`VideoGRU(frame_encoder=...)`).

    References: ViT: Dosovitskiy et al. (2021); ResNet: He et al. (2016); EfficientNet: Tan and Le (2019); DenseNet:
    Huang et al. (2017); VGG: Simonyan and Zisserman (2015). KerasHub's MobileNet is left out: no converter takes its
    convolutions by groups; `Applications` has one that they take.

    Args:
        preset: the name of one that KerasHub knows, which it downloads; or a folder that `save_to_preset` wrote, or
            one in the format of Hugging Face, with an image converter.
        units: size of the tokens and of the pooled vector; None for that of the network.

    Raises:
        ImportError: without KerasHub.
        ValueError: when the preset cannot be read, or is of another kind.

    Example:

    >>> import keras_hub, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> keras_hub.models.ViTBackbone((16, 16, 3), 8, 1, 2, 8, 16).save_to_preset(folder)
    >>> keras_hub.layers.ViTImageConverter((16, 16), scale=1 / 255).save_to_preset(folder)
    >>> image = mk.Image(encoder=mk.encoders.KerasHubImage(folder))
    >>> image.preprocessor.size, image.build_encoder("image").output["tokens"].shape
    ((16, 16), (None, 5, 8))
    """

    networks = (
        "ViTBackbone",
        "ResNetBackbone",
        "EfficientNetBackbone",
        "DenseNetBackbone",
        "VGGBackbone",
    )
    kept = ("size", "has_any_size", "fit", "scale", "offset", "has_class_token")

    def __init__(self, preset: str | Path, units: int | None = None):
        super().__init__(preset, units)
        converter = read_preset(import_keras_hub().layers.ImageConverter, preset)
        config = self.network["config"]
        sides = (config.get("image_shape") or config["input_shape"])[:2]
        self.has_any_size = None in sides
        size = converter.image_size if self.has_any_size else sides
        self.size = None if size is None else list(size)
        self.fit = "pad" if converter.pad_to_aspect_ratio else "crop" if converter.crop_to_aspect_ratio else "stretch"
        self.scale = 1.0 if converter.scale is None else converter.scale
        self.offset = 0.0 if converter.offset is None else converter.offset
        self.has_class_token = bool(config.get("use_class_token"))

    def preprocessing(self):
        size = {} if self.size is None else {"size": tuple(self.size)}
        hard = {"grayscale": False, **({} if self.has_any_size else size)}
        return Needs(hard=hard, soft={"fit": self.fit, **size})

    def cut(self, backbone):
        return keras.Model(backbone.input, backbone.output, name="network")

    def locate(self, preprocessor, cells=None):
        shape = self.make_network().compute_output_shape((None, *preprocessor.shape))
        if len(shape) == 4:
            return locate_cells(preprocessor.size, shape[1:3])
        patches = shape[1] - self.has_class_token
        rows = round((patches * preprocessor.size[0] / preprocessor.size[1]) ** 0.5)
        places = locate_cells(preprocessor.size, (rows, patches // rows))
        if not self.has_class_token:
            return places
        # The token of the class stands for all of the image.
        starts = np.concatenate([[[[0, 0]]], places.starts], axis=1)
        return Places("pixels", starts, np.concatenate([[[preprocessor.size]], places.ends], axis=1))

    def encode(self, inputs, preprocessor):
        pixels = keras.layers.Rescaling(self.scale, self.offset, name="rescale")(ops.cast(inputs, "float32"))
        output = self.make_network()(pixels)
        if len(output.shape) == 4:
            tokens, mask, pooled = read_cells(output)
        else:
            tokens, mask = output, ops.ones_like(output[:, :, 0], dtype="bool")
            pooled = tokens[:, 0] if self.has_class_token else ops.mean(tokens, axis=1)
        tokens, pooled = project(tokens, pooled, self.units)
        return tokens, mask, pooled
