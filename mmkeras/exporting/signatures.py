"""The two signatures of an exported task, and what is written beside an artifact about them."""

import json
import math

import keras
import tensorflow as tf

from mmkeras.preprocessing.base import require
from mmkeras.targets.base import ERROR

RAW, TENSORS = "serving_default", "tensors"
SIGNATURE_FILE = "signature.json"


def raw_signature(model, on_error: str = "report") -> tf.types.experimental.PolymorphicFunction:
    """Raw cells to answers, all preprocessing included.

    String inputs `(batch,)`, one for each column, `""` for missing: text, the bytes of an image, of a WAV file, a
    number or a category as text. A video is `(batch, frames)`, the bytes of images; a history `(batch, items)`. Returns
    the outputs of the model, and what its target decodes from them; and `error` `(batch,)`, which names the input and
    the reason for a row that cannot be answered: its answers are NaN, 0 and `""`. With `on_error="raise"` one such
    row stops the request.
    """
    specs = model.preprocessor.raw_specs()

    def answer(tensors):
        outputs = model.name_outputs(_call(model, tensors))
        return {**outputs, **model.target.decode(outputs, tensors)}

    @tf.function(input_signature=[specs], autograph=False)
    def serve_raw(inputs):
        sizes = tf.stack([tf.shape(cells)[0] for cells in inputs.values()])
        same_sizes = require(tf.reduce_all(sizes == sizes[0]), "Inputs differ in their number of rows.")
        with tf.control_dependencies([same_sizes]):
            rows = model.preprocessor.join_columns(inputs)
        tensors, error = model.preprocessor.explain_rows(rows)
        if on_error == "raise":
            rows_in_words = "row " + tf.strings.as_string(tf.range(tf.size(error))) + ": " + error
            message = tf.strings.reduce_join(tf.boolean_mask(rows_in_words, error != ""), separator="\n")
            with tf.control_dependencies([require(tf.reduce_all(error == ""), message)]):
                return answer({name: tf.identity(tensor) for name, tensor in tensors.items()})
        answers = {name: _keep(error == "", tensor) for name, tensor in answer(tensors).items()}
        return {**answers, ERROR: error}

    return serve_raw


def _call(model, tensors):
    """The outputs of the model, also of no rows at all, which some of TensorFlow's ops do not take."""
    count = tf.shape(next(iter(tensors.values())))[0]
    added = tf.maximum(1 - count, 0)
    filled = {
        name: tf.pad(tensor, [[0, added]] + [[0, 0]] * (tensor.shape.rank - 1)) for name, tensor in tensors.items()
    }
    return tf.nest.map_structure(lambda output: output[:count], model(filled, training=False))


def _keep(flags, answers):
    """The answers of rows with a flag; NaN, 0 or "" for the others."""
    flags = tf.reshape(flags, [-1] + [1] * (answers.shape.rank - 1))
    nothing = math.nan if answers.dtype.is_floating else "" if answers.dtype == tf.string else 0
    nothing = False if answers.dtype == tf.bool else nothing
    return tf.where(flags, answers, tf.constant(nothing, answers.dtype))


def tensors_signature(
    model, batch_size: int | None = None, is_frozen: bool = False
) -> tf.types.experimental.PolymorphicFunction:
    """Preprocessed tensors to the outputs of the model; a fixed batch size where a format needs one.

    A frozen one is what converters start from: without ops that their formats do not have.
    """

    @tf.function(input_signature=[model.preprocessor.tensor_specs(batch_size)], autograph=False)
    def serve_tensors(tensors):
        outputs = model(tensors, training=False) if is_frozen else _call(model, tensors)
        return name_exported(model, outputs)

    return serve_tensors


def name_exported(model, outputs) -> dict:
    """The outputs by names that no input has: TFLite and ONNX have one space of names for both."""
    return {model.exported_names[name]: tensor for name, tensor in model.name_outputs(outputs).items()}


def describe(model, on_error: str = "report") -> dict:
    """Inputs and outputs of both signatures.

    Of each raw input the column, what kind of cells it holds, and the shape of one row; of each tensor and output shape
    and dtype of one row.
    """
    outputs = model.name_outputs(model.output)
    zeros = keras.tree.map_structure(_make_zeros, (outputs, model.input))
    answers = {name: _describe(tensor) for name, tensor in {**outputs, **model.target.decode(*zeros)}.items()}
    if on_error == "report":
        answers[ERROR] = {"shape": [], "dtype": "string"}
    return {
        "task": type(model).__name__,
        "columns": list(model.target.columns),
        RAW: {"inputs": model.preprocessor.describe_raw(), "outputs": answers},
        TENSORS: {
            "inputs": {name: _describe(spec) for name, spec in model.preprocessor.tensor_specs().items()},
            "outputs": {model.exported_names[name]: _describe(tensor) for name, tensor in outputs.items()},
        },
    }


def _make_zeros(tensor):
    return tf.zeros((1, *(size or 1 for size in tensor.shape[1:])), tensor.dtype)


def _describe(tensor):
    """Shape and dtype of one row."""
    return {"shape": list(tensor.shape[1:]), "dtype": keras.backend.standardize_dtype(tensor.dtype)}


def list_assets(model, on_error: str = "report") -> dict[str, str]:
    """The files that stand beside an artifact, and inside a SavedModel, by name."""
    signature = json.dumps(describe(model, on_error), indent=2, ensure_ascii=False) + "\n"
    return {SIGNATURE_FILE: signature, **model.target.assets()}
