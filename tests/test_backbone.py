import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import mmkeras as mk
from mmkeras.testing import check_reload

MODALITIES = {
    "image": mk.Image(size=8, encoder=mk.encoders.ImageCNN(units=8, filters=(4,))),
    "clip": mk.Video(frames=2, size=8, encoder=mk.encoders.VideoGRU(units=8)),
}
ROWS = mk.read([{"image": None, "clip": None, "label": label, "price": i} for i, label in enumerate("abab")])


def make_inputs(backbone, count=4):
    random = np.random.default_rng(0)
    inputs = {}
    for name, spec in backbone.preprocessor.tensor_specs(count).items():
        shape, dtype = spec.shape.as_list(), spec.dtype.as_numpy_dtype
        inputs[name] = np.ones(shape, dtype) if name.endswith(("present", "length")) else random.integers(0, 255, shape)
        inputs[name] = inputs[name].astype(dtype)
    return inputs


@pytest.mark.parametrize("fusion", ["product", "cross_attention", "mean_logits"])
def test_encoders_do_not_depend_on_the_fusion_that_follows(fusion):
    backbone = mk.Backbone(MODALITIES, fusion)
    plain = mk.Backbone(MODALITIES)
    for name in MODALITIES:
        own, other = (list(mk.weights.list_weights(b.encoders[name])) for b in (backbone, plain))
        assert own == other
        assert set(backbone.output["modalities"][name]) == {"tokens", "mask", "pooled", "present"}
    assert ("fused" in backbone.output) == (fusion != "mean_logits")


def test_only_the_features_that_are_asked_for_are_given():
    backbone = mk.Backbone(MODALITIES, "product", feature_keys=["pooled", "present"])
    assert set(backbone.output["fused"]) == set(backbone.output["modalities"]["image"]) == {"pooled", "present"}
    with pytest.raises(ValueError, match="`feature_keys` is a list of some of .* Received: feature_keys='pooled'"):
        mk.Backbone(MODALITIES, feature_keys="pooled")
    with pytest.raises(ValueError, match=r"DenseHead reads \['pooled'\], which the backbone does not give"):
        mk.Classifier(backbone=mk.Backbone(MODALITIES, feature_keys=["tokens", "mask", "present"]), classes=["a", "b"])


def test_two_tasks_on_one_backbone_share_its_variables():
    backbone = mk.Backbone(MODALITIES, "product")
    classifier = mk.Classifier.from_source(ROWS, target="label", backbone=backbone)
    regressor = mk.Regressor.from_source(ROWS, target="price", backbone=backbone)
    assert classifier.backbone is regressor.backbone is backbone
    inputs = make_inputs(backbone)
    before = regressor.predict(inputs, verbose=0)
    shared = {id(weight) for weight in backbone.weights}
    assert shared <= {id(weight) for weight in classifier.weights} & {id(weight) for weight in regressor.weights}
    classifier.fit(inputs, np.array([0, 1, 0, 1]), epochs=3, verbose=0)
    assert not np.allclose(before, regressor.predict(inputs, verbose=0))
    with pytest.raises(ValueError, match="A backbone has modalities and a fusion"):
        mk.Classifier(backbone=backbone, fusion="product", classes=["a", "b"])
    with pytest.raises(ValueError, match="give one of them"):
        mk.Classifier.from_source(ROWS, target="label")


def test_it_is_saved_and_loaded_by_itself(tmp_path):
    backbone = mk.Backbone(MODALITIES, mk.fusion.Product(units=8))
    backbone.encoders["image"].trainable = False
    backbone.save(tmp_path / "backbone.keras")
    loaded = keras.saving.load_model(tmp_path / "backbone.keras")
    inputs = make_inputs(backbone)
    expected, received = backbone.predict(inputs, verbose=0), loaded.predict(inputs, verbose=0)
    assert np.allclose(expected["fused"]["pooled"], received["fused"]["pooled"], atol=1e-6)
    assert not loaded.encoders["image"].trainable and loaded.encoders["clip"].trainable


def test_it_gives_vectors_of_raw_rows():
    (vectors,) = mk.Backbone(MODALITIES, mk.fusion.Product(units=6)).predict_rows([{"image": None, "clip": None}])
    assert {name: vector.shape for name, vector in vectors.items()} == {"clip": (8,), "image": (8,), "fused": (6,)}


def test_weights_move_by_path_and_what_does_not_move_is_listed():
    source, target = mk.Backbone(MODALITIES, "product"), mk.Backbone({"image": MODALITIES["image"]}, "concatenation")
    before = {path: weight.numpy() for path, weight in mk.weights.list_weights(target).items()}
    moved = mk.move_weights(source, target)
    after, given = mk.weights.list_weights(target), mk.weights.list_weights(source)
    assert {path.split("/")[0] for path in moved.moved} == {"image_encoder", "fusion"}
    assert moved.missing == ["fusion/dense/kernel", "fusion/dense/bias"]
    assert moved.misshapen == []
    assert all(path.startswith(("clip_encoder/", "fusion/clip_")) for path in moved.unused) and moved.unused
    assert all(np.array_equal(after[path], given[path]) for path in moved.moved)
    assert all(np.array_equal(after[path], before[path]) for path in moved.missing)
    wider = mk.Backbone(MODALITIES, mk.fusion.Product(units=3))
    assert "fusion/image_projection/kernel" in mk.move_weights(source, wider).misshapen


def test_a_task_trains_what_its_answer_depends_on_and_no_more():
    model = mk.Classifier(MODALITIES, ["a", "b"], "product")
    paths = {id(weight): path for path, weight in mk.weights.list_weights(model).items()}
    trained = {paths[id(weight)] for weight in model.trainable_weights}
    assert "image_encoder/pooled_norm/gamma" in trained
    assert "image_encoder/tokens_dense/kernel" not in trained
    assert len(model.trainable_weights) + len(model.non_trainable_weights) == len(model.weights)
    fusion = mk.fusion.CrossAttention(has_pooled_tokens=False)
    attending = mk.Classifier(MODALITIES, ["a", "b"], fusion, auxiliary_weight=0)  # a loss that reads pooled vectors
    paths = {id(weight): path for path, weight in mk.weights.list_weights(attending).items()}
    trained = {paths[id(weight)] for weight in attending.trainable_weights}
    assert "image_encoder/tokens_dense/kernel" in trained
    assert "image_encoder/pooled_norm/gamma" not in trained


@pytest.mark.parametrize("fusion", ["product", "cross_attention", "mean_logits"])
def test_branches_have_losses_of_their_own_under_plain_compile_and_fit(fusion):
    """A branch learns from its own loss what the fused answer does not teach it."""
    keras.utils.set_random_seed(0)
    model = mk.Classifier(MODALITIES, ["a", "b"], fusion, auxiliary_weight=0.3)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    inputs, labels = make_inputs(model, 8), np.arange(8) % 2
    output = model(inputs, training=True)
    plain, whole = (float(model.compute_loss(inputs, labels, output, training=flag)) for flag in (False, True))
    assert whole > plain + 0.1  # the branches' losses, in training only
    history = model.fit(inputs, labels, batch_size=8, epochs=1, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert model.predict(inputs, verbose=0).shape == (8, 2)
    with tf.GradientTape() as tape:
        loss = model.compute_loss(inputs, labels, model(inputs, training=True), training=True)
    gradients = tape.gradient(loss, [weight.value for weight in model.trainable_weights])
    lacking = [w.path for w, g in zip(model.trainable_weights, gradients, strict=True) if g is None]
    assert lacking == []


def test_an_absent_modality_has_no_auxiliary_loss():
    model = mk.Classifier(MODALITIES, ["a", "b"], "product", auxiliary_weight=1.0)
    model.compile("adam", "sparse_categorical_crossentropy")
    inputs, labels = make_inputs(model), np.array([0, 1, 0, 1])
    absent = {**inputs, "clip_present": np.zeros(4, bool), "image_present": np.zeros(4, bool)}
    losses = [float(model.compute_loss(x, labels, model(x, training=True), training=True)) for x in (inputs, absent)]
    alone = [float(model.compute_loss(x, labels, model(x), training=False)) for x in (inputs, absent)]
    assert losses[0] > alone[0] + 0.1
    assert losses[1] == pytest.approx(alone[1])


def test_with_losses_of_training_alone_it_is_the_same_after_save_and_load_in_a_fresh_process():
    model = mk.Classifier(MODALITIES, ["a", "b"], "mean_logits", auxiliary_weight=0.3, alignment_weight=0.1)
    model.compile("adam", "sparse_categorical_crossentropy")
    inputs = make_inputs(model)
    model.fit(inputs, np.array([0, 1, 0, 1]), verbose=0)
    check_reload(model, inputs)


def test_a_decision_is_the_mean_of_what_the_modalities_say_alone():
    model = mk.Classifier(MODALITIES, ["a", "b"], "mean_logits")
    inputs = make_inputs(model)
    alone = []
    for name in MODALITIES:
        others = {f"{other}_present": np.zeros(4, bool) for other in MODALITIES if other != name}
        alone.append(np.log(model.predict({**inputs, **others}, verbose=0)))
    expected = tf.nn.softmax(np.mean(alone, axis=0))
    assert np.allclose(model.predict(inputs, verbose=0), expected, atol=1e-5)


@pytest.mark.slow
def test_inputs_may_be_called_as_the_parts_of_a_model(tmp_path):
    names = ["head", "gated", "image_encoder", "image_source", "tokens"]
    rows = mk.read([{name: f"word{i}" for name in [*names, "image"]} | {"label": "ab"[i % 2]} for i in range(8)])
    small = mk.encoders.TabularMLP(units=4)
    modalities = {name: mk.Tabular(categories=[name], encoder=small) for name in names}
    modalities["image"] = mk.Text(encoder=mk.encoders.TextGRU(units=4, embedding_dim=4))
    model = mk.Classifier.from_source(rows, modalities, target="label")
    model.fit(model.dataset(rows), verbose=0)
    batch, _ = next(iter(model.dataset(rows)))
    check_reload(model, {name: tensor.numpy() for name, tensor in batch.items()})
    records = mk.prepare(rows, tmp_path / "records", modalities)
    again, _ = next(iter(model.dataset(records)))
    assert all(np.array_equal(again[name], batch[name]) for name in batch)
    report = mk.export(model, tmp_path / "artifacts", ["saved_model", "onnx"], rows=rows)
    assert all(artifact.agreement == 1 for artifact in report.artifacts)


def test_columns_whose_names_read_alike_stay_apart(tmp_path):
    rows = mk.read(
        [
            {"age of": i, "age_of": -i, "年龄": 2 * i, "姓名": 3 * i, "b": "x", "a_b": "y", "label": "ab"[i % 2]}
            for i in range(12)
        ]
    )
    encoder = mk.encoders.TabularMLP(units=4)
    modalities = {
        "profile": mk.Tabular(numbers=["age of", "age_of", "年龄", "姓名"], encoder=encoder),
        "a": mk.Tabular(categories=["b"], encoder=encoder),
        "a_b": mk.Text(encoder=mk.encoders.TextGRU(units=4, embedding_dim=4)),
    }
    model = mk.Classifier.from_source(rows, modalities, target="label")
    report = mk.export(model, tmp_path / "artifacts", ["saved_model"], rows=rows)
    signature = json.loads((tmp_path / "artifacts" / "signature.json").read_text(encoding="utf-8"))
    assert signature == report.signature
    assert signature == json.loads((tmp_path / "artifacts" / "report.json").read_text(encoding="utf-8"))["signature"]
    columns = {name: entry["column"] for name, entry in signature["serving_default"]["inputs"].items()}
    assert columns == {
        "profile_age_of": "age of",
        "profile_age_of_2": "age_of",
        "profile_column": "年龄",
        "profile_column_2": "姓名",
        "a_b_2": "b",
        "a_b": "a_b",
    }


def test_indices_of_categories_stay_exact_under_low_precision():
    count = 3000
    for policy in ("mixed_bfloat16", "mixed_float16"):
        values = [f"v{i}" for i in range(count)]
        table = mk.Tabular(
            categories=["c"], statistics={}, vocabularies={"c": values}, encoder=mk.encoders.TabularMLP(units=4)
        )
        backbone = mk.Backbone({"table": table}, "product", dtype=policy)
        tokenizer = backbone.encoders["table"].get_layer("tokenizer")
        tokenizer.embedding.assign(np.arange(4 * (count + 1)).reshape(count + 1, 4) % 251)
        tokenizer.bias.assign(np.zeros((1, 4)))
        tensors = backbone.preprocessor({"table": tf.constant([[value] for value in values[-600:]])})
        encoder = backbone.encoders["table"]
        inside = keras.Model(encoder.input, tokenizer.output)
        vectors = inside({"content": tensors["table"], "present": tensors["table_present"]})
        assert np.array_equal(tf.cast(vectors[:, 0], "float32"), tokenizer.embedding.numpy()[-600:])


def test_it_is_exported_in_all_formats_and_proven_on_its_features(tmp_path):
    rows = mk.read([{"a": index, "b": "xyz"[index % 3], "fused_pooled": index % 5} for index in range(24)])
    small = mk.encoders.TabularMLP(units=4)
    modalities = {name: mk.Tabular([name], encoder=small) for name in ("a", "fused_pooled")}
    modalities["b"] = mk.Text(encoder=mk.encoders.TextGRU(units=4, embedding_dim=4))
    backbone = mk.Backbone.from_source(rows, modalities, fusion=mk.fusion.Product(units=6))
    loose = {"tflite_dynamic_range": mk.Tolerance(agreement=0.9)}
    report = mk.export(backbone, tmp_path / "artifacts", rows=rows, tolerances=loose)
    names = [f"{part}_{key}" for part in ("a", "b", "fused_pooled", "fused") for key in ("tokens", "mask")]
    outputs = report.signature["serving_default"]["outputs"]
    assert set(names) <= set(outputs)
    assert {artifact.format: artifact.agreement for artifact in report.artifacts}["onnx"] == 1
    serve = tf.saved_model.load(str(tmp_path / "artifacts" / "saved_model")).signatures["serving_default"]
    served = serve(a_a=tf.constant(["3"]), fused_pooled_fused_pooled=tf.constant([""]), b=tf.constant(["x"]))
    (vectors,) = backbone.predict_rows([{"a": 3, "b": "x"}])
    assert np.allclose(served["fused_pooled_pooled"].numpy()[0], vectors["fused_pooled"], atol=1e-5)
    assert served["error"].numpy().tolist() == [b""]


def test_what_answers_no_rows_is_refused_by_export(tmp_path):
    backbone = mk.Backbone({"image": MODALITIES["image"]}, "product")
    pretrainer = mk.pretraining.Pretrainer(backbone, [mk.pretraining.TwoViews("image")])
    for model in (pretrainer, keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]), None):
        with pytest.raises(TypeError, match="mk.export takes a task, such as .* Received: " + type(model).__name__):
            mk.export(model, tmp_path / "out", rows=ROWS)
