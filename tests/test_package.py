"""What holds for the package as a whole."""

import ast
import importlib.metadata
import inspect
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import mmkeras as mk

pytestmark = pytest.mark.compat

PACKAGE = Path(mk.__file__).parent
STAGES = ["data", "preprocessing", "targets", "encoders", "modalities", "pipeline", "fusion", "row_model", "backbone"]

STAGES += [
    "training",
    "heads",
    "tasks",
    "pretraining",
    "finetuning",
    "tuning",
    "recipes",
    "comparison",
    "fitting",
    "exporting",
    "retrieval",
    "labeling",
    "demo",
    "cli",
]
LEAVES = [
    "_public",
    "_quiet",
    "_version",
    "representation",
    "features",
    "files",
    "layers",
    "datasets",
    "distribute",
    "weights",
    "presets",
    "losses",
    "metrics",
    "pages",
    "state",
]
ALL_SEEING = ["__init__", "__main__", "testing"]


def _stage_of(path):
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def _imported_stages(path):
    for node in ast.walk(ast.parse(path.read_text())):
        modules = [node.module] if isinstance(node, ast.ImportFrom) else []
        modules += [name.name for name in node.names] if isinstance(node, ast.Import) else []
        for module in modules:
            if module and module.startswith("mmkeras."):
                yield module.split(".")[1]


def test_imports_run_forward_along_the_pipeline():
    backward = []
    for path in sorted(PACKAGE.rglob("*.py")):
        stage = _stage_of(path)
        if stage in ALL_SEEING:
            continue
        for imported in _imported_stages(path):
            if stage in LEAVES:
                allowed = imported in LEAVES
            else:
                allowed = imported in LEAVES or STAGES.index(imported) <= STAGES.index(stage)
            if not allowed:
                backward.append(f"{path.relative_to(PACKAGE)} imports {imported}")
    assert not backward


def test_every_module_belongs_to_a_stage():
    names = {_stage_of(path) for path in PACKAGE.rglob("*.py")}
    assert names <= set(STAGES + LEAVES + ALL_SEEING)


def _run_python(code):
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)


def test_importing_prints_nothing():
    process = _run_python("import mmkeras")
    assert (process.returncode, process.stdout, process.stderr) == (0, "", "")


def test_another_backend_of_keras_is_refused_in_a_sentence():
    process = _run_python(
        "import keras.src.backend.config as c; c.backend = lambda: 'jax'\n"
        "import keras; keras.backend.backend = lambda: 'jax'\nimport mmkeras"
    )
    assert "mmkeras needs the TensorFlow backend of Keras. Received: backend='jax'" in process.stderr


PUBLIC_MODULES = [name for name in mk.__all__ if inspect.ismodule(getattr(mk, name))]


def test_the_package_shows_its_public_names_and_no_more():
    assert {"read", "Text", "Image", "Classifier", "export", "fusion", "encoders", "datasets"} <= set(mk.__all__)
    assert {"backbone", "cli", "files", "state", "weights", "expose"}.isdisjoint(mk.__all__)
    assert dir(mk) == sorted(mk.__all__)


@pytest.mark.parametrize("name", PUBLIC_MODULES)
def test_a_public_module_shows_its_own_names_and_no_more(name):
    module = getattr(mk, name)
    assert dir(module) == sorted(module.__all__) and module.__all__
    for public in module.__all__:
        assert not inspect.ismodule(getattr(module, public))
        assert public.isupper() or getattr(module, public).__module__.startswith("mmkeras.")


def test_the_version_has_one_source_and_types_are_declared():
    assert mk.__version__ == importlib.metadata.version("mmkeras")
    assert (PACKAGE / "py.typed").exists()


def test_no_two_classes_are_saved_under_one_name():
    """Keras says nothing when a class takes the place of another, and a file of the one is then read as the other."""
    names = Counter()
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text())
        names.update(
            node.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ClassDef)
            and any("register_keras_serializable" in ast.unparse(decorator) for decorator in node.decorator_list)
        )
    assert names["SpectrogramMasking"] == names["Classifier"] == 1
    assert [name for name, count in names.items() if count > 1] == []


def _list_private_names(tree):
    """Names with an underscore that a module gives to functions, classes and attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.attr if isinstance(node, ast.Attribute) else node.id


def test_no_module_reads_what_another_keeps_private():
    trees = {path: ast.parse(path.read_text()) for path in PACKAGE.rglob("*.py")}
    of_keras_and_tuples = {"_distribute_strategy", "_initial_epoch", "_replace", "_quiet"}
    private = {
        path: {name for name in _list_private_names(tree) if re.fullmatch("_[a-z].*", name)} - of_keras_and_tuples
        for path, tree in trees.items()
    }
    found = []
    for path, tree in trees.items():
        elsewhere = set().union(*(names for other, names in private.items() if other != path)) - private[path]
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) not in ("self", "cls", "super()"):
                found += [f"{path.name}: {ast.unparse(node)}"] if node.attr in elsewhere else []
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("mmkeras."):
                found += [f"{path.name}: {name.name}" for name in node.names if name.name in elsewhere]
    assert not found


def test_the_map_of_the_api_names_every_public_name():
    page = (PACKAGE.parent / "docs" / "api.md").read_text(encoding="utf-8")
    assert not [name for name in mk.__all__ if not re.search(rf"\bmk\.{name}\b", page)]


def test_the_readme_is_short():
    lines = (PACKAGE.parent / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 150 and max(map(len, lines)) <= 160
