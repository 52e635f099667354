"""`mk.export`: from a task to artifacts, each proven by its own runtime."""

import importlib.metadata
import importlib.util
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmkeras.data import Source, read
from mmkeras.exporting import saved_model
from mmkeras.exporting.child import ExportError, run_script
from mmkeras.exporting.parity import Artifact, ExportReport, Tolerance, compare
from mmkeras.exporting.rows import ProofRows, choose_rows
from mmkeras.exporting.signatures import RAW, TENSORS, describe, list_assets

_OPSET = 18
_REPORT = "report.json"
_LATENCY_RUNS = 100
_PACKAGES = ("mmkeras", "tensorflow", "tensorflow-text", "keras", "tf2onnx", "onnxruntime", "ai-edge-litert")


@dataclass(frozen=True)
class _Workplace:
    """What making and proving an artifact has at hand: the model, a scratch folder, and the rows written there."""

    model: object
    folder: Path
    rows: ProofRows
    row_files: dict[str, str]
    time_limit: float

    def run(self, script, **arguments):
        return run_script(script, self.time_limit, latency_runs=_LATENCY_RUNS, **arguments)

    def freeze(self, batch_size) -> Path:
        folder = self.folder / f"frozen_{batch_size}"
        if not folder.exists():
            saved_model.write_frozen(self.model, folder, batch_size)
        return folder


@dataclass(frozen=True)
class _Format:
    """How one format is made (`make(work, target)`) and run (`run(work, target)` to a dict and the outputs)."""

    file: str
    make: Callable
    run: Callable
    tolerance: Tolerance
    packages: tuple[str, ...] = ()


def _make_saved_model(work, target):
    saved_model.write(work.model, target)


def _run_saved_model(work, target):
    outputs = {name: str(work.folder / f"{name}.npz") for name in (RAW, TENSORS)}
    inputs = {RAW: work.row_files["raw"], TENSORS: work.row_files["tensors"]}
    answer = work.run("run_saved_model", artifact=target, signatures=[RAW, TENSORS], inputs=inputs, outputs=outputs)
    return answer[RAW], [_load(path) for path in outputs.values()]


def _make_tflite(quantization):
    def make(work, target):
        # One row at a time: TFLite converts no recurrent layer with an unknown batch size.
        frozen = work.freeze(batch_size=1)
        work.run("convert_tflite", saved_model=frozen, target=target, signature=TENSORS, quantization=quantization)

    return make


def _run_tflite(work, target):
    outputs = str(work.folder / f"{target.stem}.npz")
    answer = work.run("run_tflite", artifact=target, signature=TENSORS, inputs=work.row_files["npz"], outputs=outputs)
    foreign = [op for op in answer["ops"] if op.startswith("CUSTOM")]
    if foreign:
        raise ExportError(f"{target.name} holds ops that the TFLite interpreter does not have: {foreign}")
    return answer, [_load(outputs)]


def _make_onnx(work, target):
    frozen = work.freeze(batch_size=None)
    work.run("convert_onnx", saved_model=frozen, target=target, signature=TENSORS, opset=_OPSET)


def _run_onnx(work, target):
    outputs = str(work.folder / f"{target.stem}.npz")
    return work.run("run_onnx", artifact=target, inputs=work.row_files["npz"], outputs=outputs), [_load(outputs)]


def _load(path):
    with np.load(path) as archive:
        return dict(archive)


_LITERT, _ONNX = ("ai_edge_litert",), ("tf2onnx", "onnx", "onnxruntime")
_FORMATS = {
    "saved_model": _Format("saved_model", _make_saved_model, _run_saved_model, Tolerance(1e-5, 1.0)),
    "tflite": _Format("model.tflite", _make_tflite("none"), _run_tflite, Tolerance(1e-4), _LITERT),
    "tflite_dynamic_range": _Format(
        "model_dynamic_range.tflite", _make_tflite("dynamic_range"), _run_tflite, Tolerance(), _LITERT
    ),
    "onnx": _Format("model.onnx", _make_onnx, _run_onnx, Tolerance(1e-4), _ONNX),
}


def export(
    model,
    folder: str | Path,
    formats: Sequence[str] = tuple(_FORMATS),
    *,
    rows,
    row_count: int = 1024,
    tolerances: Mapping[str, Tolerance] | None = None,
    time_limit: float = 600,
) -> ExportReport:
    """Writes artifacts of a task, runs each in its own runtime, and compares it with the model on real rows.

    - `"saved_model"`: folder `saved_model`, with a signature for raw rows and one for tensors. For TF Serving and C.
    - `"tflite"`: `model.tflite`, float32, one row at a time. For phones.
    - `"tflite_dynamic_range"`: `model_dynamic_range.tflite`, weights in 8 bits.
    - `"onnx"`: `model.onnx`, any number of rows. For onnxruntime.

    Beside them it writes `signature.json`, which says what goes in and comes out, what the target has to say (the
    classes by index in `labels.json`), and `report.json`. Converters and runtimes run in processes of their own.
    Artifacts appear in `folder` only when all are proven, and replace all that an earlier export wrote there.

    Args:
        model: a task.
        folder: where to write.
        formats: any of the above.
        rows: a `Source` or a list of dicts: real rows, best from the test split. Some are used again with a
            modality taken away.
        row_count: how many of them to use, evenly spaced.
        tolerances: dict from format to `Tolerance`, for formats with another one than the default: 1e-5 for
            `"saved_model"`, 1e-4 for `"tflite"` and `"onnx"`, 99.5 % equal answers for all.
        time_limit: seconds for each process.

    Returns: an `ExportReport`.

    Raises:
        ValueError: for an unknown format.
        ImportError: when a format needs a package that is not installed.
        ExportError: when a converter or a runtime fails; with the end of its log.
        ParityError: when an artifact differs from the model.

    Example:

        report = mk.export(model, "artifacts", formats=["saved_model", "tflite"], rows=test)
    """
    _check_formats(formats, tolerances or {})
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    source = rows if isinstance(rows, Source) else read(rows)
    proof_rows = choose_rows(model, source, row_count)
    # Beside the final folder, so that the last step is a rename on the same disk.
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
        finished = Path(scratch) / "finished"
        finished.mkdir()
        work = _Workplace(
            model, Path(scratch), proof_rows, proof_rows.write(model.preprocessor, Path(scratch) / "rows"), time_limit
        )
        artifacts = [_make_and_prove(name, work, finished, tolerances or {}) for name in formats]
        saved_model.write_assets(model, finished)
        report = ExportReport(
            rows=len(proof_rows),
            missing=proof_rows.count_missing(),
            metrics=proof_rows.measure(model.target, _name_back(model, proof_rows.expected)),
            artifacts=artifacts,
            signature=describe(model),
            files=[*(artifact.path for artifact in artifacts), *list_assets(model), _REPORT],
            versions=_list_versions(),
        )
        report.save(finished / _REPORT)
        folder.mkdir(exist_ok=True)
        _remove_earlier(folder)
        for path in finished.iterdir():
            _replace(path, folder / path.name)
    return report


def _check_formats(formats, tolerances):
    if isinstance(formats, str) or not formats or not set(formats) <= set(_FORMATS):
        raise ValueError(f"`formats` is a list of some of {list(_FORMATS)}. Received: formats={formats!r}")
    if not set(tolerances) <= set(formats):
        raise ValueError(f"`tolerances` names formats that are exported. Received: {list(tolerances)} for {formats!r}")
    needed = [package for name in formats for package in _FORMATS[name].packages]
    lacking = sorted({package for package in needed if importlib.util.find_spec(package) is None})
    if lacking:
        raise ImportError(
            f"{list(formats)} need packages that are not installed: pip install 'mmkeras[export]'. Missing: {lacking}"
        )


def _make_and_prove(name, work, finished, tolerances):
    print(f"Exporting {name} ...", flush=True)
    kind = _FORMATS[name]
    target = finished / kind.file
    kind.make(work, target)
    answer, all_outputs = kind.run(work, target)
    tolerance = tolerances.get(name, kind.tolerance)
    model = work.model
    expected = _name_back(model, work.rows.expected)
    all_outputs = [_name_back(model, outputs) for outputs in all_outputs]
    compared = [compare(name, expected, outputs, tolerance, model.target) for outputs in all_outputs]
    return Artifact(
        format=name,
        path=kind.file,
        bytes=sum(path.stat().st_size for path in [target, *target.rglob("*")] if path.is_file()),
        max_difference=max(difference for difference, _ in compared),
        agreement=min(agreement for _, agreement in compared),
        metrics=work.rows.measure(model.target, all_outputs[0]),
        latency_ms=answer["latency_ms"],
        ops=answer.get("ops", []),
    )


def _name_back(model, outputs):
    """Outputs of an artifact by the names that the target knows."""
    names = {exported: name for name, exported in model.exported_names.items()}
    return {names.get(name, name): array for name, array in outputs.items()}


def _remove_earlier(folder):
    """Takes away what an earlier export wrote, which may be of another model and in other formats."""
    if not (folder / _REPORT).exists():
        return
    try:
        earlier = set(map(str, json.loads((folder / _REPORT).read_text(encoding="utf-8"))["files"]))
    except (ValueError, KeyError, TypeError):  # not ours
        return
    for path in list(folder.iterdir()):  # so that no name leads out of the folder, or to the folder itself
        if path.name not in earlier:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _replace(path, target):
    if target.is_dir():
        shutil.rmtree(target)
    path.replace(target)


def _list_versions():
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
