from collections.abc import Sequence

import keras

from mmkeras.encoders import Encoder, ImageCNN, ImageResNet, ImageViT
from mmkeras.modalities import choosing
from mmkeras.modalities.base import Modality
from mmkeras.preprocessing import ImagePreprocessor


@keras.saving.register_keras_serializable(package="mmkeras")
class Image(Modality):
    """A column of images: paths of files, or their bytes. What is None is as the encoder needs it.

    PNG and JPEG are read by TensorFlow, other formats are converted by Pillow, and look as Pillow shows them.

    Args:
        size: `(height, width)` in pixels that images are brought to, or one number for both.
        fit: `"stretch"` the whole image to the size, `"crop"` what is too much on two sides, or `"pad"` with black.
        antialias: average over source pixels when shrinking.
        max_pixels: larger images are refused.
        grayscale: one channel in place of three, where colors say nothing.
        encoder: `"cnn"`, `"resnet"`, `"vit"`, or an object from `mk.encoders`.
        augmentation: Keras layers such as `keras.layers.RandomFlip()`, which change the pixels in training only.
        column: the column to read, where it has another name than the input.

    Example:

    >>> mk.Image(size=(48, 64)).preprocessor.shape
    (48, 64, 3)
    """

    preprocessor_class = ImagePreprocessor
    encoders = {"cnn": ImageCNN, "resnet": ImageResNet, "vit": ImageViT}
    tried_encoders = ("cnn",)
    suffixes = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".heic", ".heif", ".avif")
    defaults = {"size": 64, "fit": "stretch", "antialias": True, "max_pixels": 2**25, "grayscale": False}

    def __init__(
        self,
        size: int | tuple[int, int] | None = None,
        fit: str | None = None,
        antialias: bool | None = None,
        max_pixels: int | None = None,
        grayscale: bool | None = None,
        encoder: str | Encoder = "cnn",
        augmentation: Sequence[keras.layers.Layer] = (),
        column: str | None = None,
    ):
        size = (size, size) if isinstance(size, int) else size
        arguments = {"size": size, "fit": fit, "antialias": antialias, "max_pixels": max_pixels, "grayscale": grayscale}
        super().__init__(encoder, column, **arguments)
        self.augmentation = list(augmentation)

    @classmethod
    def choose_inputs(cls, source, column, rows, seconds):
        return {"": (cls.__name__, *choosing.choose_image(source, column, rows, seconds))}

    @classmethod
    def make_thumbnail(cls, cell, size):
        return choosing.make_thumbnail(cell, size)

    def build_encoder(self, name):
        # Copies: layers belong to one model, and a declaration may serve several.
        layers = [type(layer).from_config(layer.get_config()) for layer in self.augmentation]
        return self.encoder.build_model(self.preprocessor, name, layers)

    def get_config(self):
        layers = [keras.saving.serialize_keras_object(layer) for layer in self.augmentation]
        return {**super().get_config(), "augmentation": layers}

    @classmethod
    def from_config(cls, config):
        modality = super().from_config(config)
        modality.augmentation = [keras.saving.deserialize_keras_object(layer) for layer in config["augmentation"]]
        return modality
