"""Which workers there are, by TF_CONFIG."""

import json
import socket
import subprocess
import sys

import keras
import pytest

import mmkeras as mk
from mmkeras.distribute.cluster import Cluster, read_cluster, wait_for_workers
from mmkeras.distribute.launch import find_ports, launch


def set_config(monkeypatch, config):
    monkeypatch.setenv("TF_CONFIG", config if isinstance(config, str) else json.dumps(config))


def test_the_chief_comes_first(monkeypatch):
    cluster = {"worker": ["b:1", "c:1"], "chief": ["a:1"]}
    set_config(monkeypatch, {"cluster": cluster, "task": {"type": "worker", "index": 1}})
    assert read_cluster() == Cluster(("a:1", "b:1", "c:1"), 2)


@pytest.mark.parametrize(
    "config, told",
    [
        ("{cluster:", "TF_CONFIG is no JSON"),
        ("[]", "TF_CONFIG has no 'cluster'"),
        ({"cluster": {"worker": ["a:1"]}}, "'task' holds one of .*Received: task=None"),
        ({"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}, "Received: task=.*'index': 1"),
        ({"cluster": {"worker": ["a:1"], "ps": ["b:1"]}}, r"no support for parameter servers. Received: \['ps'\]"),
    ],
)
def test_a_wrong_config_is_refused(monkeypatch, config, told):
    set_config(monkeypatch, config)
    with pytest.raises(ValueError, match=told):
        mk.distribute.strategy()


def test_an_address_without_a_port_is_refused():
    with pytest.raises(ValueError, match="is `host:port`. Received: 'somewhere'"):
        wait_for_workers(Cluster(("127.0.0.1:1", "somewhere"), 0), 0)


def test_a_taken_port_is_refused():
    with socket.socket() as server:
        server.bind(("", 0))
        server.listen()
        port = server.getsockname()[1]
        with pytest.raises(ValueError, match=f"Worker 0 cannot listen at port {port}: Address already in use"):
            wait_for_workers(Cluster((f"127.0.0.1:{port}",), 0), 0)


def test_a_worker_that_does_not_come_is_named():
    one, other = find_ports(2)
    with pytest.raises(TimeoutError, match=rf"worker 1 \(127.0.0.1:{other}\) cannot be reached by worker 0"):
        wait_for_workers(Cluster((f"127.0.0.1:{one}", f"127.0.0.1:{other}"), 0), 0.3)


def test_unknown_kinds_and_missing_configs_are_refused(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(ValueError, match="one of .*'mirrored'.* Received: 'horovod'"):
        mk.distribute.strategy("horovod")
    with pytest.raises(ValueError, match="mmkeras launch --workers 2"):
        mk.distribute.strategy("multi-worker")


def test_keras_distribution_is_refused():
    """On TensorFlow it does nothing."""
    mesh = keras.distribution.DeviceMesh((1,), ["batch"], ["cpu:0"])
    layout = keras.distribution.DataParallel(device_mesh=mesh)
    keras.distribution.set_distribution(layout)
    try:
        with pytest.raises(ValueError, match="does nothing under TensorFlow.*Received: DataParallel"):
            mk.Classifier({"image": mk.Image(size=8)}, ["a", "b"])
    finally:
        keras.distribution.set_distribution(None)


def test_all_end_when_one_fails_for_good(capsys):
    script = "import json, os, sys, time; sys.exit(7) if '\"index\": 1' in os.environ['TF_CONFIG'] else time.sleep(60)"
    assert launch([sys.executable, "-c", script], workers=2, restarts=1) == 1
    told = capsys.readouterr().err
    assert "worker 1 ended with exit code 7; all are started again, 1 times at most" in told
    assert "worker 1 ended with exit code 7; this is the end" in told


def test_lines_carry_the_name_of_the_worker():
    command = [
        sys.executable,
        "-m",
        "mmkeras",
        "launch",
        "--workers",
        "2",
        "--",
        sys.executable,
        "-c",
        "print('hello')",
    ]
    process = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert process.returncode == 0
    assert sorted(process.stdout.splitlines()) == ["[worker 0] hello", "[worker 1] hello"]
