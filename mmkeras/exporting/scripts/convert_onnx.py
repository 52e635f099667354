"""A frozen SavedModel to ONNX. Arguments: saved_model, target, signature, opset."""

import json
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
import tf2onnx
from tf2onnx import utils
from tf2onnx.handler import tf_op


@tf_op("Erfc")
class Erfc:
    """The op of exact GELU, which ONNX does not have, as `1 - erf(x)`; without it the file could not be loaded."""

    @classmethod
    def version_9(cls, ctx, node, **kwargs):
        dtype, shape = ctx.get_dtype(node.output[0]), ctx.get_shape(node.output[0])
        ctx.remove_node(node.name)
        one = ctx.make_const(utils.make_name("one"), np.array(1, utils.map_onnx_to_numpy_type(dtype)))
        erf = ctx.make_node("Erf", node.input)
        ctx.make_node(
            "Sub", [one.output[0], erf.output[0]], outputs=node.output, name=node.name, shapes=[shape], dtypes=[dtype]
        )


request = json.loads(Path(sys.argv[1]).read_text())
loaded = tf.saved_model.load(request["saved_model"])
signature = loaded.signatures[request["signature"]]
specs = signature.structured_input_signature[1]
names = sorted(specs)


@tf.function(autograph=False)
def call(*tensors):
    return signature(**dict(zip(names, tensors, strict=True)))


model, _ = tf2onnx.convert.from_function(
    call,
    input_signature=[tf.TensorSpec(specs[name].shape, specs[name].dtype, name=name) for name in names],
    opset=request["opset"],
)
for value in [*model.graph.input, *model.graph.output]:
    axis = value.type.tensor_type.shape.dim[0]
    if not axis.HasField("dim_value"):
        axis.dim_param = "batch"  # the same name for all, as they are the same rows
Path(request["target"]).write_bytes(model.SerializeToString())
Path(sys.argv[2]).write_text("{}")
