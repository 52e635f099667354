"""What every format of artifacts is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmkeras.exporting import graphs
from mmkeras.exporting.child import run_script
from mmkeras.exporting.parity import Tolerance
from mmkeras.exporting.rows import ProofRows
from mmkeras.representation import Represented

_LATENCY_RUNS = 100


@dataclass(frozen=True)
class Workplace:
    """What writing and proving an artifact has at hand.

    Attributes:
        model: the `RowModel`, in float32.
        folder: a scratch folder.
        rows: the rows to prove artifacts on.
        row_files: paths of these rows, of their `raw` cells and `tensors` as serialized tensors, and of the tensors as
            `npz`.
        time_limit: seconds for each process.
        on_error: as for `mk.export`.
    """

    model: object
    folder: Path
    rows: ProofRows
    row_files: Mapping[str, str]
    time_limit: float
    on_error: str

    def run(self, script: str, modules: Sequence[str] = (), **arguments) -> dict:
        """Runs a script of `exporting/scripts` in a process of its own: see `mmkeras.exporting.child.run_script`."""
        return run_script(script, self.time_limit, modules, latency_runs=_LATENCY_RUNS, **arguments)

    def freeze(self, batch_size: int | None) -> Path:
        """A SavedModel of the tensor signature with constant weights, for this batch size; written once."""
        path = self.folder / f"frozen_{batch_size}"
        if not path.exists():
            graphs.write_frozen(self.model, path, batch_size)
        return path

    def load(self, path: str | Path) -> dict[str, np.ndarray]:
        """The arrays of a `.npz` file that a script has written."""
        with np.load(path) as archive:
            return dict(archive)


@dataclass(frozen=True)
class Run:
    """What an artifact answered in its own runtime.

    Attributes:
        outputs: for each signature that was run, arrays by the names of the artifact, `(rows, ...)`.
        latency_ms: median time for one row, milliseconds.
        ops: names of the ops inside, where the format lists them.
    """

    outputs: Sequence[Mapping[str, np.ndarray]]
    latency_ms: float
    ops: Sequence[str] = ()


class Format(Represented):
    """Declares a format of artifacts: how it is written, run by its own runtime, and compared with the model.

    Converters and runtimes run in processes of their own. Formats of one class are written and run together, so that
    one process serves them all. A subclass keeps its constructor arguments as attributes of the same name, and returns
    them from `get_config`.

    Attributes:
        name: as `mk.export` takes it, where the arguments are the defaults; of the report.
        file: name of the file or folder that it writes.
        tolerance: how far the artifact may be from the model.
        packages: modules that have to be installed.
    """

    name: str
    file: str
    tolerance = Tolerance()
    packages: tuple[str, ...] = ()

    def prepare(self, work: Workplace, target: Path):
        """What is done in this process, where the model is, before anything is converted."""

    @classmethod
    def convert(cls, formats: Mapping[Path, "Format"], work: Workplace):
        """Writes the artifacts.

        Args:
            formats: by path of the file or folder to write.
            work: what there is to write from.

        Raises:
            ExportError: when a converter fails.
        """
        raise NotImplementedError

    @classmethod
    def run(cls, formats: Mapping[Path, "Format"], work: Workplace) -> list[Run]:
        """Runs each artifact on the proof rows.

        Raises:
            ExportError: when a runtime fails, or an artifact holds what no runtime has.
        """
        raise NotImplementedError

    def get_config(self) -> dict:
        return {}
