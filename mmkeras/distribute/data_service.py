"""A tf.data service on this machine: `mmkeras data-service`."""

import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from mmkeras.distribute.launch import find_ports
from mmkeras.distribute.processes import Process, end_by_exception, tell, wait_for_any

_FASTEST = 1.0  # seconds after which one that has ended at once is started again


def serve(workers: int, port: int = 0, journal: str | Path | None = None):
    """Runs a dispatcher and workers until it is interrupted; one that dies is started again.

    `model.dataset(rows, data_service="grpc://<host>:<port>")` has its rows prepared there. Files of the rows have to be
    where they are for the trainer.

    Args:
        workers: processes that prepare rows.
        port: of the dispatcher; 0 for any free one.
        journal: folder in which the dispatcher writes what goes on, so that it continues there when it dies; None for
            one that ends with the service.

    Raises:
        ValueError: for fewer than one worker.
    """
    if workers < 1:
        raise ValueError(f"There is at least one worker. Received: workers={workers}")
    with end_by_exception(), contextlib.ExitStack() as stack:
        if journal is None:
            journal = stack.enter_context(tempfile.TemporaryDirectory())
        service = stack.enter_context(_running(workers, port, journal))
        while True:
            for process in wait_for_any(list(service)):
                tell(f"{process.describe_end()}; it is started again")
                time.sleep(_FASTEST)
                process.end()
                job = service.pop(process)
                service[_start(job)] = job


@contextlib.contextmanager
def _running(workers, port, journal) -> Iterator[dict]:
    """By process what it was started with; all are ended with this context."""
    ports = find_ports(workers + 1)
    port = port or ports[0]
    address = f"localhost:{port}"
    addresses = [f"localhost:{each}" for each in ports[1:]]
    dispatcher = {"port": port, "journal": str(Path(journal).absolute()), "workers": addresses}
    jobs = [("dispatcher", {"kind": "dispatcher", **dispatcher})]
    jobs += [
        (f"worker {index}", {"kind": "worker", "port": each, "address": own, "dispatcher": address})
        for index, (each, own) in enumerate(zip(ports[1:], addresses, strict=True))
    ]
    running = {}
    try:
        for job in jobs:
            running[_start(job)] = job
        tell(f"the service is at grpc://{address}; Ctrl-C ends it")
        yield running
    finally:
        for process in running:
            process.end()


def _start(job):
    name, options = job
    return Process(name, [sys.executable, "-m", "mmkeras.distribute.data_server", json.dumps(options)], {})
