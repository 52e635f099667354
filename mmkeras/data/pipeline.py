"""Rows to batches of tensors, in tf.data."""

import functools
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import tensorflow as tf

from mmkeras.data import media

_CELLS_A_BATCH = 256


def build_dataset(
    columns: Mapping[str, Sequence],
    row_preprocessor,
    targets: np.ndarray | None = None,
    batch_size: int = 256,
    shuffle: bool = False,
    cache: bool = False,
    seed: int = 0,
    deterministic: bool = True,
    data_service: str | None = None,
) -> tf.data.Dataset:
    """Batches of `tensors`, or of `(tensors, targets)`.

    In this order: shuffle, read and decode cell by cell in parallel, batch, tokenize by batch, prefetch.
    With a cache, every distinct cell is prepared once, before the first batch, and rows are put together from them.

    Args:
        columns: for each input, the cells of all rows, as `Source.cells` gives them.
        row_preprocessor: a `RowPreprocessor`.
        targets: `(rows, ...)`, or None.
        batch_size: rows a batch; the last one may be smaller.
        shuffle: shuffle anew in every epoch.
        cache: keep the prepared distinct cells in memory.
        seed: of the shuffle.
        deterministic: keep the order of the rows, or, shuffled, the order that the seed gives; else rows come as
            they are ready, which is a little faster.
        data_service: address of a tf.data service that prepares the rows, such as `grpc://host:5000`; None for here.
    """
    if cache:
        rows, prepare_row, prepare_batch = _with_cache(columns, row_preprocessor)
    else:
        rows, prepare_row, prepare_batch = _without_cache(columns, row_preprocessor, data_service)
    dataset = tf.data.Dataset.from_tensor_slices(rows if targets is None else (rows, targets))
    if shuffle:
        dataset = dataset.shuffle(len(dataset), seed=seed)  # of texts, paths or positions: nothing large
    if prepare_row is not None:
        dataset = dataset.map(_on_inputs(prepare_row), num_parallel_calls=tf.data.AUTOTUNE)
    dataset = dataset.batch(batch_size).map(_on_inputs(prepare_batch), num_parallel_calls=tf.data.AUTOTUNE)
    return finish(dataset, deterministic, data_service)


def finish(dataset: tf.data.Dataset, deterministic: bool, data_service: str | None) -> tf.data.Dataset:
    """What every dataset of batches ends with: where it is made, in which order, and ahead of its use."""
    options = tf.data.Options()
    options.deterministic = deterministic
    dataset = dataset.with_options(options)
    if data_service is not None:
        # Each row goes to one worker only: workers share the rows among themselves as they ask for more.
        policy = tf.data.experimental.service.ShardingPolicy.DYNAMIC
        dataset = dataset.apply(tf.data.experimental.service.distribute(policy, data_service))
    return dataset.prefetch(tf.data.AUTOTUNE)


def _on_inputs(function):
    """`function` of the inputs alone, whether an element is `inputs` or `(inputs, targets)`."""
    return lambda inputs, *targets: (function(inputs), *targets) if targets else function(inputs)


def _without_cache(columns, row_preprocessor, data_service):
    rows, readers = {}, {}
    for name, cells in columns.items():
        preprocessor = row_preprocessor.preprocessors[name]
        if preprocessor.media_type:
            rows[name] = tf.constant(cells)
            rows[f"{name}_source"], readers[name] = _plan_reading(cells, preprocessor)
        else:
            rows[name] = tf.constant(preprocessor.pack(cells), tf.string)
    if data_service and any(rows[f"{name}_source"].max(initial=0) > _FILE for name in readers):
        raise ValueError(
            "Some files are in formats that TensorFlow does not read, and are converted in this process, which the "
            "workers of a tf.data service cannot do. Prepare them first: mk.prepare(source, folder, modalities)"
        )

    def prepare_row(row):
        content = {name: row[name] for name in columns}
        content |= {name: read(row[name], row[f"{name}_source"]) for name, read in readers.items()}
        return row_preprocessor.prepare_cells(content)

    return rows, prepare_row if readers else None, row_preprocessor.prepare_batch


# Where the content of a cell comes from: it is the content, or a file, which the graph reads; or either of them in a
# format that it does not.
_CONTENT, _FILE, _CONVERTED_CONTENT, _CONVERTED_FILE = range(4)


def _plan_reading(cells, preprocessor):
    """For each cell where its content comes from, and a function of a cell and that to the content."""
    found = {cell: _find_source(cell, preprocessor) for cell in dict.fromkeys(cells)}  # opens each file once
    sources = np.array([found[cell] for cell in cells], "int32")
    load = functools.partial(_load, media_type=preprocessor.media_type, options=preprocessor.media_options)

    def convert(cell, is_file):
        return tf.ensure_shape(tf.numpy_function(load, [cell, is_file], tf.string), preprocessor.raw_shape)

    if preprocessor.media_type == "video":
        branches = [lambda cell: tf.zeros((0,), tf.string)] * 2
    else:
        branches = [lambda cell: cell, tf.io.read_file]
    if sources.max(initial=0) > _FILE:  # else left out, because Python functions cannot leave this process
        branches += [lambda cell: convert(cell, False), lambda cell: convert(cell, True)]

    kinds = np.unique(sources)

    def read(cell, source):
        if len(kinds) == 1:  # a branch in the graph costs as much as reading a small file
            return branches[kinds[0]](cell)
        return tf.switch_case(source, [functools.partial(branch, cell) for branch in branches])

    return sources, read


def _find_source(cell, preprocessor):
    if not cell:
        return _CONTENT
    try:
        native = media.is_native(cell, preprocessor.media_type, preprocessor.media_options)
    except OSError:
        return _FILE  # reading it will name it
    if isinstance(cell, bytes):
        return _CONTENT if native else _CONVERTED_CONTENT
    return _FILE if native else _CONVERTED_FILE


def _load(cell, is_file, media_type, options):
    content = media.load(cell.decode() if is_file else cell, media_type, options)
    return np.array(content, dtype=object)


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
