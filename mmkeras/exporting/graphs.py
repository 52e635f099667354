"""Writes the SavedModel that is an artifact, and the frozen ones that the converters start from."""

import tempfile
from pathlib import Path

import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from mmkeras._quiet import LOG_LINE, drop_lines
from mmkeras.exporting.signatures import RAW, TENSORS, list_assets, raw_signature, tensors_signature

# What artifacts are for needs no gradients, and those of some ops, such as tf.nn.silu, cannot be written.
OPTIONS = tf.saved_model.SaveOptions(experimental_custom_gradients=False)


def write(model, folder: Path, on_error: str):
    """Both signatures, the weights, and the assets of the task. Loads without mmkeras and Keras."""
    module = tf.Module()
    module.weights = [variable.value for variable in model.variables]
    module.tables = {name: p.tables for name, p in model.preprocessor.preprocessors.items()}
    signatures = {RAW: raw_signature(model, on_error), TENSORS: tensors_signature(model)}
    with tempfile.TemporaryDirectory() as scratch:
        write_assets(model, Path(scratch), on_error)
        module.assets = [tf.saved_model.Asset(str(path)) for path in sorted(Path(scratch).iterdir())]
        tf.saved_model.save(module, str(folder), signatures=signatures, options=OPTIONS)


def write_assets(model, folder: Path, on_error: str):
    """The files that say what goes into an artifact and what comes out."""
    for name, text in list_assets(model, on_error).items():
        (folder / name).write_text(text, encoding="utf-8", newline="")


def write_frozen(model, folder: Path, batch_size: int | None):
    """The tensor signature alone, with the weights as constants in its graph.

    It is traced anew from the model, because the graph of a recurrent layer that was traced with an unknown batch
    size keeps unknown shapes inside, which TFLite cannot convert. Loops are kept whole for the same reason.
    """
    concrete = tensors_signature(model, batch_size, is_frozen=True).get_concrete_function()
    with drop_lines(LOG_LINE):
        frozen = convert_variables_to_constants_v2(concrete, lower_control_flow=False)
    outputs = sorted(concrete.structured_outputs)

    @tf.function(input_signature=[model.preprocessor.tensor_specs(batch_size)], autograph=False)
    def serve_frozen(tensors):
        results = frozen(*[tensors[tensor.name.removesuffix(":0")] for tensor in frozen.inputs])
        return dict(zip(outputs, results, strict=True))

    tf.saved_model.save(tf.Module(), str(folder), signatures={TENSORS: serve_frozen}, options=OPTIONS)
