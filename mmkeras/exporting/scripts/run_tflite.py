"""Runs TFLite files row by row. Arguments: signature, inputs, outputs (by path of the file), latency_runs."""

import json
import statistics
import sys
import time
from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter


def list_ops(path):
    """Every op in a file by name, the custom ones with `Flex` or their own name."""
    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    model = schema.ModelT.InitFromPackedBuf(Path(path).read_bytes(), 0)
    ops = set()
    for code in model.operatorCodes:
        builtin = max(code.builtinCode, code.deprecatedBuiltinCode)
        ops.add(names[builtin] if code.customCode is None else f"CUSTOM {code.customCode.decode()}")
    return sorted(ops)


def run(path, output):
    print(f"Running {Path(path).name}", flush=True)
    interpreter = Interpreter(path, num_threads=1)
    runner = interpreter.get_signature_runner(request["signature"])
    with np.load(request["inputs"]) as archive:
        inputs = {key: archive[key] for key in runner.get_input_details()}
    outputs, times = [], []
    for i in range(len(next(iter(inputs.values())))):
        row = {key: array[i : i + 1] for key, array in inputs.items()}
        start = time.perf_counter()
        outputs.append(runner(**row))
        times.append(time.perf_counter() - start)
    np.savez(output, **{key: np.concatenate([each[key] for each in outputs]) for key in outputs[0]})
    latency = 1000 * statistics.median(times[: request["latency_runs"]])
    return {"latency_ms": latency, "ops": list_ops(path)}


request = json.loads(Path(sys.argv[1]).read_text())
Path(sys.argv[2]).write_text(json.dumps({path: run(path, output) for path, output in request["outputs"].items()}))
