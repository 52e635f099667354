import keras
from keras import ops

from mmkeras.layers import AttentionBlock
from mmkeras.pretraining.base import Measured, Objective, encode

_CUT = "bands_norm"  # the layer of encoders of sound behind which a spectrogram is hidden


@keras.saving.register_keras_serializable(package="mmkeras")
class PatchMasking(keras.layers.Layer):
    """Hides patches of an image at random.

    Args:
        patch_size: `(height, width)`.
        rate: share of the patches of each row that is hidden.
        fill: what stands in their place.
        seed: of what is hidden.

    Call arguments:
        values: `(batch, height, width, channels)`.

    Returns: the values with hidden patches; and which are hidden, bool `(batch, patches)`, row by row. What is left
        over at the right and at the bottom is in no patch, and stays.
    """

    def __init__(self, patch_size, rate, fill=0.0, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.patch_size, self.rate, self.fill, self.seed = tuple(patch_size), rate, fill, seed
        self.generator = keras.random.SeedGenerator(seed)

    def call(self, values):
        (height, width), (tall, wide) = count_patches(values.shape, self.patch_size), self.patch_size
        batch = ops.shape(values)[0]
        drawn = keras.random.uniform((batch, height * width), seed=self.generator)
        _, chosen = ops.top_k(drawn, max(1, round(self.rate * height * width)))
        hidden = ops.sum(ops.one_hot(chosen, height * width), axis=1) > 0
        cells = ops.reshape(hidden, (-1, height, width))
        cells = ops.repeat(ops.repeat(cells, tall, axis=1), wide, axis=2)
        rest = [(0, values.shape[1] - height * tall), (0, values.shape[2] - width * wide)]
        cells = ops.pad(cells, [(0, 0), *rest])
        return ops.where(ops.expand_dims(cells, 3), ops.cast(self.fill, values.dtype), values), hidden

    def compute_output_spec(self, values):
        height, width = count_patches(values.shape, self.patch_size)
        hidden = keras.KerasTensor((values.shape[0], height * width), dtype="bool")
        return keras.KerasTensor(values.shape, dtype=values.dtype), hidden

    def get_config(self):
        own = ("patch_size", "rate", "fill", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}


@keras.saving.register_keras_serializable(package="mmkeras")
class PatchDecoder(keras.layers.Layer):
    """What patches hold, told from tokens: a learned vector for each patch looks at all tokens.

    Args:
        patches: how many.
        values: of each patch.
        num_layers, num_heads: of the attention.

    Call arguments:
        tokens: `(batch, length, units)`.
        token_mask: bool `(batch, length)`.

    Output shape: `(batch, patches, values)`, float32.
    """

    def __init__(self, patches, values, num_layers=2, num_heads=4, **kwargs):
        super().__init__(**kwargs)
        self.patches, self.values, self.num_layers, self.num_heads = patches, values, num_layers, num_heads

    def build(self, tokens_shape, token_mask_shape=None):
        units = tokens_shape[-1]
        shape = (self.patches, units)
        self.queries = self.add_weight(shape=shape, initializer="random_normal", name="queries")
        self.blocks = []
        for index in range(self.num_layers):
            block = AttentionBlock(units, self.num_heads, dtype=self.dtype_policy, name=f"block_{index}")
            block.build((None, *shape), tokens_shape, token_mask_shape)
            self.blocks.append(block)
        self.output_dense = keras.layers.Dense(self.values, dtype="float32", name="output_dense")
        self.output_dense.build((None, *shape))

    def call(self, tokens, token_mask, training=False):
        queries = ops.cast(self.queries, tokens.dtype)
        told = ops.repeat(ops.expand_dims(queries, 0), ops.shape(tokens)[0], axis=0)
        for block in self.blocks:
            told = block(told, tokens, token_mask, training=training)
        return self.output_dense(told)

    def compute_output_shape(self, tokens_shape, token_mask_shape=None):
        return (tokens_shape[0], self.patches, self.values)

    def get_config(self):
        own = ("patches", "values", "num_layers", "num_heads")
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}


@keras.saving.register_keras_serializable(package="mmkeras")
class MaskedPatches(Objective):
    """Hidden patches of an image, or of the spectrogram of a recording, are told from the others.

    The encoder sees what is left, with gray or the mean in place of what is hidden; a small decoder, which is thrown
    away afterwards, tells the hidden patches from its tokens, each with mean 0 and variance 1. References: He et al.,
    "Masked Autoencoders Are Scalable Vision Learners" (2021), for the rate, the targets and the decoder; Xie et al.,
    "SimMIM" (2022), for an encoder that sees hidden patches as such, which any architecture can; of spectrograms Huang
    et al., "Masked Autoencoders that Listen" (2022).

    Args:
        input: name of the input: images, or recordings whose encoder makes a log-mel spectrogram.
        patch_size: `(height, width)` in pixels, or `(steps, bands)`; None for about an eighth of each side, and 16
            steps and 16 bands.
        rate: share of the patches that is hidden.
        num_layers, num_heads: of the decoder.
        weight, name: see `Objective`.

    Metrics: explained variance of the hidden patches, 0 where nothing is known of them but their mean.

    Raises:
        ValueError: for a rate that is none; in a `Pretrainer`, for an input that is neither.

    Example:

    >>> backbone = mk.Backbone({"image": mk.Image(size=32, encoder="vit")})
    >>> pretrainer = mk.pretraining.Pretrainer(backbone, [mk.pretraining.MaskedPatches("image")])
    >>> pretrainer.output["masked_patches_image"]["told"].shape
    (None, 64, 48)
    """

    kind = "masked_patches"
    metric_names = ("explained_variance",)

    def __init__(
        self,
        input: str,
        patch_size: tuple[int, int] | None = None,
        rate: float = 0.6,
        num_layers: int = 2,
        num_heads: int = 4,
        weight: float = 1.0,
        name: str | None = None,
    ):
        super().__init__((input,), weight, name)
        if not 0 < rate < 1:
            raise ValueError(f"`rate` of MaskedPatches is a share, more than 0, less than 1. Received: rate={rate}")
        self.input = input
        self.patch_size = None if patch_size is None else tuple(patch_size)
        self.rate = rate
        self.num_layers, self.num_heads = num_layers, num_heads

    def used_features(self, backbone):
        return {self.input: {"tokens", "mask", "present"}}

    def connect(self, backbone, connected):
        encoder = backbone.encoders[self.input]
        content = backbone.input[self.input]
        if len(content.shape) == 4:
            whole = ops.cast(content, "float32")
            size = self.patch_size or tuple(max(2, round(side / 8)) for side in content.shape[1:3])
            left, is_real = self._hide(whole, size, fill=127.0)
            features = encode(backbone, self.input, ops.cast(left, content.dtype))
        elif _CUT in {layer.name for layer in encoder.layers}:
            size = self.patch_size or (16, 16)
            parts = backbone.preprocessor.tensor_names(self.input)
            hiding = _hide_inside(encoder, lambda steps: self._hide(steps, size))
            features = hiding({part: backbone.input[key] for part, key in parts.items()})
            whole = features["whole"]
            is_real = ops.logical_and(features["hidden"], _find_real(features["step_mask"], whole.shape, size))
        else:
            raise ValueError(
                f"MaskedPatches hides parts of images, and of spectrograms that an encoder makes of recordings. "
                f"Received: '{self.input}', {type(backbone.modalities[self.input].encoder).__name__}"
            )
        targets = _normalize(cut_patches(whole, size))
        decoder = PatchDecoder(*targets.shape[1:], self.num_layers, self.num_heads, name=self.layer_name("decoder"))
        return {
            "told": decoder(features["tokens"], features["mask"]),
            "patches": ops.stop_gradient(targets),
            "counts": ops.logical_and(is_real, ops.expand_dims(features["present"], 1)),
        }

    def _hide(self, values, size, fill=0.0):
        """The values with hidden patches of this size, and which are hidden."""
        height, width = count_patches(values.shape, size)
        if height * width < 2:
            raise ValueError(
                f"MaskedPatches predicts patches from others, and '{self.input}' of {tuple(values.shape[1:3])} has "
                f"{height} x {width}. Received: patch_size={size}"
            )
        return PatchMasking(size, self.rate, fill, name=self.layer_name("masking"))(values)

    def measure(self, outputs):
        """The mean squared error of the hidden patches."""
        errors = ops.mean(ops.square(outputs["told"] - outputs["patches"]), axis=-1)
        weights = ops.cast(outputs["counts"], "float32")
        count, loss = ops.sum(weights), ops.sum(weights * errors)
        return Measured(loss, count, {"explained_variance": (count - loss, count)})

    def get_config(self):
        own = ("input", "patch_size", "rate", "num_layers", "num_heads")
        return {**{name: getattr(self, name) for name in own}, **super().get_config()}


def count_patches(shape, size) -> tuple[int, int]:
    """How many patches of this size stand in `(batch, height, width, channels)`, over and beside each other."""
    return shape[1] // size[0], shape[2] // size[1]


def cut_patches(values, size):
    """The patches, row by row, `(batch, patches, height * width * channels)`."""
    (height, width), (tall, wide) = count_patches(values.shape, size), size
    channels = values.shape[3]
    values = values[:, : height * tall, : width * wide]
    values = ops.reshape(values, (-1, height, tall, width, wide, channels))
    return ops.reshape(ops.transpose(values, (0, 1, 3, 2, 4, 5)), (-1, height * width, tall * wide * channels))


def _normalize(patches):
    """Each with mean 0 and variance 1; 0 where it is even."""
    mean = ops.mean(patches, axis=-1, keepdims=True)
    variance = ops.mean(ops.square(patches - mean), axis=-1, keepdims=True)
    return (patches - mean) / ops.sqrt(variance + 1e-4)


def _hide_inside(encoder, hide):
    """An encoder of sound, with the same layers, that sees of its normalized spectrogram what `hide` leaves; it also
    gives the whole one, what is hidden of it, and the mask of its steps.
    """
    found = {}

    def call(layer, *args, **kwargs):
        output = layer(*args, **kwargs)
        if layer.name != _CUT:
            return output
        found["whole"] = ops.expand_dims(output, 3)
        left, found["hidden"] = hide(found["whole"])
        return left[..., 0]

    same = keras.models.clone_model(encoder, clone_function=lambda layer: layer, call_function=call)
    steps = found["whole"].shape[1]
    found["step_mask"] = next(mask for mask in _list_masks(same) if mask.shape[1] == steps)
    return keras.Model(same.input, {**same.output, **found}, name=f"{encoder.name}_hiding")


def _list_masks(encoder):
    """The bool tensors `(batch, steps)` of the graph."""
    for operation in encoder.operations:
        for node in reversed(operation._inbound_nodes):  # layers that are shared have been called before
            for tensor in node.output_tensors:
                if tensor.dtype == "bool" and len(tensor.shape) == 2:
                    yield tensor


def _find_real(step_mask, shape, size):
    """Which patches hold a step of the recording, bool `(batch, patches)`."""
    height, width = count_patches(shape, size)
    steps = ops.reshape(step_mask[:, : height * size[0]], (-1, height, size[0]))
    return ops.repeat(ops.any(steps, axis=2), width, axis=1)
