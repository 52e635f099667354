"""What several workers have to agree on."""

import hashlib
import random

import numpy as np
import tensorflow as tf

from mmkeras.distribute.cluster import read_cluster


def has_workers(strategy: tf.distribute.Strategy) -> bool:
    """Whether it trains on several workers."""
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy) and read_cluster() is not None


def require_same(strategy: tf.distribute.Strategy, facts: dict[str, object]):
    """Sees to it that all workers do the same: they would wait for each other for ever, or learn from other rows.

    Args:
        strategy: of several workers.
        facts: what has to be the same by what a message calls it; each is compared by its `repr`.

    Raises:
        ValueError: in every worker, names what differs, and where.
    """
    digests = [hashlib.sha256(repr(fact).encode("utf-8", "surrogatepass")).digest()[:4] for fact in facts.values()]
    workers = _gather(strategy, np.frombuffer(b"".join(digests), "<i4"))
    for column, (name, fact) in enumerate(facts.items()):
        differing = [index for index, row in enumerate(workers) if row[column] != workers[0][column]]
        if differing:
            raise ValueError(
                f"All workers train the same model on the same rows, and {name} of workers {differing} differs from "
                f"that of worker 0. Give all of them the same code, packages and files. "
                f"Received by worker {read_cluster().index}: {fact!r:.200}"
            )


def agree_on_number(strategy: tf.distribute.Strategy) -> int:
    """A number that is the same in all workers, and another one at every call and in every run."""
    return int(_gather(strategy, np.array([random.SystemRandom().getrandbits(31)], "int32"))[0, 0])


def _gather(strategy, vector):
    """The vectors of int32 of all workers, as the rows of an array."""

    def gather(tensor):
        return tf.distribute.get_replica_context().all_gather(tf.identity(tensor), 0)  # on a device of the replica

    run = tf.function(lambda tensor: strategy.run(gather, (tensor,)), autograph=False)
    rows = strategy.experimental_local_results(run(tf.constant(vector)[None]))[0].numpy()
    return rows[:: len(rows) // len(read_cluster().addresses)]  # one replica of each
