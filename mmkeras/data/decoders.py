"""Media files in formats that TensorFlow does not read, converted in processes of their own (`scripts/decode.py`)."""

import atexit
import contextlib
import json
import os
import queue
import select
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from mmkeras.data.report import Finding

TIME_LIMIT = 10.0
_SCRIPT = Path(__file__).parent / "scripts" / "decode.py"
_START_LIMIT = 30.0  # seconds, for the process to import what it needs
_LONGEST_ANSWER = 2**31


class MediaError(ValueError):
    """A media file cannot be used; `finding` says why."""

    def __init__(self, finding: Finding):
        super().__init__(f"{finding.kind}: {finding.detail}. To mend it: {finding.remedy}.")
        self.finding = finding


def convert(
    medium: str,
    cell: str | bytes,
    span: tuple[float, float] | None,
    options: Mapping,
    time_limit: float = TIME_LIMIT,
) -> bytes | list[bytes]:
    """A file, or a span of it, as a PNG file, a WAV file, or a list of JPEG files.

    Args:
        medium: `"image"`, `"audio"` or `"video"`.
        cell: the path or the bytes of the file.
        span: begin and end in seconds; None for the whole.
        options: `max_pixels` of an image; `sample_rate` and `max_seconds` of audio; `frames`, `rate`, `shorter_side`
            and `max_pixels` of video.
        time_limit: seconds after which the file is given up.

    Raises:
        MediaError: when the file cannot be used.
        ImportError: when a package for it is not installed.
    """
    _, parts = _ask({"medium": medium, "span": span, "options": dict(options)}, cell, time_limit)
    return parts if medium == "video" else parts[0]


def probe(cell: str | bytes, time_limit: float = TIME_LIMIT) -> dict:
    """`duration` in seconds, `has_audio` and `has_video` of a file of sound or video. Raises as `convert`."""
    reply, _ = _ask({"medium": "probe"}, cell, time_limit)
    return reply["probe"]


def _ask(request, cell, time_limit):
    content = cell if isinstance(cell, bytes) else b""
    header = {**request, "path": None if isinstance(cell, bytes) else str(cell), "size": len(content)}
    with _POOL.borrow() as worker:
        reply, parts = worker.ask(header, content, time_limit)
    if "missing" in reply:
        raise ImportError(
            f"Files of this kind need the package '{reply['missing']}': pip install 'mmkeras[media]'",
            name=reply["missing"],
        )
    if "bad" in reply:
        raise MediaError(Finding(*reply["bad"], True))
    return reply, parts


class _Worker:
    """One process that converts one file at a time; a new one is started when it has ended."""

    def __init__(self):
        self.process = None
        self.log = None

    def ask(self, header, content, time_limit):
        """The reply to a request, and its parts."""
        started = self._start()
        try:
            encoded = json.dumps(header).encode()
            deadline = time.monotonic() + time_limit + (_START_LIMIT if started else 0)
            self._write(struct.pack("<I", len(encoded)) + encoded + content, deadline)
            reply = json.loads(self._read(*struct.unpack("<I", self._read(4, deadline)), deadline))
            if sum(reply["sizes"]) > _LONGEST_ANSWER:
                raise EOFError
            return reply, [self._read(size, deadline) for size in reply["sizes"]]
        except TimeoutError:
            self.stop()
            detail = f"it takes longer than {time_limit:g} s"
            return {"bad": ("decoding takes too long", detail, "replace the file")}, []
        except (EOFError, OSError):
            detail = f"the decoder {self._describe_end()} on it"
            self.stop()
            return {"bad": ("decoder crashed", detail, "replace the file")}, []
        except BaseException:
            self.stop()  # interrupted half-way, it would give the next caller this one's answer
            raise

    def _start(self):
        if self.process is not None and self.process.poll() is None:
            return False
        self.stop()
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [sys.executable, "-P", str(_SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            bufsize=0,
            start_new_session=True,  # Ctrl-C is for the caller
        )
        os.set_blocking(self.process.stdin.fileno(), False)
        os.set_blocking(self.process.stdout.fileno(), False)
        return True

    def _write(self, data, deadline):
        view = memoryview(data)
        while view:
            _wait(self.process.stdin, select.POLLOUT, deadline)
            view = view[os.write(self.process.stdin.fileno(), view[: 2**20]) :]

    def _read(self, size, deadline):
        data = bytearray()
        while len(data) < size:
            _wait(self.process.stdout, select.POLLIN, deadline)
            part = os.read(self.process.stdout.fileno(), min(size - len(data), 2**20))
            if not part:
                raise EOFError
            data += part
        return bytes(data)

    def _describe_end(self):
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = self.process.wait(timeout=1)
            return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return "stopped answering"

    def stop(self):
        """Ends the process, if there is one."""
        if self.process is None:
            return
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.log):
            stream.close()
        self.process = None


def _wait(stream, event, deadline):
    poll = select.poll()
    poll.register(stream, event)
    if not poll.poll(1000 * max(0, deadline - time.monotonic())):
        raise TimeoutError


class _Pool:
    """Lends workers to threads, one for each core. They end with this process: their standard input closes then."""

    def __init__(self, size):
        self.size = size
        self._lock = threading.Lock()
        self._forget()

    def _forget(self):
        self._owner = os.getpid()
        self._idle = queue.LifoQueue()
        for _ in range(self.size):
            self._idle.put(_Worker())

    @contextlib.contextmanager
    def borrow(self):
        with self._lock:
            if self._owner != os.getpid():  # forked: the processes are the parent's
                self._forget()
        worker = self._idle.get()
        try:
            yield worker
        finally:
            self._idle.put(worker)

    def stop(self):
        """Ends all processes that are idle."""
        with contextlib.suppress(queue.Empty):
            workers = [self._idle.get_nowait() for _ in range(self.size)]
            for worker in workers:
                worker.stop()
                self._idle.put(worker)


_POOL = _Pool(os.cpu_count() or 1)
atexit.register(_POOL.stop)
