"""What tokens stand for: places in the content that their values come from."""

import numpy as np
import pytest
import tensorflow as tf

import mmkeras as mk

TEXTS = ["red tea", "the café is red", ""]
SOUND = mk.Audio(seconds=1.5, sample_rate=8000).preprocessor
CLIP = mk.Video(frames=5, size=16).preprocessor
TEXT = mk.Text()
TEXT.adapt(TEXTS * 5)
encoders = mk.encoders
CASES = {
    "text": (encoders.TextGRU(8, embedding_dim=4), TEXT.preprocessor, TEXTS),
    "text, convolved": (encoders.TextCNN(8), TEXT.preprocessor, TEXTS),
    "text, transformed": (encoders.TextTransformer(8, num_layers=1), TEXT.preprocessor, TEXTS),
    "n-grams": (encoders.TextNGrams(8), mk.Text(tokenizer=mk.tokenizers.NGrams(min_count=1)), TEXTS),
    "image": (encoders.ImageCNN(8, filters=(4, 4)), mk.Image(size=(40, 27)).preprocessor, None),
    "image, strided": (encoders.ImageCNN(8, (4, 4), is_strided=True), mk.Image(size=(33, 27)).preprocessor, None),
    "image, residual": (encoders.ImageResNet(8, filters=(4, 4)), mk.Image(size=19).preprocessor, None),
    "image, patches": (encoders.ImageViT(8, patch_size=8, num_layers=1), mk.Image(size=(24, 20)).preprocessor, None),
    "image, Keras": (encoders.Applications("MobileNetV2", None, 8), mk.Image(size=(64, 96)).preprocessor, None),
    "sound": (encoders.AudioCNN(8, filters=(8, 8)), SOUND, None),
    "sound in two dimensions": (encoders.AudioCNN2D(8, filters=(4, 4), rolls=False), SOUND, None),
    "sound, recurrent": (encoders.AudioCRNN(8, filters=(4, 4, 4)), SOUND, None),
    "sound, patches": (encoders.AudioTransformer(8, num_layers=1), SOUND, None),
    "video": (encoders.VideoMean(8), CLIP, None),
    "video in three dimensions": (
        encoders.VideoCNN3D(8, filters=(4, 4)),
        mk.Video(frames=5, size=16).preprocessor,
        None,
    ),
    "table": (encoders.TabularMLP(8), mk.Tabular(["a", "b"], statistics={"a": (0, 1), "b": (0, 1)}).preprocessor, None),
    "history": (encoders.HistoryGRU(8), mk.History(4, items=["x", "y"]).preprocessor, None),
}
UNITS = {"text": "characters", "image": "pixels", "sound": "seconds", "video": "frames", "table": "columns"}


def prepare(name):
    encoder, preprocessor, cells = CASES[name]
    if isinstance(preprocessor, mk.Modality):
        preprocessor.adapt(TEXTS * 5)
        preprocessor = preprocessor.preprocessor
    return encoder, preprocessor, cells


@pytest.mark.parametrize("name", CASES)
def test_there_is_a_place_for_each_token_and_none_is_outside_of_the_content(name):
    encoder, preprocessor, cells = prepare(name)
    unit, starts, ends = encoder.locate(preprocessor, cells)
    tokens = encoder.build_model(preprocessor).output["tokens"].shape[1]
    kind = name.split(",")[0].split(" ")[0]
    assert unit == {**UNITS, "n-grams": "whole", "history": "items"}[kind]
    assert starts.shape == ends.shape and starts.shape[1] in (1, tokens)
    assert starts.shape[1] == tokens or unit == "whole"
    assert np.all(starts <= ends) and np.all(starts >= 0)
    if unit != "characters" and unit != "whole":
        assert np.all(starts < ends)
    if unit == "seconds":
        assert ends.max() == pytest.approx(1.5)


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("image")])
def test_patches_cover_the_image_once(name):
    encoder, preprocessor, _ = CASES[name]
    _, starts, ends = encoder.locate(preprocessor)
    covered = np.zeros(preprocessor.size, int)
    for (top, left), (bottom, right) in zip(starts[0], ends[0], strict=True):
        covered[top:bottom, left:right] += 1
    assert np.all(covered == 1)


def measure_influence(model, content, change, length=None):
    """How much each token depends on a part of the content: the size of the gradient there."""
    present = tf.ones(1, tf.bool)
    lengths = {} if length is None else {"length": tf.constant([length])}
    before, after = (
        model({"content": tf.constant(part), "present": present, **lengths})["tokens"].numpy()
        for part in (content, change(content))
    )
    return np.abs(after - before).max(axis=(0, 2))


# Not the recurrent one, of which every token depends on all others.
@pytest.mark.parametrize("name", ["sound", "sound in two dimensions", "sound, patches"])
def test_the_seconds_of_a_token_are_those_of_its_samples(name):
    """A click in the middle of a place changes its token, and none that is farther than neighbors are."""
    encoder, preprocessor, _ = CASES[name]
    model = encoder.build_model(preprocessor)
    _, starts, ends = encoder.locate(preprocessor)
    quiet = np.random.default_rng(0).normal(0, 1e-3, (1, *preprocessor.shape)).astype("float32")
    for token in range(1, starts.shape[1] - 1, max(1, starts.shape[1] // 3)):
        middle = int((starts[0, token, 0] + ends[0, token, 0]) / 2 * preprocessor.sample_rate)

        def click(content, middle=middle):
            changed = content.copy()
            changed[0, middle : middle + 8] = 0.5
            return changed

        moved = measure_influence(model, quiet, click, preprocessor.shape[0])
        assert moved[token] > 1e-4
        if name != "sound, patches":
            away = np.abs(starts[0, :, 0] - starts[0, token, 0]) > 8 * (ends - starts).max()
            assert not np.any(moved[away] > 1e-6)


def test_a_pixel_changes_the_token_of_its_patch_and_none_that_is_far_away():
    encoder, preprocessor, _ = CASES["image"]
    model = encoder.build_model(preprocessor)
    _, starts, ends = encoder.locate(preprocessor)
    image = np.full((1, *preprocessor.shape), 100, "uint8")
    for token in range(starts.shape[1]):
        top, left = ((starts[0, token] + ends[0, token]) // 2).tolist()

        def dot(content, top=top, left=left):
            changed = content.copy()
            changed[0, top - 1 : top + 1, left - 1 : left + 1] = 255
            return changed

        moved = measure_influence(model, image, dot)
        far = np.abs(starts[0] - starts[0, token]).max(axis=1) > 2 * (ends - starts).max()
        assert moved[token] > 0 and not np.any(moved[far])


def test_pieces_lie_where_the_text_says():
    encoder, preprocessor, _ = CASES["text"]
    places = encoder.locate(preprocessor, ["red café"])
    pieces = [preprocessor.vocabulary[index] for index in preprocessor.prepare_batch(tf.constant(["red café"]))[0]]
    spans = zip(places.starts[0, :, 0].tolist(), places.ends[0, :, 0].tolist(), strict=True)
    found = ["red café"[start:end] for start, end in spans]
    assert [piece.strip("▁") for piece in pieces if piece != "[PAD]"] == [part for part in found if part]
    with pytest.raises(ValueError, match=r"The pieces of each text lie elsewhere in it: locate\(preprocessor, cells\)"):
        encoder.locate(preprocessor)


def test_added_pieces_are_empty_and_a_text_that_is_cut_ends_early():
    tokenizer = mk.tokenizers.WordPiece(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "red", "tea"])
    text = mk.Text(tokenizer, sequence_length=4, start_token="[CLS]", end_token="[SEP]").preprocessor
    _, starts, ends = text.locate(["red tea red", "tea"])
    assert starts[..., 0].tolist() == [[0, 0, 4, 11], [0, 0, 3, 0]]
    assert ends[..., 0].tolist() == [[0, 3, 7, 11], [0, 3, 3, 0]]
