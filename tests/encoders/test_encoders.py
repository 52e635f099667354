import keras
import numpy as np
import pytest

import mmkeras as mk
from mmkeras.testing import check_encoder

pytestmark = pytest.mark.compat

RANDOM = np.random.default_rng(0)


@pytest.fixture
def text():
    return mk.Text(
        mk.tokenizers.WordPiece(["[PAD]", "[UNK]", "a", "b", "c"]),
        sequence_length=6,
        encoder=mk.encoders.TextGRU(units=8),
    )


@pytest.mark.parametrize("size", [(32, 32), (33, 50), (8, 8), (5, 64)])
def test_cnn_keeps_the_contract_at_every_size(size):
    model = mk.Image(size=size, encoder=mk.encoders.ImageCNN(units=8)).build_encoder("image")
    check_encoder(model, RANDOM.integers(0, 256, (4, *size, 3), "uint8"))


def test_gru_keeps_the_contract(text):
    ids = RANDOM.integers(1, 5, (4, 6)).astype("int32")
    check_encoder(text.build_encoder("text"), ids)


def test_padding_does_not_change_what_gru_reads(text):
    ids = RANDOM.integers(1, 5, (4, 6)).astype("int32")
    ids[:, 4:] = 0
    short = mk.Text(text.preprocessor.tokenizer, sequence_length=4, encoder=text.encoder).build_encoder("text")
    long = text.build_encoder("text")
    short.set_weights(long.get_weights())
    present = np.ones(4, bool)
    expected = short({"content": ids[:, :4], "present": present})
    received = long({"content": ids, "present": present})
    assert np.allclose(expected["pooled"], received["pooled"], atol=1e-6)
    assert np.allclose(expected["tokens"], received["tokens"][:, :4], atol=1e-6)
    assert not received["mask"].numpy()[:, 4:].any()


def test_audio_cnn_keeps_the_contract():
    audio = mk.Audio(seconds=0.3, encoder=mk.encoders.AudioCNN(units=8, filters=(8, 8), mel_bins=16))
    sound = RANDOM.uniform(-1, 1, (4, 4800)).astype("float32")
    sound[1, 2000:] = 0
    check_encoder(audio.build_encoder("sound"), sound, np.array([4800, 2000, 4800, 0], "int32"))


def test_zeros_behind_a_recording_do_not_change_what_audio_cnn_hears():
    encoder = mk.encoders.AudioCNN(units=8, filters=(8, 8), mel_bins=16)
    short, long = (mk.Audio(seconds=seconds, encoder=encoder).build_encoder("sound") for seconds in (0.5, 1.0))
    long.set_weights(short.get_weights())
    sound = RANDOM.uniform(-1, 1, (2, 16000)).astype("float32")
    sound[:, 6400:] = 0
    given = {"present": np.ones(2, bool), "length": np.full(2, 6400, "int32")}
    expected = short({"content": sound[:, :8000], **given})
    received = long({"content": sound, **given})
    assert np.allclose(expected["pooled"], received["pooled"], atol=1e-5)
    length = int(expected["mask"].numpy().sum(axis=1).max())
    assert np.allclose(expected["tokens"][:, :length], received["tokens"][:, :length], atol=1e-5)
    assert not received["mask"].numpy()[:, length:].any()


def test_frame_gru_keeps_the_contract():
    encoder = mk.encoders.VideoGRU(units=8, frame_encoder=mk.encoders.ImageCNN(units=8, filters=(4, 4)))
    frames = RANDOM.integers(1, 256, (4, 3, 16, 16, 3), "uint8")
    frames[1, 2:] = 0
    lengths = np.array([3, 2, 3, 1], "int32")
    check_encoder(mk.Video(frames=3, size=16, encoder=encoder).build_encoder("clip"), frames, lengths)


def test_mlp_keeps_the_contract():
    table = mk.Tabular(
        ["a"],
        ["c"],
        ["d"],
        {"a": (0, 1), "d": (0, 1)},
        {"c": ["x", "y"]},
        encoder=mk.encoders.TabularMLP(units=8, dropout=0),
    )
    values = RANDOM.normal(size=(6, 7, 2)).astype("float32")
    values[:, 1, 0] = [0, 1, 2, 0, 1, 2]
    values[..., 1] = RANDOM.random((6, 7)) < 0.5
    check_encoder(table.build_encoder("table"), values)


def test_history_gru_keeps_the_contract():
    history = mk.History(sequence_length=4, items=["a", "b"], encoder=mk.encoders.HistoryGRU(units=8, embedding_dim=8))
    events = np.stack([RANDOM.integers(1, 4, (4, 4)), RANDOM.integers(0, 32, (4, 4))], axis=2).astype("int32")
    events[1, 2:] = 0
    check_encoder(history.build_encoder("clicks"), events)


def test_augmentation_changes_pixels_in_training_only():
    image = mk.Image(size=16, augmentation=[keras.layers.RandomFlip(seed=1)])
    inputs = {"content": RANDOM.integers(0, 256, (8, 16, 16, 3), "uint8"), "present": np.ones(8, bool)}
    model, plain = image.copy().build_encoder("image"), mk.Image(size=16).build_encoder("image")
    random_flip = [layer for layer in model.layers if isinstance(layer, keras.layers.RandomFlip)]
    assert len(random_flip) == 1
    for layer in plain.layers:
        layer.set_weights(model.get_layer(layer.name).get_weights())
    received, expected = (encoder(inputs, training=False)["pooled"] for encoder in (model, plain))
    assert np.array_equal(received, expected)
    assert not np.allclose(random_flip[0](inputs["content"], training=True), inputs["content"])


def test_every_branch_is_normalized_however_large_its_weights():
    model = mk.Image(size=32).build_encoder("image")
    for name in ("tokens_dense", "pooled_dense"):
        model.get_layer(name).kernel.assign(100 * model.get_layer(name).kernel)
    images = RANDOM.integers(0, 256, (4, 32, 32, 3), "uint8")
    output = model({"content": images, "present": np.ones(4, bool)})
    assert np.allclose(np.mean(output["pooled"], axis=1), 0, atol=1e-5)
    assert np.allclose(np.std(output["pooled"], axis=1), 1, atol=1e-3)
    assert np.allclose(np.mean(output["tokens"], axis=2), 0, atol=1e-5)
    assert np.allclose(np.std(output["tokens"], axis=2), 1, atol=1e-3)


def test_an_unknown_encoder_is_refused_with_the_known_ones():
    with pytest.raises(
        ValueError, match=r"one of \['gru'\], or an object from `mk.encoders`. Received: encoder='bert'"
    ):
        mk.Text(encoder="bert")


def test_units_that_are_none_is_refused():
    with pytest.raises(ValueError, match="`units` of TextGRU is at least 1. Received: units=0"):
        mk.encoders.TextGRU(units=0)
