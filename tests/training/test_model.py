"""What all models that train a backbone have in common."""

import keras
import numpy as np
import pytest

import mmkeras as mk

ROWS = mk.read([{"a": i % 5, "b": "xy"[i % 2], "label": "pq"[i % 2]} for i in range(24)])
SMALL = mk.encoders.TabularMLP(units=4, dropout=0)
MODALITIES = {"a": mk.Tabular(["a"], encoder=SMALL), "b": mk.Tabular(categories=["b"], encoder=SMALL)}


@pytest.mark.graph
def test_a_step_is_traced_once(monkeypatch):
    """Keras makes the variables of optimizer and metrics while it traces, and then traces again."""
    traced, train_step = [], keras.Model.train_step
    monkeypatch.setattr(keras.Model, "train_step", lambda model, data: traced.append(1) or train_step(model, data))
    model = mk.Classifier.from_source(ROWS, MODALITIES, "label", fusion=mk.fusion.Product(4))
    model.fit(model.dataset(ROWS, batch_size=8), epochs=2, verbose=0)
    assert len(traced) == 1
    model.fit({name: np.zeros((8, *t.shape[1:]), t.dtype) for name, t in model.input.items()}, np.zeros(8), verbose=0)
    assert len(traced) <= 2  # arrays have other shapes


def test_rates_by_part_also_work_in_pre_training():
    backbone = mk.Backbone.from_source(ROWS, MODALITIES, fusion=mk.fusion.Product(4))
    pretrainer = mk.pretraining.Pretrainer(backbone, [mk.pretraining.Contrastive("a", "b", units=4)])
    pretrainer.compile(mk.finetuning.by_part(keras.optimizers.SGD(0.1), {"a": 0.0}))
    before = {name: encoder.get_weights() for name, encoder in backbone.encoders.items()}
    pretrainer.fit(pretrainer.dataset(ROWS, 12), epochs=1, verbose=0)
    changed = {
        name: any(not np.array_equal(*pair) for pair in zip(before[name], encoder.get_weights(), strict=True))
        for name, encoder in backbone.encoders.items()
    }
    assert changed == {"a": False, "b": True}
    with pytest.raises(ValueError, match="Received: rates of .*'nowhere'"):
        pretrainer.compile(mk.finetuning.by_part(keras.optimizers.SGD(0.1), {"nowhere": 0.5}))


def test_a_source_is_refused_by_what_takes_tensors():
    backbone = mk.Backbone.from_source(ROWS, MODALITIES, fusion=mk.fusion.Product(4))
    pretrainer = mk.pretraining.Pretrainer(backbone, [mk.pretraining.Contrastive("a", "b", units=4)])
    pretrainer.compile()
    assert isinstance(pretrainer.optimizer, keras.optimizers.Adam)
    with pytest.raises(TypeError, match=r"`fit` takes tensors, which `dataset` makes of rows: model.fit\("):
        pretrainer.fit(ROWS)
