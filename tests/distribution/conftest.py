"""Small data for the trainings of `train.py`, and a data service."""

import re
import signal
import subprocess
import sys
import threading
import time
import wave

import numpy as np
import psutil
import pytest
from presets import save_text_preset

import mmkeras as mk


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """A folder with tables of pairs, of a shop and of sounds."""
    folder = mk.datasets.easy_vqa(tmp_path_factory.mktemp("distribution"))
    random = np.random.default_rng(0)
    with (folder / "shop.csv").open("w") as file:
        file.write("width,kind,weight,price\n")
        for index in range(300):
            width, kind = random.normal(5, 2), random.integers(3)
            file.write(f"{width:.3f},{'abc'[kind]},{1 + index % 3},{2 * width + 3 * kind + random.normal():.3f}\n")
    with (folder / "sounds.csv").open("w") as file:
        file.write("sound,label\n")
        for index in range(60):
            label, frequency = [("low", 220), ("high", 880)][index % 2]
            times = np.arange(4000 + 2000 * (index % 3)) / 16000
            samples = 3000 * np.sin(2 * np.pi * frequency * times) + random.normal(0, 300, len(times))
            with wave.open(str(folder / f"{index}.wav"), "wb") as sound:
                sound.setparams((1, 2, 16000, 0, "NONE", ""))
                sound.writeframes(samples.astype("<i2").tobytes())
            file.write(f"{index}.wav,{label}\n")
    numbers = [f"{index},{index % 60}.wav" for index in range(120)]
    (folder / "numbers.csv").write_text("\n".join(["number,sound", *numbers]))
    sounds = mk.read(folder / "numbers.csv", target="number")
    mk.prepare(sounds, folder / "records", {"sound": mk.Audio(seconds=0.5)}, rows_a_shard=25)
    (folder / "preset").symlink_to(save_text_preset("Bert"))
    return folder


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
        """Ends a server, the first of its kind, by SIGKILL, and waits until it is started again."""
        self.lines.clear()
        for child in psutil.Process(self.process.pid).children():
            if f'"kind": "{kind}"' in " ".join(child.cmdline()):
                child.send_signal(signal.SIGKILL)
                return self.wait_for("was ended by SIGKILL; it is started again")
        raise AssertionError(kind)

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        self.reader.join(10)
        self.process.stdout.close()


@pytest.fixture(scope="session")
def service(tmp_path_factory):
    service = Service(tmp_path_factory.mktemp("journal"), 2)
    yield service
    service.end()
