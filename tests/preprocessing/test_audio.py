import io
import struct

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import mmkeras as mk
from mmkeras.data import media, native
from mmkeras.preprocessing import AudioPreprocessor, RowPreprocessor, wav
from mmkeras.testing import check_preprocessor

RANDOM = np.random.default_rng(0)


def encode(samples, rate=16000):
    samples = samples[:, None] if samples.ndim == 1 else samples
    return tf.audio.encode_wav(samples.astype("float32"), rate).numpy()


def test_samples_are_averaged_over_channels_cut_and_followed_by_zeros():
    stereo = np.stack([np.full(1000, 0.5), np.full(1000, -0.25)], axis=1)
    received, length = AudioPreprocessor(seconds=0.1).prepare_cell(encode(stereo))
    assert received.shape == (1600,) and length == 1000
    assert np.allclose(received[:1000], 0.125, atol=1e-4)
    assert not received.numpy()[1000:].any()
    assert AudioPreprocessor(seconds=0.01).prepare_cell(encode(stereo))[0].shape == (160,)


def test_all_ways_through_give_the_same():
    cells = [encode(RANDOM.uniform(-1, 1, 500)), b"", encode(RANDOM.uniform(-1, 1, 5000))]
    check_preprocessor(RowPreprocessor({"sound": AudioPreprocessor(seconds=0.1)}), {"sound": cells})


@pytest.mark.parametrize(
    "cell, kind, rejected",
    [
        (b"no sound at all", "not audio", True),
        (encode(np.zeros(0)), "no samples", True),
        (encode(np.zeros(5000)), "audio cut", False),
    ],
)
def test_problems_are_found(cell, kind, rejected):
    (finding,) = AudioPreprocessor(seconds=0.1).find_problems([cell])[0]
    assert (finding.kind, finding.rejected) == (kind, rejected)


def test_a_millisecond_more_is_not_worth_a_word():
    assert AudioPreprocessor(seconds=0.1).find_problems([encode(np.zeros(1616))]) == [[]]


FORM = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 16000, 32000, 2, 16)
EXTENSIBLE = struct.pack("<4sIHHIIHHHHIH14x", b"fmt ", 40, 0xFFFE, 1, 16000, 32000, 2, 16, 22, 16, 4, 1)
SAMPLES = (np.random.default_rng(1).uniform(-1, 1, 500) * 32767).astype("int16")


def write_wav(*chunks, form=FORM, behind=b""):
    """A WAV file with these chunks: name, content, and the size that is declared."""
    body = b"WAVE" + form
    for name, content, size in chunks:
        body += name + struct.pack("<I", size) + content + bytes(len(content) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body + behind


DATA = (b"data", SAMPLES.tobytes(), 1000)


@pytest.mark.parametrize(
    "cell",
    [
        write_wav(DATA),
        write_wav((b"LIST", b"INFOISFT", 8), DATA),
        write_wav((b"junk", b"abc", 3), DATA),
        write_wav(DATA, form=EXTENSIBLE),
        write_wav((b"data", SAMPLES.tobytes(), 0)),
        write_wav((b"data", SAMPLES.tobytes(), 0xFFFFFFFF)),
        write_wav(DATA, behind=b"TAG" + b"Some title".ljust(125, b"\0")),
        write_wav(DATA, (b"LIST", b"INFOISFT", 8)),
    ],
    ids=["plain", "list", "odd", "extensible", "streamed", "endless", "tag", "list behind"],
)
def test_wav_files_of_all_writers_are_read_in_the_graph(cell):
    audio = AudioPreprocessor(seconds=0.05)
    assert media.is_native(cell, "audio", audio.media_options) and audio.find_problems([cell]) == [[]]
    samples, length = audio.prepare_cell(tf.constant(cell))
    assert length == 500 and np.allclose(samples[:500], SAMPLES / 32768, atol=1e-6)


def test_the_trailer_of_a_file_of_another_rate_is_no_sound():
    audio = AudioPreprocessor(seconds=0.1, sample_rate=8000)
    content = media.load(write_wav(DATA, behind=b"TAG" + b"Some title".ljust(125, b"\0")), "audio", audio.media_options)
    assert audio.prepare_cell(tf.constant(content))[1] == 250


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_python_and_the_graph_find_the_same_sound(data):
    good = bytearray(write_wav((b"LIST", b"INFOISFT", 8), DATA))
    for _ in range(data.draw(st.integers(0, 3))):
        good[data.draw(st.integers(0, 80))] = data.draw(st.integers(0, 255))
    cell = bytes(good[: data.draw(st.integers(0, len(good)))])
    found = native.read_wav(io.BytesIO(cell))
    in_graph = tuple(int(part) for part in READ_WAV(cell))
    assert in_graph[0] == 0 if found is None else in_graph == tuple(map(int, found))


READ_WAV = tf.function(lambda data: tuple(wav.read_wav(data)), [tf.TensorSpec((), tf.string)])


def test_another_rate_is_refused_in_the_graph():
    with pytest.raises(tf.errors.InvalidArgumentError, match="another sample rate"):
        AudioPreprocessor(seconds=0.1).prepare_cell(encode(np.zeros(100), rate=8000))


@pytest.mark.parametrize("rate, mel_bins", [(16000, 64), (16000, 80), (8000, 40), (44100, 64)])
def test_the_spectrogram_equals_that_of_tf_signal(rate, mel_bins):
    samples = RANDOM.uniform(-1, 1, (3, rate)).astype("float32")
    layer = mk.layers.LogMelSpectrogram(rate, mel_bins)
    spectrum = tf.signal.stft(samples, layer.frame_length, layer.frame_step, layer.fft_length)
    bands = tf.signal.linear_to_mel_weight_matrix(mel_bins, layer.fft_length // 2 + 1, rate, 60.0, rate / 2)
    expected = tf.math.log(tf.abs(spectrum) ** 2 @ bands + 1e-6)
    received = layer(samples)
    assert received.shape == layer.compute_output_shape(samples.shape) == expected.shape
    assert np.abs(received - expected).max() < 1e-5


def test_frames_behind_the_recording_are_masked():
    mask = mk.layers.LogMelSpectrogram(16000).compute_frame_mask(np.array([8001, 0, 16000]), samples=16000).numpy()
    assert mask.shape == (3, 98)
    assert mask.sum(axis=1).tolist() == [51, 1, 98]


def test_silence_at_the_end_of_a_recording_is_part_of_it():
    sound = np.zeros((2, 4800), "float32")
    sound[:, :1000] = 0.1
    audio = mk.Audio(seconds=0.3, encoder=mk.encoders.AudioCNN(units=8, filters=(8,), mel_bins=16))
    cells = [encode(sound[0]), encode(sound[0, :1000])]
    tensors = RowPreprocessor({"sound": audio.preprocessor})({"sound": tf.constant(cells)})
    assert tensors["sound_length"].numpy().tolist() == [4800, 1000]
    given = {"content": tensors["sound"], "present": tensors["sound_present"], "length": tensors["sound_length"]}
    whole, short = audio.build_encoder("sound")(given)["mask"].numpy().sum(axis=1)
    assert whole > short


@pytest.mark.parametrize("arguments", [{"seconds": 0}, {"sample_rate": -1}])
def test_arguments_that_make_no_sense_are_refused(arguments):
    with pytest.raises(ValueError, match="`seconds` and `sample_rate` of Audio are greater than 0. Received"):
        mk.Audio(**arguments)
