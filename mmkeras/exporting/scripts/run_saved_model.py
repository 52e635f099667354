"""Runs a SavedModel without mmkeras or Keras.

Arguments: artifact, signatures, inputs and outputs by signature, latency_runs.
"""

import importlib.util
import json
import statistics
import sys
import time
from pathlib import Path

sys.modules.update(keras=None, mmkeras=None)  # as if they were not installed: importing them fails

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

# The tokenizer's ops, which TF Serving has built in. Their Python package would import Keras.
TEXT_OPS = (
    "_fast_bert_normalizer",
    "_fast_sentencepiece_tokenizer",
    "_fast_wordpiece_tokenizer",
    "_normalize_ops",
    "_regex_split_ops",
)
text_folder = Path(importlib.util.find_spec("tensorflow_text").submodule_search_locations[0])
for library in TEXT_OPS:
    tf.load_op_library(str(text_folder / "python" / "ops" / f"{library}.so"))


def to_array(tensor):
    """Strings as an array of characters, which needs no pickle."""
    array = tensor.numpy()
    return array if tensor.dtype != tf.string else np.array([text.decode() for text in array])


request = json.loads(Path(sys.argv[1]).read_text())
loaded = tf.saved_model.load(request["artifact"])
answer = {}
for name in request["signatures"]:
    signature = loaded.signatures[name]
    dtypes = {key: spec.dtype for key, spec in signature.structured_input_signature[1].items()}
    folder = Path(request["inputs"][name])
    inputs = {
        key: tf.io.parse_tensor(tf.io.read_file(str(folder / f"{key}.tensor")), dtype) for key, dtype in dtypes.items()
    }
    outputs = signature(**inputs)
    np.savez(request["outputs"][name], **{key: to_array(tensor) for key, tensor in outputs.items()})
    times = []
    for run in range(request["latency_runs"]):
        row = {key: tensor[run % len(tensor) :][:1] for key, tensor in inputs.items()}
        start = time.perf_counter()
        signature(**row)
        times.append(time.perf_counter() - start)
    answer[name] = {"latency_ms": 1000 * statistics.median(times)}
Path(sys.argv[2]).write_text(json.dumps(answer))
