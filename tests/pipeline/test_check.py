"""What was checked is remembered by content."""

import os
from collections import Counter

import numpy as np
import pytest
import tensorflow as tf

import mmkeras as mk
from mmkeras.fitting.trials import Trainer
from mmkeras.preprocessing import ImagePreprocessor

IMAGE = {"image": mk.Image(size=8, encoder=mk.encoders.ImageCNN(units=4, filters=(4,)))}


@pytest.fixture
def decoded(monkeypatch):
    """How often each image was decoded by checks."""
    counts, find_problem = Counter(), ImagePreprocessor._find_problem

    def count(preprocessor, data):
        counts[data] += 1
        return find_problem(preprocessor, data)

    monkeypatch.setattr(ImagePreprocessor, "_find_problem", count)
    return counts


def write_images(folder, count=40, bad=1):
    random = np.random.default_rng(0)
    for index in range(count):
        data = tf.io.encode_png(random.integers(0, 255, (8, 8, 3)).astype("uint8")).numpy()
        (folder / f"{index}.png").write_bytes(data if index >= bad else data[:40])
    return mk.read([{"image": str(folder / f"{index}.png"), "label": "ab"[index % 2]} for index in range(count)])


def test_from_source_decodes_each_image_once_though_one_is_bad(tmp_path, decoded):
    source = write_images(tmp_path)
    with pytest.warns(UserWarning, match="1 of 40 rows are left out"):
        model = mk.Classifier.from_source(source, IMAGE, target="label")
        model.dataset(source)
    assert sum(decoded.values()) == 40 and set(decoded.values()) == {1}
    model.dataset(source.select(range(3, 9)))
    assert sum(decoded.values()) == 40


def test_fit_decodes_each_image_once_before_it_trains(tmp_path, decoded, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    source = write_images(tmp_path, bad=0)
    monkeypatch.setattr(Trainer, "begin", stop)
    with pytest.raises(KeyboardInterrupt):
        mk.fit(source, "label", IMAGE, time_limit=10)
    assert set(decoded.values()) == {1} and len(decoded) == 40


def test_an_edited_table_and_a_changed_file_are_checked_anew(tmp_path, decoded):
    source = write_images(tmp_path, count=6, bad=0)
    assert not mk.check(source, IMAGE).problems
    source.table.loc[2, "image"] = str(tmp_path / "nowhere.png")
    (problem,) = mk.check(source, IMAGE).problems
    assert (problem.kind, problem.row) == ("file not found", 3)
    (tmp_path / "4.png").write_bytes(b"no image")
    os.utime(tmp_path / "4.png", (1, 1))
    kinds = [problem.kind for problem in mk.check(source, IMAGE).problems]
    assert kinds == ["file not found", "not an image"]
    (tmp_path / "nowhere.png").write_bytes((tmp_path / "0.png").read_bytes())
    assert [problem.kind for problem in mk.check(source, IMAGE).problems] == ["not an image"]
    assert sum(decoded.values()) == 7  # the content of 0.png once more, as nowhere.png


def test_another_preprocessor_checks_for_itself(tmp_path):
    source = write_images(tmp_path, count=4, bad=0)
    assert not mk.check(source, IMAGE).problems
    small = {"image": mk.Image(size=8, max_pixels=10)}
    assert {problem.kind for problem in mk.check(source, small).problems} == {"image too large"}
