"""The package as users install it: built, and put into an environment of its own."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.slow

_USE = """
import mmkeras as mk
from pathlib import Path

rows = [{"words": "good" if i % 2 else "bad", "label": str(i % 2)} for i in range(300)]
source = mk.read(rows, target="label")
model = mk.Classifier.from_source(source, {"words": mk.Text(encoder="gru")})
print(mk.export(model, "artifacts", formats=["saved_model"], rows=source))
try:
    mk.export(model, "artifacts", formats=["tflite"], rows=source)
except ImportError as error:
    print(error)
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """The Python of an environment that holds the wheel of mmkeras without extras."""
    folder = tmp_path_factory.mktemp("installation")
    venv.create(folder / "venv", with_pip=True)
    pip = [str(folder / "venv/bin/pip"), "--disable-pip-version-check", "-q"]
    subprocess.run([sys.executable, "-m", "pip", "-q", "wheel", "--no-deps", "-w", str(folder), str(ROOT)], check=True)
    subprocess.run([*pip, "install", *map(str, folder.glob("*.whl"))], check=True)
    return folder / "venv/bin/python"


def _run(command, folder):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    return subprocess.run([str(part) for part in command], cwd=folder, capture_output=True, text=True, env=environment)


def test_the_wheel_trains_and_exports_without_extras(python, tmp_path):
    process = _run([python, "-c", _USE], tmp_path)
    assert (process.returncode, process.stderr) == (0, "")
    assert "saved_model" in process.stdout
    assert "pip install 'mmkeras[export]'" in process.stdout
    assert (tmp_path / "artifacts/saved_model/saved_model.pb").exists()


def test_the_demo_says_which_extra_it_needs(python, tmp_path):
    process = _run([python.parent / "mmkeras", "demo"], tmp_path)
    assert process.returncode == 1
    assert "pip install 'mmkeras[demo]'" in process.stderr
    assert "Traceback" not in process.stderr
