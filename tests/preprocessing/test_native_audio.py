"""tensorflow-io's native decoders, where they load; elsewhere what is said of them."""

import io
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import tensorflow as tf

import mmkeras as mk
from mmkeras.preprocessing import can_decode_natively, decode_audio_native
from mmkeras.preprocessing.native_audio import _read_flac_header, _read_mp3_header, _read_vorbis_header
from mmkeras.preprocessing.tensorflow_io import import_native_ops

pytestmark = pytest.mark.compat
native = pytest.mark.skipif(
    not can_decode_natively(), reason="tensorflow-io's native ops load with TensorFlow 2.16 only"
)
FORMATS = [("FLAC", "PCM_16"), ("FLAC", "PCM_24"), ("FLAC", "PCM_S8"), ("MP3", "MPEG_LAYER_III"), ("OGG", "VORBIS")]


def make_sine(rate, seconds=1.5, hertz=440):
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)


def encode(samples, rate, format="FLAC", subtype=None):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=format, subtype=subtype)
    return file.getvalue()


def claim_samples(flac, count):
    """The file with another number of samples in its header."""
    return flac[:21] + bytes([flac[21] & 0xF0 | count >> 32]) + (count % 2**32).to_bytes(4, "big") + flac[26:]


@native
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100])
@pytest.mark.parametrize("format, subtype", FORMATS)
def test_a_tone_keeps_its_pitch_length_loudness_and_place(format, subtype, rate, channels):
    tone = make_sine(rate)
    data = encode(np.stack([tone] * channels, axis=1), rate, format, subtype)
    decoded = decode_audio_native(data).numpy()
    assert (decoded.dtype, decoded.shape) == (np.float32, (24000,))
    inner = slice(2000, 22000)
    # The resampler's delay at 44.1 kHz is no whole number of samples; lossy formats lose more.
    tolerance = 0.02 if format == "FLAC" else 0.08
    np.testing.assert_allclose(decoded[inner], make_sine(16000)[inner], atol=tolerance)


@native
def test_channels_are_averaged():
    data = encode(np.stack([np.full(1000, 0.5), np.full(1000, -0.25)], axis=1), 16000)
    np.testing.assert_allclose(decode_audio_native(data), np.full(1000, 0.125), atol=1e-4)


@native
def test_a_pipeline_gives_what_eager_calls_give():
    files = [encode(make_sine(rate), rate, *kind) for kind in FORMATS for rate in (16000, 44100)]
    dataset = tf.data.Dataset.from_tensor_slices(files).map(decode_audio_native, num_parallel_calls=2)
    for data, decoded in zip(files, dataset, strict=True):
        np.testing.assert_array_equal(decoded, decode_audio_native(data))


_SERVE = """
import sys
import numpy as np, tensorflow as tf
from mmkeras.preprocessing.tensorflow_io import import_native_ops
import_native_ops()
serve = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
np.save(sys.argv[2], serve(contents=tf.io.read_file(sys.argv[3]))["samples"])
"""


@native
@pytest.mark.parametrize("format", ["FLAC", "MP3", "OGG"])
def test_a_saved_model_decodes_in_a_fresh_process(format, tmp_path):
    @tf.function(input_signature=[tf.TensorSpec((), tf.string, name="contents")], autograph=False)
    def serve(contents):
        return {"samples": decode_audio_native(contents)}

    tf.saved_model.save(tf.Module(), tmp_path / "model", signatures=serve)
    (tmp_path / "tone").write_bytes(encode(make_sine(44100), 44100, format))
    paths = [tmp_path / name for name in ("model", "samples.npy", "tone")]
    subprocess.run([sys.executable, "-c", _SERVE, *paths], check=True)
    expected = decode_audio_native((tmp_path / "tone").read_bytes())
    np.testing.assert_array_equal(np.load(tmp_path / "samples.npy"), expected)


@native
@pytest.mark.parametrize("in_graph", [False, True])
@pytest.mark.parametrize(
    "data, message",
    [
        (b"", "The cell is not a FLAC, MP3 or Ogg Vorbis file"),
        (b"hello" * 100, "The cell is not a FLAC, MP3 or Ogg Vorbis file"),
        (tf.audio.encode_wav(tf.ones((100, 1)), 8000).numpy(), "The cell is not a FLAC, MP3 or Ogg Vorbis file"),
        (encode(make_sine(16000), 16000, "OGG", "OPUS"), "The cell is not a FLAC, MP3 or Ogg Vorbis file"),
        (b"ID3\x04\0\0\x7f\x7f\x7f\x7f", "The cell is not a FLAC, MP3 or Ogg Vorbis file"),
        (encode(make_sine(16000), 16000)[:2000], "unable to "),
        (encode(make_sine(16000), 16000, "OGG", "VORBIS")[:4500], "failed"),
        (encode(make_sine(500), 500), "a sample rate that is not between 1000 and 655350 Hz"),
        (
            claim_samples(encode(make_sine(16000), 16000), 0),
            "The FLAC file has no samples, or does not give their number",
        ),
    ],
    ids=["empty", "text", "wav", "opus", "tag alone", "cut flac", "cut vorbis", "low rate", "no samples"],
)
def test_what_cannot_be_decoded_is_an_error_in_words(data, message, in_graph):
    decode = tf.function(decode_audio_native, autograph=False) if in_graph else decode_audio_native
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        decode(tf.constant(data))


@native
@pytest.mark.parametrize("format, subtype", FORMATS)
def test_a_recording_that_is_too_long_is_refused(format, subtype):
    data = encode(make_sine(16000), 16000, format, subtype)
    assert len(decode_audio_native(data, max_seconds=1.5)) == 24000
    with pytest.raises(tf.errors.InvalidArgumentError, match="The recording is longer than max_seconds=1.4"):
        decode_audio_native(data, max_seconds=1.4)


@native
def test_a_header_that_claims_hours_is_refused_before_memory_is_taken():
    flac = claim_samples(encode(make_sine(16000), 16000), 2**36 - 1)
    mp3 = encode(make_sine(16000), 16000, "MP3")
    tag = max(mp3.find(b"Info"), mp3.find(b"Xing"))
    for data in (flac, mp3[: tag + 8] + b"\x7f\xff\xff\xff" + mp3[tag + 12 :]):
        with pytest.raises(tf.errors.InvalidArgumentError, match="The recording is longer than max_seconds=3600"):
            decode_audio_native(data)


# The headers are read by core ops, on every TensorFlow.
RATES = [8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000]


@pytest.mark.parametrize("rate", RATES)
def test_headers_tell_rate_and_length(rate):
    tone = make_sine(rate)
    assert [int(n) for n in _read_flac_header(encode(tone, rate))] == [rate, len(tone)]
    assert [int(n) for n in _read_vorbis_header(encode(tone, rate, "OGG", "VORBIS"))] == [rate, len(tone)]
    mp3 = encode(tone, rate, "MP3")
    tag = b"ID3\x04\0\0\0\0\x01\x02" + b"\xff\xfb\x90" * 43 + b"\0"  # 130 bytes, which look like other headers
    for data in (mp3, tag + mp3, b"\0" * 100 + mp3):
        found, claimed = (int(n) for n in _read_mp3_header(data))
        assert found == rate and abs(claimed - len(tone)) < 4000


@pytest.mark.parametrize("seed", range(20))
def test_noise_has_no_mp3_frame(seed):
    assert int(_read_mp3_header(np.random.default_rng(seed).bytes(20_000))[0]) == -1


@pytest.mark.skipif(can_decode_natively(), reason="tensorflow-io's native ops load here")
def test_where_native_ops_do_not_load_the_cure_is_named():
    with pytest.raises(
        ImportError,
        match=r"native decoders need TensorFlow 2.16. Received: tensorflow 2\.[0-9.]+. Use decoder='ffmpeg', or, in an "
        r"environment of its own: pip install 'mmkeras\[compat\]'",
    ):
        decode_audio_native(b"")


@native
def test_native_ops_are_loaded_once():
    assert import_native_ops() is import_native_ops()


@native
@pytest.mark.parametrize("format, subtype", FORMATS)
def test_audio_reads_files_in_the_graph(tmp_path, format, subtype):
    (tmp_path / "sine").write_bytes(encode(make_sine(44_100, seconds=1.0), 44_100, format, subtype))
    model = mk.Classifier({"sound": mk.Audio(seconds=1.0, decoder="tensorflow-io")}, ["no", "yes"])
    (tensors,) = model.dataset(mk.read([{"sound": "sine"}], folder=tmp_path))
    spectrum = np.abs(np.fft.rfft(tensors["sound"][0] * np.hanning(16_000)))
    assert spectrum.argmax() == 440


@pytest.mark.skipif(can_decode_natively(), reason="tensorflow-io's native ops load here")
def test_audio_refuses_a_decoder_that_does_not_load():
    with pytest.raises(ImportError, match="tensorflow-io's native decoders need TensorFlow 2.16. Received: tensorflow"):
        mk.Audio(decoder="tensorflow-io")
