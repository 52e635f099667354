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
    received = AudioPreprocessor(seconds=0.1).prepare_cell(encode(stereo)).numpy()
    assert received.shape == (1600,)
    assert np.allclose(received[:1000], 0.125, atol=1e-4)
    assert not received[1000:].any()
    assert AudioPreprocessor(seconds=0.01).prepare_cell(encode(stereo)).shape == (160,)


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


def test_frames_after_the_last_sound_are_masked():
    samples = np.zeros((2, 16000), "float32")
    samples[0, 8000] = 0.1
    mask = mk.layers.LogMelSpectrogram(16000).compute_frame_mask(samples).numpy()
    assert mask.shape == (2, 98)
    assert mask[0].sum() == 51
    assert mask[1].sum() == 1


@pytest.mark.parametrize("arguments", [{"seconds": 0}, {"sample_rate": -1}])
def test_arguments_that_make_no_sense_are_refused(arguments):
    with pytest.raises(ValueError, match="`seconds` and `sample_rate` of Audio are greater than 0. Received"):
        mk.Audio(**arguments)
