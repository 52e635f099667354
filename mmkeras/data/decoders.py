"""Media that TensorFlow ops cannot read, converted in processes of their own to formats that they can."""

import atexit
import json
import math
import os
import select
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path

from mmkeras.data.report import Finding

_SCRIPT = Path(__file__).parent / "scripts" / "decode.py"
_START_LIMIT = 60.0
_PIPE_BYTES = 1 << 16


class MediaError(ValueError):
    """A cell that cannot be converted. `finding` says why."""

    def __init__(self, finding: Finding):
        super().__init__(f"{finding.kind}: {finding.detail}. Fix: {finding.remedy}.")
        self.finding = finding


def convert(
    media_type: str,
    cell: str | bytes,
    span: tuple[float, float] | None = None,
    options: Mapping | None = None,
    time_limit: float = 10.0,
) -> bytes | list[bytes]:
    """A media file in a form that TensorFlow ops read, made by a process of its own.

    What is in the file can neither crash, nor hang, nor exhaust the caller. Any number of threads may call.

    Args:
        media_type: "image", to one PNG: upright, RGB, the first frame, transparency dropped.
            "audio", to one WAV: 16 bit, mono, also from the sound track of a video.
            "video", to a list of JPEG frames.
        cell: an absolute path, or the bytes of a file.
        span: start and end in seconds, for audio and video. Sound and images of a file have the same clock, which
            starts with the first of them.
        options: image: `max_pixels`. Audio: `sample_rate` in hertz, `max_seconds` to stop at where there is no span.
            Video: `frames` (at the midpoints of so many equal parts; repeated where the video has fewer), or with
            `rate` at most so many, at `start + i / rate`; `shorter_side` to shrink to; `max_pixels`.
        time_limit: seconds.

    Raises:
        MediaError: the file is of no use; its `finding` names the reason and the remedy.
        ImportError: a package of the extra `media` is missing.
        ValueError: of `media_type` or `span`.

    Example:

    >>> import io, PIL.Image
    >>> webp = io.BytesIO()
    >>> PIL.Image.new("RGB", (4, 2)).save(webp, "WebP")
    >>> tf.io.decode_png(convert("image", webp.getvalue())).shape
    TensorShape([2, 4, 3])
    """
    if media_type not in ("image", "audio", "video"):
        raise ValueError(f"`media_type` is 'image', 'audio' or 'video'. Received: media_type={media_type!r}")
    if span is not None and not 0 <= span[0] < span[1] < math.inf:
        raise ValueError(f"`span` is a start from 0 on and a later end, in seconds. Received: span={span}")
    parts = _ask(media_type, cell, span, options, time_limit)[1]
    return parts if media_type == "video" else parts[0]


def probe(cell: str | bytes, time_limit: float = 10.0) -> dict:
    """What a recording holds: `duration` in seconds as measured, `has_audio`, `has_video`. Raises as `convert` does."""
    return _ask("probe", cell, None, None, time_limit)[0]["probe"]


def _ask(media_type, cell, span, options, time_limit):
    is_path = isinstance(cell, str)
    request = {
        "media_type": media_type,
        "path": cell if is_path else None,
        "span": None if span is None else [float(second) for second in span],
        "options": dict(options or {}),
        "time_limit": time_limit,
    }
    header, parts = _pool.ask(request, b"" if is_path else cell, time_limit)
    if "finding" in header:
        raise MediaError(Finding(*header["finding"], rejected=True))
    if "missing" in header:
        raise ImportError(
            f"This file is read with {header['missing']}, which is not installed: pip install 'mmkeras[media]'"
        )
    return header, parts


class _Pool:
    """Processes that decode, at most one a core, started when they are needed."""

    def __init__(self):
        self._idle = []  # append and pop are atomic
        self._all = set()
        self._slots = _Slots(os.cpu_count() or 1)

    def ask(self, request, payload, time_limit):
        with self._slots:
            worker = self._take()
            try:
                header, parts = worker.ask(request, payload, time.monotonic() + time_limit)
            except TimeoutError:
                detail = f"it took more than {time_limit:g} s"
                self._kill(worker)
                header, parts = {"finding": ["decoding takes too long", detail, "shorten or convert the file"]}, []
            except OSError:
                detail = self._end(worker)
                header, parts = {"finding": ["decoder crashed", detail, "convert the file, or replace it"]}, []
            except BaseException:  # an interrupt: what the worker would say next belongs to nobody
                self._kill(worker)
                raise
            else:
                if header.get("last"):
                    self._end(worker)
                else:
                    self._idle.append(worker)
            return header, parts

    def _take(self):
        while self._idle:
            worker = self._idle.pop()
            if worker.process.poll() is None:
                return worker
            self._end(worker)
        worker = _Worker()
        self._all.add(worker)
        try:
            worker.receive(time.monotonic() + _START_LIMIT)
        except OSError:
            raise RuntimeError(f"The process that decodes media does not start: {self._end(worker)}.") from None
        return worker

    def _end(self, worker):
        self._all.discard(worker)
        return worker.end()

    def _kill(self, worker):
        worker.process.kill()
        self._end(worker)

    def close(self):
        """Ends every process: at exit, nothing stays behind."""
        for worker in list(self._all):
            self._kill(worker)

    def forget(self):
        """In a forked child: the processes are the parent's, whose end they must notice."""
        for worker in self._all:
            worker.forget()
        self.__init__()


class _Slots:
    """A semaphore that serves in the order of arrival: that of `threading` lets a waiting thread starve."""

    def __init__(self, count):
        self._lock, self._free, self._waiting = threading.Lock(), count, deque()

    def __enter__(self):
        with self._lock:
            if self._free:
                self._free -= 1
                return
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append(turn)
        try:
            turn.acquire()
        except BaseException:  # an interrupt
            with self._lock:
                is_waiting = turn in self._waiting
                if is_waiting:
                    self._waiting.remove(turn)
            if not is_waiting:
                self.__exit__()
            raise

    def __exit__(self, *_):
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._free += 1


class _Worker:
    """One process that runs scripts/decode.py."""

    def __init__(self):
        self._log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            # -P keeps the script's folder off the module path, where its neighbors would hide packages.
            [sys.executable, "-P", "-W", "ignore", str(_SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            bufsize=0,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
            start_new_session=True,  # an interrupt at the keyboard is not for it
        )
        os.set_blocking(self.process.stdin.fileno(), False)

    def ask(self, request, payload, deadline):
        header = json.dumps(request).encode()
        self._write(struct.pack(">IQ", len(header), len(payload)) + header, deadline)
        self._write(payload, deadline)
        return self.receive(deadline)

    def receive(self, deadline):
        header_length, payload_length = struct.unpack(">IQ", self._read(12, deadline))
        header = json.loads(self._read(header_length, deadline))
        payload = memoryview(self._read(payload_length, deadline))
        parts, start = [], 0
        for size in header["sizes"]:
            parts.append(bytes(payload[start : start + size]))
            start += size
        return header, parts

    def _write(self, data, deadline):
        stream, data = self.process.stdin, memoryview(data)
        while data:
            _wait(stream, select.POLLOUT, deadline)
            data = data[os.write(stream.fileno(), data[:_PIPE_BYTES]) :]

    def _read(self, size, deadline):
        stream, data = self.process.stdout, bytearray()
        while len(data) < size:
            _wait(stream, select.POLLIN, deadline)
            part = os.read(stream.fileno(), min(size - len(data), 1 << 20))
            if not part:
                raise ConnectionError
            data += part
        return bytes(data)

    def end(self):
        """Ends the process, and says how it ended if it had done so by itself."""
        try:
            code = self.process.wait(0.2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self._log.seek(max(0, self._log.seek(0, os.SEEK_END) - 1000))
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        self.forget()
        return (f"it was killed by {_signal_name(-code)}" if code < 0 else f"it ended with exit code {code}") + (
            f" ({lines[-1][:200]})" if lines else ""
        )

    def forget(self):
        for stream in (self.process.stdin, self.process.stdout, self._log):
            stream.close()
        self.process.returncode = self.process.returncode or 0  # no warning from a Popen that is left


def _signal_name(number):
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _wait(stream, event, deadline):
    poll = select.poll()
    poll.register(stream, event)
    if not poll.poll(max(0, math.ceil(1000 * (deadline - time.monotonic())))):
        raise TimeoutError


_pool = _Pool()
atexit.register(lambda: _pool.close())
os.register_at_fork(after_in_child=lambda: _pool.forget())
