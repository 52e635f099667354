"""The decoding processes themselves, and files damaged at random."""

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pillow_heif
import psutil
import pytest
import tensorflow as tf
from decoder_files import AUDIO, SOUNDS, VIDEOS, make_image, make_sound, make_video, read_png

from mmkeras.data import decoders
from mmkeras.data.decoders import MediaError, convert


def test_a_worker_that_is_killed_or_hangs_is_told_and_replaced():
    good = make_image("WebP")
    expected = convert("image", good)
    with ThreadPoolExecutor(1) as pool:
        for number, kind, detail in [
            (signal.SIGKILL, "decoder crashed", "it was killed by SIGKILL"),
            (signal.SIGSTOP, "decoding takes too long", "it took more than 1 s"),
        ]:
            (worker,) = [decoders._pool._idle[-1]]
            os.kill(worker.process.pid, signal.SIGSTOP)
            answer = pool.submit(convert, "image", good, time_limit=1.0)
            time.sleep(0.2)
            os.kill(worker.process.pid, number)
            with pytest.raises(MediaError) as error:
                answer.result()
            assert error.value.finding == (kind, detail, error.value.finding.remedy, True, 0)
            assert str(error.value).startswith(f"{kind}: {detail}. Fix: ")
            assert convert("image", good) == expected
            assert worker.process.poll() is not None


def test_an_idle_worker_that_was_killed_costs_no_row():
    good = make_image("WebP")
    expected = convert("image", good)
    for worker in decoders._pool._idle:
        worker.process.kill()
        worker.process.wait()
    assert convert("image", good) == expected


def test_many_threads_get_their_own_results():
    cells = [make_image("WebP", np.full((8, 8, 3), i, "uint8"), lossless=True) for i in range(200)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda cell: read_png(convert("image", cell)).mean(), cells))
    assert answers == list(range(200))
    assert len(decoders._pool._all) <= os.cpu_count()


def test_in_a_dataset_through_numpy_function():
    cells = [make_image("WebP", np.full((8, 8, 3), i, "uint8"), lossless=True) for i in range(20)]
    read = lambda cell: tf.io.decode_png(tf.numpy_function(lambda x: convert("image", x), [cell], tf.string))  # noqa: E731
    dataset = tf.data.Dataset.from_tensor_slices(cells).map(read, num_parallel_calls=4)
    assert [int(pixels[0, 0, 0]) for pixels in dataset] == list(range(20))


def test_memory_stays_flat(capfd):
    cell, sound = make_image("WebP", np.zeros((300, 300, 3), "uint8")), make_sound("mp3")
    sizes = []
    for _ in range(3):
        for _ in range(30):
            convert("image", cell)
            convert("audio", sound, options=AUDIO)
        workers = [worker.process.pid for worker in decoders._pool._all]
        sizes.append(sum(psutil.Process(pid).memory_info().rss for pid in [os.getpid(), *workers]))
    assert sizes[2] < 1.03 * sizes[1]
    assert capfd.readouterr() == ("", "")


def run_python(code, *arguments):
    code = "from mmkeras.data.decoders import *\nimport sys, os, signal\n" + textwrap.dedent(code)
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)


def test_a_script_ends_without_noise_and_leaves_no_process(tmp_path):
    path = tmp_path / "a.webp"
    path.write_bytes(make_image("WebP"))
    code = """
        from mmkeras.data import decoders
        convert("image", sys.argv[1])
        child = os.fork()
        if child == 0:
            convert("image", sys.argv[1])
            sys.exit(0)
        print(os.waitpid(child, 0)[1], decoders._pool._idle[0].process.pid, flush=True)
        convert("image", sys.argv[1])
    """
    process = run_python(code, str(path))
    status, pid = process.stdout.split()
    assert (process.returncode, status) == (0, "0")
    assert "fork" in process.stderr or process.stderr == ""
    assert not psutil.pid_exists(int(pid))


def test_a_worker_ends_with_its_input():
    process = subprocess.run([sys.executable, "-P", decoders._SCRIPT], stdin=subprocess.DEVNULL, capture_output=True)
    assert (process.returncode, process.stderr) == (0, b"")


def test_a_missing_package_is_an_import_error(tmp_path, monkeypatch):
    (tmp_path / "av.py").write_text("raise ModuleNotFoundError(\"No module named 'av'\", name='av')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(decoders, "_pool", decoders._Pool())
    with pytest.raises(
        ImportError, match=r"This file is read with av, which is not installed: pip install 'mmkeras\[media"
    ):
        convert("audio", b"RIFF", options=AUDIO)
    decoders._pool.close()


def test_an_unknown_medium():
    with pytest.raises(ValueError, match="`media_type` is 'image', 'audio' or 'video'. Received: media_type='text'"):
        convert("text", b"")


@pytest.mark.parametrize("span", [(1, 1), (-1, 2), (0, float("nan")), (0, float("inf"))])
def test_a_span_that_is_none(span):
    with pytest.raises(ValueError, match="`span` is a start from 0 on and a later end"):
        convert("audio", b"", span, AUDIO)


# Mutations


def mutate(data, rng):
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 3, 20])):
        start, length = rng.randrange(len(data)), rng.choice([1, 2, 4, 64, 1000])
        match rng.randrange(5):
            case 0:
                data[start : start + length] = rng.randbytes(min(length, len(data) - start))
            case 1:
                data[start] ^= 1 << rng.randrange(8)
            case 2:
                data[start : start + length] = rng.choice([b"\0", b"\xff", b"\x7f"]) * min(length, len(data) - start)
            case 3:
                data[start:start] = data[: rng.randrange(2000)]
            case 4 if len(data) > 100:
                del data[start : start + length]
        data = data or bytearray(1)
    return bytes(data)


IMAGES = ["WebP", "TIFF", "AVIF", "HEIF", "PNG", "JPEG", "GIF", "BMP", "JPEG2000"]


def make_requests(media_type, kind):
    """Calls of `convert` on one sound file of that kind."""
    if media_type == "image":
        pillow_heif.register_heif_opener()
        return [(media_type, make_image(kind), None, {"max_pixels": 2**25})]
    if media_type == "audio":
        cell = make_sound(kind, 0.5)
        return [(media_type, cell, span, AUDIO) for span in (None, (0.2, 0.4))]
    cell, options = make_video(kind, 12), {"frames": 4, "max_pixels": 2**22}
    images = [("video", cell, span, options) for span in (None, (0.3, 0.9))]
    return [*images, ("audio", cell, None, AUDIO), ("audio", cell, (0.2, 0.4), AUDIO)]


MUTATED = [*[("image", kind) for kind in IMAGES], *[("audio", k) for k in SOUNDS], *[("video", k) for k in VIDEOS]]


def check_mutations(requests, count, seed):
    rng = random.Random(seed)
    jobs = [
        (media_type, mutate(cell, rng), *rest)
        for media_type, cell, *rest in (rng.choice(requests) for _ in range(count))
    ]
    kinds = Counter()

    def run(job):
        started = time.monotonic()
        try:
            answer = convert(*job)
            for part in answer if isinstance(answer, list) else [answer]:
                assert part.startswith((b"\x89PNG", b"RIFF", b"\xff\xd8")) and len(part) > 44
            kinds["read"] += 1
        except MediaError as error:
            kinds[error.finding.kind] += 1
        assert time.monotonic() - started < 12

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # none waits for another
        list(pool.map(run, jobs))
    return kinds


def test_mutated_files_are_read_or_refused(capfd):
    requests = [request for media_type, kind in MUTATED for request in make_requests(media_type, kind)]
    kinds = check_mutations(requests, 100, seed=0)
    assert kinds.total() == 100 and kinds["decoder crashed"] == 0
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
@pytest.mark.parametrize("media_type, kind", MUTATED)
def test_5000_mutated_files_are_read_or_refused(media_type, kind, capfd):
    kinds = check_mutations(make_requests(media_type, kind), 5000, seed=1)
    assert kinds.total() == 5000
    assert kinds["decoder crashed"] + kinds["decoding takes too long"] <= 50, kinds
    assert capfd.readouterr() == ("", "")
