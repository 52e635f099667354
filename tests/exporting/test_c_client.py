"""The C program that answers from the SavedModel, with no Python in its process."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

SOURCE = Path(__file__).parents[2] / "export" / "c"
TEXT_OPS = Path(importlib.util.find_spec("tensorflow_text").submodule_search_locations[0]) / "python" / "ops"

pytestmark = [
    pytest.mark.compat,
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no C compiler: gcc is not installed"),
]


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    folder = tmp_path_factory.mktemp("c")
    subprocess.run(["make", "-C", SOURCE, f"BUILD={folder}", f"PYTHON={sys.executable}"], check=True)
    return folder / "answer"


@pytest.fixture
def run(program, exported):
    """Runs the program on cells, with nothing of our environment."""

    def run(*cells, saved_model=exported.folder / "saved_model", text_ops=TEXT_OPS, **environment):
        return subprocess.run(
            [program, saved_model, text_ops, *cells],
            env={"TF_CPP_MIN_LOG_LEVEL": "3", **environment},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=120,
        )

    return run


def ask(run, row):
    """The label and the probabilities of a row of text and paths."""
    finished = run(f"question={row.get('question', '')}", f"image=@{row['image']}" if "image" in row else "image=")
    assert finished.returncode == 0, finished.stderr
    outputs = dict(line.split(" ", 1) for line in finished.stdout.splitlines())
    assert list(outputs) == ["answer", "probabilities", "probability"]
    probabilities = [float(value) for value in outputs["probabilities"].split()]
    assert float(outputs["probability"]) == max(probabilities)
    return outputs["answer"], probabilities


def assert_same_as_keras(run, model, rows):
    images = [Path(row["image"]).read_bytes() if "image" in row else b"" for row in rows]
    cells = {"question": tf.constant([row.get("question", "") for row in rows]), "image": tf.constant(images)}
    expected = model.predict(model.preprocessor(cells), verbose=0)
    labels, probabilities = zip(*(ask(run, row) for row in rows), strict=True)
    assert list(labels) == [answer["answer"] for answer in model.predict_rows(rows)]
    np.testing.assert_allclose(probabilities, expected, rtol=0, atol=1e-5)


def assert_fails(finished, *sentence_parts):
    """It ended by itself, with nothing on stdout, and one sentence after what TensorFlow says."""
    assert finished.returncode == 1
    assert finished.stdout == ""
    lines = finished.stderr.splitlines()
    assert [line for line in lines if line.startswith("answer: ")] == lines[-1:]
    for part in sentence_parts:
        assert str(part) in lines[-1]


def test_text_and_image_files_are_answered_as_by_keras(run, exported):
    assert_same_as_keras(run, exported.model, exported.rows[:5])


def test_rows_without_image_or_text_or_both_are_answered_as_by_keras(run, exported):
    row = exported.rows[0]
    assert_same_as_keras(run, exported.model, [{"question": row["question"]}, {"image": row["image"]}, {}])


def test_the_order_of_the_arguments_does_not_matter(run, exported):
    cells = [f"question={exported.rows[0]['question']}", f"image=@{exported.rows[0]['image']}"]
    assert run(*cells).stdout == run(*reversed(cells)).stdout != ""


def test_text_may_come_from_a_file_and_hold_an_equals_sign(run, tmp_path):
    (tmp_path / "question.txt").write_text("is 1=1, or a red shape?")
    direct = run("question=is 1=1, or a red shape?", "image=")
    assert direct.stdout == run(f"question=@{tmp_path}/question.txt", "image=").stdout != ""
    assert direct.stdout != run("question=is 1", "image=").stdout


def test_no_library_of_python_is_loaded(run):
    finished = run("question=what shape is it?", "image=", LD_DEBUG="files")
    assert finished.returncode == 0
    opened = {Path(line.split("file=")[1].split()[0]).name for line in finished.stderr.splitlines() if "file=" in line}
    assert "_fast_sentencepiece_tokenizer.so" in opened
    assert [name for name in opened if name.startswith(("libpython", "_pywrap"))] == []


def test_a_saved_model_that_is_not_there_is_an_error_in_words(run, tmp_path):
    finished = run("question=what?", "image=", saved_model=tmp_path / "nowhere")
    assert_fails(finished, "cannot load the SavedModel", tmp_path / "nowhere", "Could not find SavedModel")


@pytest.mark.parametrize("keep", [lambda size: 0, lambda size: size // 2, lambda size: size - 1])
def test_a_saved_model_that_is_cut_off_is_an_error_in_words(run, exported, tmp_path, keep):
    folder = tmp_path / "saved_model"
    shutil.copytree(exported.folder / "saved_model", folder)
    os.truncate(folder / "saved_model.pb", keep((folder / "saved_model.pb").stat().st_size))
    assert_fails(run("question=what?", "image=", saved_model=folder), "cannot load the SavedModel", folder)


def test_a_saved_model_without_weights_is_an_error_in_words(run, exported, tmp_path):
    folder = tmp_path / "saved_model"
    shutil.copytree(exported.folder / "saved_model", folder, ignore=shutil.ignore_patterns("variables"))
    assert_fails(run("question=what?", "image=", saved_model=folder), "Could not find variable")


def test_text_ops_that_are_not_there_are_an_error_in_words(run, tmp_path):
    finished = run("question=what?", "image=", text_ops=tmp_path)
    assert_fails(finished, "cannot load the text ops", tmp_path / "_fast_bert_normalizer.so")


def test_a_file_that_is_no_image_is_an_error_in_words(run, tmp_path):
    (tmp_path / "note.png").write_text("hello")
    finished = run("question=what?", f"image=@{tmp_path}/note.png")
    assert_fails(finished, tmp_path / "note.png", "image: not an image")


def test_a_image_that_is_cut_off_is_an_error_in_words(run, exported, tmp_path):
    (tmp_path / "cut.png").write_bytes(Path(exported.rows[0]["image"]).read_bytes()[:100])
    assert_fails(run("question=what?", f"image=@{tmp_path}/cut.png"), tmp_path / "cut.png", "image: damaged image")


def test_text_that_is_none_is_an_error_in_words(run):
    assert_fails(run(os.fsdecode(b"question=what?\xff"), "image="), "question: not Unicode text")


def test_files_that_cannot_be_read_are_an_error_in_words(run, tmp_path):
    (tmp_path / "empty.png").touch()
    assert_fails(run("question=", f"image=@{tmp_path}/none.png"), tmp_path / "none.png", "No such file")
    assert_fails(run("question=", f"image=@{tmp_path}"), f"cannot read the file '{tmp_path}' for image", "directory")
    assert_fails(run("question=", f"image=@{tmp_path}/empty.png"), tmp_path / "empty.png", "is empty")


@pytest.mark.parametrize(
    "cells, message",
    [
        (["question=what?", "sound="], "the model has no input 'sound'; it has: "),
        (["question=what?"], "give one argument for each input"),
        (["question=what?", "question=who?"], "question is given twice"),
    ],
)
def test_cells_that_do_not_fit_the_model_are_an_error_in_words(run, cells, message):
    assert_fails(run(*cells), message)


@pytest.mark.parametrize("cells", [[], ["question"], ["=what?"], ["image=@nowhere.png", "question"]])
def test_wrong_usage_is_told_the_right_one(run, cells):
    finished = run(*cells)
    assert (finished.returncode, finished.stdout) == (2, "")
    assert "usage: answer <saved_model_folder> <text_ops_folder> <column>=<text> <column>=@<file>" in finished.stderr
