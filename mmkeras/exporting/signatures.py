"""The two signatures of an exported task."""

import tensorflow as tf

RAW, TENSORS = "serving_default", "tensors"


def name_outputs(probabilities) -> dict:
    """What the `tensors` signature returns."""
    return {"probabilities": probabilities}


def raw_signature(model) -> tf.types.experimental.PolymorphicFunction:
    """Raw cells to answers, all preprocessing included.

    One string input for each modality, `(batch,)`, `""` for missing. Text goes in as text, an image as the bytes of
    its file. Returns `probabilities` `(batch, classes)`, float32, and `label` `(batch,)`, the most probable class.
    """
    specs = {name: tf.TensorSpec((None,), tf.string, name=name) for name in model.preprocessor.preprocessors}
    classes = tf.constant(model.classes)

    @tf.function(input_signature=[specs], autograph=False)
    def serve_raw(rows):
        outputs = name_outputs(model(model.preprocessor(rows), training=False))
        return outputs | {"label": tf.gather(classes, tf.argmax(outputs["probabilities"], axis=1))}

    return serve_raw


def tensors_signature(model, batch_size: int | None = None) -> tf.types.experimental.PolymorphicFunction:
    """Preprocessed tensors and presence to `probabilities`; a fixed batch size where a format needs one."""

    @tf.function(input_signature=[model.preprocessor.tensor_specs(batch_size)], autograph=False)
    def serve_tensors(tensors):
        return name_outputs(model(tensors, training=False))

    return serve_tensors
