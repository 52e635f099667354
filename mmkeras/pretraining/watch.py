"""Says while it trains when pre-training does not work."""

import warnings

import keras

_LEAST_SPREAD = 0.05


class Watch(keras.callbacks.Callback):
    """Ends `fit` where nothing counted in an epoch, and warns once where all vectors of an input are alike.

    Args:
        pretrainer: the model.
    """

    def __init__(self, pretrainer: keras.Model):
        super().__init__()
        self.names = [objective.name for objective in pretrainer.objectives]
        self._warned = set()

    def on_epoch_end(self, epoch, logs=None):
        logs = logs or {}
        for name in self.names:
            if logs.get(f"{name}_counted") == 0:
                raise ValueError(
                    f"'{name}' had no usable rows in epoch {epoch + 1}: inputs are missing, or all rows of a batch are "
                    "identical, or there is one row a batch."
                )
        for key, value in logs.items():
            if "_spread_" in key and not key.startswith("val_") and value < _LEAST_SPREAD and key not in self._warned:
                self._warned.add(key)
                warnings.warn(
                    f"{key} is {value:.3f} after epoch {epoch + 1}: nearly all vectors of this input are equal. Either "
                    "its contents are, or the training has collapsed: try a lower learning rate, larger batches, or "
                    "stronger augmentation.",
                    stacklevel=2,
                )
