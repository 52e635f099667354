import keras
import numpy as np
import pytest
import tensorflow as tf
from media_files import write_video

import mmkeras as mk
from mmkeras.encoders import Encoder
from mmkeras.encoders.pretrained import PretrainedEncoder
from mmkeras.testing import check_encoder

pytestmark = pytest.mark.compat

RANDOM = np.random.default_rng(0)
TOKENIZER = mk.tokenizers.WordPiece(["[PAD]", "[UNK]", "a", "b", "c"])
SMALL_IMAGE = mk.encoders.ImageCNN(units=8, filters=(4, 4))

# Every encoder, once a variant.
ENCODERS = [
    mk.encoders.TextGRU(units=8),
    mk.encoders.TextGRU(units=8, bidirectional=True),
    mk.encoders.TextLSTM(units=8),
    mk.encoders.TextLSTM(units=8, bidirectional=True),
    mk.encoders.TextCNN(units=8, embedding_dim=8, filters=4, dropout=0),
    mk.encoders.TextTransformer(units=8, num_heads=2),
    mk.encoders.TextTransformer(units=8, num_heads=2, positions="rotary"),
    mk.encoders.TextNGrams(units=8),
    mk.encoders.TextNGrams(units=8, num_classes=3),
    mk.encoders.ImageCNN(units=8),
    mk.encoders.ImageCNN(units=8, is_strided=True),
    mk.encoders.ImageResNet(units=8, filters=(4, 8)),
    mk.encoders.ImageViT(units=8, num_layers=1, num_heads=2),
    mk.encoders.AudioCNN(units=8, filters=(8, 8), mel_bins=16),
    mk.encoders.AudioCNN2D(units=8, filters=(4, 4), mel_bins=16),
    mk.encoders.AudioCRNN(units=8, filters=(4, 4, 4), mel_bins=16),
    mk.encoders.AudioTransformer(units=8, num_layers=1, num_heads=2, mel_bins=16),
    mk.encoders.VideoGRU(units=8, frame_encoder=SMALL_IMAGE),
    mk.encoders.VideoGRU(units=8, frame_encoder=SMALL_IMAGE, motion=True, bidirectional=True),
    mk.encoders.VideoCNN3D(units=8, filters=(4, 4)),
    mk.encoders.VideoCNN3D(units=8, filters=(4, 4), recurrent=True, motion=True),
    mk.encoders.VideoMean(units=8, frame_encoder=SMALL_IMAGE),
    mk.encoders.VideoTransformer(
        units=8, num_layers=1, num_heads=2, frame_encoder=mk.encoders.ImageViT(units=8, num_layers=1, num_heads=2)
    ),
    mk.encoders.TabularMLP(units=8, dropout=0),
    mk.encoders.TabularTransformer(units=8, num_layers=1, num_heads=2),
    mk.encoders.HistoryDIN(units=8, embedding_dim=8),
    mk.encoders.HistoryGRU(units=8, embedding_dim=8, dropout=0.2),
    mk.encoders.HistoryTransformer(units=8, num_layers=1),
]


def find_kind(encoder):
    return type(encoder).__module__.split(".")[2]


def declare(encoder, length, **options):
    """The modality of an encoder, for rows of so many steps."""
    kind = find_kind(encoder)
    if kind == "text":
        return mk.Text(TOKENIZER, sequence_length=length, encoder=encoder)
    if kind == "image":
        return mk.Image(size=16, encoder=encoder, **options)
    if kind == "audio":
        return mk.Audio(seconds=length / 20, encoder=encoder)
    if kind == "video":
        return mk.Video(frames=length, size=16, encoder=encoder, **options)
    if kind == "history":
        return mk.History(sequence_length=length, items=["a", "b"], encoder=encoder)
    return mk.Tabular(
        ["a", "b"],
        ["c"],
        ["d"],
        statistics={"a": (0, 1), "b": (0, 1), "d": (0, 1)},
        vocabularies={"c": ["x", "y"]},
        quantiles={"a": [(-1, -0.9), (0, 0), (2, 0.9)]},
        encoder=encoder,
    )


def make_content(modality, rows=4):
    """Inputs of an encoder, every row present; the last two thirds of the second row are padding."""
    shape = (rows, *modality.preprocessor.shape)
    third = shape[1] // 3
    whole = shape[1] - 400 if isinstance(modality, mk.Audio) else shape[1]  # the last frame of sound ends with the row
    if isinstance(modality, mk.Tabular):
        values = RANDOM.normal(size=shape).astype("float32")
        for feature in np.flatnonzero(modality.preprocessor.cardinalities):
            values[:, feature, 0] = np.arange(rows) % modality.preprocessor.cardinalities[feature]
        values[..., 1] = RANDOM.random(shape[:-1]) < 0.5
        return {"content": values}
    if isinstance(modality, mk.Audio):
        content = RANDOM.uniform(-1, 1, shape).astype("float32")
    elif isinstance(modality, mk.Image | mk.Video):
        content = RANDOM.integers(1, 256, shape, "uint8")
    else:
        content = RANDOM.integers(1, 4, shape).astype("int32")
    if isinstance(modality, mk.Image):
        return {"content": content}
    content[:, whole:], content[1, third:] = 0, 0
    if isinstance(modality, mk.Audio | mk.Video):
        return {"content": content, "length": np.array([whole, third, *[whole] * (rows - 2)], "int32")}
    return {"content": content}


def name_encoder(encoder):
    config = {key: value for key, value in encoder.get_config().items() if value is True}
    return "-".join([type(encoder).__name__, *config])


every_encoder = pytest.mark.parametrize("encoder", ENCODERS, ids=name_encoder)


def test_every_encoder_is_tested():
    tested = {type(encoder) for encoder in ENCODERS}
    public = {kind for kind in vars(mk.encoders).values() if isinstance(kind, type) and issubclass(kind, Encoder)}
    pretrained = {kind for kind in public if issubclass(kind, PretrainedEncoder)}
    assert public - {Encoder} - pretrained <= tested  # for those see test_pretrained.py


@every_encoder
def test_every_encoder_keeps_the_contract(encoder):
    modality = declare(encoder, length=6)
    check_encoder(modality.build_encoder("encoder"), **make_content(modality))


@every_encoder
def test_every_encoder_is_made_again_from_its_configuration(encoder):
    copy = type(encoder).from_config(encoder.get_config())
    assert copy.get_config() == encoder.get_config()
    modality = declare(encoder, length=6)
    model, other = modality.build_encoder("encoder"), declare(copy, length=6).build_encoder("encoder")
    other.set_weights(model.get_weights())
    inputs = {**make_content(modality), "present": np.ones(4, bool)}
    expected, received = model(inputs), other(inputs)
    assert all(np.array_equal(expected[key], received[key]) for key in expected)


@pytest.mark.parametrize(
    "encoder",
    [encoder for encoder in ENCODERS if find_kind(encoder) not in ("image", "tabular")],
    ids=name_encoder,
)
def test_padding_does_not_change_what_any_encoder_gives(encoder):
    short, long = declare(encoder, length=6), declare(encoder, length=12)
    inputs = {**make_content(short), "present": np.ones(4, bool)}
    content = inputs["content"]
    padding = [(0, 0), (0, long.preprocessor.shape[0] - content.shape[1]), *[(0, 0)] * (content.ndim - 2)]
    model, longer = short.build_encoder("encoder"), long.build_encoder("encoder")
    pairs = zip(longer.get_weights(), model.get_weights(), strict=True)
    longer.set_weights([_lengthen(new, old) for new, old in pairs])
    expected, received = model(inputs), longer({**inputs, "content": np.pad(content, padding)})
    length = expected["mask"].shape[1]
    assert np.allclose(expected["pooled"], received["pooled"], atol=1e-5)
    assert np.allclose(expected["tokens"], received["tokens"][:, :length], atol=1e-5)
    assert not received["mask"].numpy()[:, length:].any() and not np.any(received["tokens"][:, length:])


def _lengthen(longer, shorter):
    """Weights of a longer encoder: the vectors of further places do not matter."""
    if longer.shape == shorter.shape:
        return shorter
    return np.concatenate([shorter, longer[len(shorter) :]])


@pytest.mark.parametrize("size", [(33, 50), (8, 8), (5, 64), (1, 3)])
@pytest.mark.parametrize("is_strided", [False, True])
def test_cnn_keeps_the_contract_at_every_size(size, is_strided):
    encoder = mk.encoders.ImageCNN(units=8, is_strided=is_strided)
    check_encoder(
        mk.Image(size, encoder=encoder).build_encoder("image"), RANDOM.integers(0, 256, (4, *size, 3), "uint8")
    )


@pytest.mark.parametrize(
    "encoder", [encoder for encoder in ENCODERS if find_kind(encoder) in ("image", "video")], ids=name_encoder
)
def test_images_of_one_channel_are_encoded(encoder):
    modality = declare(encoder, length=4, grayscale=True)
    inputs = {**make_content(modality), "present": np.ones(4, bool)}
    assert inputs["content"].shape[-1] == 1
    assert np.isfinite(modality.build_encoder("encoder")(inputs)["pooled"]).all()


def test_n_grams_begin_with_what_the_training_rows_say_of_the_classes():
    rows = [{"text": "good tea", "label": "yes"}, {"text": "bad tea", "label": "no"}, {"text": None, "label": "no"}] * 2
    given = mk.Text(mk.tokenizers.NGrams(words=(1, 1), characters=(20, 20)), encoder=mk.encoders.TextNGrams(units=4))
    model = mk.Classifier.from_source(mk.read(rows, target="label"), {"text": given})
    assert given.encoder.num_classes is None and given.encoder.ratios is None
    vocabulary = model.modalities["text"].preprocessor.vocabulary
    assert vocabulary == ["[PAD]", "[UNK]", "▁tea", "▁bad", "▁good"]
    layer = model.backbone.encoders["text"].get_layer("evidence")
    # Counts, with 1 added to each: tea 3 and 3, bad 3 (no) and 1, good 1 and 3, padding and unknown 1 and 1; 9 in all.
    ratios = layer.ratios.numpy()[:, model.target.classes.index("yes")]
    assert np.allclose(ratios, [0, 0, 0, -np.log(3), np.log(3)], atol=1e-6)
    assert not any(layer.ratios is variable for variable in model.trainable_variables)


def test_n_grams_are_learned_without_classes():
    rows = [{"text": text, "price": price} for text, price in (("good tea", 8), ("bad tea", 2))] * 20
    model = mk.Regressor.from_source(mk.read(rows), {"text": mk.Text(encoder="ngrams")}, "price")
    model.fit(model.dataset(mk.read(rows), batch_size=8), epochs=30, verbose=0)
    assert [round(answer["price"]) for answer in model.predict_rows([{"text": "good"}, {"text": "bad"}])] == [8, 2]


def test_augmentation_changes_pixels_in_training_only():
    image = mk.Image(size=16, augmentation=[keras.layers.RandomFlip(seed=1)])
    inputs = {"content": RANDOM.integers(0, 256, (8, 16, 16, 3), "uint8"), "present": np.ones(8, bool)}
    model, plain = image.copy().build_encoder("image"), mk.Image(size=16).build_encoder("image")
    random_flip = [layer for layer in model.layers if isinstance(layer, keras.layers.RandomFlip)]
    assert len(random_flip) == 1
    for layer in plain.layers:
        layer.set_weights(model.get_layer(layer.name).get_weights())
    received, expected = (encoder(inputs, training=False)["pooled"] for encoder in (model, plain))
    assert np.array_equal(received, expected)
    assert not np.allclose(random_flip[0](inputs["content"], training=True), inputs["content"])


def test_every_branch_is_normalized_however_large_its_weights():
    model = mk.Image(size=32).build_encoder("image")
    for name in ("tokens_dense", "pooled_dense"):
        model.get_layer(name).kernel.assign(100 * model.get_layer(name).kernel)
    images = RANDOM.integers(0, 256, (4, 32, 32, 3), "uint8")
    output = model({"content": images, "present": np.ones(4, bool)})
    assert np.allclose(np.mean(output["pooled"], axis=1), 0, atol=1e-5)
    assert np.allclose(np.std(output["pooled"], axis=1), 1, atol=1e-3)
    assert np.allclose(np.mean(output["tokens"], axis=2), 0, atol=1e-5)
    assert np.allclose(np.std(output["tokens"], axis=2), 1, atol=1e-3)


def test_an_unknown_encoder_is_refused_with_the_known_ones():
    known = r"\['cnn', 'gru', 'lstm', 'ngrams', 'transformer'\]"
    with pytest.raises(ValueError, match=rf"one of {known}, or an object from `mk.encoders`. Received: encoder='bert'"):
        mk.Text(encoder="bert")


def test_units_that_are_none_is_refused():
    with pytest.raises(ValueError, match="`units` of TextGRU is at least 1. Received: units=0"):
        mk.encoders.TextGRU(units=0)


@pytest.mark.slow
def test_every_encoder_is_exported(tmp_path):
    keras.utils.set_random_seed(0)
    write_video(tmp_path / "clip.mp4", frames=6)
    rows = []
    for index in range(24):
        sound = RANDOM.uniform(-1, 1, (4000 + 40 * index, 1)).astype("float32")
        cells = {
            "text": " ".join(RANDOM.choice(list("abc"), 4)),
            "image": tf.io.encode_png(RANDOM.integers(0, 256, (8, 8, 3), "uint8")).numpy(),
            "audio": tf.audio.encode_wav(sound, 16000).numpy(),
            "video": "clip.mp4",
            "a": RANDOM.normal(),
            "c": "xy"[index % 2],
            "d": "2024-01-11",
            "history": ["a", "b", "a"][: 1 + index % 3],
        }
        rows.append({key: cell if RANDOM.random() < 0.9 else "" for key, cell in cells.items()} | {"label": index % 2})
    modalities = {}
    for index, encoder in enumerate(ENCODERS):
        modality = declare(encoder, length=6)
        if not isinstance(modality, mk.Tabular):
            modality.column = find_kind(encoder)
        modalities[f"{type(encoder).__name__}_{index}"] = modality
    source = mk.read(rows, target="label", folder=tmp_path)
    model = mk.Classifier.from_source(source, modalities, fusion=mk.fusion.Sum(units=8))
    model.fit(model.dataset(source, batch_size=8), epochs=1, verbose=0)
    report = mk.export(model, tmp_path / "artifacts", rows=source)
    differences = {artifact.format: artifact.max_difference for artifact in report.artifacts}
    assert set(differences) == {"saved_model", "tflite", "tflite_dynamic_range", "onnx"}
    assert max(value for name, value in differences.items() if name != "tflite_dynamic_range") < 1e-4
