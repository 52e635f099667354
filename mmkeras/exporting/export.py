"""`mk.export`: from a task to artifacts, each proven by its own runtime."""

import importlib.metadata
import importlib.util
import json
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mmkeras.data import Source, read
from mmkeras.exporting import formats as known_formats
from mmkeras.exporting import graphs
from mmkeras.exporting.exact import make_exact
from mmkeras.exporting.formats import Format, Workplace
from mmkeras.exporting.parity import Artifact, ExportReport, Tolerance, compare
from mmkeras.exporting.preloaded import stop_scripts
from mmkeras.exporting.rows import choose_rows
from mmkeras.exporting.scratch import open_scratch, put_in_place
from mmkeras.exporting.signatures import describe, list_assets
from mmkeras.row_model import RowModel

_REPORT = "report.json"
_PACKAGES = ("mmkeras", "tensorflow", "tensorflow-text", "keras", "tf2onnx", "onnxruntime", "ai-edge-litert")


def export(
    model,
    folder: str | Path,
    formats: Sequence[str | Format] = tuple(known_formats.DEFAULTS),
    *,
    rows,
    row_count: int = 1024,
    tolerances: Mapping[str, Tolerance] | None = None,
    time_limit: float = 600,
    on_error: str = "report",
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
        model: a task, a `mk.Backbone` or another `mk.RowModel`.
        folder: where to write.
        formats: any of the above, or objects from `mk.formats`, which take arguments.
        rows: a `Source` or a list of dicts: real rows, best from the test split. Some are used again with a
            modality taken away.
        row_count: how many of them to use, evenly spaced.
        tolerances: dict from format to `Tolerance`, for formats with another one than the default: 1e-5 for
            `"saved_model"`, 1e-4 for `"tflite"` and `"onnx"`, 99.5 % equal answers for all.
        time_limit: seconds for each process.
        on_error: what the SavedModel does with a row that it cannot answer, such as one with a damaged image.
            `"report"` names input and reason in an output `error`, which is `""` for all other rows, and answers these;
            `"raise"` refuses the whole request.

    Returns: an `ExportReport`.

    Raises:
        TypeError: for a model that answers no raw rows.
        ValueError: for an unknown format.
        ImportError: when a format needs a package that is not installed.
        ExportError: when a converter or a runtime fails; with the end of its log.
        ParityError: when an artifact differs from the model.

    Example:

        report = mk.export(model, "artifacts", formats=["saved_model", "tflite"], rows=test)
    """
    _check_model(model)
    formats = _read_formats(formats, tolerances or {})
    if on_error not in ("report", "raise"):
        raise ValueError(f"`on_error` is 'report' or 'raise'. Received: on_error={on_error!r}")
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"mk.export writes a folder, and {folder} is a file: name another one.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    clock = _Clock()
    model = make_exact(model)
    source = rows if isinstance(rows, Source) else read(rows)
    proof_rows = choose_rows(model, source, row_count)
    clock.tell(f"{len(proof_rows):,} rows to prove artifacts on: prepared, and answered by the model")
    with open_scratch(folder) as scratch:
        finished = scratch / "finished"
        finished.mkdir()
        row_files = proof_rows.write(model.preprocessor, scratch / "rows")
        work = Workplace(model, scratch, proof_rows, row_files, time_limit, on_error)
        for each in formats:
            each.prepare(work, finished / each.file)
        clock.tell("Graphs of the model: written")
        artifacts = _make_all(formats, work, finished, tolerances or {}, clock)
        graphs.write_assets(model, finished, on_error)
        report = ExportReport(
            rows=len(proof_rows),
            missing=proof_rows.count_missing(),
            metrics=proof_rows.measure(model.target, _name_back(model, proof_rows.expected)),
            artifacts=artifacts,
            signature=describe(model, on_error),
            files=[*(artifact.path for artifact in artifacts), *list_assets(model, on_error), _REPORT],
            versions=_list_versions(),
        )
        report.save(finished / _REPORT)
        folder.mkdir(exist_ok=True)
        _remove_earlier(folder)
        for path in finished.iterdir():
            put_in_place(path, folder / path.name, scratch)
    return report


def _check_model(model):
    if not isinstance(model, RowModel):
        raise TypeError(
            "mk.export takes a task, such as mk.Classifier, a mk.Backbone, or a tower of a mk.Retriever "
            "(`retriever.towers`); of a Pretrainer its `backbone`. Other Keras models have an `export` of their own. "
            f"Received: {type(model).__name__}"
        )


def _read_formats(formats, tolerances) -> list[Format]:
    if isinstance(formats, str | Format) or not formats:
        raise ValueError(
            f"`formats` is a list of some of {list(known_formats.DEFAULTS)}. Received: formats={formats!r}"
        )
    formats = [known_formats.get(each) for each in formats]
    names = [each.name for each in formats]
    for values in (names, [each.file for each in formats]):
        if twice := sorted({value for value in values if values.count(value) > 1}):
            raise ValueError(f"Each format is exported once. Received twice: {twice}")
    if not set(tolerances) <= set(names):
        raise ValueError(f"`tolerances` names formats that are exported. Received: {list(tolerances)} for {names}")
    needed = {package for each in formats for package in each.packages}
    if lacking := sorted(package for package in needed if importlib.util.find_spec(package) is None):
        raise ImportError(
            f"{names} need packages that are not installed: pip install 'mmkeras[export]'. Missing: {lacking}"
        )
    return formats


def _make_all(formats, work, finished, tolerances, clock):
    """The artifacts; those of each class of formats beside those of others."""
    kinds = {}
    for each in formats:
        kinds.setdefault(type(each), {})[finished / each.file] = each

    def make(kind):
        artifacts = _make_and_prove(kind, kinds[kind], work, tolerances)
        for artifact in artifacts:
            clock.tell(f"{artifact.format}: made, run and proven")
        return artifacts

    with ThreadPoolExecutor(min(len(kinds), os.cpu_count() or 1)) as pool:
        futures = [pool.submit(make, kind) for kind in kinds]
        try:
            made = {artifact.format: artifact for future in futures for artifact in future.result()}
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            stop_scripts()
            raise
    return [made[each.name] for each in formats]


class _Clock:
    """Tells what was done, and how many seconds it took since the export began."""

    def __init__(self):
        self._start = time.monotonic()

    def tell(self, what):
        print(f"{time.monotonic() - self._start:6.1f} s  {what}", flush=True)


def _make_and_prove(kind, formats, work, tolerances):
    kind.convert(formats, work)
    runs = kind.run(formats, work)
    return [
        _prove(each, target, run, work, tolerances) for (target, each), run in zip(formats.items(), runs, strict=True)
    ]


def _prove(each, target, run, work, tolerances):
    model, tolerance = work.model, tolerances.get(each.name, each.tolerance)
    expected = _name_back(model, work.rows.expected)
    all_outputs = [_name_back(model, outputs) for outputs in run.outputs]
    compared = [
        compare(each.name, expected, outputs, tolerance, model.target, work.rows.tensors) for outputs in all_outputs
    ]
    return Artifact(
        format=each.name,
        path=each.file,
        bytes=sum(path.stat().st_size for path in [target, *target.rglob("*")] if path.is_file()),
        max_difference=max(difference for difference, _ in compared),
        agreement=min(agreement for _, agreement in compared),
        metrics=work.rows.measure(model.target, all_outputs[0]),
        latency_ms=run.latency_ms,
        ops=list(run.ops),
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


def _list_versions():
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
