"""Where the samples of a WAV file are, found in the graph by the rule of `mmkeras.data.native.read_wav`."""

import tensorflow as tf

from mmkeras.data.native import EXTENSIBLE, STREAMED, WavSound

_FORM_BYTES = 26


def read_wav(data) -> WavSound:
    """The sound of a WAV file, as scalar int64 tensors; `start` is 0 where there is none, or it is not all there.

    Args:
        data: scalar string tensor, the bytes of a file.
    """
    end = tf.cast(tf.strings.length(data), tf.int64)

    def is_searching(position, start, size, form):
        return (start == 0) & (position + 8 <= end)

    def read_chunk(position, start, size, form):
        head = _read(data, position, 8)
        length = _number(head[4:])
        is_data = _number(head[:4]) == int.from_bytes(b"data", "little")
        form = tf.where(_number(head[:4]) == int.from_bytes(b"fmt ", "little"), position + 8, form)
        left = end - position - 8
        size = tf.where(is_data, tf.where((length == 0) | (length >= STREAMED), left, length), size)
        start = tf.where(is_data, position + 8, start)
        return position + 8 + length + length % 2, start, size, form

    begin = tf.zeros((), tf.int64)
    _, start, size, form = tf.while_loop(is_searching, read_chunk, [begin + 12, begin, begin, begin])
    fields = _read(data, form, _FORM_BYTES)
    codec = _number(fields[:2])
    codec = tf.where(codec == EXTENSIBLE, _number(fields[24:]), codec)
    head = _read(data, begin, 12)
    is_wave = tf.reduce_all(tf.gather(head, [0, 1, 2, 3, 8, 9, 10, 11]) == list(b"RIFFWAVE"))
    is_whole = (form > 0) & (start > 0) & (start + size <= end)
    start = tf.where(is_wave & is_whole, start, 0)
    return WavSound(start, size, codec, _number(fields[2:4]), _number(fields[4:8]), _number(fields[14:16]))


def _read(data, position, count):
    """The bytes from a position on, int64, 0 behind the end."""
    part = tf.strings.substr(data, tf.minimum(position, tf.cast(tf.strings.length(data), tf.int64)), count)
    return tf.cast(tf.io.decode_raw(part, tf.uint8, fixed_length=count), tf.int64)


def _number(little_endian):
    return tf.reduce_sum(little_endian * [256**i for i in range(little_endian.shape[0])])
