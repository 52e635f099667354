"""What a step costs on one core, and on several workers: each job in processes of its own, one core each.

easy-VQA: questions and pictures of 64 by 64 pixels, read as 32 by 32; `python cases/scaling.py '<job as JSON>'`.
"""

import json
import os
import statistics
import sys
import time
from pathlib import Path

WORKER = json.loads(os.environ.get("TF_CONFIG") or '{"task": {"index": 0}}')["task"]["index"]
if __name__ == "__main__":  # before TensorFlow counts the cores
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["TF_NUM_INTRAOP_THREADS"] = "1"
    if json.loads(sys.argv[1])["kind"] != "overhead, mirrored":
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[WORKER % len(cores)]})
    sys.path.append(str(Path(__file__).parents[1]))

import keras  # noqa: E402
import numpy as np  # noqa: E402
import psutil  # noqa: E402
import tensorflow as tf  # noqa: E402

import mmkeras as mk  # noqa: E402
from cases.archives import WORK  # noqa: E402

MODALITIES = {"question": mk.Text(), "image": mk.Image(size=32)}
BATCHES = (32, 128)  # from which the cost of a row is told from that of a step
SIZES = (1, 250_000, 1_000_000, 4_000_000)  # float32 numbers that are exchanged


def measure_steps(job):
    """Seconds of a step by size of batch, of preparing a row, and the number of weights; one process."""
    rows = _read_rows(job["rows"])
    keras.utils.set_random_seed(0)
    model = mk.Classifier.from_source(rows, {name: MODALITIES[name] for name in job["modalities"]})
    found = {"parameters": sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)}
    batches = model.dataset(rows, BATCHES[-1])
    start = time.perf_counter()
    for _ in batches:
        pass
    found["prepare"] = (time.perf_counter() - start) / len(rows)
    for size in BATCHES:
        found[f"step of {size}"] = _time_steps(model, model.dataset(rows, size, cache=True), job["epochs"])["step"]
    return found


def measure_workers(job):
    """Seconds of a step with its rows prepared and with them in memory, of what is exchanged alone, and its bytes."""
    strategy = mk.distribute.strategy("auto")
    rows = _read_rows(job["rows"])
    keras.utils.set_random_seed(0)
    model = mk.Classifier.from_source(rows, MODALITIES, strategy=strategy)
    cached = model.dataset(rows, job["batch_size"], cache=True)
    found = {"prepared": _time_steps(model, model.dataset(rows, job["batch_size"]), job["epochs"])}
    found["in memory"] = _time_steps(model, cached, job["epochs"])
    if strategy.num_replicas_in_sync > 1:
        before = psutil.net_io_counters(pernic=True)["lo"].bytes_sent
        model.fit(cached, verbose=0)
        sent = psutil.net_io_counters(pernic=True)["lo"].bytes_sent - before
        found["bytes"] = sent / len(cached) / strategy.num_replicas_in_sync
        found["exchange"] = _time_exchange(strategy, [weight.shape for weight in model.trainable_weights])
        found["collectives"] = _count_collectives(model, strategy, cached)
    return found


def measure_exchange(job):
    """Seconds of one all-reduce, by how many numbers it sums."""
    strategy = mk.distribute.strategy("auto")
    return {str(size): _time_exchange(strategy, [(size,)]) for size in SIZES}


def measure_overhead(job):
    """Steps a second of `fit` of a model of ours, of Keras, and of a loop by hand around `strategy.run`, in turns."""
    from overhead import BATCH, build_by_hand, build_by_mmkeras, make_batches

    if job["kind"] == "overhead, mirrored":
        (cpu,) = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
        strategy = mk.distribute.strategy("mirrored")
    else:
        strategy = mk.distribute.strategy("auto")
    vocabulary = ["[PAD]", "[UNK]", *(f"word{i}" for i in range(38))]
    ways = {"mmkeras": build_by_mmkeras, "by hand": build_by_hand}
    if job["kind"] == "overhead, mirrored":
        ways["Keras"] = build_by_hand  # whose `fit` fails with several workers
    epochs = {}
    for name, build in ways.items():
        keras.utils.set_random_seed(0)
        with strategy.scope():
            model = build(vocabulary)
            for layer in model._flatten_layers():
                if isinstance(layer, keras.layers.BatchNormalization):
                    layer.synchronized = True
            metric = keras.metrics.SparseCategoricalAccuracy()
            optimizer = keras.optimizers.Adam(1e-3)
            if name != "by hand":
                model.compile(optimizer, "sparse_categorical_crossentropy", metrics=[metric])
        batches = make_batches(model, job["steps"])
        if name == "by hand":
            epochs[name] = _make_loop(model, optimizer, metric, strategy, batches, BATCH)
        else:
            epochs[name] = lambda model=model, batches=batches: model.fit(batches, verbose=0)
        epochs[name]()  # traces, and fills the cache
    rates = {name: [] for name in epochs}
    for turn in range(job["turns"]):
        for name in sorted(epochs, reverse=turn % 2 == 1):
            start = time.perf_counter()
            epochs[name]()
            rates[name].append(job["steps"] / (time.perf_counter() - start))
    medians = {name: statistics.median(values) for name, values in rates.items()}
    ratios = {
        name: statistics.median(a / b for a, b in zip(rates["by hand"], values, strict=True)) - 1
        for name, values in rates.items()
        if name != "by hand"
    }
    return {"steps a second": medians, "overhead": ratios}


def _read_rows(count):
    return mk.read(WORK / "easy-vqa" / "train.csv", target="answer").select(range(count))


class _Clock(keras.callbacks.Callback):
    """Seconds of a step in each epoch but the first, and those that an epoch takes to begin."""

    def on_train_begin(self, logs=None):
        self.steps, self.beginnings = [], []

    def on_epoch_begin(self, epoch, logs=None):
        self._times = [time.perf_counter()]

    def on_train_batch_end(self, batch, logs=None):
        self._times.append(time.perf_counter())

    def on_epoch_end(self, epoch, logs=None):
        if epoch:
            begin, first, *_, last = self._times
            self.steps.append((last - first) / (len(self._times) - 2))
            self.beginnings.append(first - begin - self.steps[-1])


def _time_steps(model, batches, epochs):
    clock = _Clock()
    model.fit(batches, epochs=epochs + 1, callbacks=[clock], verbose=0)
    return {"step": statistics.median(clock.steps), "begin": statistics.median(clock.beginnings)}


def _time_exchange(strategy, shapes, repeated=10, turns=9):
    """Seconds of an all-reduce of tensors of these shapes, as an optimizer sums its gradients."""

    def exchange():
        tensors = [tf.ones(shape) for shape in shapes]
        for _ in range(repeated):
            tensors = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, tensors)
            tensors = [tensor * 0.5 for tensor in tensors]
        return tf.add_n([tf.reduce_sum(tensor) for tensor in tensors])

    run = tf.function(lambda: strategy.run(exchange), autograph=False)
    seconds = []
    for _ in range(turns + 1):
        start = time.perf_counter()
        strategy.experimental_local_results(run())[0].numpy()
        seconds.append((time.perf_counter() - start) / repeated)
    return statistics.median(seconds[1:])


def _count_collectives(model, strategy, batches):
    """How many times the workers wait for each other in a step."""
    iterator = iter(strategy.experimental_distribute_dataset(batches))
    # Keras keeps the function of a step inside of one that ends an epoch.
    cells = [cell.cell_contents for cell in model.train_function.__closure__]
    (step,) = [each for each in cells if hasattr(each, "get_concrete_function")]
    graph = step.get_concrete_function(iterator).graph.as_graph_def()
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    return sum(node.op.startswith(("CollectiveReduce", "CollectiveGather")) for node in nodes)


def _make_loop(model, optimizer, metric, strategy, batches, batch_size):
    """An epoch, as the guide of TensorFlow writes it."""
    divided = strategy.experimental_distribute_dataset(batches)

    def step(data):
        inputs, truth = data
        with tf.GradientTape() as tape:
            answers = model(inputs, training=True)
            losses = keras.ops.sparse_categorical_crossentropy(truth, answers)
            loss = tf.nn.compute_average_loss(losses, global_batch_size=batch_size)
        variables = model.trainable_variables
        optimizer.apply(tape.gradient(loss, variables), variables)
        metric.update_state(truth, answers)
        return loss

    @tf.function
    def run(iterator):
        losses = strategy.run(step, args=(next(iterator),))
        return strategy.reduce(tf.distribute.ReduceOp.SUM, losses, axis=None)

    with strategy.scope():
        optimizer.build(model.trainable_variables)

    def epoch():
        iterator = iter(divided)
        total = 0.0
        for _ in range(len(batches)):
            total += run(iterator)
        found = float(total) / len(batches), float(metric.result())
        metric.reset_state()
        return found

    return epoch


KINDS = {
    "steps": measure_steps,
    "workers": measure_workers,
    "exchange": measure_exchange,
    "overhead, mirrored": measure_overhead,
    "overhead, workers": measure_overhead,
}

if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    measured = KINDS[given["kind"]](given)
    if WORKER == 0:
        Path(given["out"]).write_text(json.dumps(measured))
