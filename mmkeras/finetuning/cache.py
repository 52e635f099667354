"""Training on the Features of frozen encoders, which are computed once."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from keras import ops

from mmkeras.data import Source, media
from mmkeras.features import FEATURES
from mmkeras.finetuning.store import DIGEST, Store
from mmkeras.pipeline import DatasetOptions, build_dataset
from mmkeras.pretraining import Pretrainer
from mmkeras.tasks import Task
from mmkeras.training import TrainedModel
from mmkeras.weights import walk_layers

_BATCH = 64  # cells at once


class CachedTask(TrainedModel, keras.Model):
    """The part of a task behind its frozen encoders: what they say of each cell is computed once, and kept on disk.

    It shares all layers and the optimizer with the task, so that training it trains the task, many times faster where
    the frozen encoders are large. What comes out is the task itself, which reads raw rows as before. It learns what it
    would have learned without the cache, with the difference that dropout inside of frozen encoders is off.

    What is kept is named by what it depends on: a folder by the weights and the configuration of the encoder, its
    preprocessing, and which of the Features the task reads; a row in it by the cell, of a file also by its size and
    time. Only what is not there yet is computed, also after an interruption. One process writes to a folder at a time.

    Args:
        task: a compiled task, or a `mk.pretraining.Pretrainer`; the encoders of which nothing learns are cached
            (`freeze`).
        folder: for the files.

    Attributes:
        task: as given.
        frozen: the names of the inputs whose encoders are cached.

    Raises:
        ValueError: when no encoder is frozen, or a frozen one changes its input at random (`augmentation`); when the
            task is not compiled.

    Example::

        mk.finetuning.freeze(model, "text")
        cached = mk.finetuning.CachedTask(model, "features")
        cached.fit(cached.dataset(train, batch_size=64, shuffle=True), epochs=20)
        model.evaluate_rows(test)
    """

    def __init__(self, task: Task | Pretrainer, folder: str | Path):
        frozen = [name for name, encoder in task.backbone.encoders.items() if not encoder.trainable_variables]
        if not frozen:
            raise ValueError(
                "CachedTask caches the features of frozen encoders, and no encoder is frozen: "
                "mk.finetuning.freeze(model, name) first. "
                f"Received: a model that reads {sorted(task.backbone.encoders)}"
            )
        if changed := [name for name in frozen if getattr(task.modalities[name], "augmentation", None)]:
            raise ValueError(
                f"What is changed at random in every epoch cannot be cached: leave `augmentation` out. "
                f"Received: {changed}"
            )
        if not task.compiled:
            raise ValueError("CachedTask trains with the loss and the optimizer of the task: `compile` it first.")
        super().__init__(name=f"{task.name}_cached")
        self._distribute_strategy = task._distribute_strategy  # also where its scope is not open here
        encoded = {_name_feature(name, key): task.backbone.encoded[name][key] for name in frozen for key in FEATURES}
        self._hidden = () if task.reads_contents else tuple(frozen)
        own = {name: tensor for name, tensor in task.input.items() if name not in _list_tensors(task, self._hidden)}
        inputs = {tensor.name: tensor for tensor in (*encoded.values(), *own.values())}  # which Keras calls them
        self.behind = keras.Model(inputs, task.output, name="behind")
        self._encoded = {name: (tensor.name, tensor.shape[1:], tensor.dtype) for name, tensor in encoded.items()}
        self._get_task = lambda: task  # as an attribute it would be a layer of this model
        self.frozen = tuple(frozen)
        self.folder = Path(folder)
        config = keras.saving.deserialize_keras_object(task.get_compile_config())
        with self.distribute_strategy.scope():
            self.compile(**{**config, "optimizer": task.optimizer})

    @property
    def metrics(self):
        return [*super().metrics, *self.task.loss_metrics]

    def call(self, inputs, training=None):
        count = ops.shape(inputs[_name_feature(self.frozen[0], "present")])[0]
        completed = {name: tensor for name, tensor in inputs.items() if name not in self._encoded}
        for name, (tensor_name, shape, dtype) in self._encoded.items():
            # What the task does not read is asked for by the graph, and cut out of it.
            completed[tensor_name] = inputs[name] if name in inputs else ops.zeros((count, *shape), dtype)
        return self.behind(completed, training=training)

    @property
    def task(self) -> Task | Pretrainer:
        return self._get_task()

    def dataset(self, source: Source, batch_size: int = 32, **options) -> tf.data.Dataset:
        """Rows to what `fit` and `evaluate` take; as the `dataset` of the task, of which it leaves out the same rows.

        Args:
            source: the rows.
            batch_size: rows a batch.
            options: see `mk.DatasetOptions`.

        Raises:
            ValueError: as `dataset` of the task does; when the rows of a task have no target.
        """
        task, options = self.task, DatasetOptions(batch_size=batch_size, **options)
        source, truth = task.training_rows(source, batch_size)
        source = source.as_table()  # after the check: media of `Records` were checked when they were prepared
        columns = {name: modality.read(name, source) for name, modality in task.modalities.items()}
        features, indices = {}, []
        for name in self.frozen:
            index, distinct = pd.factorize(pd.Series(columns[name], dtype=object))
            features[name], rows = self._compute(name, list(distinct))
            indices.append(rows[index])
        targets = (np.stack(indices, axis=1),) if truth is None else (np.stack(indices, axis=1), truth)
        columns = {name: cells for name, cells in columns.items() if name not in self._hidden}
        dataset = build_dataset(columns, task.preprocessor.select(list(columns)), targets, options)

        def join(tensors, index, *truth):
            for position, (name, arrays) in enumerate(features.items()):
                for key, array in arrays.items():
                    tensors = {**tensors, _name_feature(name, key): _gather(array, index[:, position])}
            return (tensors, *truth) if truth else tensors

        return dataset.map(join).prefetch(tf.data.AUTOTUNE)

    def _compute(self, name: str, cells: Sequence) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """The Features of an input that are used, as arrays on disk, and the row of each cell in them."""
        task = self.task
        encoder, modality, keys = task.backbone.encoders[name], task.modalities[name], _find_keys(task, name)
        specs = {key: (_dtype(key), task.backbone.encoded[name][key].shape[1:]) for key in keys}
        store = Store(self.folder / _hash_encoder(modality, encoder, keys), specs)
        digests = [_hash_cell(cell, modality.preprocessor.media_type) for cell in cells]
        missing = [(digest, cell) for digest, cell in zip(digests, cells, strict=True) if digest not in store.rows]
        if missing:
            names = task.preprocessor.tensor_names(name)

            @tf.function
            def encode(tensors):
                features = encoder(tensors, training=False)
                return {key: tf.cast(features[key], _dtype(key)) for key in keys}

            options = DatasetOptions(batch_size=_BATCH)
            columns = {name: [cell for _, cell in missing]}
            start = 0
            for batch in build_dataset(columns, task.preprocessor.select([name]), None, options):
                found = encode({part: batch[tensor] for part, tensor in names.items()})
                count = len(found[keys[0]])
                store.append([digest for digest, _ in missing[start : start + count]], found)
                start += count
        return store.read(), np.array([store.rows[digest] for digest in digests])

    def training_callbacks(self):
        """Those of the task."""
        return self.task.training_callbacks()

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return self.task.compute_loss(x, y, y_pred, sample_weight, training)

    def bind_optimizer(self):
        """It is that of the task, which has bound it."""

    @property
    def _unused(self):
        if not hasattr(self, "_get_task"):
            return frozenset()
        trained = {id(variable) for variable in self.task.trainable_variables}
        return frozenset(id(variable) for variable in self.variables if id(variable) not in trained)


def _list_tensors(task, names):
    return {tensor for name in names for tensor in task.preprocessor.tensor_names(name).values()}


def _find_keys(task, name):
    """The Features of an input that the task reads; tokens with their mask."""
    keys = task.used_features[name]
    return sorted(keys | {"mask"} if "tokens" in keys else keys)


def _name_feature(name, key):
    return f"{name}/{key}"  # no input is called so


def _dtype(key):
    return "bool" if key in ("mask", "present") else "float32"


def _gather(array, index):
    """Rows of an array on disk, in the graph."""
    values = tf.numpy_function(lambda rows: np.asarray(array[rows]), [index], array.dtype)
    return tf.ensure_shape(values, (None, *array.shape[1:]))


def _hash_encoder(modality, encoder, keys):
    """Of what the Features depend on but the cell, and of which of them are kept: their rows are in one order."""
    precision = [layer.compute_dtype for _, layer in walk_layers(encoder)]
    facts = [modality.get_config(), precision, keys]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode())
    for weight in encoder.weights:
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()[:32]


def _hash_cell(cell, media_type):
    """Of a cell; of a file also its size and its time."""
    facts = media.find_stamp(cell) if media_type else None
    return hashlib.sha256(repr((cell, facts)).encode("utf-8", "surrogatepass")).digest()[:DIGEST]
