"""Callbacks of `fit`."""

import shutil
import warnings
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from mmkeras.files import replacing
from mmkeras.metrics import is_lower_better

__all__ = ["Averaging", "Backup", "best"]

_LOOKED_AT = 1000  # batches of a dataset that may have no end


def best(patience: int | None = None, metric: str | None = None) -> keras.callbacks.Callback:
    """Keeps the weights of the best epoch, and stops where none has been better for long.

    The best is the epoch with the best value, on the validation rows, of the first metric that the model was compiled
    with: accuracy of a classifier, mean absolute error of a regressor. A loss is no good judge: it grows when a model
    is too sure of a few wrong answers, while more and more of them are right.

    Args:
        patience: epochs without a better one after which training stops; None never to stop.
        metric: its name in the history of `fit`, without `val_`, such as `"auroc"` or `"loss"`; None for the first.

    Raises:
        ValueError: in `fit`, without validation rows, or without this metric.

    Example::

        model.fit(batches, validation_data=others, epochs=50, callbacks=[mk.callbacks.best(patience=10)])
    """
    return _Best(patience, metric)


class _Best(keras.callbacks.Callback):
    def __init__(self, patience, metric):
        super().__init__()
        if patience is not None and patience < 1:
            raise ValueError(f"`patience` is at least 1 epoch, or None. Received: patience={patience}")
        self.patience, self.metric = patience, metric
        self._stopping = None

    def on_epoch_end(self, epoch, logs=None):
        if self._stopping is None:
            self._stopping = self._choose(logs or {})
        self._stopping.on_epoch_end(epoch, logs)

    def _choose(self, logs):
        """Keras's callback, on the metric that is known now that an epoch has ended."""
        names = [name.removeprefix("val_") for name in logs if name.startswith("val_")]
        if not names:
            raise ValueError("mk.callbacks.best compares epochs on validation rows: fit(..., validation_data=...).")
        order = [name for name in logs if name in names and name != "loss"]
        metric = self.metric or (order[0] if order else "loss")
        if metric not in names:
            raise ValueError(f"mk.callbacks.best compares epochs by one of {names}. Received: metric={metric!r}")
        stopping = keras.callbacks.EarlyStopping(
            f"val_{metric}",
            mode="min" if is_lower_better(metric) else "max",
            patience=self.patience or 10**9,
            restore_best_weights=True,
        )
        stopping.set_model(self.model)
        stopping.on_train_begin()
        return stopping

    def on_train_begin(self, logs=None):
        self._stopping = None

    def on_train_end(self, logs=None):
        if self._stopping is not None:
            self._stopping.on_train_end(logs)


class Averaging(keras.callbacks.Callback):
    """The mean of the weights at the ends of the last epochs, which the model gets when `fit` ends.

    Statistics of batch normalization are averaged with them. It suits a rate that does not fall to 0. For a moving
    average over steps Keras has `use_ema=True` in every optimizer, with `keras.callbacks.SwapEMAWeights`. Reference:
    Izmailov et al., "Averaging Weights Leads to Wider Optima and Better Generalization" (2018).

    Args:
        first_epoch: the first one that counts, from 0.

    Raises:
        ValueError: for an epoch below 0; in `fit`, when it ends before.

    Example::

        model.fit(batches, epochs=10, callbacks=[mk.callbacks.Averaging(first_epoch=6)])
    """

    def __init__(self, first_epoch: int):
        super().__init__()
        if first_epoch < 0:
            raise ValueError(f"`first_epoch` is 0 or more. Received: first_epoch={first_epoch}")
        self.first_epoch = first_epoch

    def on_train_begin(self, logs=None):
        self._sums, self._count = None, 0

    def on_epoch_end(self, epoch, logs=None):
        if epoch >= self.first_epoch:
            weights = [weight.astype("float64") for weight in self.model.get_weights()]
            self._sums = weights if self._sums is None else [a + b for a, b in zip(self._sums, weights, strict=True)]
            self._count += 1

    def on_train_end(self, logs=None):
        if not self._count:
            raise ValueError(f"`fit` ended before the epoch that averaging begins at: first_epoch={self.first_epoch}")
        self.model.set_weights([weight / self._count for weight in self._sums])


class Backup(keras.callbacks.Callback):
    """Keeps the state of the last epoch on disk, and goes on from there where `fit` was interrupted.

    The same call of `fit` in a new process, on a dataset in the order of a seed, ends with the weights that it would
    have had. Unlike Keras's `BackupAndRestore` it keeps the state of random generators too, in a single file, which is
    whole or not there: a full disk costs an epoch and not the last good state. Of several workers the chief writes, and
    all read, so the folder is one that they share.

    Args:
        folder: for the file; it is removed when `fit` ends.

    Raises:
        ValueError: in `fit`, when it holds the state of another model.

    Example::

        model.fit(batches, epochs=10, callbacks=[mk.callbacks.Backup("backup")])
    """

    def __init__(self, folder: str | Path):
        super().__init__()
        self.folder = Path(folder)
        self.written_folder = self.folder  # another one where it is not to be kept

    def on_train_begin(self, logs=None):
        states = self._list_states(self.folder)
        if not states:
            return
        variables = self._list_variables()
        with np.load(states[-1]) as held:  # allows no pickle
            values = [held[name] for name in held.files]
        shapes, wanted = ([tuple(each.shape) for each in part] for part in (values, variables))
        if shapes != wanted:
            raise ValueError(
                f"{states[-1]} holds the state of another model, with {len(shapes)} weights where this one has "
                f"{len(wanted)}, or of other shapes: choose another folder, or remove this one to start over."
            )
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        self.model._initial_epoch = int(states[-1].stem)

    def on_epoch_end(self, epoch, logs=None):
        values = [np.asarray(variable) for variable in self._list_variables()]
        earlier = self._list_states(self.written_folder)
        try:
            self.written_folder.mkdir(parents=True, exist_ok=True)
            # Not HDF5, which may take the process with it where a disk is full.
            with replacing(self.written_folder / f"{epoch + 1:06d}.npz") as scratch:
                np.savez(scratch, *values)
        except OSError as error:
            warnings.warn(
                f"The state after epoch {epoch + 1} could not be kept, and that of an earlier epoch stays: {error}",
                stacklevel=2,
            )
            return
        for path in earlier:
            path.unlink()

    def _list_variables(self):
        """Of the model, its random generators, and the optimizer."""
        model = self.model
        if not model.optimizer.built:
            with model.distribute_strategy.scope():
                model.optimizer.build(model.trainable_variables)
        metrics = {id(variable) for variable in model.metrics_variables}
        own = [variable for variable in model.variables if id(variable) not in metrics]
        return [*own, *model.optimizer.variables]

    def on_train_end(self, logs=None):
        shutil.rmtree(self.written_folder, ignore_errors=True)

    @staticmethod
    def _list_states(folder):
        return sorted(folder.glob("[0-9]*.npz"))


class Resume(keras.callbacks.Callback):
    """Draws the orders of rows that epochs before an interruption had, so that the next one has its own.

    Args:
        data: what `fit` was given.
    """

    def __init__(self, data):
        super().__init__()
        self.data = data

    def on_train_begin(self, logs=None):
        if isinstance(self.data, tf.data.Dataset):
            # Keras begins a dataset of known length twice an epoch (EpochIterator._enumerate_iterator).
            times = 1 if int(self.data.cardinality()) < 0 else 2
            for _ in range(times * (self.model._initial_epoch or 0)):
                iter(self.data)

    def on_epoch_begin(self, epoch, logs=None):
        self.model._initial_epoch = None  # else Keras would begin there in every later call of `fit`


class StopAtNaN(keras.callbacks.Callback):
    """Ends `fit` with an error where the loss, or a weight, is no finite number any more, and says what input is none.

    Weights are looked at after each epoch: ReLU takes NaN for 0, so that a model that has lost its weights may go on
    with a loss that looks sound.

    Args:
        data: a dataset, or the tuple of inputs and targets, that `fit` was given.
    """

    def __init__(self, data):
        super().__init__()
        self.data = data
        self.epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        loss = (logs or {}).get("loss", 0)
        if not np.isfinite(loss):
            raise ValueError(f"The loss is {loss} at batch {batch} of epoch {self.epoch + 1}. {self._find_cause()}")

    def on_epoch_end(self, epoch, logs=None):
        for variable in self.model.trainable_variables:
            if not bool(ops.all(ops.isfinite(variable.value))):
                raise ValueError(f"Weights '{variable.path}' are NaN after epoch {epoch + 1}. {self._find_cause()}")

    def _find_cause(self):
        if wrong := _find_not_finite(self.data):
            return f"What is no finite number: {', '.join(wrong)}. Correct these rows, or leave them out."
        return (
            "All inputs are finite: the learning rate may be too high, or the loss does not fit the targets. Try "
            "compile(keras.optimizers.Adam(1e-4, global_clipnorm=1.0), ...)."
        )


def _find_not_finite(data):
    """What the parts of the data are called that hold NaN or infinity, with the first batch and row, from 0.

    Of a dataset that may have no end the first batches are looked at.
    """
    if not isinstance(data, tf.data.Dataset | tuple):
        return []
    if isinstance(data, tf.data.Dataset) and int(data.cardinality()) < 0:
        data = data.take(_LOOKED_AT)
    found = {}
    for number, batch in enumerate([data] if isinstance(data, tuple) else data):
        for name, part, present in _name_parts(batch):
            array = np.asarray(part)
            if name in found or array.dtype.kind != "f":
                continue
            rows = ~np.isfinite(array.reshape(len(array), -1)).all(axis=1)
            if present is not None:
                rows &= np.asarray(present)  # what an absent modality holds is not read
            if rows.any():
                found[name] = f"{name} (first in row {int(rows.argmax())} of batch {number})"
    return list(found.values())


def _name_parts(batch):
    """Name, array and presence of inputs, targets and weights."""
    parts = batch if isinstance(batch, tuple) else (batch,)
    for kind, part in zip(("input", "target", "weight"), parts, strict=False):
        if isinstance(part, dict):
            yield from ((f"'{name}'", value, part.get(f"{name}_present")) for name, value in part.items())
        elif part is not None:
            yield f"the {kind}", part, None


def __dir__():
    return __all__
