"""How each artifact answers raw rows: what a user of the artifacts writes."""

import re
from pathlib import Path

import numpy as np
import onnxruntime
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from mmkeras._quiet import drop_lines

_DELEGATE_LINE = re.compile(rb"INFO: Created TensorFlow Lite")


def answer_with_all(model, folder: Path, source) -> list[dict]:
    """For each row its cells, the true label, and the answers of the Keras model and of every artifact."""
    raw = {name: tf.constant(cells, tf.string) for name, cells in model.load_cells(source).items()}
    tensors = {name: tensor.numpy() for name, tensor in model.preprocessor(raw).items()}
    answers = {
        "keras": [answer[model.target.column] for answer in model.predict_rows(source)],
        "saved_model": answer_with_saved_model(folder / "saved_model", raw, model.target.column),
        "tflite": answer_with_tflite(folder / "model.tflite", tensors, model.classes),
        "tflite_dynamic_range": answer_with_tflite(folder / "model_dynamic_range.tflite", tensors, model.classes),
        "onnx": answer_with_onnx(folder / "model.onnx", tensors, model.classes),
    }
    rows = source.table.to_dict("records")
    return [
        row | {"answers": {name: labels[index] for name, labels in answers.items()}} for index, row in enumerate(rows)
    ]


def answer_with_saved_model(path, raw, column):
    """Raw rows in, labels out: nothing to prepare."""
    outputs = tf.saved_model.load(str(path)).signatures["serving_default"](**raw)
    return [label.decode() for label in outputs[column].numpy()]


def answer_with_tflite(path, tensors, classes):
    """One row at a time; inputs by name."""
    row_count = len(next(iter(tensors.values())))
    with drop_lines(_DELEGATE_LINE):
        run = Interpreter(str(path)).get_signature_runner("tensors")
        outputs = [run(**{key: array[i : i + 1] for key, array in tensors.items()}) for i in range(row_count)]
    return [classes[int(np.argmax(output["probabilities"]))] for output in outputs]


def answer_with_onnx(path, tensors, classes):
    """All rows at once; inputs by name."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (probabilities,) = session.run(["probabilities"], tensors)
    return [classes[index] for index in probabilities.argmax(axis=1)]
