"""Which of TensorFlow's strategies a model is trained under."""

import contextlib

import keras
import tensorflow as tf

from mmkeras.distribute.cluster import read_cluster, wait_for_workers

KINDS = ("auto", "one-device", "mirrored", "multi-worker")
# On which the overrides of `mmkeras.training.TrainedModel` were tried with several processes.
TESTED_KERAS = ((3, 10), (3, 15))


def strategy(kind: str = "auto", *, wait: float = 300.0) -> tf.distribute.Strategy:
    """One of TensorFlow's strategies, by what is there; says which it is, and why.

    A model that is built under its scope is trained on all devices, with the results of one device: see docs/scale.md.

    Args:
        kind: `"one-device"`; `"mirrored"`, on every GPU of this machine, or on every logical CPU where there is none;
            `"multi-worker"`, on the workers that the environment variable `TF_CONFIG` names, of which this process is
            one; `"auto"` for the last with `TF_CONFIG`, for the second with several GPUs, else for the first.
        wait: seconds until which all workers have to be there.

    Raises:
        ValueError: for another kind; for a `TF_CONFIG` that cannot be, or names parameter servers; for a port that is
            taken.
        TimeoutError: names the workers that did not come.
        RuntimeError: with several workers, under a version of Keras that was not tried, or when TensorFlow has begun
            to compute already.

    Example:

    >>> with mk.distribute.strategy("auto").scope():
    ...     model = mk.Classifier({"image": mk.Image(size=16)}, ["cat", "dog"])
    strategy: one-device, because there is one device (CPU) and no TF_CONFIG
    """
    if kind not in KINDS:
        raise ValueError(f"A strategy is one of {list(KINDS)}, or an object of TensorFlow. Received: {kind!r}")
    cluster = read_cluster() if kind in ("auto", "multi-worker") else None
    if kind == "multi-worker" and cluster is None:
        raise ValueError(
            "The strategy 'multi-worker' reads from the environment variable TF_CONFIG which workers there are, and it "
            "is not set. On one machine `mmkeras launch --workers 2 -- python train.py` sets it; see docs/scale.md."
        )
    devices = tf.config.list_logical_devices("GPU") if cluster is None else []
    if cluster is not None:
        _require_tested_keras()
        wait_for_workers(cluster, wait)
        made = _make_multi_worker()
        reason = f"TF_CONFIG names {len(cluster.addresses)} workers, of which this is number {cluster.index}"
        kind = "multi-worker"
    elif kind == "mirrored" or (kind == "auto" and len(devices) > 1):
        devices = devices or tf.config.list_logical_devices("CPU")
        made = tf.distribute.MirroredStrategy([device.name for device in devices])
        found = f"{len(devices)} devices ({devices[0].device_type})"
        reason = f"there are {found}" if kind == "auto" else f"it was asked for, on {found}"
        kind = "mirrored"
    else:
        made = tf.distribute.get_strategy()
        found = f"one device ({'GPU' if devices else 'CPU'})"
        reason = f"there is {found} and no TF_CONFIG" if kind == "auto" else "it was asked for"
        kind = "one-device"
    print(f"strategy: {kind}, because {reason}", flush=True)
    return made


def get(given) -> tf.distribute.Strategy | None:
    """A strategy as given, or by its `kind`; None for None."""
    return strategy(given) if isinstance(given, str) else given


def enter(given) -> contextlib.AbstractContextManager:
    """The scope of a strategy, or of a `kind` of it; of none where `given` is None."""
    given = get(given)
    return contextlib.nullcontext() if given is None else given.scope()


def require_one_clock(given, what: str):
    """Sees to it that nothing that is decided by a clock is trained on several workers, which have one each.

    Raises:
        ValueError: for a strategy of several workers.
    """
    if isinstance(given, tf.distribute.MultiWorkerMirroredStrategy):
        raise ValueError(
            f"{what} decides by the time that is left, which differs between workers, so they would train other "
            "models. Give it the strategy of one machine, or train one model on several workers by from_source and fit."
        )


def require_known_strategy():
    """Sees to it that a model can be built under the strategy that is open.

    Raises:
        ValueError: for one that Keras 3 does not train under, or does as if.
    """
    current = tf.distribute.get_strategy()
    known = tf.distribute.MirroredStrategy, tf.distribute.MultiWorkerMirroredStrategy, tf.distribute.OneDeviceStrategy
    if tf.distribute.has_strategy() and not isinstance(current, known):
        raise ValueError(
            f"Models are trained under {', '.join(each.__name__ for each in known)}, which "
            f"mk.distribute.strategy() gives. Received: {type(current).__name__}"
        )
    if keras.distribution.distribution() is not None:
        raise ValueError(
            "keras.distribution silently does nothing under TensorFlow: keras.distribution.set_distribution"
            "(None), and build the model under `with mk.distribute.strategy().scope():`. "
            f"Received: {type(keras.distribution.distribution()).__name__}"
        )


def require_same_strategy(part: keras.Model, name: str):
    """Sees to it that a part of a model was built under the strategy that is open."""
    current = tf.distribute.get_strategy() if tf.distribute.has_strategy() else None
    if part._distribute_strategy is not current:
        under = "no strategy" if part._distribute_strategy is None else type(part._distribute_strategy).__name__
        now = "no strategy is open" if current is None else f"{type(current).__name__} is"
        raise ValueError(f"The {name} was built under {under}, and now {now}. Build all of a model under one scope.")


def _require_tested_keras():
    version = tuple(map(int, keras.__version__.split(".")[:2]))
    low, high = TESTED_KERAS
    if not low <= version <= high:
        raise RuntimeError(
            f"With several workers mmkeras works around faults of Keras, from version {low[0]}.{low[1]} to "
            f"{high[0]}.{high[1]}. Install one of them, or train on one machine. Received: Keras {keras.__version__}"
        )


def _make_multi_worker():
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as error:
        if "program startup" not in str(error):
            raise
        raise RuntimeError(
            "The workers have to find each other before TensorFlow computes anything: call "
            "mk.distribute.strategy() right after the imports."
        ) from error
