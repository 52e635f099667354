import numpy as np
import pytest

from mmkeras.layers import (
    FrameMotion,
    MissingEmbedding,
    ModalityDropout,
    PositionEmbedding,
    RotaryAttention,
    SpectrogramMasking,
    SpectrogramRolling,
    ZeroAbsent,
)

pytestmark = pytest.mark.compat

PRESENT = np.array([True, False])


@pytest.mark.parametrize("dtype, expected", [("uint8", "float32"), ("int32", "int32"), ("float32", "float32")])
def test_zero_absent_keeps_present_rows_and_zeroes_the_others(dtype, expected):
    inputs = np.array([[1, 2], [3, 4]], dtype)
    output = ZeroAbsent()(inputs, PRESENT)
    assert output.dtype == expected
    assert output.numpy().tolist() == [[1, 2], [0, 0]]


def test_missing_embedding_is_learned():
    layer = MissingEmbedding()
    layer(np.ones((2, 3), "float32"), PRESENT)
    layer.set_weights([np.array([5, 6, 7])])
    assert layer(np.ones((2, 3), "float32"), PRESENT).numpy().tolist() == [[1, 1, 1], [5, 6, 7]]


def test_modality_dropout_drops_each_row_for_itself_at_the_given_rate():
    present = np.ones((4000, 3), bool)
    kept = ModalityDropout(0.2, seed=1)(present, training=True).numpy()
    assert abs(kept.mean() - 0.8) < 0.03  # the rows that would lose everything keep everything: 0.8 %
    assert len({tuple(row) for row in kept}) == 7


def test_modality_dropout_leaves_every_row_something():
    present = np.array([[True, True], [True, False], [False, False]] * 500)
    kept = ModalityDropout(0.9, seed=1)(present, training=True).numpy()
    assert np.array_equal(kept.any(axis=1), present.any(axis=1))
    assert not np.any(kept & ~present)


def test_modality_dropout_refuses_what_is_no_probability():
    with pytest.raises(ValueError, match=r"a probability in \[0, 1\). Received: rate=1"):
        ModalityDropout(1)


def test_position_embedding_tells_places_apart():
    layer = PositionEmbedding()
    output = layer(np.zeros((1, 3, 4), "float32")).numpy()
    assert np.array_equal(output[0], layer.embedding.numpy())
    assert not np.allclose(output[0, 0], output[0, 1])


def test_spectrogram_masking_zeroes_one_span_of_time_and_one_of_bands_in_each_recording():
    steps, mask = np.ones((64, 40, 16), "float32"), np.ones((64, 40), bool)
    mask[::2, 20:] = False
    layer = SpectrogramMasking(time_share=0.5, band_share=0.25, seed=0)
    lost = layer(steps, mask, training=True).numpy() == 0
    in_time, in_bands = lost.all(axis=2), lost.all(axis=1)
    assert np.array_equal(lost, in_time[:, :, None] | in_bands[:, None])
    for spans in (in_time, in_bands):
        changes = np.abs(np.diff(np.pad(spans, [(0, 0), (1, 1)]).astype(int))).sum(axis=1)
        assert set(changes) == {0, 2}  # a beginning and an end
        assert len(np.unique(spans.argmax(axis=1))) > 5
    assert in_time[1::2].sum(axis=1).max() in (19, 20) and in_time[::2].sum(axis=1).max() in (9, 10)
    assert in_bands.sum(axis=1).max() == 4 and not in_time[::2, 20:].any()


def test_spectrogram_masking_refuses_a_share_above_1():
    with pytest.raises(ValueError, match="`time_share` of .* lies between 0 and 1. Received: time_share=2"):
        SpectrogramMasking(time_share=2)


def test_rotary_attention_knows_distances_and_not_places():
    """Tokens behind masked ones say what they say by themselves; in another order they do not."""
    random = np.random.default_rng(0)
    tokens = random.normal(size=(1, 5, 8)).astype("float32")
    later = np.concatenate([random.normal(size=(1, 3, 8)).astype("float32"), tokens], axis=1)
    layer = RotaryAttention(num_heads=2, key_dim=4)
    alone = layer(tokens, tokens).numpy()
    behind = layer(later, later, attention_mask=np.array([[[False] * 3 + [True] * 5]])).numpy()
    np.testing.assert_allclose(behind[:, 3:], alone, atol=1e-5)
    backwards = layer(tokens[:, ::-1], tokens[:, ::-1]).numpy()[:, ::-1]
    assert np.abs(backwards - alone).max() > 1e-3
    with pytest.raises(ValueError, match="values turn in pairs. Received: key_dim=3"):
        RotaryAttention(num_heads=2, key_dim=3)


def test_rolling_moves_the_beginning_of_each_recording_and_not_its_padding():
    steps = np.tile(np.arange(12, dtype="float32")[None, :, None], (32, 1, 2))
    mask = np.ones((32, 12), bool)
    mask[::2, 5:] = False
    layer = SpectrogramRolling(seed=0)
    assert np.array_equal(layer(steps, mask).numpy(), steps)
    rolled = layer(steps, mask, training=True).numpy()
    assert np.array_equal(rolled[..., 0], rolled[..., 1])
    for row, count in zip(rolled[..., 0], mask.sum(axis=1), strict=True):
        assert np.array_equal(row[:count], np.roll(np.arange(count), -int(row[0])))
        assert np.array_equal(row[count:], np.arange(count, 12))
    assert len(set(rolled[1::2, 0, 0])) > 5 and len(set(rolled[::2, 0, 0])) > 2


def test_motion_is_told_from_what_stands_still():
    random = np.random.default_rng(0)
    still = np.tile(random.integers(0, 255, (1, 1, 4, 4, 3)), (1, 6, 1, 1, 1)).astype("uint8")
    mask = np.array([[True] * 4 + [False] * 2])
    output = FrameMotion()(still, mask).numpy()
    assert output[0, :4, ..., :2] == pytest.approx(127.5, abs=1e-3)
    gray = still[0, 0].astype("float32") @ np.array([0.299, 0.587, 0.114], "float32")
    np.testing.assert_allclose(output[0, 0, ..., 2], gray, rtol=1e-4)
    assert (output[0, 4:] == 127.5).all()
    moved = still.copy()
    moved[0, 2] = 0
    moved[0, 4:] = 255  # padding
    output = FrameMotion()(moved, mask).numpy()
    np.testing.assert_allclose(output[0, 2, ..., 1], 127.5 - 16 * gray, rtol=1e-4)
    np.testing.assert_allclose(output[0, 2, ..., 0], 127.5 - 4 * 0.75 * gray, rtol=1e-3)
    one = moved[..., :1]
    np.testing.assert_allclose(FrameMotion()(one, mask), FrameMotion()(np.repeat(one, 3, -1), mask), rtol=1e-5)
