import keras
import numpy as np

import mmkeras as mk


def make_rows(count, seed=0):
    """Six clicks, mostly on things of one kind, and a candidate at the end, which is wanted if it is of that kind."""
    random = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        kind, other = random.permutation(4)[:2]
        clicks = [f"{'abcd'[kind]}{random.integers(5)}" for _ in range(6)]
        is_wanted = bool(random.integers(2))
        candidate = f"{'abcd'[kind if is_wanted else other]}{random.integers(5)}"
        rows.append({"clicks": [*clicks, candidate], "wanted": is_wanted})
    return rows


def test_target_attention_learns_what_a_candidate_is_to_a_history():
    keras.utils.set_random_seed(0)
    train = mk.read(make_rows(800))
    model = mk.Classifier.from_source(train, {"clicks": mk.History(encoder="din")}, "wanted")
    model.fit(model.dataset(train, 32, shuffle=True, cache=True), epochs=8, verbose=0)
    assert model.evaluate(model.dataset(mk.read(make_rows(200, seed=1))), verbose=0)[1] > 0.9
    # The order of what came before does not matter; which item is the last does.
    answers = [model.predict_rows([{"clicks": items}])[0] for items in (["a1", "b2", "c3"], ["b2", "a1", "c3"])]
    assert abs(answers[0]["probability"] - answers[1]["probability"]) < 1e-5
    wanted = [model.predict_rows([{"clicks": ["a1"] * 6 + [item]}])[0]["wanted"] for item in ("a2", "b2")]
    assert wanted == ["True", "False"]
