"""The README's Python example, as it stands, in a folder of its own."""

import re
from pathlib import Path

import keras
import pytest

pytestmark = pytest.mark.compat

README = Path(__file__).parents[1] / "README.md"


def test_the_example_runs_as_it_stands(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    keras.utils.set_random_seed(0)
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    names = {}
    exec(compile(example, "README.md", "exec"), names)  # noqa: S102  our own text
    assert {path.name for path in (tmp_path / "artifacts").iterdir()} == {
        "saved_model",
        "model.tflite",
        "model_dynamic_range.tflite",
        "model.onnx",
        "labels.json",
        "signature.json",
        "report.json",
    }
    model, test = names["model"], names["test"]
    assert model.evaluate(model.dataset(test, batch_size=256), verbose=0)[1] > 0.97
    assert "tflite_dynamic_range" in capsys.readouterr().out


def test_the_example_stands_within_the_first_lines():
    lines = README.read_text(encoding="utf-8").splitlines()
    assert lines.index("```", lines.index("```python")) <= 40
