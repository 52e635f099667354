"""Scripts in processes of their own, without the seconds that importing TensorFlow takes in each of them."""

import atexit
import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

_SCRIPT = Path(__file__).parent / "scripts" / "preloaded.py"
_START_LIMIT = 300.0  # seconds for the imports
_idle: dict[str, list["_Server"]] = {}
_running: set["_Server"] = set()


def run_preloaded(
    script: Path,
    arguments: Sequence[str],
    log: Path,
    time_limit: float,
    modules: Sequence[str] = (),
    hidden: Sequence[str] = (),
) -> int:
    """Runs a script in a fork of a process that has imported `modules`, and nothing else.

    The process that forks waits a minute for the next script; a second one is started when it is in use.

    Args:
        script: path of the script.
        arguments: for its `sys.argv`.
        log: file to which its output is appended.
        time_limit: seconds, without the import of the modules.
        modules: names of modules to import before the fork.
        hidden: names of modules that cannot be imported there, as if they were not installed.

    Returns: the exit code; negative when a signal has ended it.

    Raises:
        TimeoutError: when it takes longer than `time_limit`; it is killed.
        RuntimeError: when the modules cannot be imported, or `stop_scripts` was called.
    """
    setup = json.dumps({"modules": modules, "hidden": hidden})
    request = {"script": str(script), "arguments": [*map(str, arguments)], "folder": os.getcwd(), "log": str(log)}
    while True:
        try:
            server = _idle.setdefault(setup, []).pop()
        except IndexError:
            server = _Server(setup)
        _running.add(server)
        try:
            code = server.run(request, time_limit)
        except BrokenPipeError:  # it has waited for too long, and has ended
            server.close()
            continue
        except BaseException:
            server.close()
            raise
        finally:
            _running.discard(server)
        _idle[setup].append(server)
        return code


def stop_scripts():
    """Ends all scripts that run."""
    for server in list(_running):
        server.kill()


class _Server:
    """A process that runs one script after the other, each in a fork."""

    def __init__(self, setup):
        self._log = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(_SCRIPT), setup],  # -P: the neighbors of a script hide no package
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            bufsize=0,
            start_new_session=True,  # Ctrl-C is for the caller, which ends it
        )
        self._has_run = False

    def run(self, request, time_limit):
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            script = self._read(_START_LIMIT)
        except BrokenPipeError:
            if self._has_run:
                raise
            self._log.seek(0)
            log = self._log.read()[-3000:].decode(errors="replace")
            raise RuntimeError(f"The process that runs scripts could not be started.\n{log}") from None
        self._has_run = True
        try:
            return self._read(time_limit)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.kill(script, signal.SIGKILL)
            raise
        except BrokenPipeError:
            raise RuntimeError("The process that runs scripts was ended.") from None

    def _read(self, seconds):
        """The number on the next line."""
        deadline, line = time.monotonic() + seconds, b""
        while not line.endswith(b"\n"):
            if not select.select([self._process.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise TimeoutError
            if not (byte := self._process.stdout.read(1)):
                raise BrokenPipeError
            line += byte
        return int(line)

    def kill(self):
        """Ends it; whoever waits for its script closes it."""
        self._process.kill()

    def close(self):
        """Ends it, and the script that it runs, which sees the end of its standard input."""
        self._process.kill()
        self._process.wait()
        for file in (self._process.stdin, self._process.stdout, self._log):
            file.close()


@atexit.register
def _close_idle():
    for servers in _idle.values():
        while servers:
            servers.pop().close()


os.register_at_fork(after_in_child=_idle.clear)  # the processes belong to the parent
