"""Runs an ONNX file. Arguments: artifact, inputs, outputs, latency_runs."""

import json
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

request = json.loads(Path(sys.argv[1]).read_text())
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(request["artifact"], options, providers=["CPUExecutionProvider"])
with np.load(request["inputs"]) as archive:
    inputs = {node.name: archive[node.name] for node in session.get_inputs()}
names = [node.name for node in session.get_outputs()]
np.savez(request["outputs"], **dict(zip(names, session.run(names, inputs), strict=True)))
times = []
for run in range(request["latency_runs"]):
    row = {key: array[run % len(array) :][:1] for key, array in inputs.items()}
    start = time.perf_counter()
    session.run(names, row)
    times.append(time.perf_counter() - start)
ops = sorted({node.op_type for node in onnx.load(request["artifact"]).graph.node})
answer = {"latency_ms": 1000 * statistics.median(times), "ops": ops}
Path(sys.argv[2]).write_text(json.dumps(answer))
