"""Rows to batches of tensors, in tf.data."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import tensorflow as tf

_CELLS_A_BATCH = 256


def build_dataset(
    columns: Mapping[str, Sequence[str | bytes]],
    row_preprocessor,
    targets: np.ndarray | None = None,
    batch_size: int = 256,
    training: bool = False,
    cache: bool = False,
    seed: int = 0,
) -> tf.data.Dataset:
    """Batches of `tensors`, or of `(tensors, targets)`.

    In this order: shuffle (training), read and decode cell by cell in parallel, batch, tokenise by batch, prefetch.
    With a cache, every distinct cell is prepared once, before the first batch, and rows are put together from them.

    Args:
        columns: for each input, the cells of all rows: text, paths, or bytes.
        row_preprocessor: a `RowPreprocessor`.
        targets: `(rows, ...)`, or None.
        batch_size: rows a batch; the last one may be smaller.
        training: shuffle anew in every epoch.
        cache: keep the prepared distinct cells in memory.
        seed: of the shuffle.
    """
    if cache:
        rows, prepare_row, prepare_batch = _with_cache(columns, row_preprocessor)
    else:
        rows, prepare_row, prepare_batch = _without_cache(columns, row_preprocessor)
    dataset = tf.data.Dataset.from_tensor_slices(rows if targets is None else (rows, targets))
    if training:
        dataset = dataset.shuffle(len(dataset), seed=seed)  # of texts, paths or positions: nothing large
    if prepare_row is not None:
        dataset = dataset.map(_on_inputs(prepare_row), num_parallel_calls=tf.data.AUTOTUNE)
    dataset = dataset.batch(batch_size).map(_on_inputs(prepare_batch), num_parallel_calls=tf.data.AUTOTUNE)
    return dataset.prefetch(tf.data.AUTOTUNE)


def _on_inputs(function):
    """`function` of the inputs alone, whether an element is `inputs` or `(inputs, targets)`."""
    return lambda inputs, *targets: (function(inputs), *targets) if targets else function(inputs)


def _without_cache(columns, row_preprocessor):
    rows = {}
    for name, cells in columns.items():
        reads_files = row_preprocessor.preprocessors[name].reads_files
        rows[name] = tf.constant(cells)
        rows[f"{name}_is_path"] = [reads_files and isinstance(cell, str) and cell != "" for cell in cells]

    def prepare_row(row):
        content = {name: _read_if_path(row[name], row[f"{name}_is_path"]) for name in columns}
        return row_preprocessor.prepare_cells(content)

    return rows, prepare_row, row_preprocessor.prepare_batch


def _with_cache(columns, row_preprocessor):
    positions, prepared = {}, {}
    for name, cells in columns.items():
        positions[name], distinct = pd.factorize(pd.Series(cells, dtype=object))
        column = build_dataset({name: list(distinct)}, row_preprocessor.select([name]), batch_size=_CELLS_A_BATCH)
        batches = list(column)
        prepared[name] = {key: tf.concat([batch[key] for batch in batches], axis=0) for key in batches[0]}

    def prepare_batch(batch):
        return {
            key: tf.gather(tensor, batch[name]) for name, tensors in prepared.items() for key, tensor in tensors.items()
        }

    return positions, None, prepare_batch


def _read_if_path(cell, is_path):
    return tf.cond(is_path, lambda: tf.io.read_file(cell), lambda: cell)
