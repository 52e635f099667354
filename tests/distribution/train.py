"""Trainings of the tests of strategies, in a process of its own: python train.py '<list of jobs as JSON>'.

A job has a `case` (`declare` knows them) that it trains, or says `from` where it only reads rows; it says `how`: on
"one" device, on "mirrored2" or "mirrored4" of them, or as one of several "workers" by TF_CONFIG; and in which `.npz`
file what it found goes (`out`, with "WORKER" for the number of the worker). The rest are `OPTIONS`.
"""

import contextlib
import functools
import json
import os
import signal
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
DEVICES = 4
OPTIONS = {
    "rows": 43,
    "batch_size": 8,
    "epochs": 3,
    "optimizer": {},  # arguments of SGD: Adam makes steps of rounding errors where the gradient is none
    "rates": None,
    "class_weight": False,
    "dtype": "float32",
    "backup": None,
    "dies_in_epoch": None,  # by SIGKILL, once; of several workers the `worker_that_dies`
    "export": None,
    "rows_of_worker_1": None,  # where they are others than those of all workers
}


def declare(mk, case, count):
    """The rows, the task, its modalities, arguments of `from_source` and of `dataset`; nothing is dropped."""
    data = Path(os.environ["MMKERAS_TEST_DATA"])
    if case in ("pairs", "aligned", "contrastive"):
        source = mk.read(data / "train.csv", target="answer").select(range(count))
        image = mk.Image(size=32, encoder=mk.encoders.ImageCNN(filters=[4, 8], dropout=0))
        more = {"alignment_weight": 0.3} if case == "aligned" else {}
        modalities = {"question": mk.Text(), "image": image}
        if case == "contrastive":
            # At a lower temperature the vectors, and with them the rounding, are many times as large.
            pair = mk.pretraining.Contrastive("question", "image", temperature=1.0)
            views = mk.pretraining.TwoViews("question", temperature=1.0)
            objectives = [pair, views, mk.pretraining.CausalLanguage("question")]
            return source, mk.pretraining.Pretrainer, modalities, {"objectives": objectives}, {}
        return source, mk.Classifier, modalities, {"fusion": mk.fusion.Gated(modality_dropout=0), **more}, {}
    if case == "table":
        source = mk.read(data / "shop.csv", target="price").select(range(count))
        table = mk.Tabular(["width"], ["kind"], encoder=mk.encoders.TabularMLP(dropout=0))
        return source, mk.Regressor, {"facts": table}, {}, {"sample_weight": "weight"}
    if case in ("recurrent", "pretrained"):
        source = mk.read(data / "train.csv", target="answer").select(range(count))
        is_pretrained = case == "pretrained"
        encoder = mk.encoders.KerasHubText(data / "preset") if is_pretrained else mk.encoders.TextLSTM(8, dropout=0)
        return source, mk.Classifier, {"question": mk.Text(sequence_length=8, encoder=encoder)}, {}, {}
    source = mk.read(data / "sounds.csv", target="label").select(range(count))
    encoder = mk.encoders.AudioCRNN(units=8, filters=[4, 8], dropout=0, time_share=0, band_share=0)
    return source, mk.Classifier, {"sound": mk.Audio(seconds=0.5, encoder=encoder)}, {}, {}


@functools.cache
def open_strategy(how):
    """One of a kind a process: the collective ops of a second one are taken for those of the first."""
    import mmkeras as mk  # isort: skip
    import tensorflow as tf

    if how.startswith("mirrored"):
        return tf.distribute.MirroredStrategy([f"CPU:{index}" for index in range(int(how.removeprefix("mirrored")))])
    return mk.distribute.strategy("multi-worker" if how == "workers" else "one-device", wait=60)


def make_killer(keras, epoch, mark):
    """A callback that kills this process in the middle of an epoch, the first time."""

    class Killer(keras.callbacks.Callback):
        def on_epoch_begin(self, current, logs=None):
            self.is_here = current == epoch and not mark.exists()

        def on_train_batch_end(self, batch, logs=None):
            if self.is_here and batch == 2:
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)

    return Killer()


def read_rows(mk, tf, np, strategy, options):
    """The numbers of the rows that this process is given in two epochs, from a table, records or a data service."""
    data = Path(os.environ["MMKERAS_TEST_DATA"])
    source = mk.Records(data / "records") if options["from"] == "records" else mk.read(data / "numbers.csv", "number")
    modalities = {"sound": mk.Audio(seconds=0.5)} if options["from"] == "records" else {"facts": mk.Tabular(["number"])}
    model = mk.Regressor.from_source(source, modalities, "number", strategy=strategy)
    service = {"data_service": options["service"]} if options["from"] == "service" else {}
    batches = model.dataset(source, options["batch_size"], shuffle=True, **service)
    found = {}
    for epoch in range(2):
        parts = []
        for _, truth in strategy.experimental_distribute_dataset(batches):
            parts += [part.numpy().ravel() for part in strategy.experimental_local_results(truth)]
        found[f"epoch {epoch}"] = np.concatenate(parts).astype(int)
    np.savez(options["out"], **found)


def run(job, mk, keras, np, tf):
    options = {**OPTIONS, **job}
    strategy = open_strategy(job["how"])
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(options["dtype"])
    if "from" in options:
        return read_rows(mk, tf, np, strategy, options)
    source, task, modalities, arguments, of_dataset = declare(mk, job["case"], options["rows"])
    optimizer = keras.optimizers.SGD(mk.schedules.CosineToEnd(0.01), **options["optimizer"])
    if options["rates"]:
        optimizer = mk.finetuning.by_part(optimizer, options["rates"])
    model = task.from_source(source, modalities, optimizer=optimizer, strategy=strategy, **arguments)
    batches = model.dataset(source, options["batch_size"], shuffle=True, **of_dataset)
    weights = model.class_weights(source) if options["class_weight"] else None
    callbacks = [mk.callbacks.Backup(options["backup"])] if options["backup"] else []
    if options["dies_in_epoch"] is not None:
        callbacks.append(make_killer(keras, options["dies_in_epoch"], Path(options["backup"]).with_suffix(".died")))
    epochs = options["epochs"]
    history = model.fit(batches, epochs=epochs, class_weight=weights, callbacks=callbacks, verbose=0).history
    outputs = keras.tree.flatten(model.predict(model.dataset(source, 16), verbose=0))
    found = {f"output {index}": np.asarray(output, "float64") for index, output in enumerate(outputs)}
    found |= {f"weight {weight.path}": weight.numpy() for weight in model.weights}
    found |= {f"history {name}": values for name, values in history.items()}
    measured = model.evaluate(model.dataset(source, 16), verbose=0, return_dict=True)
    found |= {f"measured {name}": value for name, value in measured.items()}
    np.savez(job["out"], **found)
    if options["export"] and mk.distribute.is_chief():
        # Where it may be open; of several workers one alone can make no variables under it.
        with contextlib.nullcontext() if job["how"] == "workers" else strategy.scope():
            mk.export(model, options["export"], rows=source)


def main():
    import mmkeras as mk  # isort: skip
    import keras
    import numpy as np
    import tensorflow as tf

    jobs = json.loads(sys.argv[1])
    index = json.loads(os.environ.get("TF_CONFIG", '{"task": {"index": 0}}'))["task"]["index"]
    for job in jobs:
        job["out"] = job["out"].replace("WORKER", str(index))
        if job.get("worker_that_dies", index) != index:
            job["dies_in_epoch"] = None
        if index == 1 and job.get("rows_of_worker_1"):
            job["rows"] = job["rows_of_worker_1"]
    if jobs[0]["how"] != "workers":
        (cpu,) = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * DEVICES)
    for job in jobs:
        keras.backend.clear_session()  # names of weights are counted
        run(job, mk, keras, np, tf)


if __name__ == "__main__":
    main()
