"""The machines of a training that runs on several: who they are, and whether they are there."""

import contextlib
import json
import os
import socket
import time
from dataclasses import dataclass

_JOBS = ("chief", "worker")
_PAUSE = 0.2  # seconds between two attempts to reach a worker


@dataclass(frozen=True)
class Cluster:
    """What `TF_CONFIG` says.

    Attributes:
        addresses: `host:port` of each worker, the chief first.
        index: which of them this process is.
    """

    addresses: tuple[str, ...]
    index: int


def read_cluster() -> Cluster | None:
    """The cluster of the environment variable `TF_CONFIG`; None without it.

    Raises:
        ValueError: for one that is no JSON, or does not say where this process is in it.
    """
    text = os.environ.get("TF_CONFIG", "").strip()
    if not text:
        return None
    example = '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}'
    try:
        config = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(
            f"TF_CONFIG is no JSON: {error}. Expected such as {example}. Received: {text!r:.200}"
        ) from None
    jobs = config.get("cluster") if isinstance(config, dict) else None
    if not isinstance(jobs, dict) or not jobs:
        raise ValueError(f"TF_CONFIG has no 'cluster'. Expected such as {example}. Received: {text!r:.200}")
    if others := sorted(set(jobs) - set(_JOBS)):
        raise ValueError(
            f"mmkeras trains on workers that all do the same (MultiWorkerMirroredStrategy): the jobs of TF_CONFIG are "
            f"'worker' and, for the first of them, 'chief'. Keras 3 has no support for parameter servers. "
            f"Received: {others}"
        )
    addresses = [(job, index, address) for job in _JOBS for index, address in enumerate(jobs.get(job, ()))]
    task = config.get("task")
    place = (task.get("type"), task.get("index")) if isinstance(task, dict) else None
    places = [(job, index) for job, index, _ in addresses]
    if place not in places:
        raise ValueError(
            f"TF_CONFIG does not define which of its workers this process is: 'task' holds one of "
            f"{[dict(zip(('type', 'index'), each, strict=True)) for each in places]}. Received: task={task!r}"
        )
    return Cluster(tuple(address for *_, address in addresses), places.index(place))


def is_chief() -> bool:
    """Whether this process is the one of several workers that writes what is written once; True where it is alone.

    Example:

    >>> if mk.distribute.is_chief():
    ...     print("here mk.export, and all that writes files")
    here mk.export, and all that writes files
    """
    cluster = read_cluster()
    return cluster is None or cluster.index == 0


def wait_for_workers(cluster: Cluster, seconds: float):
    """Returns when every worker can be reached; TensorFlow by itself waits for an hour, and does not say for whom.

    Raises:
        ValueError: when the port of this worker is taken, or an address is none.
        TimeoutError: names the workers that did not come.
    """
    missing = {index: _split(address) for index, address in enumerate(cluster.addresses) if index != cluster.index}
    ends = time.monotonic() + seconds
    with _listen(cluster):
        while True:
            missing = {index: address for index, address in missing.items() if not _is_there(*address)}
            if not missing:
                return
            if time.monotonic() > ends:
                names = ", ".join(f"worker {index} ({cluster.addresses[index]})" for index in missing)
                raise TimeoutError(
                    f"After {seconds:g} s {names} cannot be reached by worker {cluster.index}. Start it, or look for a "
                    f"firewall or a wrong address; mk.distribute.strategy(..., wait=<seconds>) waits longer."
                )
            time.sleep(_PAUSE)


@contextlib.contextmanager
def _listen(cluster):
    """Answers at the address of this worker, as long as TensorFlow does not yet."""
    host, port = _split(cluster.addresses[cluster.index])
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind(("", port))
        except OSError as error:
            raise ValueError(
                f"Worker {cluster.index} cannot listen at port {port}: {error.strerror}. Another process has it, "
                f"perhaps one of an earlier training; end that, or choose another port in TF_CONFIG. "
                f"Received: {host}:{port}"
            ) from None
        server.listen(len(cluster.addresses) * 4)
        yield


def _split(address):
    host, _, port = str(address).rpartition(":")
    if not host or not port.isdigit():
        raise ValueError(f"A worker of TF_CONFIG is `host:port`. Received: {address!r}")
    return host.strip("[]"), int(port)


def _is_there(host, port):
    try:
        with socket.create_connection((host, port), timeout=2):
            return True
    except OSError:
        return False
