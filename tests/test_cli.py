import base64
import json
import re
import subprocess
import sys

import pytest

from mmkeras.cli import main

pytestmark = [pytest.mark.compat, pytest.mark.docs]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A small run of the demo, as a user runs it: the process and the folder."""
    folder = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "-m", "mmkeras", "demo", "--folder", str(folder), "--epochs", "3", "--rows", "4000"]
    return subprocess.run(command, capture_output=True, text=True), folder


def test_the_demo_trains_exports_and_says_so(demo):
    process, folder = demo
    assert (process.returncode, process.stderr) == (0, "")
    out = process.stdout
    for text in (
        " usable\n",
        "=== question alone, 3 epochs ===",
        "=== question and image, 3 epochs ===",
        "=== What fusing brought: accuracy on the test rows ===",
        "tflite_dynamic_range",
        f"Open {folder / 'report.html'}",
    ):
        assert text in out
    assert "TensorSpec" not in out
    assert len(out.splitlines()) < 120


def test_its_results_hold_every_figure(demo):
    _, folder = demo
    results = json.loads((folder / "results.json").read_text())
    assert set(results["accuracy"]) == {"question", "image", "fused"}
    assert results["accuracy"]["fused"] > max(results["accuracy"]["question"], results["accuracy"]["image"])
    assert {"question", "image", "fused", "export", "total"} == set(results["seconds"])
    assert results["peak_mib"] > 100
    assert results["seed"] == 0
    assert {"mmkeras", "tensorflow", "keras"} <= set(results["versions"])
    for artifact in results["artifacts"]:
        assert {"format", "bytes", "max_difference", "agreement", "latency_ms"} <= set(artifact)


def test_its_report_is_one_file_with_everything_in_it(demo):
    _, folder = demo
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"(src|href)=['\"]?(https?:|//|[\w./]+\.(png|css|js))", page)
    images = [base64.b64decode(data) for data in re.findall(r"data:image/png;base64,([^']+)'", page)]
    assert len(images) == 2 + 12
    assert all(data.startswith(b"\x89PNG") for data in images)
    assert page.count("class='card") == 12
    for text in ("What fusing brought", "Learning curves", "Confusion matrix", "Artifacts", "onnx", "truth:"):
        assert text in page


def test_a_failure_is_a_sentence_and_an_exit_code(tmp_path, capsys):
    (tmp_path / "taken").write_text("a file")
    assert main(["demo", "--folder", str(tmp_path / "taken")]) == 1
    assert "mmkeras demo: " in capsys.readouterr().err
