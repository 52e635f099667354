"""Several workers on one machine: `mmkeras launch`."""

import contextlib
import json
import socket
from collections.abc import Sequence

from mmkeras.distribute.processes import Process, end_by_exception, tell, wait_for_any


def launch(command: Sequence[str], workers: int, restarts: int = 3) -> int:
    """Runs a command in several processes that find each other by `TF_CONFIG`; ends when all have ended.

    Where one dies, all are ended and started again: the others would wait for it in the middle of a step, and no step
    can be done by fewer. A script that calls `fit` with `mk.callbacks.Backup` goes on after the last full epoch.

    Args:
        command: such as `["python", "train.py"]`.
        workers: how many processes.
        restarts: how many times at most.

    Returns: 0, or 1 when a worker has failed for good.

    Raises:
        ValueError: for fewer than one worker, or no command.
        OSError: when the command cannot be started.
    """
    if workers < 1 or restarts < 0:
        raise ValueError(f"There is at least one worker. Received: workers={workers}, restarts={restarts}")
    if not command:
        raise ValueError("mmkeras launch runs a command: mmkeras launch --workers 2 -- python train.py")
    for attempt in range(restarts + 1):
        with end_by_exception():
            ended = _run_once(command, workers)
        failed = [process for process in ended if process.exit_code]
        if not failed:
            return 0
        left = restarts - attempt
        what_now = f"all are started again, {left} times at most" if left else "this is the end"
        tell(f"{failed[0].describe_end()}; {what_now}")
    return 1


def _run_once(command, workers):
    """Those that have ended, when the first has failed or all are done; the others are ended too."""
    addresses = [f"127.0.0.1:{port}" for port in find_ports(workers)]
    running, done = [], []
    try:
        for index in range(workers):
            task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
            running.append(Process(f"worker {index}", command, {"TF_CONFIG": json.dumps(task)}))
        while running and not any(process.exit_code for process in done):
            done += wait_for_any(running)
            running = [process for process in running if process not in done]
        return done
    finally:
        for process in [*running, *done]:
            process.end()


def find_ports(count: int) -> list[int]:
    """Ports of this machine that nobody listens at."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
