"""Trainings in processes of their own (`distribution/train.py`), and what came of them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

SCRIPT = Path(__file__).parent / "distribution" / "train.py"
SECONDS = 300  # of one process


def run_jobs(jobs, data, folder):
    """What each of the jobs found, all in one process."""
    jobs = [{"out": str(folder / f"{index}.npz"), **job} for index, job in enumerate(jobs)]
    process = subprocess.run(
        [sys.executable, SCRIPT, json.dumps(jobs)],
        capture_output=True,
        text=True,
        env={**os.environ, "MMKERAS_TEST_DATA": str(data)},
        timeout=SECONDS,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return [dict(np.load(job["out"])) for job in jobs]


def launch_jobs(jobs, workers, data, folder, restarts=0):
    """What each worker found of each of the jobs, by `mmkeras launch`; and what that printed."""
    status, printed = try_jobs(jobs, workers, data, folder, restarts)
    assert status == 0, printed
    names = [str(folder / f"{index}-{{}}.npz") for index in range(len(jobs))]
    return [[dict(np.load(name.format(index))) for index in range(workers)] for name in names], printed


def try_jobs(jobs, workers, data, folder, restarts=0):
    """The exit code of `mmkeras launch`, and what it printed."""
    jobs = [{"out": str(folder / f"{index}-WORKER.npz"), "how": "workers", **job} for index, job in enumerate(jobs)]
    command = [sys.executable, "-m", "mmkeras", "launch", "--workers", str(workers), "--restarts", str(restarts), "--"]
    process = subprocess.run(
        [*command, sys.executable, str(SCRIPT), json.dumps(jobs)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "MMKERAS_TEST_DATA": str(data)},
        timeout=SECONDS,
    )
    return process.returncode, process.stdout


def compare(one, other):
    """The largest difference of what two trainings found, weights, answers and metrics; relative to what exceeds 1."""
    assert one.keys() == other.keys()
    return max(float((np.abs(one[name] - other[name]) / np.maximum(np.abs(one[name]), 1)).max()) for name in one)
