"""The formats of artifacts: how each is made, and run by its own runtime."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmkeras.exporting import saved_model
from mmkeras.exporting.child import TENSORFLOW, ExportError, run_script
from mmkeras.exporting.parity import Tolerance
from mmkeras.exporting.rows import ProofRows
from mmkeras.exporting.signatures import RAW, TENSORS

_OPSET = 18
_LATENCY_RUNS = 100


@dataclass(frozen=True)
class Workplace:
    """What making and proving an artifact has at hand: the model, a scratch folder, and the rows written there."""

    model: object
    folder: Path
    rows: ProofRows
    row_files: dict[str, str]
    time_limit: float
    on_error: str

    def run(self, script, modules=(), **arguments):
        return run_script(script, self.time_limit, modules, latency_runs=_LATENCY_RUNS, **arguments)

    def frozen(self, batch_size) -> Path:
        return self.folder / f"frozen_{batch_size}"

    def freeze(self, batch_size):
        if not self.frozen(batch_size).exists():
            saved_model.write_frozen(self.model, self.frozen(batch_size), batch_size)


@dataclass(frozen=True)
class Format:
    """How one format is made and run.

    `begin(work, target)` does what is done in this process, where the model is; `convert(work, target)` and
    `run(work, target)`, to a dict and the outputs, are done in others.
    """

    file: str
    begin: Callable
    convert: Callable
    run: Callable
    tolerance: Tolerance
    packages: tuple[str, ...] = ()


def _write_saved_model(work, target):
    saved_model.write(work.model, target, work.on_error)


def _convert_nothing(work, target):
    """A SavedModel is made where the model is."""


def _run_saved_model(work, target):
    outputs = {name: str(work.folder / f"{name}.npz") for name in (RAW, TENSORS)}
    inputs = {RAW: work.row_files["raw"], TENSORS: work.row_files["tensors"]}
    answer = work.run(
        "run_saved_model", TENSORFLOW, artifact=target, signatures=[RAW, TENSORS], inputs=inputs, outputs=outputs
    )
    return answer[RAW], [_load(path) for path in outputs.values()]


def _freeze_one_row(work, target):
    work.freeze(batch_size=1)  # TFLite converts no recurrent layer with an unknown batch size


def _convert_tflite(quantization):
    def convert(work, target):
        frozen = work.frozen(batch_size=1)
        arguments = {"signature": TENSORS, "quantization": quantization}
        work.run("convert_tflite", TENSORFLOW, saved_model=frozen, target=target, **arguments)

    return convert


def _run_tflite(work, target):
    outputs = str(work.folder / f"{target.stem}.npz")
    answer = work.run("run_tflite", artifact=target, signature=TENSORS, inputs=work.row_files["npz"], outputs=outputs)
    foreign = [op for op in answer["ops"] if op.startswith("CUSTOM")]
    if foreign:
        raise ExportError(f"{target.name} holds ops that the TFLite interpreter does not have: {foreign}")
    return answer, [_load(outputs)]


def _freeze_any_rows(work, target):
    work.freeze(batch_size=None)


def _convert_onnx(work, target):
    frozen = work.frozen(batch_size=None)
    work.run("convert_onnx", TENSORFLOW, saved_model=frozen, target=target, signature=TENSORS, opset=_OPSET)


def _run_onnx(work, target):
    outputs = str(work.folder / f"{target.stem}.npz")
    return work.run("run_onnx", artifact=target, inputs=work.row_files["npz"], outputs=outputs), [_load(outputs)]


def _load(path):
    with np.load(path) as archive:
        return dict(archive)


_LITERT, _ONNX = ("ai_edge_litert",), ("tf2onnx", "onnx", "onnxruntime")
FORMATS = {
    "saved_model": Format("saved_model", _write_saved_model, _convert_nothing, _run_saved_model, Tolerance(1e-5, 1.0)),
    "tflite": Format("model.tflite", _freeze_one_row, _convert_tflite("none"), _run_tflite, Tolerance(1e-4), _LITERT),
    "tflite_dynamic_range": Format(
        "model_dynamic_range.tflite",
        _freeze_one_row,
        _convert_tflite("dynamic_range"),
        _run_tflite,
        Tolerance(),
        _LITERT,
    ),
    "onnx": Format("model.onnx", _freeze_any_rows, _convert_onnx, _run_onnx, Tolerance(1e-4), _ONNX),
}
