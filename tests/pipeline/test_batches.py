import numpy as np
import PIL.Image
import pytest
import tensorflow as tf
from decoder_files import make_video

import mmkeras as mk
from mmkeras.pipeline import DatasetOptions, build_dataset
from mmkeras.preprocessing import ImagePreprocessor, RowPreprocessor, TextPreprocessor

pytestmark = pytest.mark.compat


@pytest.fixture(scope="module")
def columns(test):
    return {"text": ["", *test.texts("question")[:20]], "image": [*test.files("image")[:20], ""]}


@pytest.fixture(scope="module")
def preprocessor(test):
    text = TextPreprocessor()
    text.adapt(test.texts("question"))
    return RowPreprocessor({"text": text, "image": ImagePreprocessor(8)})


def _collect(dataset):
    batches = list(dataset)
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


@pytest.mark.parametrize("cache", [False, True])
def test_rows_come_in_order_and_equal_those_prepared_by_hand(columns, preprocessor, cache):
    received = _collect(build_dataset(columns, preprocessor, None, DatasetOptions(batch_size=4, cache=cache)))
    raw = {
        "text": tf.constant(columns["text"]),
        "image": tf.constant([tf.io.read_file(path).numpy() if path else b"" for path in columns["image"]]),
    }
    for name, expected in preprocessor(raw).items():
        assert np.array_equal(received[name], expected), name


@pytest.mark.parametrize("cache", [False, True])
def test_training_shuffles_anew_in_every_epoch_and_keeps_rows_and_targets_together(columns, preprocessor, cache):
    targets = np.arange(21)
    dataset = build_dataset(
        columns, preprocessor, targets, DatasetOptions(batch_size=4, shuffle=True, cache=cache, seed=5)
    )
    ordered = _collect(build_dataset(columns, preprocessor, None, DatasetOptions(batch_size=4)))
    orders = []
    for _ in range(2):
        batches = list(dataset)
        order = np.concatenate([target for _, target in batches])
        assert sorted(order) == list(range(21))
        assert np.array_equal(np.concatenate([tensors["text"] for tensors, _ in batches]), ordered["text"][order])
        assert np.array_equal(np.concatenate([tensors["image"] for tensors, _ in batches]), ordered["image"][order])
        orders.append(order.tolist())
    assert orders[0] != orders[1]
    again = build_dataset(
        columns, preprocessor, targets, DatasetOptions(batch_size=4, shuffle=True, cache=cache, seed=5)
    )
    assert np.concatenate([target for _, target in again]).tolist() == orders[0]


def test_paths_and_bytes_may_be_mixed(columns, preprocessor):
    path = columns["image"][0]
    with open(path, "rb") as file:
        mixed = {"text": ["a", "b", "c"], "image": [path, file.read(), ""]}
    images = _collect(build_dataset(mixed, preprocessor, None, DatasetOptions()))["image"]
    assert np.array_equal(images[0], images[1])
    assert not images[2].any()


def test_fit_knows_how_many_batches_there_are(columns, preprocessor):
    assert len(build_dataset(columns, preprocessor, None, DatasetOptions(batch_size=4))) == 6


def test_a_file_that_vanished_after_the_check_is_named_in_the_error(tmp_path, preprocessor):
    gone = str(tmp_path / "gone.png")
    with pytest.raises(tf.errors.NotFoundError, match="gone.png"):
        list(build_dataset({"text": ["a"], "image": [gone]}, preprocessor, None, DatasetOptions()))


def test_the_source_of_a_column_may_have_another_name(test):
    source = mk.Source(test.table.rename(columns={"question": "The question?"}), "answer", test.folder, "test.csv")
    model = mk.Classifier.from_source(source, {"question": mk.Text(column="The question?")})
    (tensors, _), *_ = model.dataset(source)
    assert set(tensors) == {"question", "question_present"}


def test_a_clip_without_sound_is_a_row_without_sound(tmp_path):
    (tmp_path / "loud.mp4").write_bytes(make_video("mp4"))
    (tmp_path / "mute.mp4").write_bytes(make_video("mp4", sound=False))
    rows = mk.read([{"clip": name, "label": name} for name in ("loud.mp4", "mute.mp4")], "label", folder=tmp_path)
    modalities = {"sound": mk.Audio(seconds=4, column="clip"), "image": mk.Video(frames=2, size=8, column="clip")}
    report = mk.check(rows, modalities)
    assert (report.rejected, report.missing) == (set(), {"clip": 1})
    assert [(problem.row, problem.kind) for problem in report.problems] == [(2, "no sound track")]
    model = mk.Classifier.from_source(rows, modalities)
    with pytest.warns(UserWarning, match="kept: 1 no sound track"):
        ((batch, _),) = model.dataset(rows)
    assert batch["sound_present"].numpy().tolist() == [True, False]
    assert batch["image_present"].numpy().tolist() == [True, True]
    assert len(model.predict_rows([{"clip": str(tmp_path / "mute.mp4")}])) == 1


def test_a_cache_is_filled_by_the_first_dataset_and_read_by_the_second(tmp_path):
    PIL.Image.new("RGB", (8, 8), (9, 9, 9)).save(tmp_path / "a.png")
    rows = mk.read([{"image": "a.png"}] * 4, folder=tmp_path)
    cache, models = mk.Cache(), [mk.Backbone({"image": mk.Image(size=8)}) for _ in range(2)]
    first = next(iter(models[0].dataset(rows, cache=cache)))
    assert len(cache) == 1
    PIL.Image.new("RGB", (8, 8), (200, 200, 200)).save(tmp_path / "a.png")
    # The file is another one: what the second dataset gives is what the first one prepared.
    second = next(iter(models[1].dataset(rows, cache=cache)))
    np.testing.assert_array_equal(first["image"], second["image"])
