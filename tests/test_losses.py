import keras
import numpy as np
import pytest

import mmkeras as mk
from mmkeras.losses import FocalCrossentropy, SmoothedCrossentropy

pytestmark = pytest.mark.compat

RANDOM = np.random.default_rng(0)
TRUTH = RANDOM.integers(0, 5, 40)
PROBABILITIES = RANDOM.dirichlet(np.ones(5), 40).astype("float32")


@pytest.mark.parametrize("smoothing", [0, 0.1, 0.5])
def test_smoothing_is_that_of_keras(smoothing):
    expected = keras.losses.CategoricalCrossentropy(label_smoothing=smoothing)(np.eye(5)[TRUTH], PROBABILITIES)
    for truth in (TRUTH, TRUTH[:, np.newaxis]):
        assert float(SmoothedCrossentropy(smoothing)(truth, PROBABILITIES)) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("gamma", [0, 1, 2.5])
def test_focal_loss_is_that_of_keras(gamma):
    focal = keras.losses.CategoricalFocalCrossentropy(alpha=1.0, gamma=gamma)
    expected = float(focal(np.eye(5)[TRUTH], PROBABILITIES))
    assert float(FocalCrossentropy(gamma)(TRUTH, PROBABILITIES)) == pytest.approx(expected, rel=1e-4)


def test_another_gamma_is_refused():
    with pytest.raises(ValueError, match="`gamma` is 0 or more. Received: gamma=-1"):
        FocalCrossentropy(-1)


@pytest.mark.parametrize("smoothing", [-0.1, 1, float("nan")])
def test_another_smoothing_is_refused(smoothing):
    with pytest.raises(ValueError, match=f"from 0 to less than 1. Received: smoothing={smoothing}"):
        SmoothedCrossentropy(smoothing)


def test_a_task_trained_with_smoothing_is_less_sure_and_is_loaded_again(tmp_path):
    rows = mk.read([{"size": index % 2, "label": "ab"[index % 2]} for index in range(64)], target="label")
    sure = {}
    for smoothing in (0.0, 0.4):
        keras.utils.set_random_seed(0)
        modalities = {"facts": mk.Tabular(numbers=["size"])}
        model = mk.Classifier.from_source(rows, modalities, loss=SmoothedCrossentropy(smoothing))
        model.fit(model.dataset(rows, shuffle=True), epochs=30, verbose=0)
        sure[smoothing] = model.predict_rows([{"size": 1}])[0]["probability"]
    assert sure[0.0] > 0.95 and sure[0.4] == pytest.approx(0.8, abs=0.05)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.loss.get_config() == model.loss.get_config()
    assert again.evaluate(again.dataset(rows), verbose=0) == pytest.approx(
        model.evaluate(model.dataset(rows), verbose=0)
    )
