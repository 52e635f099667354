import keras
import numpy as np
import PIL.Image
import pytest

import mmkeras as mk


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Texts and images, which tell a class each."""
    folder = tmp_path_factory.mktemp("rows")
    random = np.random.default_rng(0)
    rows = []
    for index in range(60):
        word, tone = random.integers(2), random.integers(2)
        pixels = random.integers(0, 100, (16, 16, 3)) + 150 * tone
        PIL.Image.fromarray(pixels.astype("uint8")).save(folder / f"{index}.png")
        rows.append({"words": ("red tea", "blue cup")[word], "photo": f"{index}.png", "label": f"{word}{tone}"})
    return mk.read(rows, target="label", folder=folder)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [mk.recipes.mm_cnn, mk.recipes.mm_rnn])
def test_a_model_of_named_columns_learns(recipe, source):
    keras.utils.set_random_seed(0)
    model = recipe(source, text="words", image=["photo"], fusion="concatenation")
    assert sorted(model.modalities) == ["photo", "words"] and isinstance(model.fusion, mk.fusion.Concatenation)
    model.fit(model.dataset(source, 10, shuffle=True, cache=True), epochs=12, verbose=0)
    assert model.evaluate(model.dataset(source), verbose=0)[1] > 0.9


def test_encoders_are_of_one_family():
    rows = mk.read([{"t": "a", "label": "x"}, {"t": "b", "label": "y"}])
    models = [recipe(rows, "label", text="t", fusion="sum") for recipe in (mk.recipes.mm_cnn, mk.recipes.mm_rnn)]
    encoders = [type(model.modalities["t"].encoder).__name__ for model in models]
    assert encoders == ["TextCNN", "TextLSTM"] and models[1].modalities["t"].encoder.bidirectional


def test_other_modalities_and_tasks_go_in():
    rows = mk.read([{"t": "a", "n": 1, "price": 3}, {"t": "b", "n": 2, "price": 5}])
    model = mk.recipes.mm_rnn(rows, "price", text="t", others={"facts": mk.Tabular(["n"])}, task=mk.Regressor)
    assert isinstance(model, mk.Regressor) and sorted(model.modalities) == ["facts", "t"]
    with pytest.raises(ValueError, match="a name of its own. Received twice: 't'"):
        mk.recipes.mm_cnn(rows, "price", text="t", image="t", task=mk.Regressor)
    with pytest.raises(
        ValueError, match="reads at least one column: name some, by text, image, audio, video or others"
    ):
        mk.recipes.mm_cnn(rows, "price")
