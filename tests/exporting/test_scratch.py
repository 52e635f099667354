import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mmkeras.exporting import scratch
from mmkeras.exporting.child import ExportError, run_script
from mmkeras.exporting.scratch import open_scratch

# Without the package, which would import TensorFlow.
STAYS = """
import sys, time
from pathlib import Path
sys.path.append({package!r})
from scratch import open_scratch
with open_scratch(Path({folder!r})):
    print("here", flush=True)
    time.sleep(60)
"""


def test_nothing_stays_behind(tmp_path):
    with open_scratch(tmp_path / "out") as made:
        (made / "file").write_text("x")
        assert made.parent == tmp_path
    with pytest.raises(KeyboardInterrupt), open_scratch(tmp_path / "out"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_removed_and_what_a_running_one_has_is_not(tmp_path):
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    dead, alive = (tmp_path / f".out-{number}-abc" for number in (ended.stdout.strip(), os.getpid()))
    for folder in (dead, alive, tmp_path / ".out-mine", tmp_path / ".other-1-x"):
        folder.mkdir()
    with open_scratch(tmp_path / "out"):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {alive.name, ".out-mine", ".other-1-x"}


@pytest.mark.parametrize("number, left", [(signal.SIGTERM, 0), (signal.SIGKILL, 1)])
def test_a_process_that_is_told_to_end_leaves_nothing(tmp_path, number, left):
    stays = STAYS.format(package=str(Path(scratch.__file__).parent), folder=str(tmp_path / "out"))
    process = subprocess.Popen([sys.executable, "-c", stays], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout.readline() == b"here\n"
    process.send_signal(number)
    process.wait(30)
    process.stdout.close()
    assert len(list(tmp_path.iterdir())) == left


def test_a_script_ends_with_whoever_started_it(tmp_path):
    """Also when that is killed, and cannot see to it."""
    script = tmp_path / "sleeps.py"
    script.write_text(
        f"import os, time; open({str(tmp_path / 'number')!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    )
    starts = f"""
from mmkeras.exporting.preloaded import run_preloaded
run_preloaded({str(script)!r}, [], {str(tmp_path / "log")!r}, 60)
"""
    parent = subprocess.Popen([sys.executable, "-c", starts])
    number = _wait_for(lambda: (tmp_path / "number").exists() and (tmp_path / "number").read_text())
    parent.kill()
    parent.wait()
    _wait_for(lambda: not _is_running(int(number)))


def test_a_script_that_takes_too_long_is_ended():
    with pytest.raises(ExportError, match=r"run_onnx was stopped: it took longer than 0.01 s"):
        run_script("run_onnx", 0.01)


def _wait_for(condition):
    for _ in range(300):
        if result := condition():
            return result
        time.sleep(0.1)
    raise AssertionError("it did not come about")


def _is_running(number):
    try:
        return "Z" not in Path(f"/proc/{number}/stat").read_text().split(")")[1][:3]
    except FileNotFoundError:
        return False
