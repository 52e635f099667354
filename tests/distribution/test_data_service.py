"""`mmkeras data-service`: rows are prepared by other processes, and each arrives once."""

import re
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import psutil
import pytest

import mmkeras as mk

ROWS = 400


class Service:
    """The command, running; `lines` are what it has printed."""

    def __init__(self, folder, workers):
        command = [sys.executable, "-m", "mmkeras", "data-service", "--workers", str(workers)]
        self.process = subprocess.Popen(
            [*command, "--journal", str(folder)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.lines = []
        self.reader = threading.Thread(target=lambda: self.lines.extend(self.process.stdout))
        self.reader.start()
        self.address = self.wait_for(r"grpc://\S+(?=;)")

    def wait_for(self, pattern, seconds=60):
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            if found := re.search(pattern, "".join(self.lines)):
                return found[0]
            time.sleep(0.1)
        raise AssertionError("".join(self.lines))

    def kill(self, kind):
        """Ends a server, the first of its kind, by SIGKILL."""
        for child in psutil.Process(self.process.pid).children():
            if f'"kind": "{kind}"' in " ".join(child.cmdline()):
                return child.send_signal(signal.SIGKILL)
        raise AssertionError(kind)

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        self.reader.join(10)
        self.process.stdout.close()


@pytest.fixture
def service(tmp_path):
    service = Service(tmp_path / "journal", 2)
    yield service
    service.end()


def make_batches(address):
    rows = mk.read([{"number": index, "label": index} for index in range(ROWS)], target="label")
    model = mk.Regressor.from_source(rows, {"facts": mk.Tabular(["number"])})
    return model.dataset(rows, 10, data_service=address)


def read_labels(batches, between=None):
    labels = []
    for index, (_, truth) in enumerate(batches):
        labels += np.ravel(truth).astype(int).tolist()
        if between is not None and index == 3:
            between()
    return labels


def test_every_row_arrives_once(service):
    assert sorted(read_labels(make_batches(service.address))) == list(range(ROWS))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["dispatcher", "worker"])
def test_no_row_is_lost_when_a_server_dies(service, kind):
    """One that was started again prepares its rows anew, and those that came already are dropped."""

    def kill():
        service.kill(kind)
        service.wait_for("was ended by SIGKILL; it is started again")

    batches = make_batches(service.address)
    assert sorted(read_labels(batches, kill)) == list(range(ROWS))
    assert sorted(read_labels(batches)) == list(range(ROWS))
