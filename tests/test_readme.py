"""The README's Python example, as it stands, in a folder of its own."""

import ast
import re
from pathlib import Path

import keras
import pandas as pd
import pytest

import mmkeras as mk

pytestmark = pytest.mark.docs

README = Path(__file__).parents[1] / "README.md"


def read_examples():
    """By hand, and in one call."""
    by_hand, one_call = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    return by_hand, one_call


def run_example(folder, monkeypatch, example):
    """What the names of the example stand for after it ran."""
    monkeypatch.chdir(folder)
    keras.utils.set_random_seed(0)
    names = {}
    exec(compile(example, "README.md", "exec"), names)  # noqa: S102  our own text
    return names


def measure_accuracy(names):
    model, test = names["model"], names["test"]
    return model.evaluate(model.dataset(test, batch_size=256), verbose=0)[1]


@pytest.fixture
def fewer_rows(monkeypatch):
    """What the examples read are parts of the rows."""
    write = mk.datasets.easy_vqa

    def write_part(folder):
        folder = write(folder)
        for name, rows in {"train.csv": 3000, "test.csv": 400}.items():
            pd.read_csv(folder / name, nrows=rows).to_csv(folder / name, index=False)
        return folder

    monkeypatch.setattr(mk.datasets, "easy_vqa", write_part)

    class Loose(mk.formats.TFLite):
        tolerance = mk.Tolerance(agreement=0.9)  # after so few steps 8 bits change more answers

    monkeypatch.setitem(mk.formats.DEFAULTS, "tflite_dynamic_range", Loose("dynamic_range"))


@pytest.mark.compat
def test_the_example_runs_as_it_stands(fewer_rows, tmp_path, monkeypatch, capsys):
    """On a part of the rows; on all of them it is a slow test."""
    names = run_example(tmp_path, monkeypatch, read_examples()[0])
    assert {path.name for path in (tmp_path / "artifacts").iterdir()} == {
        "saved_model",
        "model.tflite",
        "model_dynamic_range.tflite",
        "model.onnx",
        "labels.json",
        "signature.json",
        "report.json",
    }
    assert measure_accuracy(names) > 0.6
    out = capsys.readouterr().out
    assert "tflite_dynamic_range" in out and "{'answer': " in out


@pytest.mark.slow
def test_the_example_in_one_call_runs_in_less_time(fewer_rows, tmp_path, monkeypatch, capsys):
    example = read_examples()[1]
    assert len(ast.parse(example).body) <= 6 and "time_limit=600" in example
    names = run_example(tmp_path, monkeypatch, example.replace("time_limit=600", "time_limit=40"))
    assert sorted(names["model"].report.trials["model"])[-1].startswith("question")
    assert (tmp_path / "run" / "report.html").exists() and (tmp_path / "artifacts" / "model.onnx").exists()
    assert "best constant" in capsys.readouterr().out


@pytest.mark.slow
def test_the_example_answers_995_of_1000_rows_rightly(tmp_path, monkeypatch):
    assert measure_accuracy(run_example(tmp_path, monkeypatch, read_examples()[0])) >= 0.995


def test_the_example_stands_within_the_first_lines():
    lines = README.read_text(encoding="utf-8").splitlines()
    assert lines.index("```", lines.index("```python")) <= 25
