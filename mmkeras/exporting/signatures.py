"""The two signatures of an exported task, and what is written beside an artifact about them."""

import json

import tensorflow as tf

RAW, TENSORS = "serving_default", "tensors"
SIGNATURE_FILE = "signature.json"


def raw_signature(model) -> tf.types.experimental.PolymorphicFunction:
    """Raw cells to answers, all preprocessing included.

    String inputs `(batch,)`, one for each column, `""` for missing: text, the bytes of an image, of a WAV file, a
    number or a category as text. A video is `(batch, frames)`, the bytes of images; a history `(batch, items)`. Returns
    the outputs of the model, and what its target decodes from them.
    """
    specs = model.preprocessor.raw_specs()

    @tf.function(input_signature=[specs], autograph=False)
    def serve_raw(rows):
        tensors = model.preprocessor(model.preprocessor.join_columns(rows))
        outputs = model.name_outputs(model(tensors, training=False))
        return {**outputs, **model.target.decode(outputs)}

    return serve_raw


def tensors_signature(model, batch_size: int | None = None) -> tf.types.experimental.PolymorphicFunction:
    """Preprocessed tensors to the outputs of the model; a fixed batch size where a format needs one."""

    @tf.function(input_signature=[model.preprocessor.tensor_specs(batch_size)], autograph=False)
    def serve_tensors(tensors):
        return name_exported(model, model(tensors, training=False))

    return serve_tensors


def name_exported(model, outputs) -> dict:
    """The outputs by names that no input has: TFLite and ONNX have one space of names for both."""
    return {model.exported_names[name]: tensor for name, tensor in model.name_outputs(outputs).items()}


def describe(model) -> dict:
    """Inputs and outputs of both signatures: of the raw inputs the column that each is, of the outputs their names."""
    tensors = {
        name: {"shape": list(spec.shape[1:]), "dtype": spec.dtype.name}
        for name, spec in model.preprocessor.tensor_specs().items()
    }
    outputs = model.name_outputs(tf.zeros((1, *model.output_shape[1:])))
    return {
        "task": type(model).__name__,
        "columns": list(model.target.columns),
        RAW: {"inputs": model.preprocessor.describe_raw(), "outputs": [*outputs, *model.target.decode(outputs)]},
        TENSORS: {"inputs": tensors, "outputs": list(model.exported_names.values())},
    }


def list_assets(model) -> dict[str, str]:
    """The files that stand beside an artifact, and inside a SavedModel, by name."""
    signature = json.dumps(describe(model), indent=2, ensure_ascii=False) + "\n"
    return {SIGNATURE_FILE: signature, **model.target.assets()}
