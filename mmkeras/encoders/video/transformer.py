import keras

from mmkeras.encoders.attention import attend
from mmkeras.encoders.base import Encoder
from mmkeras.encoders.video.frames import FrameEncoder
from mmkeras.layers.pooling import average


@keras.saving.register_keras_serializable(package="mmkeras")
class VideoTransformer(FrameEncoder):
    """Each frame is encoded as an image, then they attend to each other, with a learned vector for the place of each.

    There is one token a frame; those that a short video lacks are masked. The pooled vector is made of the mean of the
    tokens. Reference: Arnab et al., "ViViT: A Video Vision Transformer" (2021), their factorized encoder, with any
    encoder of images.

    Args:
        units: size of the tokens and of the pooled vector.
        frame_encoder: an encoder of images; None for `ImageCNN()`.
        motion: whether it is given, in place of colors, what moves (`mk.layers.FrameMotion`).
        num_layers: blocks.
        num_heads: attention heads; divides `units`.
        dropout: share of the tokens' values and of the attention weights that is dropped in training.

    Example:

    >>> video = mk.Video(frames=4, size=16, encoder=mk.encoders.VideoTransformer(units=8))
    >>> video.build_encoder("clip").output["tokens"].shape
    (None, 4, 8)
    """

    def __init__(
        self,
        units: int = 64,
        frame_encoder: Encoder | None = None,
        num_layers: int = 2,
        num_heads: int = 4,
        dropout: float = 0.1,
        motion: bool = False,
    ):
        super().__init__(units, frame_encoder, motion)
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.dropout = dropout

    def encode(self, inputs, preprocessor, length):
        vectors, mask = self.read(inputs, preprocessor, length)
        tokens = keras.layers.Dense(self.units, name="frames_dense")(vectors)
        tokens = attend(tokens, mask, self.num_layers, self.num_heads, self.dropout, prefix="frames_")
        return tokens, mask, keras.layers.Dense(self.units, name="mean_dense")(average(tokens, mask))

    def get_config(self):
        return {
            **super().get_config(),
            "num_layers": self.num_layers,
            "num_heads": self.num_heads,
            "dropout": self.dropout,
        }
