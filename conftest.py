"""What doctests find in their namespace."""

import numpy as np
import pytest
import tensorflow as tf

import mmkeras as mk

collect_ignore = ["setup.py"]
collect_ignore_glob = ["mmkeras/exporting/scripts/*", "mmkeras/__main__.py", "benchmarks/*", "notebooks/*"]


@pytest.fixture(autouse=True)
def _names_in_doctests(request, doctest_namespace):
    module = getattr(request.node, "dtest", None)
    doctest_namespace |= {"mk": mk, "np": np, "tf": tf}
    if module is not None:
        doctest_namespace |= vars(mk.layers) | vars(mk.testing)
