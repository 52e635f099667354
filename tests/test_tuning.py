import numpy as np
import pytest

import mmkeras as mk


def make_rows(count, seed):
    random = np.random.default_rng(seed)
    cells = random.normal(size=(count, 2))
    return mk.read([{"a": a, "b": b, "label": "ab"[int(a * b > 0)]} for a, b in cells], target="label")


MODALITIES = {name: mk.Tabular([name], encoder=mk.encoders.TabularMLP(units=8, dropout=0)) for name in "ab"}


@pytest.mark.slow
def test_the_best_of_some_models_is_found():
    train, valid = make_rows(400, 0), make_rows(200, 1)
    found = mk.tune(
        train, MODALITIES, validation=valid, fusions=["sum", "mean_logits"], units=[4, 16], epochs=6, max_trials=3
    )
    trials = found.trials
    assert 2 <= len(trials) <= 3 and trials["accuracy"].is_monotonic_decreasing and found.metric == "accuracy"
    assert set(trials["fusion"]) <= {"sum", "mean_logits"} and set(trials["units"]) <= {4, 16}
    assert trials["rate"].between(3e-4, 1e-2).all() and (trials["epochs"] == 6).all()
    # What no single modality tells: the model with the best figure is returned, with the weights of its best epoch.
    accuracy = found.model.evaluate(found.model.dataset(valid), verbose=0)[1]
    assert accuracy == pytest.approx(trials["accuracy"].iloc[0], abs=1e-6) and accuracy > 0.6
    assert "accuracy" in str(found)


def test_it_ends_when_the_time_is_up():
    found = mk.tune(
        make_rows(100, 0), MODALITIES, validation=make_rows(40, 1), fusions=["sum"], epochs=50, time_limit=0.1
    )
    assert len(found.trials) == 1 and found.trials["epochs"].iloc[0] == 1


def test_what_cannot_be_searched_is_refused():
    with pytest.raises(ValueError, match="`time_limit` is a number of seconds. Received: time_limit=0"):
        mk.tune(make_rows(20, 0), MODALITIES, validation=make_rows(20, 1), time_limit=0)
    with pytest.raises(ValueError, match="'summ'"):
        mk.tune(make_rows(20, 0), MODALITIES, validation=make_rows(20, 1), fusions=["summ"])
