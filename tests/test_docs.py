"""What the pages in docs/ show runs as it stands."""

import re
import runpy
import warnings
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from presets import save_text_preset

import mmkeras as mk

pytestmark = pytest.mark.docs

DOCS = Path(__file__).parents[1] / "docs"


def test_the_example_on_data_runs(tmp_path, monkeypatch, capsys):
    (tmp_path / "calls").mkdir()
    lines = ["recording,note,age,city,mood"]
    for i in range(24):
        tone = 0.3 * np.sin(np.arange(16000) * (0.1 + 0.2 * (i % 2)))[:, None]
        (tmp_path / "calls" / f"{i}.wav").write_bytes(tf.audio.encode_wav(tone.astype("float32"), 16000).numpy())
        lines.append(f"{i}.wav,call number {i},{30 + i},{'Rome' if i % 3 else 'Oslo'},{'calm' if i % 2 else 'angry'}")
    lines += [lines[-1], "gone.wav,no call,999,Rome,calm"]
    (tmp_path / "calls" / "table.csv").write_text("\n".join(lines) + "\n")
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", (DOCS / "data.md").read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "example.py").write_text(code, encoding="utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        runpy.run_path(str(tmp_path / "example.py"))
    out = capsys.readouterr().out
    assert "table.csv, row 26, column 'recording' (gone.wav): file not found" in out
    assert "row 25, column 'recording' (23.wav): duplicate: it equals row 24" in out
    assert "24 rows in 1 shards" in out


def test_the_example_on_fusion_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", (DOCS / "fusion.md").read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "example.py").write_text(code, encoding="utf-8")
    runpy.run_path(str(tmp_path / "example.py"))
    out = capsys.readouterr().out
    assert "'probability'" in out and "'disagreement'" in out and "Fusing" in out
    assert (tmp_path / "comparison.html").exists()


def test_the_examples_on_training_run(tmp_path, capsys):
    codes = re.findall(r"```python\n(.*?)```", (DOCS / "training.md").read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "example.py").write_text("\n".join(codes), encoding="utf-8")
    runpy.run_path(str(tmp_path / "example.py"))
    out = capsys.readouterr().out
    assert "There is one input, so there is nothing to fuse." in out
    assert "best constant" in out and "balanced_accuracy" in out and "'color_probability'" in out


def test_the_example_on_finetuning_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "preset").symlink_to(save_text_preset("Bert"))
    (code,) = re.findall(r"```python\n(.*?)```", (DOCS / "finetuning.md").read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "example.py").write_text(code, encoding="utf-8")
    runpy.run_path(str(tmp_path / "example.py"))
    assert "best constant" in capsys.readouterr().out and any((tmp_path / "features").iterdir())


def test_the_example_on_pretraining_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", (DOCS / "pretraining.md").read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "example.py").write_text(code, encoding="utf-8")
    runpy.run_path(str(tmp_path / "example.py"))
    assert "'text': 'a gold thing'" in capsys.readouterr().out
    assert (tmp_path / "preset" / "model.weights.h5").exists()


def test_every_objective_is_in_the_table():
    page = (DOCS / "pretraining.md").read_text(encoding="utf-8")
    objectives = {name for name, kind in vars(mk.pretraining).items() if hasattr(kind, "connect")} - {"Objective"}
    assert set(re.findall(r"\n\| `(\w+)\(", page)) == objectives


def test_every_fusion_is_in_the_table():
    page = (DOCS / "fusion.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\| `(\w+)` \|", page)) == set(mk.fusion.list_fusions())
