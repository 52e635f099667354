import dataclasses
import json
import tempfile
from pathlib import Path

from mmkeras.data import Source
from mmkeras.exporting import ExportReport, ParityError, export, formats
from mmkeras.row_model import RowModel
from mmkeras.testing.requirements import require


def check_format(format: formats.Format, model: RowModel, source: Source) -> ExportReport:
    """Checks what holds for every export format, on a model and rows of it.

    It is shown by its arguments; the export writes what its report names and nothing else, and the artifact gives the
    answers of the model; `signature.json` describes the outputs that the artifact has; and an artifact with other
    outputs raises `ParityError` and leaves nothing behind.

    Args:
        format: an object from `mk.formats`, or your own.
        model: what is exported.
        source: rows to prove it on.

    Returns: the report of the export.
    """
    require(" object at 0x" not in repr(format), f"it is shown as {format!r}")
    require(type(format)(**format.get_config()).name == format.name, "a copy from the configuration has another name")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "artifacts"
        report = export(model, folder, [format], rows=source)
        (artifact,) = report.artifacts
        require(artifact.format == format.name and artifact.path == format.file, f"the report has {artifact}")
        require({path.name for path in folder.iterdir()} == set(report.files), "the folder holds other files")
        require(artifact.bytes > 0 and artifact.latency_ms > 0, f"the report has {artifact}")
        signature = json.loads((folder / "signature.json").read_text(encoding="utf-8"))
        require(signature == report.signature, "signature.json and the report differ")
        outputs = signature["tensors"]["outputs"]
        require(set(outputs) == set(model.exported_names.values()), f"the signature has the outputs {sorted(outputs)}")

        wrong = Path(scratch) / "wrong"
        try:
            export(model, wrong, [_make_wrong(format)], rows=source)
        except ParityError as error:
            require(format.name in str(error), f"the error does not name the format: {error}")
        else:
            raise AssertionError("an artifact with other outputs passes")
        require(not wrong.exists(), "an artifact with other outputs is left behind")
    return report


def _make_wrong(format):
    """The format, with a runtime that reverses the rows of every output and adds to them."""

    class Wrong(type(format)):
        @classmethod
        def run(cls, formats, work):
            return [
                dataclasses.replace(run, outputs=[_spoil(outputs) for outputs in run.outputs])
                for run in super().run(formats, work)
            ]

    return Wrong(**format.get_config())


def _spoil(outputs):
    return {name: array[::-1] + 1 if array.dtype.kind == "f" else array for name, array in outputs.items()}
