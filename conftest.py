"""What every test starts from: the same seed, and for doctests the names they use."""

import logging

import numpy as np
import pytest
import tensorflow as tf

import mmkeras as mk

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


# What takes longest begins first, so that no process is left with it alone at the end.
LONGEST = (
    "test_notebooks.py",
    "test_cli.py",
    "test_readme.py",
    "test_export.py",
    "test_modalities.py",
    "test_c_client.py",
    "test_classifier.py",
    "test_backbone.py",
)


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


@pytest.fixture(autouse=True)
def _seed():
    tf.keras.utils.set_random_seed(0)


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
