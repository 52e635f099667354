import numpy as np
import pytest

import mmkeras as mk
from mmkeras.testing import check_encoder

pytestmark = pytest.mark.compat

RANDOM = np.random.default_rng(0)


@pytest.fixture
def text():
    return mk.Text(["[PAD]", "[UNK]", "a", "b", "c"], sequence_length=6, encoder=mk.encoders.GRU(width=8))


@pytest.mark.parametrize("size", [(32, 32), (33, 50), (8, 8), (5, 64)])
def test_cnn_keeps_the_contract_at_every_size(size):
    model = mk.Image(size=size, encoder=mk.encoders.CNN(width=8)).build_encoder("image")
    check_encoder(model, "image", {"image": RANDOM.integers(0, 256, (4, *size, 3), "uint8")})


def test_gru_keeps_the_contract(text):
    ids = RANDOM.integers(1, 5, (4, 6)).astype("int32")
    check_encoder(text.build_encoder("text"), "text", {"text": ids})


def test_padding_does_not_change_what_gru_reads(text):
    ids = RANDOM.integers(1, 5, (4, 6)).astype("int32")
    ids[:, 4:] = 0
    short = mk.Text(text.preprocessor.vocabulary, sequence_length=4, encoder=text.encoder).build_encoder("text")
    long = text.build_encoder("text")
    short.set_weights(long.get_weights())
    present = np.ones(4, bool)
    expected = short({"text": ids[:, :4], "text_present": present})
    received = long({"text": ids, "text_present": present})
    assert np.allclose(expected["pooled"], received["pooled"], atol=1e-6)
    assert np.allclose(expected["tokens"], received["tokens"][:, :4], atol=1e-6)
    assert not received["mask"].numpy()[:, 4:].any()


def test_only_the_wanted_features_are_computed(text):
    whole = text.build_encoder("text")
    pooled = text.build_encoder("text", ("pooled", "present"))
    assert set(pooled.output) == {"pooled", "present"}
    assert pooled.count_params() < whole.count_params()


def test_every_branch_is_normalised_however_large_its_weights():
    model = mk.Image(size=32).build_encoder("image")
    for name in ("tokens_dense", "pooled_dense"):
        model.get_layer(name).kernel.assign(100 * model.get_layer(name).kernel)
    images = RANDOM.integers(0, 256, (4, 32, 32, 3), "uint8")
    output = model({"image": images, "image_present": np.ones(4, bool)})
    assert np.allclose(np.mean(output["pooled"], axis=1), 0, atol=1e-5)
    assert np.allclose(np.std(output["pooled"], axis=1), 1, atol=1e-3)
    assert np.allclose(np.mean(output["tokens"], axis=2), 0, atol=1e-5)
    assert np.allclose(np.std(output["tokens"], axis=2), 1, atol=1e-3)


def test_an_unknown_encoder_is_refused_with_the_known_ones():
    with pytest.raises(
        ValueError, match=r"one of \['gru'\], or an object from `mk.encoders`. Received: encoder='bert'"
    ):
        mk.Text(encoder="bert")


def test_a_width_that_is_none_is_refused():
    with pytest.raises(ValueError, match="`width` of GRU is at least 1. Received: width=0"):
        mk.encoders.GRU(width=0)
