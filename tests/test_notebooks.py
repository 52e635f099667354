"""Every notebook runs from top to bottom; on a small budget, and without installing what is installed."""

import re
import shutil
import wave
from pathlib import Path

import keras
import nbclient
import nbformat
import numpy as np
import pandas as pd
import pytest
from post_archives import write_archives
from presets import make_text_preset, save_text_preset

import mmkeras as mk

pytestmark = pytest.mark.compat

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
TOLERANCES = '{"tflite_dynamic_range": mk.Tolerance(agreement=0.9)}'
BUDGETS = {
    "01_quickstart": (("epochs = 8", "epochs = 2"), ("rows = None", "rows = 4000")),
    "02_question_answering": (("epochs = 10", "epochs = 1"), ("rows = None", "rows = 1000")),
    "03_sentiment": (
        ("epochs = 6", "epochs = 4"),
        ("rows = None", "rows = 600"),
        ("archives = {}", "archives = {name: f'{name}.tar' for name in ('reviews', 'google', 'twitter')}"),
        ('preset = "bert_tiny_en_uncased"', 'preset = "preset"'),
    ),
    "04_pretraining": (
        ("epochs = 30", "epochs = 2"),
        ("archives = {}", "archives = {name: f'{name}.tar' for name in ('google', 'twitter')}"),
        ("images = None", "images = 'mnist.npz'"),
        ('preset = "bert_tiny_en_uncased"', 'preset = "preset"'),
    ),
}


def _with_tag(notebook, tag):
    (cell,) = [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]
    return cell


def _write_part(folder):
    """The first rows of the data, so that no others are spoken."""
    mk.datasets.easy_vqa(folder)
    for name, rows in {"train.csv": 1000, "test.csv": 250}.items():
        pd.read_csv(folder / name, nrows=rows).to_csv(folder / name, index=False)


def _write_digits(folder):
    """A few recordings and images, in the form of those that the notebook reads."""
    random = np.random.default_rng(0)
    (folder / "spoken-digits").mkdir()
    for split, count in {"train": 6, "test": 2}.items():
        rows = []
        for index in range(10 * count):
            name = f"{split}-{index}.wav"
            samples = 3000 * np.sin(np.arange(4000) * (0.05 + 0.03 * (index % 10))) + random.normal(0, 200, 4000)
            with wave.open(str(folder / "spoken-digits" / name), "wb") as file:
                file.setparams((1, 2, 8000, 0, "NONE", ""))
                file.writeframes(samples.astype("<i2").tobytes())
            rows.append((name, index % 10, "somebody"))
        table = pd.DataFrame(rows, columns=["sound", "digit", "speaker"])
        table.to_csv(folder / "spoken-digits" / f"{split}.csv", index=False)
    digits = np.arange(50) % 10
    pixels = (25 * digits[:, None, None] + random.integers(0, 20, (50, 28, 28))).astype("uint8")
    np.savez(folder / "mnist.npz", x_train=pixels, y_train=digits, x_test=pixels, y_test=digits)


def _write_preset(folder):
    """A network that says different things of different names; with small random weights all come out alike."""
    keras.utils.set_random_seed(0)
    backbone, tokenizer = make_text_preset("Bert")
    for weight in backbone.weights:
        if weight.path.endswith("kernel"):
            weight.assign(20 * weight)
    backbone.save_to_preset(folder)
    tokenizer.save_to_preset(folder)


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs(path, tmp_path):
    if path.stem == "02_question_answering" and shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng is not installed")
    if path.stem == "02_question_answering":
        _write_part(tmp_path / "easy-vqa")
    if path.stem == "03_sentiment":
        write_archives(tmp_path)
        (tmp_path / "preset").symlink_to(save_text_preset("Bert"))
    if path.stem == "04_pretraining":
        write_archives(tmp_path, drawings=500)
        _write_digits(tmp_path)
        _write_preset(tmp_path / "preset")
    notebook = nbformat.read(path, as_version=4)
    _with_tag(notebook, "install").source = "pass"
    budget = _with_tag(notebook, "budget")
    for whole, small in BUDGETS[path.stem]:
        assert whole in budget.source
        budget.source = budget.source.replace(whole, small)
    for cell in notebook.cells:  # on so little training, 8 bits change a few answers
        cell.source = cell.source.replace(
            '"artifacts", rows=test)', f'"artifacts", rows=test, tolerances={TOLERANCES})'
        )
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert (tmp_path / "artifacts.zip").exists()
    printed = "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []))
    assert re.search(r"Compared with the Keras model on \d{3,} rows", printed)
    assert "I0000" not in printed and "UserWarning" not in printed


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_stored_without_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    assert not [cell for cell in notebook.cells if cell.get("outputs")]
