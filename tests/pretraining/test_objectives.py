"""Every objective learns, is saved, and says what it cannot be used for."""

import wave

import keras
import numpy as np
import pytest
import tensorflow as tf
from presets import save_text_preset

import mmkeras as mk
from mmkeras.pretraining.masked_language import PieceMasking
from mmkeras.pretraining.masked_patches import PatchMasking, cut_patches
from mmkeras.testing import check_reload

COLORS = ("red", "blue", "green", "gold")
SHAPES = ("round", "square", "long", "flat")


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Things of four colors and four shapes: a sentence, a picture, a sound and a table say which."""
    folder = tmp_path_factory.mktemp("things")
    random = np.random.default_rng(0)
    rows = []
    for index in range(48):
        color, shape = index % 4, index // 4 % 4
        pixels = np.zeros((16, 16, 3), "uint8")
        pixels[:8, :, color % 3] = 60 * (color + 1)
        pixels[8:, :8] = 60 * (shape + 1)
        pixels[8:, 8:] = 240 - 60 * shape
        tf.io.write_file(f"{folder}/{index}.png", tf.io.encode_png(pixels))
        times = np.arange(4000) / 8000
        samples = 6000 * np.sin(2 * np.pi * (300 + 400 * color) * times) + random.normal(0, 200, 4000)
        with wave.open(f"{folder}/{index}.wav", "wb") as file:
            file.setparams((1, 2, 8000, 0, "NONE", ""))
            file.writeframes(samples.astype("<i2").tobytes())
        text = f"it is {COLORS[color]} and {SHAPES[shape]} today"
        row = {"text": text, "image": f"{index}.png", "sound": f"{index}.wav", "color": color, "shape": shape}
        rows.append(row)
    return mk.read(rows, folder=folder)


TEXT = mk.Text(encoder=mk.encoders.TextTransformer(units=32, num_layers=1, dropout=0))
IMAGE = mk.Image(size=16, encoder=mk.encoders.ImageCNN(units=32, filters=(8, 16), dropout=0))
SOUND = mk.Audio(seconds=0.5, sample_rate=8000, encoder=mk.encoders.AudioCNN(units=32, filters=(32, 32), dropout=0))
FACTS = mk.Tabular(["color", "shape"], encoder=mk.encoders.TabularMLP(units=32, dropout=0))
TRANSFORMER = mk.encoders.AudioTransformer(units=32, num_layers=1, dropout=0, time_share=0, band_share=0)
CONTRASTIVE = mk.pretraining.Contrastive("text", "facts", units=16)
# For each the modalities, the objectives, a metric, and what it is at the end at least.
CASES = {
    "masked language": ({"text": TEXT}, [mk.pretraining.MaskedLanguage("text", rate=0.3)], "accuracy", 0.45),
    "causal language": ({"text": mk.Text()}, [mk.pretraining.CausalLanguage("text")], "accuracy", 0.6),
    "caption": (
        {"text": TEXT, "image": IMAGE},
        [mk.pretraining.CausalLanguage("text", given="image", num_layers=1)],
        "accuracy",
        0.95,
    ),
    "patches of images": ({"image": IMAGE}, [mk.pretraining.MaskedPatches("image")], "explained_variance", 0.2),
    "patches of spectrograms": (
        {"sound": mk.Audio(seconds=0.5, sample_rate=8000, encoder=TRANSFORMER)},
        [mk.pretraining.MaskedPatches("sound")],
        "explained_variance",
        0.2,
    ),
    "masked modality": (
        {"text": TEXT, "image": IMAGE, "facts": FACTS},
        [mk.pretraining.MaskedModality("facts", units=16)],
        "recall_at_1",
        0.8,
    ),
    "matching": (
        {"text": TEXT, "facts": FACTS},
        [mk.pretraining.Contrastive("facts", "text", units=16, name="pairs"), mk.pretraining.Matching("text", "facts")],
        "accuracy",
        0.85,
    ),
}


def make_pretrainer(rows, name, optimizer=None):
    keras.utils.set_random_seed(0)
    modalities, objectives, *_ = CASES[name]
    return mk.pretraining.Pretrainer.from_source(
        rows, modalities, objectives, optimizer=optimizer or keras.optimizers.Adam(0.005)
    )


SLOW = ("caption", "patches of spectrograms", "masked modality", "matching")


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in CASES])
def test_it_learns_and_is_the_same_in_a_fresh_process(rows, name):
    pretrainer = make_pretrainer(rows, name)
    *_, metric, wanted = CASES[name]
    batches = pretrainer.dataset(rows, 16, shuffle=True, cache=True)
    history = pretrainer.fit(batches, epochs=40, verbose=0).history
    values = history[f"{pretrainer.objectives[-1].name}_{metric}"]
    assert values[-1] > wanted and values[-1] > values[0], values
    before = [weight.numpy() for weight in pretrainer.trainable_variables]
    pretrainer.fit(batches, epochs=1, verbose=0)
    same = [
        weight.path
        for weight, value in zip(pretrainer.trainable_variables, before, strict=True)
        if np.array_equal(weight.numpy(), value)
    ]
    # No cell is missing, and of a modality that is always hidden the fusion reads nothing.
    same = [path for path in same if not path.endswith("/missing") and "/facts_projection/" not in path]
    assert not same, f"no gradient reaches {same}"


@pytest.mark.slow
def test_all_at_once_are_the_same_after_save_and_load_in_a_fresh_process(rows):
    modalities = {"text": TEXT, "image": IMAGE, "sound": SOUND, "facts": FACTS}
    objectives = [
        CONTRASTIVE,
        mk.pretraining.Matching("facts", "text", weight=0.5),
        mk.pretraining.TwoViews("image", [keras.layers.RandomFlip("horizontal")], units=8, hidden_units=8),
        mk.pretraining.TwoViews("sound", units=8, hidden_units=8),
        mk.pretraining.MaskedModality("sound", units=8),
        mk.pretraining.MaskedLanguage("text"),
        mk.pretraining.MaskedPatches("image", patch_size=(8, 8), num_layers=1),
        mk.pretraining.CausalLanguage("text", given="sound", num_layers=1),
    ]
    pretrainer = mk.pretraining.Pretrainer.from_source(rows, modalities, objectives)
    batches = pretrainer.dataset(rows, 16)
    history = pretrainer.fit(batches, epochs=1, verbose=0).history
    losses = [objective.weight * history[f"{objective.name}_loss"][0] for objective in objectives]
    assert np.isclose(history["loss"][0], sum(losses), rtol=1e-4)
    inputs = {name: tensor.numpy() for name, tensor in next(iter(batches)).items()}
    check_embeddings(pretrainer, inputs)


def check_embeddings(pretrainer, inputs):
    """What is drawn at random differs from call to call, so the backbone is compared."""
    config = keras.saving.serialize_keras_object(pretrainer)
    copy = keras.saving.deserialize_keras_object(config)
    assert [type(each) for each in copy.objectives] == [type(each) for each in pretrainer.objectives]
    assert [each.get_config() for each in copy.objectives] == [each.get_config() for each in pretrainer.objectives]
    check_reload(pretrainer.backbone, inputs)


def test_pieces_are_hidden_as_bert_does():
    layer = PieceMasking(rate=0.2, mask_id=4, kept_ids=(2, 3), pieces=1000, seed=0)
    ids = np.full((500, 12), 7, "int32")
    ids[:, 0], ids[:, 11] = 2, 3
    ids[0, 5:] = 0
    ids[1] = 0
    hidden, places, counts = (np.asarray(each) for each in layer(ids))
    assert places.shape == (500, 2) and counts[2:].all() and counts[0].tolist() == [True, False]
    assert not counts[1].any() and (hidden[1] == 0).all()
    assert (hidden[:, 0] == ids[:, 0]).all() and (hidden[2:, 11] == 3).all() and (hidden[0, 5:] == 0).all()
    chosen = np.take_along_axis(hidden, places, axis=1)[counts]
    assert 0.75 < np.mean(chosen == 4) < 0.85 and 0.06 < np.mean(chosen == 7) < 0.15
    changed = hidden != ids
    rows = np.arange(500)[:, None]
    changed[np.broadcast_to(rows, places.shape)[counts], places[counts]] = False
    assert not changed.any()


def test_patches_are_hidden_and_the_rest_stays():
    values = np.arange(2 * 9 * 8 * 3, dtype="float32").reshape(2, 9, 8, 3) + 1
    left, hidden = (np.asarray(each) for each in PatchMasking((4, 4), rate=0.5, seed=1)(values))
    assert hidden.sum(axis=1).tolist() == [2, 2]
    assert np.array_equal(cut_patches(left, (4, 4)) == 0, np.repeat(hidden[:, :, None], 48, axis=2))
    assert np.array_equal(left[:, 8], values[:, 8])


def test_what_is_hidden_is_not_seen(rows):
    """The tokens from which a hidden piece is told do not depend on it."""
    pretrainer = make_pretrainer(rows, "masked language")
    layer = next(each for each in pretrainer.layers if isinstance(each, PieceMasking))
    ids = next(iter(pretrainer.dataset(rows, 4)))["text"].numpy()
    layer.generator.state.assign(keras.random.SeedGenerator(3).state)
    hidden, places, counts = (np.asarray(each) for each in layer(ids))
    told = np.take_along_axis(hidden, places, axis=1)
    assert (told[counts] == layer.mask_id).mean() > 0.5


def test_gpt_2_is_causal_and_bert_is_not():
    texts = mk.read([{"text": text} for text in ("the cat's red réd straße", "naïve round reddish rounder") * 4])
    causal = [mk.pretraining.CausalLanguage("text")]
    for family, is_causal in {"GPT2": True, "Bert": False}.items():
        text = mk.Text(encoder=mk.encoders.KerasHubText(save_text_preset(family)), sequence_length=20)
        if not is_causal:
            with pytest.raises(ValueError, match="encoder of 'text' looks ahead. Use one that reads"):
                mk.pretraining.Pretrainer.from_source(texts, {"text": text}, causal)
            continue
        pretrainer = mk.pretraining.Pretrainer.from_source(texts, {"text": text}, causal)
        pretrainer.fit(pretrainer.dataset(texts, 4), verbose=0)


@pytest.mark.parametrize(
    "family", ["Bert", *(pytest.param(family, marks=pytest.mark.slow) for family in ("Roberta", "Albert"))]
)
def test_networks_that_were_trained_elsewhere_go_on_with_their_own_vectors(family):
    texts = mk.read([{"text": text} for text in ("the cat's red réd straße", "naïve round reddish rounder") * 4])
    text = mk.Text(encoder=mk.encoders.KerasHubText(save_text_preset(family)), sequence_length=20)
    objectives = [mk.pretraining.MaskedLanguage("text", rate=0.3)]
    pretrainer = mk.pretraining.Pretrainer.from_source(
        texts, {"text": text}, objectives, optimizer=keras.optimizers.Adam(0.01)
    )
    assert not any("logits/kernel" in weight.path for weight in pretrainer.weights)
    history = pretrainer.fit(pretrainer.dataset(texts, 8), epochs=30, verbose=0).history
    assert history["loss"][-1] < 0.7 * history["loss"][0]


@pytest.mark.parametrize(
    "modalities, objectives, told",
    [
        ({"image": IMAGE}, [mk.pretraining.MaskedLanguage("image")], "is about text, and an encoder with a token for"),
        ({"text": mk.Text(encoder="ngrams")}, [mk.pretraining.MaskedLanguage("text")], "Received: 'text', TextNGrams"),
        (
            {"text": mk.Text(mk.tokenizers.WordPiece(["[PAD]", "[UNK]", "it", "is"]), sequence_length=4)},
            [mk.pretraining.MaskedLanguage("text")],
            "behind one of .*'.MASK.'.*WordPiece with 4 pieces",
        ),
        ({"facts": FACTS}, [mk.pretraining.MaskedPatches("facts")], "hides parts of images, and of spectrograms"),
        ({"image": IMAGE}, [mk.pretraining.MaskedPatches("image", (16, 16))], "has 1 x 1. Received: patch_size="),
        ({"facts": FACTS}, [mk.pretraining.MaskedModality("facts")], "predicts one modality from others by a fusion"),
        ({"text": TEXT, "facts": FACTS}, [mk.pretraining.Matching("text", "facts")], "give it before. Received: .]"),
    ],
)
def test_what_an_objective_is_not_for_is_refused(rows, modalities, objectives, told):
    with pytest.raises(ValueError, match=told):
        mk.pretraining.Pretrainer.from_source(rows, modalities, objectives)


@pytest.mark.parametrize("rate", [0, 1, -0.5])
@pytest.mark.parametrize("kind", [mk.pretraining.MaskedLanguage, mk.pretraining.MaskedPatches])
def test_a_rate_that_hides_nothing_or_all_is_refused(kind, rate):
    with pytest.raises(ValueError, match=f"is a share, more than 0, less than 1. Received: rate={rate}"):
        kind("text", rate=rate)
