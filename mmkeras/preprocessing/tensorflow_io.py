"""What mmkeras uses of tensorflow-io: masks and fades on every TensorFlow, native ops where they load."""

import functools
import warnings

import keras
import tensorflow as tf

_FADES = ("linear", "logarithmic", "exponential")


@functools.cache
def import_audio():
    """`tensorflow_io.audio`, imported without its warnings that native ops do not load, which few functions need.

    Raises:
        ImportError: when tensorflow-io is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=UserWarning, module="tensorflow_io")
            from tensorflow_io import audio
    except ImportError as error:
        raise ImportError(
            "Masks, fades and native decoders come from tensorflow-io, which is not installed: "
            "pip install 'mmkeras[tfio]'"
        ) from error
    return audio


@functools.cache
def import_native_ops():
    """tensorflow-io's native ops. A SavedModel that holds some is loaded after a call of this.

    Raises:
        ImportError: when tensorflow-io is not installed, or its native ops do not load.
    """
    import_audio()
    from tensorflow_io.python.ops import core_ops

    try:
        dir(core_ops)  # loads them
    except NotImplementedError as error:
        raise ImportError(
            "tensorflow-io's native decoders need TensorFlow 2.16. "
            f"Received: tensorflow {tf.__version__}. Use decoder='ffmpeg', or, in an environment of its own: "
            "pip install 'mmkeras[compat]'"
        ) from error
    return core_ops


def can_decode_natively() -> bool:
    """Whether tensorflow-io is installed and its native ops load, as they do with TensorFlow 2.16."""
    try:
        import_native_ops()
    except ImportError:
        return False
    return True


def freq_mask(spectrograms, param: int):
    """Sets a random band of adjacent frequencies to 0, another one in each spectrogram.

    The band has 0 to `param - 1` frequencies. Reference: Park et al., "SpecAugment" (2019), section 2.

    It draws from TensorFlow's global generator: `tf.random.set_seed` makes it reproducible, and makes a `tf.data`
    pipeline draw the same sequence in every epoch, which shuffled rows meet in another order.

    Args:
        spectrograms: `(time, frequencies)` or `(batch, time, frequencies)`; best with a mean of 0, which the mask is.
        param: at least 1; more than there are frequencies counts as all of them.

    Returns: a tensor like `spectrograms`.

    Example:

    >>> freq_mask(tf.ones((10, 4)), param=2).shape.as_list()
    [10, 4]
    """
    _check_at_least("param", param, 1)
    audio = import_audio()
    return _map(lambda one: audio.freq_mask(one, tf.minimum(param, tf.shape(one)[1])), spectrograms, rank=2)


def time_mask(spectrograms, param: int):
    """Sets a random span of adjacent frames to 0, another one in each spectrogram; otherwise as `freq_mask`."""
    _check_at_least("param", param, 1)
    audio = import_audio()
    return _map(lambda one: audio.time_mask(one, tf.minimum(param, tf.shape(one)[0])), spectrograms, rank=2)


def fade(waveforms, fade_in: int, fade_out: int, mode: str = "linear"):
    """Raises the volume from 0 over the first samples, and lowers it to 0 over the last.

    Args:
        waveforms: float32 `(samples,)` or `(batch, samples)`.
        fade_in, fade_out: in samples; 0 for none, more than there are counts as all of them.
        mode: `"linear"`, `"logarithmic"` (fast at first) or `"exponential"` (slow at first).

    Returns: a tensor like `waveforms`.

    Example:

    >>> fade(tf.ones(6), 3, 2).numpy().tolist()
    [0.0, 0.5, 1.0, 1.0, 1.0, 0.0]
    """
    _check_at_least("fade_in", fade_in, 0)
    _check_at_least("fade_out", fade_out, 0)
    if mode not in _FADES:
        raise ValueError(f"`mode` of fade is one of {list(_FADES)}. Received: mode={mode!r}")
    audio = import_audio()

    def fade_one(one):
        samples = tf.shape(one)[0]
        return audio.fade(one, tf.minimum(fade_in, samples), tf.minimum(fade_out, samples), mode)

    return _map(fade_one, waveforms, rank=1)


def _check_at_least(name, value, least):
    if not isinstance(value, int) or value < least:
        raise ValueError(f"`{name}` is an integer of at least {least}. Received: {name}={value!r}")


def _map(function, inputs, rank):
    """`function` of one example of this rank, on one or on a batch."""
    inputs = tf.convert_to_tensor(inputs)
    if inputs.shape.rank == rank:
        return tf.ensure_shape(function(inputs), inputs.shape)
    if inputs.shape.rank != rank + 1:
        raise ValueError(f"An example has {rank} axes, a batch {rank + 1}. Received: shape={inputs.shape}")
    outputs = tf.map_fn(function, inputs, fn_output_signature=tf.TensorSpec(inputs.shape[1:], inputs.dtype))
    return tf.ensure_shape(outputs, inputs.shape)


@keras.saving.register_keras_serializable(package="mmkeras")
class SpecAugment:
    """Masks spectrograms and fades waveforms at random, in the `tf.data` pipeline of a training.

    A batch of spectrograms `(batch, time, frequencies)` gets a frequency mask and a time mask; a batch of waveforms
    `(batch, samples)` fades in over 1 to `fade` samples. What is 0 is not done. It needs the extra `tfio`, draws as
    `freq_mask` does, and has no part in a model or an artifact.

    Reference: Park et al., "SpecAugment" (2019), without the warping in time; the random fade is our own design.

    Args:
        freq_mask: the band has fewer frequencies than this.
        time_mask: the span has fewer frames than this.
        fade: samples that the longest fade takes.

    Raises:
        ValueError: for a negative number; when called, for other shapes, and for inputs that it has nothing to do to.

    Example:

    >>> augment = SpecAugment(freq_mask=8, time_mask=20)
    >>> augment(tf.ones((2, 100, 40))).shape.as_list()
    [2, 100, 40]
    """

    def __init__(self, freq_mask: int = 0, time_mask: int = 0, fade: int = 0):
        for name, value in (("freq_mask", freq_mask), ("time_mask", time_mask), ("fade", fade)):
            _check_at_least(name, value, 0)
        self.freq_mask = freq_mask
        self.time_mask = time_mask
        self.fade = fade

    def __call__(self, batch):
        batch = tf.convert_to_tensor(batch)
        if batch.shape.rank == 3 and (self.freq_mask or self.time_mask):
            batch = freq_mask(batch, self.freq_mask) if self.freq_mask else batch
            return time_mask(batch, self.time_mask) if self.time_mask else batch
        if batch.shape.rank == 2 and self.fade:
            return _map(self._fade_in, batch, rank=1)
        raise ValueError(
            "SpecAugment masks spectrograms (batch, time, frequencies) by `freq_mask` and `time_mask`, and fades "
            f"waveforms (batch, samples) by `fade`. Received: shape={batch.shape}, {self.get_config()}"
        )

    def _fade_in(self, waveform):
        longest = tf.minimum(self.fade, tf.shape(waveform)[0])
        length = tf.random.uniform((), 1, longest + 1, tf.int32)
        return import_audio().fade(waveform, length, 0, "linear")

    def get_config(self) -> dict:
        return {"freq_mask": self.freq_mask, "time_mask": self.time_mask, "fade": self.fade}

    @classmethod
    def from_config(cls, config):
        return cls(**config)
