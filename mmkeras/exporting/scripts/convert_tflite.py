"""A frozen SavedModel to TFLite.

Arguments: saved_model, signature, targets (for each path None or "dynamic_range").
"""

import json
import sys
from pathlib import Path

import tensorflow as tf

request = json.loads(Path(sys.argv[1]).read_text())
for target, quantization in request["targets"].items():
    print(f"Converting to {Path(target).name}", flush=True)
    converter = tf.lite.TFLiteConverter.from_saved_model(request["saved_model"], signature_keys=[request["signature"]])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]  # never Flex: no pip interpreter runs it
    if quantization == "dynamic_range":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    Path(target).write_bytes(converter.convert())
Path(sys.argv[2]).write_text("{}")
