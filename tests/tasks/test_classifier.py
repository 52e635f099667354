from pathlib import Path

import keras
import numpy as np
import pytest

import mmkeras as mk
from mmkeras.testing import check_preprocessor, check_reload

pytestmark = pytest.mark.compat


@pytest.fixture(scope="module")
def few(train):
    return train.select(range(200))


@pytest.fixture(scope="module")
def tensors(trained, test):
    return next(iter(trained.dataset(test, batch_size=64)))[0]


def test_it_is_the_same_after_save_and_load_in_a_fresh_process(few, modalities):
    """As it is by default; tests/fusion/test_artifacts.py tells it of every fusion."""
    model = mk.Classifier.from_source(few, modalities)
    batches = model.dataset(few, batch_size=50)
    model.fit(batches, epochs=1, verbose=0)
    check_reload(model, {name: tensor.numpy() for name, tensor in next(iter(batches))[0].items()})


def test_training_goes_on_after_loading(trained, test, tmp_path):
    trained.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert int(loaded.optimizer.iterations) == int(trained.optimizer.iterations)
    expected = trained.evaluate(trained.dataset(test), verbose=0)
    assert np.allclose(loaded.evaluate(loaded.dataset(test), verbose=0), expected)
    loaded.fit(loaded.dataset(test), epochs=1, verbose=0)
    assert loaded.predict_rows([{"question": "what?"}])[0].keys() == {"answer", "probability"}


def test_it_learns(trained, test):
    accuracy = trained.evaluate(trained.dataset(test), verbose=0)[1]
    assert accuracy > 0.6  # the most frequent answer has 36 %


@pytest.mark.slow
def test_fused_beats_each_modality_alone(train, test, trained):
    """On rows that neither question nor image can answer alone."""
    asked = [i for i, text in enumerate(test.texts("question")) if text.startswith("what")]
    hard = test.select(asked)
    accuracy = {}
    for name, modality in {"question": mk.Text(), "image": mk.Image(size=32)}.items():
        alone = mk.Classifier.from_source(train.select(range(2000)), {name: modality})
        alone.fit(alone.dataset(train.select(range(2000)), shuffle=True, cache=True), epochs=2, verbose=0)
        accuracy[name] = alone.evaluate(alone.dataset(hard), verbose=0)[1]
    fused = trained.evaluate(trained.dataset(hard), verbose=0)[1]
    assert fused > max(accuracy.values()) + 0.1


def test_fit_takes_callbacks_and_validation_data(few, modalities, tmp_path):
    train, validation = few.split(test_size=0.2)
    model = mk.Classifier.from_source(train, modalities)
    best = tmp_path / "best.keras"
    callbacks = [
        keras.callbacks.EarlyStopping(patience=1),
        keras.callbacks.ModelCheckpoint(best, save_best_only=True),
        keras.callbacks.BackupAndRestore(tmp_path / "backup"),
    ]
    history = model.fit(
        model.dataset(train, shuffle=True),
        validation_data=model.dataset(validation),
        epochs=2,
        callbacks=callbacks,
        verbose=0,
    )
    assert set(history.history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert keras.saving.load_model(best).classes == model.classes


@pytest.mark.parametrize("name", ["question", "image"])
def test_content_of_an_absent_modality_cannot_change_the_answer(trained, tensors, name):
    absent = {**tensors, f"{name}_present": np.zeros(64, bool)}
    expected = trained.predict(absent, verbose=0)
    shape, dtype = tensors[name].shape, tensors[name].dtype.as_numpy_dtype
    for garbage in (np.iinfo(dtype).max, np.iinfo(dtype).min):
        received = trained.predict({**absent, name: np.full(shape, garbage, dtype)}, verbose=0)
        assert np.array_equal(expected, received)
    assert not np.allclose(expected, trained.predict(tensors, verbose=0))


def test_every_input_matters(trained, tensors):
    expected = trained.predict(tensors, verbose=0)
    for name in ("question", "image"):
        changed = trained.predict({**tensors, name: np.roll(tensors[name], 7, axis=0)}, verbose=0)
        assert np.abs(expected - changed).max() > 0.1, name


def test_batch_size_does_not_matter(trained, test):
    whole = trained.predict(trained.dataset(test, batch_size=500), verbose=0)
    parts = trained.predict(trained.dataset(test, batch_size=7), verbose=0)
    assert np.allclose(whole, parts, atol=1e-5)


def test_the_order_of_the_modalities_does_not_matter(trained, few, modalities):
    one = mk.Classifier.from_source(few, modalities)
    other = mk.Classifier.from_source(few, dict(reversed(modalities.items())))
    assert list(one.input) == list(other.input)
    other.set_weights(one.get_weights())
    tensors = next(iter(one.dataset(few)))[0]
    assert np.array_equal(one.predict(tensors, verbose=0), other.predict(tensors, verbose=0))


def test_rows_without_a_modality_are_trained_on_and_answered(few, modalities):
    table = few.table.copy()
    table.loc[table.index[:50], "image"] = ""
    table.loc[table.index[50:100], "question"] = ""
    source = mk.Source(table, "answer", few.folder, "holes")
    model = mk.Classifier.from_source(source, modalities)
    before = [weights.copy() for weights in model.get_weights()]
    model.fit(model.dataset(source), epochs=1, verbose=0)
    missing = [i for i, weight in enumerate(model.weights) if "missing" in weight.path]
    assert len(missing) == 2
    assert all(np.any(model.get_weights()[i] != before[i]) for i in missing)
    answers = model.predict_rows([{"question": "what shape is it?"}, {"image": few.files("image")[0]}, {}])
    assert all(0 < answer["probability"] <= 1 for answer in answers)


def test_raw_rows_and_datasets_are_answered_alike(trained, test):
    outputs = trained.predict(trained.dataset(test), verbose=0)
    answers = trained.predict_rows(test)
    assert [answer["answer"] for answer in answers] == [trained.classes[i] for i in outputs.argmax(axis=1)]
    assert np.allclose([answer["probability"] for answer in answers], outputs.max(axis=1), atol=1e-6)


def test_all_ways_through_the_preprocessor_give_the_same(trained, test):
    images = [Path(path).read_bytes() for path in test.files("image")[:5]]
    check_preprocessor(trained.preprocessor, {"question": [*test.texts("question")[:5], ""], "image": ["", *images]})


def test_declarations_serve_several_models(few, modalities):
    model = mk.Classifier.from_source(few, modalities)
    assert modalities["question"].preprocessor.vocabulary is None
    assert model.modalities["question"].preprocessor.vocabulary is not None


@pytest.mark.slow
def test_mixed_precision_answers_in_float32(few, modalities):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = mk.Classifier.from_source(
            few, modalities, fusion=mk.fusion.CrossAttention(units=16), alignment_weight=0.1
        )
        model.fit(model.dataset(few), epochs=1, verbose=0)
        assert model.predict(model.dataset(few), verbose=0).dtype == "float32"
        assert model.get_layer("image_encoder").output["tokens"].dtype == "bfloat16"
        batch = next(iter(model.dataset(few, batch_size=20)))[0]
    finally:
        keras.config.set_dtype_policy("float32")
    check_reload(model, {name: tensor.numpy() for name, tensor in batch.items()})


def test_the_summary_has_one_named_block_a_modality(trained):
    lines = []
    trained.summary(line_length=120, print_fn=lambda line, line_break=None: lines.append(line))
    text = "\n".join(lines)
    for name in ("image_encoder (Functional)", "question_encoder", "(Product)", "head"):
        assert name in text
    assert [layer.name for layer in trained.layers] == [
        "image",
        "image_present",
        "question",
        "question_present",
        "image_encoder",
        "question_encoder",
        trained.fusion.name,
        "head",
        "head-image",
        "head-question",
        "probabilities",
        "head-image-answer",
        "head-question-answer",
        "head-side",
    ]


@pytest.mark.parametrize(
    "modalities, error, message",
    [
        ({}, ValueError, "`modalities` is a dict"),
        ({"a": "text"}, TypeError, "The modality 'a' is an object such as mk.Text"),
        ({"The text": mk.Text()}, ValueError, r"\{'my_name': mk.Text\(column='The text'\)\}"),
        ({"a": mk.Text(), "a_present": mk.Text()}, ValueError, r"Rename one .* Received twice: \['a_present'\]"),
    ],
)
def test_modalities_that_cannot_be_inputs_are_refused(few, modalities, error, message):
    with pytest.raises(error, match=message):
        mk.Classifier.from_source(few, modalities)


def test_a_source_without_target_is_refused(few, modalities):
    with pytest.raises(ValueError, match="rows has no target column: name it by from_source.*target='<column>'"):
        mk.Classifier.from_source(mk.Source(few.table, None, few.folder, "rows"), modalities)


@pytest.mark.parametrize("classes", [["a"], ["a", "a", "b"]])
def test_classes_that_are_none_are_refused(classes):
    with pytest.raises(ValueError, match="`classes` holds at least two labels, each once"):
        mk.Classifier({"image": mk.Image(size=8)}, classes)
