import numpy as np
import pytest
import tensorflow as tf

import mmkeras as mk
from mmkeras.preprocessing import AudioPreprocessor, RowPreprocessor
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
        (b"no sound at all", "damaged audio", True),
        (encode(np.zeros(0)), "no samples", True),
        (encode(np.zeros(5000)), "audio cut", False),
    ],
)
def test_problems_are_found(cell, kind, rejected):
    (finding,) = AudioPreprocessor(seconds=0.1).find_problems([cell])[0]
    assert (finding.kind, finding.rejected) == (kind, rejected)


def test_another_rate_is_refused_in_the_graph():
    with pytest.raises(tf.errors.InvalidArgumentError, match="has not 16000 Hz"):
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
