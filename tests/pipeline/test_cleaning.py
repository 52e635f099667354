import numpy as np
import PIL.Image
import pytest
import tensorflow as tf
from media_files import write_sound

import mmkeras as mk


def find(rows, modalities, target=None, **arguments):
    cleaned = mk.clean(mk.read(rows, target=target), modalities, **arguments)
    found = [(problem.row, problem.column, problem.kind) for problem in cleaned.report.problems]
    return cleaned, found


def test_duplicates_and_contradictions_are_told_apart():
    texts = [("good", "a"), ("bad", "b"), ("good", "a"), ("good", "b"), ("", "a"), ("", "b")]
    rows = [{"text": text, "label": label} for text, label in texts]
    cleaned, found = find(rows, {"text": mk.Text()}, target="label", drop=["duplicate"])
    assert found == [
        (1, "label", "contradiction"),
        (3, "text", "duplicate"),
        (3, "label", "contradiction"),
        (4, "label", "contradiction"),
    ]
    assert cleaned.source.row_numbers.tolist() == [1, 2, 4, 5, 6]
    assert "it equals row 4 'b'" in str(cleaned.report)


def test_nothing_is_taken_out_unasked():
    cleaned, found = find([{"text": "..."}, {"text": "a"}, {"text": "a"}], {"text": mk.Text()})
    assert [kind for _, _, kind in found] == ["empty text", "duplicate"]
    assert len(cleaned.source) == 3


@pytest.fixture
def images(tmp_path):
    random = np.random.default_rng(0)
    first = np.kron(random.integers(0, 256, (8, 9, 3), "uint8"), np.ones((8, 8, 1), "uint8"))
    second = np.kron(random.integers(0, 256, (8, 9, 3), "uint8"), np.ones((8, 8, 1), "uint8"))
    PIL.Image.fromarray(first).save(tmp_path / "first.png")
    PIL.Image.fromarray(first).save(tmp_path / "same.png")
    PIL.Image.fromarray(first).resize((50, 40)).save(tmp_path / "smaller.jpg", quality=80)
    PIL.Image.fromarray(second).save(tmp_path / "second.png")
    PIL.Image.new("RGB", (9, 9), "blue").save(tmp_path / "blue.png")
    return tmp_path


def test_files_count_by_their_content_and_images_by_their_looks(images):
    names = ["first.png", "same.png", "smaller.jpg", "second.png", "blue.png", "first.png", ""]
    source = mk.read([{"image": name} for name in names], folder=images)
    cleaned = mk.clean(source, {"image": mk.Image(size=72)}, drop=["near duplicate", "constant image"])
    assert [(problem.row, problem.kind) for problem in cleaned.report.problems] == [
        (2, "duplicate"),
        (3, "near duplicate"),
        (5, "constant image"),
        (6, "duplicate"),
    ]
    assert "it looks like the image of row 1" in str(cleaned.report)
    assert cleaned.source.row_numbers.tolist() == [1, 2, 4, 6, 7]


def test_silence_is_named(tmp_path):
    write_sound(tmp_path / "loud.wav")
    (tmp_path / "silent.wav").write_bytes(tf.audio.encode_wav(np.full((8000, 1), 1e-4), 16000).numpy())
    rows = [{"sound": str(tmp_path / name)} for name in ("loud.wav", "silent.wav")]
    _, found = find(rows, {"sound": mk.Audio(seconds=2)})
    assert found == [(2, "sound", "silent audio")]


def test_outliers_and_impossible_numbers_are_named():
    ages = [*range(20, 60), 200, -1, ""]
    rows = [{"age": age, "city": "Rome"} for age in ages]
    modalities = {"profile": mk.Tabular(numbers=["age"], categories=["city"])}
    cleaned, found = find(rows, modalities, ranges={"age": (0, 120)}, drop=["impossible number"])
    assert found == [(41, "age", "impossible number"), (42, "age", "impossible number")]
    assert len(cleaned.source) == 41
    _, found = find(rows, modalities)
    assert found == [(41, "age", "outlier")]


def test_rows_that_cannot_be_read_are_taken_out_and_named():
    cleaned, found = find([{"image": "gone.png"}, {"image": ""}], {"image": mk.Image()})
    assert found == [(1, "image", "file not found")]
    assert len(cleaned.source) == 1


@pytest.mark.parametrize("drop", ["duplicate", ["doubles"]])
def test_unknown_kinds_are_refused(drop):
    with pytest.raises(ValueError, match=r"`drop` is a list of some of \['duplicate', .*Received: drop="):
        find([{"text": "a"}], {"text": mk.Text()}, drop=drop)


def test_a_range_of_no_number_is_refused():
    with pytest.raises(ValueError, match=r"`ranges` names columns of numbers of a Tabular. Received: \['text'\]"):
        find([{"text": "a"}], {"text": mk.Text()}, ranges={"text": (0, 1)})
