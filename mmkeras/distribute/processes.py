"""Processes that are watched together."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence

_PAUSE = 0.1  # seconds between two looks
_PATIENCE = 10.0  # seconds until a process that was told to end is killed


class Process:
    """A process whose lines of output carry its name; what it starts ends with it.

    Args:
        name: such as `"worker 0"`.
        command: as for `subprocess.Popen`.
        environment: variables besides those of this process.
    """

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str]):
        self.name = name
        self._process = subprocess.Popen(
            command,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.id = self._process.pid
        self._copying = threading.Thread(target=self._copy_lines, daemon=True)
        self._copying.start()

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative when a signal has ended it."""
        return self._process.poll()

    def describe_end(self) -> str:
        """How it ended, in words."""
        if self.exit_code < 0:
            return f"{self.name} was ended by {signal.Signals(-self.exit_code).name}"
        return f"{self.name} ended with exit code {self.exit_code}"

    def _copy_lines(self):
        for line in self._process.stdout:
            text = line.decode("utf-8", "replace").rstrip("\r\n")
            # In one piece: lines of several processes are printed at once.
            print(f"[{self.name}] {text}\n", end="", flush=True)

    def end(self):
        """Ends it, and what it has started."""
        self._signal(signal.SIGTERM)
        ends = time.monotonic() + _PATIENCE
        while self.exit_code is None and time.monotonic() < ends:
            time.sleep(_PAUSE)
        self._signal(signal.SIGKILL)
        self._process.wait()
        self._copying.join(_PATIENCE)
        self._process.stdout.close()

    def _signal(self, number):
        try:
            os.killpg(self.id, number)
        except ProcessLookupError:
            pass


def wait_for_any(processes: Sequence[Process]) -> list[Process]:
    """Returns when one has ended: all that have."""
    while True:
        if ended := [process for process in processes if process.exit_code is not None]:
            return ended
        time.sleep(_PAUSE)


@contextlib.contextmanager
def end_by_exception():
    """In this context SIGTERM is an exception, so that nothing is left behind, no file and no process."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield  # signals belong to somebody else
        return
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def tell(text: str):
    """A line of the one who watches."""
    print(f"[mmkeras] {text}", flush=True, file=sys.stderr)
