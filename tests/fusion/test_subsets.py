"""Rows, batches and training sets that lack a modality."""

import keras
import numpy as np
import pytest

import mmkeras as mk
from mmkeras.row_model import adapt_modalities
from mmkeras.tasks.side_losses import read_side_tensors

MODALITIES = {"left": mk.Tabular(categories=["a"]), "right": mk.Tabular(categories=["b"])}
SMALL = {"units": 8}


def make_rows(count=40):
    return [{"a": "xy"[i % 2], "b": "pq"[i % 2], "label": "01"[i % 2]} for i in range(count)]


def test_a_modality_that_no_training_row_has_is_named_before_training():
    rows = [{**row, "b": None} for row in make_rows()]
    with pytest.raises(ValueError, match=r"None of the 40 rows has 'right'.*Leave it out.*Received: columns \['b'\]"):
        mk.Classifier.from_source(mk.read(rows), MODALITIES, "label")


def test_two_modalities_may_be_copies_of_each_other():
    modalities = {"left": mk.Tabular(categories=["a"]), "right": mk.Tabular(categories=["a"])}
    source = mk.read(make_rows())
    model = mk.Classifier.from_source(source, modalities, "label", fusion=mk.fusion.Gated(**SMALL))
    model.fit(model.dataset(source, batch_size=8, shuffle=True), epochs=20, verbose=0)
    assert model.evaluate(model.dataset(source), verbose=0)[1] == 1


@pytest.mark.parametrize("name", ["gated", "cross_attention", "product_of_experts", "auto"])
def test_training_goes_through_batches_that_lack_a_modality_or_everything(name):
    keras.utils.set_random_seed(0)
    rows = make_rows(48)
    for row in rows[:16]:
        row["a"] = None
    for row in rows[8:16]:
        row["b"] = None
    source = mk.read(rows)
    model = mk.Classifier.from_source(source, MODALITIES, "label", fusion=name, auxiliary_weight=0.5)
    history = model.fit(model.dataset(source, batch_size=8), epochs=15, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    alone = model.predict_rows([{"a": "x"}, {"a": "y"}, {"b": "p"}, {"b": "q"}, {}])
    assert [answer["label"] for answer in alone[:4]] == ["0", "1", "0", "1"]
    assert np.isfinite(alone[4]["probability"])


@pytest.mark.parametrize("name", mk.fusion.list_fusions())
def test_losses_of_one_modality_and_between_modalities_see_what_its_encoder_gives_alone(name):
    """After the fusion of the model level a modality knows the others: such a loss would teach its encoder nothing."""
    keras.utils.set_random_seed(0)
    model = mk.Classifier(adapt_modalities(MODALITIES, mk.read(make_rows())), ["0", "1"], name, alignment_weight=0.1)
    batch = next(iter(model.dataset(mk.read([{"a": "x", "b": cell, "label": "0"} for cell in "pq"]), batch_size=2)))[0]
    side = read_side_tensors(model(batch))
    for kind in ("branches", "vectors"):
        (left, _), (right, _) = side[kind]
        np.testing.assert_array_equal(left[0], left[1])
        assert np.abs(right[0] - right[1]).max() > 1e-3
