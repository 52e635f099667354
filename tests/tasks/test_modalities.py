"""All modalities in one task: from rows to artifacts."""

import numpy as np
import pytest
import tensorflow as tf

import mmkeras as mk
from mmkeras.testing import check_reload

pytestmark = pytest.mark.slow

COUNT = 90


@pytest.fixture(scope="module")
def source():
    """Rows whose label every modality tells, and each lacks some."""
    random = np.random.default_rng(0)
    rows = []
    for i in range(COUNT):
        label = i % 2
        tone = 0.3 * np.sin(2 * np.pi * (500 if label else 1500) * np.arange(3200) / 16000)[:, None]
        sound = tf.audio.encode_wav(tone.astype("float32"), 16000).numpy()
        image = tf.io.encode_png(np.full((8, 8, 3), 40 + 150 * label, "uint8") + random.integers(0, 9, 1, "uint8"))
        rows.append(
            {
                "text": "good thing" if label else "bad thing",
                "image": image.numpy(),
                "sound": sound,
                "age of": 20 + 30 * label + int(random.integers(9)),
                "city": "Rome" if label else "Oslo",
                "day": f"2024-0{1 + 5 * label}-11",
                "clicks": ["a", "b"] if label else ["c", "a", "c"],
                "times": [1, 5] if label else [0, 100, 10_000],
                "label": "yes" if label else "no",
            }
        )
        for column in list(rows[-1])[:-3]:
            if column != "label" and random.random() < 0.1:
                rows[-1][column] = ""
    return mk.read(rows, target="label")


@pytest.fixture(scope="module")
def modalities():
    return {
        "text": mk.Text(encoder=mk.encoders.TextGRU(units=8, embedding_dim=8)),
        "image": mk.Image(size=8, encoder=mk.encoders.ImageCNN(units=8, filters=(4,))),
        "sound": mk.Audio(seconds=0.2, encoder=mk.encoders.AudioCNN(units=8, filters=(8,), mel_bins=16)),
        "profile": mk.Tabular(["age of"], ["city"], ["day"], encoder=mk.encoders.TabularMLP(units=8, dropout=0.1)),
        "clicks": mk.History(3, times="times", encoder=mk.encoders.HistoryGRU(units=8, embedding_dim=8)),
    }


@pytest.fixture(scope="module")
def trained(source, modalities):
    tf.keras.utils.set_random_seed(0)
    model = mk.Classifier.from_source(
        source, modalities, fusion=mk.fusion.CrossAttention(units=8, modality_dropout=0.3, seed=1)
    )
    model.fit(model.dataset(source, batch_size=10, shuffle=True), epochs=10, verbose=0)
    return model


def test_it_learns(trained, source):
    assert trained.evaluate(trained.dataset(source), verbose=0)[1] > 0.95


def test_it_reloads_in_a_fresh_process(trained, source):
    batch, _ = next(iter(trained.dataset(source)))
    check_reload(trained, {name: tensor.numpy() for name, tensor in batch.items()})


def test_with_and_without_cache_rows_are_the_same(trained, source):
    plain, cached = (list(trained.dataset(source, batch_size=30, cache=cache)) for cache in (False, True))
    for (first, labels), (second, again) in zip(plain, cached, strict=True):
        assert np.array_equal(labels, again)
        assert all(np.allclose(first[name], second[name], atol=1e-6) for name in first)


@pytest.fixture(scope="module")
def artifacts(trained, source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("all") / "artifacts"
    return folder, mk.export(trained, folder, rows=source)


def test_every_artifact_answers_as_the_model_does(artifacts):
    assert [artifact.agreement for artifact in artifacts[1].artifacts] == [1.0] * 4


def test_the_raw_signature_has_an_input_for_every_column(artifacts, trained):
    signature = tf.saved_model.load(str(artifacts[0] / "saved_model")).signatures["serving_default"]
    specs = signature.structured_input_signature[1]
    assert {name: spec.shape.rank for name, spec in specs.items()} == {
        "text": 1,
        "image": 1,
        "sound": 1,
        "profile_age_of": 1,
        "profile_city": 1,
        "profile_day": 1,
        "clicks_items": 2,
        "clicks_times": 2,
    }
    nothing = {name: tf.fill((1,) * spec.shape.rank, "") for name, spec in specs.items()}
    profile = signature(**nothing | {"profile_age_of": tf.constant(["55"]), "profile_city": tf.constant(["Rome"])})
    clicks = {"clicks_items": tf.constant([["c", "a"]]), "clicks_times": tf.constant([["0", "100"]])}
    answers = [profile, signature(**nothing | clicks)]
    rows = [{"age of": 55, "city": "Rome"}, {"clicks": ["c", "a"], "times": [0, 100]}]
    expected = trained.predict_rows(rows)
    for answer, row in zip(answers, expected, strict=True):
        assert answer["label"][0] == row["label"].encode()
        assert float(answer["probability"][0]) == pytest.approx(row["probability"], abs=1e-5)
    assert expected[0]["probability"] != pytest.approx(expected[1]["probability"], abs=1e-3)


BAD_CELLS = {  # by input of the raw signature: a cell of no use, and why
    "text": (b"\xff\xfe", "not Unicode text"),
    "image": (b"hello", "not an image"),
    "sound": (b"RIFF\0\0\0\0WAVE", "damaged audio"),
    "profile_age_of": (b"0x10", "not a number"),
    "profile_city": (b"Rome\xc3", "not Unicode text"),
    "profile_day": (b"1980-02-30", "not a date"),
    "clicks_times": ([b"7", b"5", b""], "times out of order"),
}


def test_a_bad_cell_is_named_and_the_other_rows_are_answered(artifacts, trained, source):
    """The check refuses the same cells."""
    signature = tf.saved_model.load(str(artifacts[0] / "saved_model")).signatures["serving_default"]
    whole = source.select([i for i in range(COUNT) if (source.table.iloc[i] != "").all()][:1])
    row = trained.preprocessor.split_columns(trained.load_cells(whole))
    rows = {name: np.repeat(cells, len(BAD_CELLS) + 2, axis=0) for name, cells in row.items()}
    for name, items in {"clicks_items": ["a", "b", ""], "clicks_times": ["1", "5", ""]}.items():
        rows[name] = np.tile(np.array(items, object), (len(BAD_CELLS) + 2, 1))
    for position, (name, (cell, _)) in enumerate(BAD_CELLS.items(), 1):
        rows[name][position] = cell
    answers = signature(**{name: tf.constant(cells, tf.string) for name, cells in rows.items()})
    expected = ["", *(f"{name}: {kind}" for name, (_, kind) in BAD_CELLS.items()), ""]
    assert [error.decode() for error in answers["error"].numpy()] == expected
    probabilities, labels = answers["probabilities"].numpy(), answers["label"].numpy()
    assert np.isnan(probabilities[1:-1]).all() and set(labels[1:-1]) == {b""}
    assert np.allclose(probabilities[0], probabilities[-1], atol=1e-6) and labels[0] in (b"yes", b"no")
    alone = signature(**{name: tf.constant(cells[:1], tf.string) for name, cells in rows.items()})
    assert np.allclose(alone["probabilities"], probabilities[:1], atol=1e-6)

    table = whole.table.drop(columns=["label"])
    for name, (cell, kind) in BAD_CELLS.items():
        column = artifacts[1].signature["serving_default"]["inputs"][name]["column"]
        cell = cell[:2] if column == "times" else cell
        problems = trained.check(mk.read([table.to_dict("records")[0] | {column: cell}])).problems
        assert [(problem.column, problem.kind) for problem in problems if problem.rejected] == [(column, kind)]


def test_a_request_of_no_rows_has_no_answers(artifacts):
    signature = tf.saved_model.load(str(artifacts[0] / "saved_model")).signatures["serving_default"]
    specs = signature.structured_input_signature[1]
    answers = signature(**{name: tf.zeros((0,) * spec.shape.rank, tf.string) for name, spec in specs.items()})
    assert {len(tensor) for tensor in answers.values()} == {0}


def test_inputs_that_differ_in_their_number_of_rows_are_refused(artifacts):
    signature = tf.saved_model.load(str(artifacts[0] / "saved_model")).signatures["serving_default"]
    specs = signature.structured_input_signature[1]
    rows = {name: tf.fill((2,) * spec.shape.rank, "") for name, spec in specs.items()}
    with pytest.raises(tf.errors.InvalidArgumentError, match="Inputs differ in their number of rows"):
        signature(**rows | {"image": tf.fill((3,), "")})


def test_an_artifact_may_refuse_a_request_for_one_bad_row(trained):
    from mmkeras.exporting.signatures import raw_signature

    serve = raw_signature(trained, on_error="raise")
    specs = trained.preprocessor.raw_specs()
    rows = {name: tf.fill((2,) * spec.shape.rank, "") for name, spec in specs.items()}
    assert "error" not in serve(rows)
    with pytest.raises(tf.errors.InvalidArgumentError, match="row 1: profile_age_of: not a number"):
        serve(rows | {"profile_age_of": tf.constant(["3", "x"])})


def test_rows_are_answered_from_what_they_have(trained, source):
    rows = source.table.drop(columns=["label", "text", "image"]).head(20).to_dict("records")
    right = [
        a["label"] == label for a, label in zip(trained.predict_rows(rows), source.texts(source.target), strict=False)
    ]
    assert np.mean(right) > 0.8
