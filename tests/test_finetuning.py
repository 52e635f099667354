"""What of an encoder learns, when, and how fast."""

import keras
import numpy as np
import pytest

import mmkeras as mk
from mmkeras.testing import check_reload
from mmkeras.weights import list_weights


@pytest.fixture(scope="module")
def rows():
    random = np.random.default_rng(0)
    cells = [{"a": random.normal(), "text": random.choice(["red tea", "blue cup"])} for _ in range(64)]
    return mk.read([{**row, "label": row["a"] > 0} for row in cells], target="label")


@pytest.fixture
def model(rows):
    keras.utils.set_random_seed(0)
    text = mk.Text(encoder=mk.encoders.TextTransformer(units=8, num_layers=2, num_heads=2, dropout=0))
    facts = mk.Tabular(["a"], encoder=mk.encoders.TabularMLP(units=8, dropout=0))
    return mk.Classifier.from_source(
        rows,
        {"text": text, "facts": facts},
        fusion=mk.fusion.Gated(units=8, modality_dropout=0),
        optimizer=keras.optimizers.SGD(0.1),
        auxiliary_weight=0,
    )


class Log(keras.callbacks.Callback):
    """Which weights an epoch changed, by path."""

    def on_train_begin(self, logs=None):
        self.changed = []
        self._before = self._read()

    def on_epoch_end(self, epoch, logs=None):
        after = self._read()
        self.changed.append({path for path, value in after.items() if not np.array_equal(value, self._before[path])})
        self._before = after

    def _read(self):
        return {path: weight.numpy() for path, weight in list_weights(self.model).items()}


def train(model, rows, epochs=1, callbacks=()):
    log = Log()
    batches = model.dataset(rows, batch_size=16)
    model.fit(batches, epochs=epochs, verbose=0, callbacks=[*callbacks, log])
    return log.changed


def choose(paths, start):
    return {path for path in paths if path.startswith(start)}


def test_what_is_frozen_does_not_change_and_what_is_opened_again_does(model, rows):
    mk.finetuning.freeze(model, "text")
    (changed,) = train(model, rows)
    assert not choose(changed, "text_encoder") and choose(changed, "facts_encoder") and choose(changed, "fusion")
    mk.finetuning.unfreeze(model, "text", ["*_dense"])
    (changed,) = train(model, rows)
    assert choose(changed, "text_encoder") == {"text_encoder/pooled_dense/kernel", "text_encoder/pooled_dense/bias"}
    mk.finetuning.unfreeze(model, "text")
    (changed,) = train(model, rows)
    assert "text_encoder/embedding/embeddings" in changed


def test_part_of_an_encoder_is_frozen_with_what_is_inside_of_it(model, rows):
    mk.finetuning.freeze(model, "text", ["*embedding*"])
    (changed,) = train(model, rows)
    assert "text_encoder/embedding/embeddings" not in changed and len(choose(changed, "text_encoder")) > 4
    batch = next(iter(model.dataset(rows, batch_size=16)))
    check_reload(model, {name: tensor.numpy() for name, tensor in batch[0].items()})


def test_additions_of_a_low_rank_learn_and_nothing_else_of_the_encoder(model, rows):
    before = len(model.trainable_variables)
    mk.finetuning.add_lora(model, "text", rank=2, layers=["pooled_dense"])
    assert len(model.trainable_variables) < before
    (changed,) = train(model, rows)
    start = "text_encoder/pooled_dense"
    assert choose(changed, "text_encoder") == {f"{start}/bias", f"{start}/lora_kernel_a", f"{start}/lora_kernel_b"}
    with pytest.raises(ValueError, match=r"These layers of 'text' have additions already: \['pooled_dense'\]"):
        mk.finetuning.add_lora(model, "text", layers=["pooled_dense"])
    with pytest.raises(ValueError, match=r"has no such layers. It has \[.*'pooled_dense'.* layers=\('query', 'valu"):
        mk.finetuning.add_lora(model, "facts")


def step(model, rows):
    """The change of each weight in one step."""
    before = {path: weight.numpy() for path, weight in list_weights(model).items()}
    batch = next(iter(model.dataset(rows, batch_size=64)))
    keras.utils.set_random_seed(0)
    model.fit(*batch, batch_size=64, verbose=0)
    return {path: weight.numpy() - before[path] for path, weight in list_weights(model).items()}


@pytest.mark.parametrize("optimizer", [keras.optimizers.SGD(0.1), keras.optimizers.AdamW(0.01, weight_decay=0.1)])
def test_rates_differ_by_part(model, rows, optimizer):
    state = model.get_weights()

    def measure(rates):
        model.set_weights(state)
        kind = type(optimizer).from_config(optimizer.get_config())
        model.compile(mk.finetuning.by_part(kind, rates), model.loss, metrics=["accuracy"])
        return step(model, rows)

    plain, scaled = measure({}), measure({"text": 0.1, "text/pooled_dense": 0.5, "fusion": 0})
    for path, change in plain.items():
        factor = {"fusion": 0, "text_encoder": 0.1}.get(path.split("/")[0], 1)
        factor = 0.5 if path.startswith("text_encoder/pooled_dense") else factor
        assert np.allclose(scaled[path], factor * change, atol=2e-6), path
    assert np.abs(plain["text_encoder/embedding/embeddings"]).max() > 1e-4


def test_rates_by_part_are_saved_with_the_model(model, rows):
    optimizer = mk.finetuning.by_part(keras.optimizers.Adam(0.01), {"text": 0.1})
    model.compile(optimizer, model.loss, metrics=["accuracy"])
    train(model, rows)
    batch = next(iter(model.dataset(rows, batch_size=16)))
    check_reload(model, {name: tensor.numpy() for name, tensor in batch[0].items()})
    again = type(model).from_config(model.get_config())
    again.compile_from_config(model.get_compile_config())
    again.set_weights(model.get_weights())
    changes = step(again, rows)
    largest = {part: np.abs(changes[f"{part}_encoder/pooled_dense/kernel"]).max() for part in ("text", "facts")}
    assert largest["text"] < 0.0011 and largest["facts"] > 0.009


def test_rates_fall_with_depth(model):
    rates = mk.finetuning.decay_by_depth(model, "text", 0.5)
    blocks = mk.finetuning.list_blocks(model.backbone.encoders["text"])
    assert [rates[f"text/{block[0]}"] for block in blocks] == [0.5 ** (len(blocks) - 1 - i) for i in range(len(blocks))]
    model.compile(mk.finetuning.by_part(keras.optimizers.Adam(), rates), model.loss)


def test_wrong_rates_are_refused(model):
    with pytest.raises(ValueError, match=r"A factor is 0 or more. Received: {'text': -1}"):
        mk.finetuning.by_part(keras.optimizers.Adam(), {"text": -1})
    with pytest.raises(TypeError, match="Rates by part are known of SGD, .*Received: 'adam'"):
        mk.finetuning.by_part("adam", {"text": 1})
    with pytest.raises(
        ValueError, match=r"A part is an input, \['facts', 'text'\], or a layer, .*rates of \['image'\]"
    ):
        model.compile(mk.finetuning.by_part(keras.optimizers.Adam(), {"image": 0.1}), model.loss)


def test_heads_learn_first_and_then_all_does(model, rows):
    changed = train(model, rows, 3, [mk.finetuning.LinearProbing("text", "facts", epochs=2)])
    for epoch in (0, 1):
        assert not choose(changed[epoch], "text_encoder") | choose(changed[epoch], "facts_encoder")
        assert choose(changed[epoch], "fusion")
    assert choose(changed[2], "text_encoder") and choose(changed[2], "facts_encoder")


def test_blocks_are_opened_one_after_the_other(model, rows):
    blocks = mk.finetuning.list_blocks(model.backbone.encoders["text"])
    assert len(blocks) > 1
    changed = train(model, rows, len(blocks), [mk.finetuning.GradualUnfreezing("text")])
    for epoch, paths in enumerate(changed):
        closed = [path for block in blocks[: len(blocks) - 1 - epoch] for path in block]
        assert not [path for path in paths if any(path.startswith(f"text_encoder/{name}/") for name in closed)]
        opened = blocks[len(blocks) - 1 - epoch]
        assert choose(paths, tuple(f"text_encoder/{name}/" for name in opened))


def test_an_optimizer_that_does_not_know_what_is_opened_is_refused(model, rows):
    mk.finetuning.freeze(model, "text")
    train(model, rows)
    with pytest.raises(
        ValueError, match="LinearProbing needs an optimizer that has not begun with some of the weights"
    ):
        train(model, rows, 1, [mk.finetuning.LinearProbing("text")])


def test_what_is_not_there_is_named(model):
    with pytest.raises(ValueError, match=r"The model reads \['facts', 'text'\].*'text'.*Received: name='txt'"):
        mk.finetuning.freeze(model, "txt")
    with pytest.raises(ValueError, match="The encoder of 'text' has no such layer.*Received: layers="):
        mk.finetuning.freeze(model, "text", ["embeding"])
    with pytest.raises(ValueError, match="LinearProbing takes the name of an input"):
        mk.finetuning.LinearProbing()
