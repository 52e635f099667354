from collections.abc import Sequence

import keras
from keras import ops

from mmkeras.layers import AudioCropping
from mmkeras.pretraining.base import encode
from mmkeras.pretraining.contrastive import PairObjective


@keras.saving.register_keras_serializable(package="mmkeras")
class TwoViews(PairObjective):
    """Two views of one text, image or recording find each other among those of other rows.

    Both go through the same encoder and a projection with a hidden layer, which is thrown away afterwards. References:
    of images Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations" (SimCLR, 2020); of
    recordings Saeed et al., "Contrastive Learning of General-Purpose Audio Representations" (COLA, 2021); of texts,
    whose views differ by the dropout of the encoder, Gao et al., "SimCSE" (2021).

    Args:
        input: name of the input.
        augmentation: layers that make a view: Keras layers of images such as `keras.layers.RandomFlip()`;
            `mk.layers.AudioCropping` of recordings. None for shifts, zoom, small rotations and contrast of images, and
            parts of 40 to 80 % of recordings; of others the dropout of the encoder alone.
        units, loss, weight, name: as for `Contrastive`.
        hidden_units: of the hidden layer of the projection.
        temperature: by which cosines are divided at the beginning; it is learned.

    Metrics: as of `Contrastive`.

    Example:

    >>> rows = mk.read([{"color": c} for c in ("red", "blue", "green", "gold")])
    >>> color = mk.Text(encoder=mk.encoders.TextGRU(units=8, dropout=0.2))
    >>> pretrainer = mk.pretraining.Pretrainer.from_source(rows, {"color": color}, [mk.pretraining.TwoViews("color")])
    >>> history = pretrainer.fit(pretrainer.dataset(rows, 4), verbose=0).history
    >>> history["two_views_color_recall_at_5"]
    [1.0]
    """

    kind = "two_views"

    def __init__(
        self,
        input: str,
        augmentation: Sequence[keras.layers.Layer] | None = None,
        units: int = 128,
        hidden_units: int = 128,
        loss: str = "info_nce",
        temperature: float = 0.1,
        weight: float = 1.0,
        name: str | None = None,
    ):
        super().__init__((input,), units, hidden_units, loss, temperature, weight, name)
        self.input = input
        self.augmentation = None if augmentation is None else list(augmentation)

    def connect(self, backbone, connected):
        parts = backbone.preprocessor.tensor_names(self.input)
        content, present = (backbone.input[parts[part]] for part in ("content", "present"))
        length = backbone.input[parts["length"]] if "length" in parts else None
        layers = self._make_layers(content)
        views = [encode(backbone, self.input, *_make_view(layers, content, length))["pooled"] for _ in range(2)]
        views = ops.concatenate(views, axis=0)  # so that the projection is one, and its layers have one call
        one, other = ops.split(self.project(views, self.input), 2)
        return self.pair(one, other, present, backbone)

    def _make_layers(self, content):
        """Copies: layers belong to one model."""
        layers = self.augmentation
        if layers is None:
            layers = _choose_layers(content)
        copies = []
        for index, layer in enumerate(layers):
            name = self.layer_name(f"view_{index}")
            copies.append(type(layer).from_config({**layer.get_config(), "name": name}))
        return copies

    def get_config(self):
        layers = self.augmentation
        if layers is not None:
            layers = [keras.saving.serialize_keras_object(layer) for layer in layers]
        return {"input": self.input, "augmentation": layers, **super().get_config()}

    @classmethod
    def from_config(cls, config):
        layers = config["augmentation"]
        if layers is not None:
            layers = [keras.saving.deserialize_keras_object(layer) for layer in layers]
        return cls(**{**config, "augmentation": layers})


def _choose_layers(content):
    rank = len(content.shape)
    if rank == 4:
        return [
            keras.layers.RandomTranslation(0.15, 0.15, fill_mode="nearest"),
            keras.layers.RandomZoom((-0.3, 0.1), fill_mode="nearest"),
            keras.layers.RandomRotation(0.05, fill_mode="nearest"),
            keras.layers.RandomContrast(0.5),
        ]
    return [AudioCropping()] if rank == 2 and "float" in content.dtype else []


def _make_view(layers, content, length):
    """The content, and the length where there is one, as the layers change them, in the dtype that they had."""
    values = ops.cast(content, "float32") if content.dtype == "uint8" else content
    for layer in layers:
        if isinstance(layer, AudioCropping):
            values, length = layer(values, length, training=True)
        else:
            values = layer(values, training=True)
    if content.dtype == "uint8":
        values = ops.cast(ops.round(ops.clip(values, 0, 255)), "uint8")
    return values, length
