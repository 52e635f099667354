"""The two signatures of an exported task."""

import tensorflow as tf

RAW, TENSORS = "serving_default", "tensors"


def name_outputs(probabilities) -> dict:
    """What the `tensors` signature returns."""
    return {"probabilities": probabilities}


def raw_signature(model) -> tf.types.experimental.PolymorphicFunction:
    """Raw cells to answers, all preprocessing included.

    String inputs `(batch,)`, one for each column, `""` for missing: text, the bytes of an image, of a WAV file, a
    number or a category as text. A video is `(batch, frames)`, the bytes of images; a history `(batch, items)`. Returns
    `probabilities` `(batch, classes)`, float32, and `label` `(batch,)`, the most probable class.
    """
    specs = model.preprocessor.raw_specs()
    classes = tf.constant(model.classes)

    @tf.function(input_signature=[specs], autograph=False)
    def serve_raw(rows):
        tensors = model.preprocessor(model.preprocessor.join_columns(rows))
        outputs = name_outputs(model(tensors, training=False))
        return outputs | {"label": tf.gather(classes, tf.argmax(outputs["probabilities"], axis=1))}

    return serve_raw


def tensors_signature(model, batch_size: int | None = None) -> tf.types.experimental.PolymorphicFunction:
    """Preprocessed tensors and presence to `probabilities`; a fixed batch size where a format needs one."""

    @tf.function(input_signature=[model.preprocessor.tensor_specs(batch_size)], autograph=False)
    def serve_tensors(tensors):
        return name_outputs(model(tensors, training=False))

    return serve_tensors
