import keras

from mmkeras.encoders import Encoder, VideoCNN3D, VideoGRU, VideoMean, VideoTransformer
from mmkeras.modalities import choosing
from mmkeras.modalities.base import Modality
from mmkeras.preprocessing import VideoPreprocessor


@keras.saving.register_keras_serializable(package="mmkeras")
class Video(Modality):
    """A column of video files, or their bytes, of which some frames are looked at. Its sound is an `Audio`.

    Args:
        frames: how many the model sees.
        size: `(height, width)` in pixels that frames are stretched to, or one number for both.
        rate: frames a second, taken from the beginning of a file; None to spread them over the whole of it.
        antialias: average over source pixels when shrinking.
        max_pixels: larger frames are refused.
        grayscale: one channel in place of three, where colors say nothing.
        encoder: `"gru"`, `"cnn3d"`, `"mean"`, `"transformer"`, or an object from `mk.encoders`.
        column: the column to read, where it has another name than the input.

    Example:

    >>> mk.Video(frames=4, size=32).preprocessor.shape
    (4, 32, 32, 3)
    """

    preprocessor_class = VideoPreprocessor
    encoders = {"cnn3d": VideoCNN3D, "gru": VideoGRU, "mean": VideoMean, "transformer": VideoTransformer}
    tried_encoders = ("gru", "cnn3d")
    suffixes = (".mp4", ".mpg", ".mpeg", ".avi", ".webm", ".mov", ".mkv", ".m4v", ".ts", ".wmv")
    defaults = {"frames": 8, "size": 64, "antialias": True, "max_pixels": 2**25, "grayscale": False}

    def __init__(
        self,
        frames: int | None = None,
        size: int | tuple[int, int] | None = None,
        rate: float | None = None,
        antialias: bool | None = None,
        max_pixels: int | None = None,
        grayscale: bool | None = None,
        encoder: str | Encoder = "gru",
        column: str | None = None,
    ):
        super().__init__(
            encoder,
            column,
            frames=frames,
            size=(size, size) if isinstance(size, int) else size,
            rate=rate,
            antialias=antialias,
            max_pixels=max_pixels,
            grayscale=grayscale,
        )

    @classmethod
    def choose_inputs(cls, source, column, rows, seconds):
        facts = choosing.probe_some(source, column)
        inputs = {"": (cls.__name__, *choosing.choose_video(source, column, facts, rows, seconds))}
        if choosing.have_sound(facts):
            arguments, why = choosing.choose_audio(facts)
            inputs["sound"] = "Audio", arguments, f"of the videos; {why}"
        return inputs
