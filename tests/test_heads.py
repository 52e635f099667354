import keras
import numpy as np
import pytest

import mmkeras as mk


def make_features(extra_padding=0):
    random = np.random.default_rng(0)
    modalities = {}
    for name, length, units in (("sound", 5, 8), ("mouth", 3, 6)):
        tokens = random.normal(size=(4, length, units)).astype("float32")
        mask = np.arange(length) < np.array([[length], [length - 1], [1], [0]])
        tokens *= mask[..., None]
        pad = ((0, 0), (0, extra_padding))
        modalities[name] = {"tokens": np.pad(tokens, (*pad, (0, 0))), "mask": np.pad(mask, pad)}
    return {"fused": {"pooled": random.normal(size=(4, 7)).astype("float32")}, "modalities": modalities}


@pytest.fixture(scope="module")
def head():
    keras.utils.set_random_seed(0)
    head = mk.heads.AttentionHead([2, 3], hidden_units=16, dropout=0.5)
    head(make_features())
    return head


def test_each_target_reads_the_tokens_by_an_attention_of_its_own(head):
    features = make_features()
    tokens, masks = [], []
    for name in ("mouth", "sound"):
        tokens.append(features["modalities"][name]["tokens"] @ head.projections[name].kernel.numpy())
        masks.append(features["modalities"][name]["mask"])
    tokens, mask = np.concatenate(tokens, 1), np.concatenate(masks, 1)
    dense = head.hidden
    vector = np.maximum(features["fused"]["pooled"] @ dense.kernel.numpy() + dense.bias.numpy(), 0)
    expected = []
    for attention, logits in zip(head.attention, head.logits, strict=True):
        hidden = np.tanh(tokens @ attention.hidden.kernel.numpy() + attention.hidden.bias.numpy())
        scores = np.exp(hidden @ attention.score.kernel.numpy())[..., 0] * mask
        weights = scores / np.maximum(scores.sum(1, keepdims=True), 1e-9)
        values = np.concatenate([vector, (weights[..., None] * tokens).sum(1)], 1)
        expected.append(values @ logits.kernel.numpy() + logits.bias.numpy())
    np.testing.assert_allclose(head(features), np.concatenate(expected, 1), atol=1e-5)


def test_padding_and_the_order_of_the_modalities_change_nothing(head):
    features = make_features(extra_padding=4)
    features["modalities"] = dict(reversed(features["modalities"].items()))
    np.testing.assert_allclose(head(features), head(make_features()), atol=1e-6)


def test_a_target_that_lives_in_one_token_is_found_among_many():
    """Two targets, each told by a token at a place of its own; their mean tells neither well."""
    keras.utils.set_random_seed(0)
    random = np.random.default_rng(0)
    rows = [
        {"words": " ".join(random.choice(list("abcdefgh"), 10)), "first": str(first), "last": str(last)}
        for first, last in random.integers(4, size=(300, 2))
    ]
    for row in rows:
        words = row["words"].split()
        row["words"] = " ".join([f"first{row['first']}", *words, f"last{row['last']}"])
    source = mk.read(rows[:200])
    model = mk.MultiTask.from_source(source, {"text": mk.Text(column="words")}, ["first", "last"])
    model.fit(model.dataset(source, 20, shuffle=True), epochs=12, verbose=0)
    metrics = model.evaluate(model.dataset(mk.read(rows[200:])), return_dict=True, verbose=0)
    assert metrics["first_accuracy"] > 0.95 and metrics["last_accuracy"] > 0.95
    with pytest.raises(ValueError, match=r"AttentionHead reads \['mask', 'tokens'\], which the backbone does not give"):
        mk.MultiTask.from_source(
            source,
            target=["first", "last"],
            backbone=mk.Backbone.from_source(
                source, {"text": mk.Text(column="words")}, feature_keys=["pooled", "present"]
            ),
        )
