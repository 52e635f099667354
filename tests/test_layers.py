import numpy as np
import pytest

from mmkeras.layers import MissingEmbedding, ModalityDropout, PositionEmbedding, SpectrogramMasking, ZeroAbsent

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
