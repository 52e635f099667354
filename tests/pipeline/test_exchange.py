"""Records and sources, paths and bytes stand for each other, and rows are told apart by their index."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from media_files import write_sound

import mmkeras as mk

MODALITIES = {
    "image": mk.Image(size=8, encoder=mk.encoders.ImageCNN(units=4, filters=(4,))),
    "age": mk.Tabular(numbers=["age"], encoder=mk.encoders.TabularMLP(units=4)),
}


def png(level):
    return tf.io.encode_png(np.full((8, 8, 3), level, "uint8")).numpy()


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """Rows with the paths of images, of which one is missing."""
    folder = tmp_path_factory.mktemp("images")
    for i in range(8):
        (folder / f"{i}.png").write_bytes(png(20 * i))
    rows = [{"image": f"{i}.png" if i != 3 else None, "age": i, "label": "ab"[i % 2]} for i in range(8)]
    return mk.read(rows, target="label", folder=folder)


@pytest.fixture(scope="module")
def contents(paths):
    """The same rows with the bytes of the files."""
    cells = [Path(path).read_bytes() if path else None for path in paths.files("image")]
    return mk.read(paths.table.assign(image=cells), target="label")


@pytest.fixture(scope="module")
def model(paths):
    return mk.Classifier.from_source(paths, MODALITIES)


@pytest.fixture(scope="module", params=["paths", "bytes"])
def records(request, paths, contents, model, tmp_path_factory):
    source = paths if request.param == "paths" else contents
    return mk.prepare(source, tmp_path_factory.mktemp("records"), model.modalities, rows_a_shard=3)


def assert_same(first, second):
    for one, other in zip(first, second, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(*map(tf.nest.flatten, (one, other)), strict=True))


def test_a_dataset_of_records_is_that_of_the_rows(model, paths, contents, records):
    expected = list(model.dataset(paths, batch_size=4))
    assert_same(expected, model.dataset(contents, batch_size=4))
    assert_same(expected, model.dataset(records, batch_size=4))
    assert_same(expected, model.dataset(records, batch_size=4, cache=True))


def test_raw_rows_are_answered_from_records_in_their_order(model, paths, records):
    expected = [pytest.approx(answer["probability"], abs=1e-6) for answer in model.predict_rows(paths)]
    assert [answer["probability"] for answer in model.predict_rows(records)] == expected
    chosen = model.predict_rows(records.select([5, 2, 2]))
    assert [answer["probability"] for answer in chosen] == [expected[5], expected[2], expected[2]]


def test_a_task_learns_from_records_what_it_learns_from_the_rows(paths, records):
    one, other = (mk.Classifier.from_source(source, MODALITIES) for source in (paths, records))
    statistics = [task.modalities["age"].preprocessor.statistics for task in (one, other)]
    assert statistics[0] == statistics[1] and one.classes == other.classes


def test_artifacts_are_proven_on_records(model, records, tmp_path):
    report = mk.export(model, tmp_path / "artifacts", ["saved_model"], rows=records)
    assert report.missing == {"image": 1 + 8 + 1 + 1, "age": 8 + 1}
    assert report.artifacts[0].agreement == 1


def test_records_are_cleaned_as_rows_are(paths, records):
    twice = records.select([0, 1, 1, 2])
    cleaned, report = mk.clean(twice, MODALITIES, drop=["duplicate"])
    assert report.rejected == {2}
    assert len(cleaned) == 3


def test_a_file_that_is_gone_is_named(model, paths, tmp_path):
    records = mk.prepare(paths, tmp_path / "records", model.modalities)
    records.table["image"] = [None if not cell else str(tmp_path / "gone.png") for cell in records.table["image"]]
    with pytest.raises(ValueError, match=r"rows, row 1, column 'image' .*: file not found: no file at .*gone\.png"):
        mk.export(model, tmp_path / "out", ["saved_model"], rows=records)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """Two recordings of three seconds; the middle second of the first is silent."""
    folder = tmp_path_factory.mktemp("recordings")
    for name in ("a.wav", "b.wav"):
        write_sound(folder / name, "wav", seconds=3)
    samples, rate = tf.audio.decode_wav((folder / "a.wav").read_bytes())
    samples = samples.numpy()
    samples[int(0.9 * int(rate)) : int(2.1 * int(rate))] = 0
    (folder / "a.wav").write_bytes(tf.audio.encode_wav(samples, rate).numpy())
    return mk.read([{"file": "a.wav"}, {"file": "b.wav"}], folder=folder)


def test_one_silent_window_is_taken_out_and_not_its_whole_recording(recordings):
    windows = mk.windows(recordings, "file", seconds=1)
    assert windows.row_numbers.tolist() == [1, 1, 1, 2, 2, 2]
    cleaned, report = mk.clean(windows, {"sound": mk.Audio(seconds=1, column="file")}, drop=["silent audio"])
    assert [(problem.row, problem.index) for problem in report.problems if problem.rejected] == [(1, 1)]
    assert cleaned.table["file"].tolist() == [cell for i, cell in enumerate(windows.table["file"]) if i != 1]
    assert "5 usable" in str(report)


def test_windows_of_records_are_read_from_the_files(recordings, tmp_path):
    modalities = {"sound": mk.Audio(seconds=3, column="file")}
    contents = [Path(path).read_bytes() for path in recordings.files("file")]
    whole = mk.read([{"file": content} for content in contents])
    with pytest.raises(ValueError, match="2 cells of column 'file' hold bytes"):
        mk.windows(whole, "file", seconds=1)
    for name, source in {"paths": recordings, "bytes": whole}.items():
        records = mk.prepare(source, tmp_path / name, modalities)
        windows = mk.windows(records, "file", seconds=1)
        assert len(windows) == 6 and not windows.is_prepared
        task = mk.Classifier({"sound": mk.Audio(seconds=1, column="file")}, ["a", "b"])
        (tensors,) = task.dataset(windows, batch_size=6)
        quiet = np.abs(tensors["sound"]).max(axis=1) < 1e-3
        assert quiet.tolist() == [False, True, False, False, False, False]
        assert tensors["sound_length"].numpy().tolist() == [16000] * 6
