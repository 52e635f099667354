"""Runs a script in a process of its own, so that what kills a converter or a runtime does not kill the caller."""

import json
import signal
import tempfile
from collections.abc import Sequence
from pathlib import Path

from mmkeras.exporting.preloaded import run_preloaded

_SCRIPTS = Path(__file__).parent / "scripts"
_SHOWN_LINES = 15
TENSORFLOW = ("tensorflow",)  # for `run_script`: the script imports it


class ExportError(RuntimeError):
    """An artifact could not be made or run. Nothing that looks finished was left behind."""


def run_script(name: str, time_limit: float, modules: Sequence[str] = (), **arguments) -> dict:
    """Runs `scripts/<name>.py` in a process of its own and returns the JSON that it writes as its last act.

    The script can import neither Keras nor mmkeras. It gets the path of a JSON file with `arguments`, and that of the
    one to write.

    Args:
        name: of the script.
        time_limit: seconds.
        modules: slow imports of the script; it runs in a fork of a process that has imported them.
        arguments: for the script.

    Raises:
        ExportError: when it fails, is killed or takes longer than `time_limit` seconds; with the end of its log.
    """
    with tempfile.TemporaryDirectory(prefix="mmkeras-") as folder:
        request, answer, log = (Path(folder) / file for file in ("request.json", "answer.json", "log.txt"))
        request.write_text(json.dumps(arguments, default=str))
        log.touch()
        try:
            code = run_preloaded(
                _SCRIPTS / f"{name}.py", [request, answer], log, time_limit, modules, hidden=("keras", "mmkeras")
            )
        except TimeoutError:
            raise ExportError(
                f"{name} was stopped: it took longer than {time_limit:g} s. Give mk.export a larger `time_limit`."
                + _end_of(log)
            ) from None
        if code != 0:
            raise ExportError(f"{name} {_describe_exit(code)}.{_end_of(log)}")
        return json.loads(answer.read_text())


def _describe_exit(code):
    if code >= 0:
        return f"failed with exit code {code}"
    cause = " (the system may have run out of memory)" if -code == signal.SIGKILL else ""
    return f"was killed by {signal.Signals(-code).name}{cause}"


def _end_of(log):
    """The last lines of the log; before them those that speak of errors, which a dump of the graph may follow."""
    lines = log.read_text(errors="replace").strip().splitlines()
    end = lines[-_SHOWN_LINES:]
    errors = [line for line in lines[:-_SHOWN_LINES] if "error:" in line.lower()][:_SHOWN_LINES]
    shown = [line if len(line) <= 300 else f"{line[:300]}..." for line in [*errors, *end]]
    return "\nThe end of its log:\n" + "\n".join(f"  {line}" for line in shown)
