import importlib.metadata
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmkeras.preprocessing import SpecAugment, fade, freq_mask, tensorflow_io, time_mask

pytestmark = pytest.mark.compat


def find_bands(spectrogram, axis):
    """Indices of what is 0 all along the other axis."""
    return np.flatnonzero((np.asarray(spectrogram) == 0).all(axis=1 - axis))


@pytest.mark.parametrize("mask, axis", [(time_mask, 0), (freq_mask, 1)])
def test_a_mask_is_one_band_narrower_than_the_parameter_and_nothing_else(mask, axis):
    spectrograms = np.random.default_rng(0).uniform(1, 2, (200, 12, 10)).astype("float32")
    masked = mask(spectrograms, 4).numpy()
    bands = [find_bands(one, axis) for one in masked]
    assert {len(band) for band in bands} == {0, 1, 2, 3}
    assert all((np.diff(band) == 1).all() for band in bands)
    assert len({tuple(band) for band in bands}) > 10  # each example has its own
    for one, before, band in zip(masked, spectrograms, bands, strict=True):
        kept = np.delete(np.arange(one.shape[axis]), band)
        np.testing.assert_array_equal(one.take(kept, axis), before.take(kept, axis))


@pytest.mark.parametrize("mask", [time_mask, freq_mask])
def test_a_mask_takes_one_example_and_more_than_there_is(mask):
    for _ in range(20):
        masked = mask(tf.ones((3, 3)), 100)
        assert masked.shape == (3, 3) and masked.numpy().any()


@pytest.mark.parametrize("mask", [time_mask, freq_mask])
def test_the_same_seed_gives_the_same_masks(mask):
    def draw():
        tf.random.set_seed(7)
        return mask(tf.ones((8, 20, 20)), 10).numpy()

    np.testing.assert_array_equal(draw(), draw())


@pytest.mark.parametrize(
    "mode, middle",
    [("linear", 0.5), ("logarithmic", np.log(1.5) / np.log(2)), ("exponential", np.expm1(0.5) / np.expm1(1))],
)
def test_a_fade_begins_and_ends_at_0_and_follows_its_formula(mode, middle):
    expected = [0, middle, 1, 1, 1, 1, middle, 0]
    np.testing.assert_allclose(fade(tf.ones((2, 8)), 3, 3, mode), [expected, expected], atol=1e-6)


def test_a_fade_of_0_samples_changes_nothing_and_one_too_long_spans_all():
    np.testing.assert_array_equal(fade(tf.ones(4), 0, 0), np.ones(4))
    np.testing.assert_array_equal(fade(tf.ones(3), 100, 0), [0, 0.5, 1])


def test_spec_augment_masks_both_axes_in_a_parallel_pipeline():
    augment = SpecAugment(freq_mask=5, time_mask=5)
    batches = tf.data.Dataset.from_tensor_slices(tf.ones((64, 12, 10))).batch(32)
    batches = list(batches.map(augment, num_parallel_calls=2))
    assert [batch.shape for batch in batches] == [(32, 12, 10)] * 2
    found = [(len(find_bands(one, 0)), len(find_bands(one, 1))) for batch in batches for one in batch]
    assert np.max(found, axis=0).tolist() == [4, 4]


def test_spec_augment_fades_waveforms_in_each_for_itself():
    faded = SpecAugment(fade=50)(tf.ones((20, 100))).numpy()
    assert (faded[:, 0] == 0).all() and (faded[:, 50:] == 1).all()
    assert (np.diff(faded, axis=1) >= 0).all()
    assert len(np.unique(faded.sum(axis=1))) > 5


def test_spec_augment_survives_serialization():
    config = keras.saving.serialize_keras_object(SpecAugment(freq_mask=3, time_mask=4, fade=5))
    assert keras.saving.deserialize_keras_object(config).get_config() == {"freq_mask": 3, "time_mask": 4, "fade": 5}


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: freq_mask(tf.ones((3, 3)), 0), "`param` is an integer of at least 1. Received: param=0"),
        (lambda: time_mask(tf.ones((3, 3)), 1.5), "`param` is an integer of at least 1. Received: param=1.5"),
        (lambda: freq_mask(tf.ones(3), 1), r"An example has 2 axes, a batch 3. Received: shape=\(3,\)"),
        (lambda: fade(tf.ones(3), -1, 0), "`fade_in` is an integer of at least 0"),
        (lambda: fade(tf.ones(3), 1, 1, "sudden"), r"`mode` of fade is one of \['linear', .*Received: mode='sudden'"),
        (lambda: SpecAugment(time_mask=-1), "`time_mask` is an integer of at least 0. Received: time_mask=-1"),
        (
            lambda: SpecAugment(fade=3)(tf.ones((2, 3, 4))),
            r"SpecAugment masks .*Received: shape=\(2, 3, 4\), {'freq_mask'",
        ),
        (lambda: SpecAugment(freq_mask=3)(tf.ones((2, 3))), r"SpecAugment masks .*Received: shape=\(2, 3\)"),
    ],
)
def test_what_makes_no_sense_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_without_tensorflow_io_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_io", None)
    with pytest.raises(ImportError, match=r"pip install 'mmkeras\[tfio\]'"):
        tensorflow_io.import_audio.__wrapped__()


def test_using_it_prints_nothing():
    code = "import mmkeras.preprocessing as p; p.freq_mask([[1.0, 2.0]], 2); p.can_decode_natively()"
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    command = [sys.executable, "-W", "always::UserWarning", "-c", code]
    process = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert (process.returncode, process.stdout, process.stderr) == (0, "", "")


def test_importing_mmkeras_does_not_import_it():
    code = "import sys, mmkeras; sys.exit('tensorflow_io' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_it_goes_by_its_one_version():
    assert importlib.metadata.version("tensorflow-io") == "0.37.1"
