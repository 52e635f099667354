"""Decodes media files in a process of its own, one request after the other, until its input ends.

A message is two big-endian lengths (4 and 8 bytes), a JSON header, and a payload. A request's header holds `media_type`
("image", "audio", "video" or "probe"), `path` (else the payload is the file), `span`, `options` and `time_limit`.
The answer's header holds one of `sizes` (of the parts that the payload consists of), `probe`, `finding` (kind, detail,
remedy) or `missing` (a package); `last` says that the process ends with it.

Times are seconds on one clock for all streams of a file: 0 is where the first of them starts.
"""

import contextlib
import io
import json
import math
import os
import signal
import struct
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))  # without what mmkeras imports, and behind all packages

from decoding.images import decode_image  # noqa: E402
from decoding.problems import Unusable  # noqa: E402
from decoding.recording import probe  # noqa: E402
from decoding.sound import decode_audio  # noqa: E402
from decoding.video import decode_video  # noqa: E402

MEMORY_LIMIT = 4 << 30
LOG_LIMIT = 1 << 20
DECODERS = {"image": decode_image, "audio": decode_audio, "video": decode_video, "probe": probe}


def answer(request, payload):
    """Header and parts."""
    try:
        # Named by a number, not by its path: FFmpeg would take the format from the name.
        file = io.BytesIO(payload) if request["path"] is None else open(os.open(request["path"], os.O_RDONLY), "rb")
        with file:
            if file.seek(0, io.SEEK_END) == 0:
                raise Unusable("empty file", "it has 0 bytes", "replace the file, or leave the cell empty")
            file.seek(0)
            return DECODERS[request["media_type"]](file, request["span"], request["options"])
    except Unusable as problem:
        return {"finding": problem.args}, []
    except ModuleNotFoundError as error:
        return {"missing": error.name}, []
    except MemoryError:
        detail = f"it needs more than {MEMORY_LIMIT >> 30} GiB"
        return {"finding": ["too much memory", detail, "shrink the file"], "last": True}, []
    except OSError as error:
        detail = error.strerror or str(error)
        return {"finding": ["unreadable file", detail, "see to it that this user may read it"]}, []


def limit_resources():
    """No more memory than that, no core files, and no files written but a short log."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        for kind, limit in [("RLIMIT_AS", MEMORY_LIMIT), ("RLIMIT_CORE", 0), ("RLIMIT_FSIZE", LOG_LIMIT)]:
            resource.setrlimit(getattr(resource, kind), (limit, limit))


def send(stream, header, parts=()):
    data = json.dumps({**header, "sizes": [len(part) for part in parts]}).encode()
    stream.write(struct.pack(">IQ", len(data), sum(map(len, parts))) + data)
    for part in parts:
        stream.write(part)
    stream.flush()


def main():
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints goes to the log
    limit_resources()
    send(answers, {"ready": True})
    while lengths := requests.read(12):
        header_length, payload_length = struct.unpack(">IQ", lengths)
        request = json.loads(requests.read(header_length))
        payload = requests.read(payload_length)
        signal.alarm(math.ceil(request["time_limit"]) + 5)  # in case that the parent is no more
        header, parts = answer(request, payload)
        signal.alarm(0)
        send(answers, header, parts)
        if header.get("last"):
            break


if __name__ == "__main__":
    main()
