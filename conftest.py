"""What every test starts from: the same seed, and for doctests the names they use."""

import datetime
import logging
import os
from collections import Counter
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import mmkeras as mk
from mmkeras.training.schedules import count_steps

collect_ignore = ["setup.py"]
collect_ignore_glob = [
    "mmkeras/exporting/scripts/*",
    "mmkeras/data/scripts/*",
    "mmkeras/preprocessing/scripts/*",
    "mmkeras/testing/scripts/*",
    "mmkeras/__main__.py",
    "benchmarks/*",
    "notebooks/*",
]


_EAGER_STEPS = 8
_BEGAN = os.times().elapsed

# What each test of the last whole run took, by `make test` and its like.
_DURATIONS = Path(__file__).parent / "tests" / "durations"


def pytest_addoption(parser):
    parser.addoption("--write-durations", metavar="NAME", help="write tests/durations/NAME.tsv")


def pytest_collection_modifyitems(items):
    """The file that takes longest begins first, so that no process is left with it alone at the end."""
    seconds = Counter()
    for path in _DURATIONS.glob("*.tsv"):
        for line in path.read_text().splitlines()[1:]:
            duration, test = line.split("\t")
            seconds[test.partition("::")[0]] += float(duration)
    items.sort(key=lambda item: -seconds[item.nodeid.partition("::")[0]])


def pytest_terminal_summary(terminalreporter, config):
    """Writes the seconds of each test, setup and teardown included, the longest first."""
    name = config.getoption("--write-durations")
    if name is None or hasattr(config, "workerinput"):
        return
    seconds = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                seconds[report.nodeid] += report.duration
    times = os.times()
    header = (
        f"# {datetime.date.today()}, {os.cpu_count()} cores, {len(seconds)} tests, {times.elapsed - _BEGAN:.0f} s, "
        f"{sum(times[:4]):.0f} CPU seconds"
    )
    lines = [f"{duration:.2f}\t{test}" for test, duration in seconds.most_common() if duration >= 0.5]
    _DURATIONS.mkdir(exist_ok=True)
    (_DURATIONS / f"{name}.tsv").write_text("\n".join([header, *lines]) + "\n")
    terminalreporter.write_line(header.removeprefix("# "))


@pytest.fixture(autouse=True)
def _seed():
    tf.keras.utils.set_random_seed(0)


@pytest.fixture(autouse=True)
def _short_trainings_are_eager(request, monkeypatch):
    """Without a choice in `compile`, short trainings run op by op: tracing a step takes longer than some eager ones.

    Tests marked `graph` train as users do, as slow ones and those of the docs; one of each task, objective and callback
    that counts steps is.
    """
    if not {"graph", "slow", "docs"}.isdisjoint(mark.name for mark in request.node.iter_markers()):
        return
    compile_model, fit = keras.Model.compile, keras.Model.fit

    def compile_eagerly(model, *args, **kwargs):
        chosen = {"run_eagerly", "jit_compile", "steps_per_execution"} & kwargs.keys()
        model.may_be_eager = not chosen
        return compile_model(model, *args, **({} if chosen else {"run_eagerly": True}), **kwargs)

    def fit_in_the_cheaper_way(model, x=None, y=None, batch_size=None, epochs=1, **kwargs):
        steps = count_steps(x, batch_size) * (epochs - kwargs.get("initial_epoch", 0))
        if getattr(model, "may_be_eager", False):
            model.run_eagerly = steps <= _EAGER_STEPS
            model.train_function = model.test_function = model.predict_function = None
        return fit(model, x, y, batch_size, epochs, **kwargs)

    monkeypatch.setattr(keras.Model, "compile", compile_eagerly)
    monkeypatch.setattr(keras.Model, "fit", fit_in_the_cheaper_way)


@pytest.fixture(autouse=True)
def _names_in_doctests(request, doctest_namespace):
    module = getattr(request.node, "dtest", None)
    doctest_namespace |= {"mk": mk, "np": np, "tf": tf}
    if module is not None:
        doctest_namespace |= vars(mk.layers) | vars(mk.testing)


@pytest.fixture(autouse=True)
def tensorflow_messages():
    """What TensorFlow logs while a test runs. Its long warning of code that AutoGraph cannot read fails every test."""
    messages = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())
    tf.get_logger().addHandler(handler)
    yield messages
    tf.get_logger().removeHandler(handler)
    assert not [message for message in messages if message.startswith("AutoGraph could not transform")]
