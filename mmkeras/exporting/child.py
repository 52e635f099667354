"""Runs a script in a process of its own, so that what kills a converter or a runtime does not kill the caller."""

import contextlib
import json
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

_SCRIPTS = Path(__file__).parent / "scripts"
_START = _SCRIPTS / "start.py"
_SHOWN_LINES = 15
_running = set()


class ExportError(RuntimeError):
    """An artifact could not be made or run. Nothing that looks finished was left behind."""


def run_script(name: str, time_limit: float, **arguments) -> dict:
    """Runs `scripts/<name>.py` and returns the JSON that it writes as its last act.

    The script does not import mmkeras. It gets the path of a JSON file with `arguments`, and that of the one to write.

    Raises:
        ExportError: when it fails, is killed or takes longer than `time_limit` seconds; with the end of its log.
    """
    with tempfile.TemporaryDirectory(prefix="mmkeras-") as folder:
        request, answer, log = (Path(folder) / file for file in ("request.json", "answer.json", "log.txt"))
        request.write_text(json.dumps(arguments, default=str))
        # -P keeps the script's folder off the module path, where its neighbors would hide packages.
        command = [sys.executable, "-P", str(_START), str(_SCRIPTS / f"{name}.py")]
        with log.open("w") as output, _start([*command, str(request), str(answer)], output) as process:
            try:
                code = process.wait(time_limit)
            except subprocess.TimeoutExpired:
                raise ExportError(
                    f"{name} was stopped: it took longer than {time_limit:g} s. Give mk.export a larger `time_limit`."
                    + _end_of(log)
                ) from None
        if code != 0:
            raise ExportError(f"{name} {_describe_exit(code)}.{_end_of(log)}")
        return json.loads(answer.read_text())


@contextlib.contextmanager
def _start(command, output):
    """A running process, which ends with this context."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT)
    _running.add(process)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        _running.discard(process)


def stop_scripts():
    """Ends all scripts that run."""
    for process in list(_running):
        process.kill()


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
