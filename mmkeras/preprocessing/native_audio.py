"""FLAC, MP3 and Ogg Vorbis to samples in the graph, by tensorflow-io's native ops.

The ops do not tell the sample rate, so it is read from the headers here.
"""

import numpy as np
import tensorflow as tf

from mmkeras.preprocessing.tensorflow_io import import_native_ops

_LOWEST_RATE, _HIGHEST_RATE = 1_000, 655_350  # hertz; the highest that FLAC can say
_ANY_SHAPE = np.array([-1, -1])  # any number of samples and of channels
_FILTER_SAMPLES = 64  # of tensorflow-io's resampler
_MP3_SEARCHED_BYTES, _MP3_LONGEST_FRAME, _MP3_TAG_REACH = 8192, 1500, 64
# By the two bits of the version: MPEG 2.5, reserved, MPEG 2, MPEG 1.
_MP3_RATES = np.outer([1, 0, 2, 4], [11_025, 12_000, 8_000, 0])
_MP3_KILOBITS = np.array(
    [[0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0]] * 3
    + [[0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0]]
)
_MP3_SAMPLES = np.array([576, 0, 576, 1152])


def decode_audio_native(contents, sample_rate: int = 16000, max_seconds: float = 3600.0):
    """Bytes of a FLAC, MP3 or Ogg Vorbis file to mono samples, with TensorFlow ops: in `tf.data` and in a SavedModel.

    Channels are averaged. A SavedModel with it is loaded after `import_native_ops()`, and not by TF Serving.

    Only for files that were checked before: tensorflow-io never comes back from a FLAC file that lacks some of the
    samples that its header claims.

    Args:
        contents: scalar string tensor; the format is found in it.
        sample_rate: of the result, in hertz.
        max_seconds: longer recordings are refused, where the header tells before they are decoded.

    Returns: float32 tensor `(samples,)`, about in [-1, 1].

    Raises:
        ImportError: where tensorflow-io's native ops do not load.
        tf.errors.InvalidArgumentError: when it runs, for other formats, damaged files and recordings too long.
    """
    ops = import_native_ops()
    is_flac = _holds(contents, 0, b"fLaC")
    is_vorbis = tf.logical_and(_holds(contents, 0, b"OggS"), _holds(contents, 28, b"\x01vorbis"))
    rate, claimed = tf.case(
        [(is_flac, lambda: _read_flac_header(contents)), (is_vorbis, lambda: _read_vorbis_header(contents))],
        default=lambda: _read_mp3_header(contents),
        exclusive=True,
    )
    checks = [
        _check(rate >= 0, "The cell is not a FLAC, MP3 or Ogg Vorbis file."),
        _check(
            (rate < 0) | ((rate >= _LOWEST_RATE) & (rate <= _HIGHEST_RATE)),
            f"The sample rate in the file is not between {_LOWEST_RATE} and {_HIGHEST_RATE} Hz.",
        ),
        _check_length(claimed, rate, max_seconds),
    ]
    with _after(checks):
        contents = tf.identity(contents)
    samples = tf.case(
        [
            (is_flac, lambda: _decode_flac(ops, contents)),
            (is_vorbis, lambda: ops.io_audio_decode_vorbis(contents, _ANY_SHAPE)),
        ],
        default=lambda: ops.io_audio_decode_mp3(contents, _ANY_SHAPE),
        exclusive=True,
    )
    with _after([_check_length(tf.shape(samples, tf.int64)[0], rate, max_seconds)]):
        mono = tf.reduce_mean(samples, axis=1)
    return tf.cond(rate == sample_rate, lambda: mono, lambda: _resample(ops, mono, rate, sample_rate))


def _check(condition, message):
    return tf.debugging.assert_equal(condition, True, message)


def _check_length(samples, rate, max_seconds):
    limit = tf.cast(tf.cast(tf.maximum(rate, 0), tf.float64) * max_seconds, tf.int64)
    return _check(samples <= limit, f"The recording is longer than max_seconds={max_seconds:g}.")


def _after(checks):
    return tf.control_dependencies([check for check in checks if check is not None])  # None when run eagerly


def _read(contents, start, count: int):
    """`count` bytes from `start` as int64, zeros after the end."""
    part = tf.strings.substr(contents, tf.minimum(start, tf.strings.length(contents)), count)
    padded = tf.strings.substr(tf.strings.join([part, b"\0" * count]), 0, count)
    return tf.ensure_shape(tf.cast(tf.io.decode_raw(padded, tf.uint8), tf.int64), (count,))


def _holds(contents, start: int, magic: bytes):
    return tf.reduce_all(_read(contents, start, len(magic)) == list(magic))


def _join(parts, base=256):
    """The number whose digits these are, the greatest first."""
    return tf.reduce_sum(parts * tf.constant([base**i for i in reversed(range(parts.shape[0]))], tf.int64))


def _find(data, magic: bytes):
    """Where the magic stands in `data`."""
    count = data.shape[0] - len(magic) + 1
    return tf.where(tf.reduce_all([data[i : i + count] == byte for i, byte in enumerate(magic)], axis=0))[:, 0]


def _read_flac_header(contents):
    """Sample rate and number of samples, in the block STREAMINFO, which is always the first."""
    head = _read(contents, 0, 26)
    rate = _join(head[18:21]) // 16
    samples = head[21] % 16 * 2**32 + _join(head[22:26])
    with _after([_check(samples > 0, "The FLAC file has no samples, or does not give their number.")]):
        return tf.identity(rate), samples


def _decode_flac(ops, contents):
    def decode(dtype, zero, one):
        samples = ops.io_audio_decode_flac(contents, _ANY_SHAPE, dtype=dtype)
        return (tf.cast(samples, tf.float32) - zero) / one

    # tensorflow-io gives each depth a type of its own, 24 bits at the top of 32, and refuses the other depths.
    head = _read(contents, 20, 2)
    bits = head[0] % 2 * 16 + head[1] // 16 + 1
    return tf.case(
        [(bits == 8, lambda: decode(tf.uint8, 128.0, 2.0**7)), (bits == 16, lambda: decode(tf.int16, 0.0, 2.0**15))],
        default=lambda: decode(tf.int32, 0.0, 2.0**31),
        exclusive=True,
    )


def _read_vorbis_header(contents):
    """Sample rate, in the first packet, and number of samples, in the header of the last page."""
    rate = _join(_read(contents, 40, 4)[::-1])
    longest_page = 65_307
    tail = _read(contents, tf.maximum(tf.strings.length(contents) - longest_page, 0), longest_page)
    last = tf.reduce_max(_find(tail[:-10], b"OggS"))
    return rate, _join(tf.slice(tail, [last + 6], [8])[::-1])


def _read_mp3_header(contents):
    """Sample rate, in the first frame of MPEG layer III that another one follows, or the end; -1 when there is none.

    And the number of samples in its tag, 0 when it has no tag.
    """
    tag = _read(contents, 0, 10)
    tag_bytes = tf.where(_holds(contents, 0, b"ID3"), 10 + _join(tag[6:10], base=128), 0)
    start = tf.cast(tag_bytes, tf.int32)
    data = _read(contents, start, _MP3_SEARCHED_BYTES + _MP3_LONGEST_FRAME)
    first, second, third = (data[i : i + _MP3_SEARCHED_BYTES] for i in range(3))
    version, kilobits, rate = second // 8 % 4, third // 16, third // 4 % 4
    rate = tf.gather_nd(_MP3_RATES, tf.stack([version, rate], axis=1))
    kilobits = tf.gather_nd(_MP3_KILOBITS, tf.stack([version, kilobits], axis=1))
    is_header = (first == 255) & (second // 32 == 7) & (second // 2 % 4 == 1) & (rate > 0) & (kilobits > 0)
    size = tf.gather(_MP3_SAMPLES, version) * kilobits * 125 // tf.maximum(rate, 1) + third // 2 % 2
    end = tf.range(_MP3_SEARCHED_BYTES, dtype=tf.int64) + tf.minimum(size, _MP3_LONGEST_FRAME - 2)
    follows = (tf.gather(data, end) == 255) & (tf.gather(data, end + 1) // 2 == second // 2)
    is_last = end >= tf.cast(tf.strings.length(contents) - start, tf.int64)
    found = tf.where(is_header & (follows | is_last))[:, 0]

    def read_frame():
        frame = tf.slice(data, found[:1], [_MP3_TAG_REACH])
        tags = tf.concat([_find(frame[:-8], b"Xing"), _find(frame[:-8], b"Info"), [0]], axis=0)
        flags, frames = (_join(tf.slice(frame, [tags[0] + offset], [4])) for offset in (4, 8))
        has_count = (tf.size(tags) > 1) & (flags % 2 == 1)
        frames = tf.where(has_count, tf.maximum(frames - 3, 0), 0)  # up to three are padding
        return rate[found[0]], frames * tf.gather(_MP3_SAMPLES, version)[found[0]]

    return tf.cond(tf.size(found) > 0, read_frame, lambda: (tf.constant(-1, tf.int64), tf.constant(0, tf.int64)))


def _resample(ops, mono, rate, sample_rate):
    """To `sample_rate`, without the delay of half a filter that tensorflow-io's resampler leaves."""
    taps = tf.maximum(_FILTER_SAMPLES * rate // sample_rate, _FILTER_SAMPLES)
    delay = (taps + 7) // 8 * 8 // 2
    padded = tf.concat([mono, tf.zeros(2 * delay)], axis=0)
    resampled = ops.io_audio_resample(padded[:, None], rate_in=rate, rate_out=sample_rate)[:, 0]
    start = (2 * delay * sample_rate + rate) // (2 * rate)  # rounded
    length = (tf.size(mono, tf.int64) * sample_rate + rate - 1) // rate
    return resampled[start : start + length]
