"""Rows to batches of tensors, in tf.data."""

import functools
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import tensorflow as tf

from mmkeras.data import MediaError, Source
from mmkeras.modalities import Modality
from mmkeras.pipeline.check import check_rows
from mmkeras.preprocessing import Preprocessor, RowPreprocessor

_CELLS_A_BATCH = 256


class Cache:
    """Prepared cells in memory, which several datasets share: each cell is prepared once for all of them.

    A model is given one where it is compared with others on the same rows; `cache=True` is one for a dataset alone.
    What is prepared in another way, by other arguments of its modality, is kept beside. Nothing is given up until the
    cache itself is.

    Example:

    >>> rows, cache = mk.read([{"text": "red", "label": "a"}, {"text": "blue", "label": "b"}] * 9), mk.Cache()
    >>> for encoder in ("gru", "cnn"):
    ...     model = mk.Classifier.from_source(rows, {"text": mk.Text(encoder=encoder)}, "label")
    ...     batches = model.dataset(rows, shuffle=True, cache=cache)
    >>> len(cache)
    1
    """

    def __init__(self):
        self._columns = {}

    def __len__(self):
        """How many columns it holds, each as one preprocessor made it."""
        return len(self._columns)

    def __bool__(self):
        return True  # an empty one is to be filled

    def prepare(self, name: str, cells: Sequence, row_preprocessor: RowPreprocessor) -> dict[str, tf.Tensor]:
        """The tensors of these cells of the input `name`, made where they are not there yet."""
        preprocessor = row_preprocessor.preprocessors[name]
        config = json.dumps(preprocessor.get_config(), sort_keys=True)
        key = name, type(preprocessor), config, tuple(cells)
        if key not in self._columns:
            options = DatasetOptions(batch_size=_CELLS_A_BATCH)
            batches = list(build_dataset({name: list(cells)}, row_preprocessor.select([name]), None, options))
            self._columns[key] = {key: tf.concat([batch[key] for batch in batches], axis=0) for key in batches[0]}
        return self._columns[key]


@dataclass(frozen=True, kw_only=True)
class DatasetOptions:
    """How rows become batches.

    Attributes:
        batch_size: rows a batch; the last one may be smaller.
        shuffle: another order in every epoch.
        cache: prepare every distinct cell once and keep it in memory; or the `Cache` to keep it in.
        seed: of the shuffle; with a data service the time counts too.
        deterministic: keep the order of the rows, or, when shuffled, the one that the seed gives; else rows come as
            they are ready, which may be faster.
        data_service: address of a tf.data service whose servers prepare the rows, such as `grpc://host:5000`. Every row
            arrives once, in no certain order. A dispatcher other than that of `mmkeras data-service` has to know its
            servers beforehand (`worker_addresses`).
        job_name: of what several trainers share of that service, each row going to one of them; a model that is
            trained by several workers chooses one.
    """

    batch_size: int = 32
    shuffle: bool = False
    cache: bool | Cache = False
    seed: int = 0
    deterministic: bool = True
    data_service: str | None = None
    job_name: str | None = None


def make_dataset(
    source: Source,
    modalities: Mapping[str, Modality],
    preprocessor: RowPreprocessor,
    targets: np.ndarray | tuple | None,
    options: DatasetOptions,
) -> tf.data.Dataset:
    """Batches of `tensors`, or of `(tensors, *targets)`.

    In this order: shuffle, read and decode file by file in parallel, batch, tokenize by batch, prefetch. With a cache,
    every distinct cell is prepared before the first batch, and rows are put together from them.

    Args:
        source: the rows, all of them usable. Of `Records` in their own order the files come from the shards.
        modalities: dict from input name to modality.
        preprocessor: of the rows.
        targets: array `(rows, ...)`, or a tuple of targets and weights of the rows; None for rows without.
        options: see there.
    """
    columns = {name: modality.read(name, source) for name, modality in modalities.items()}
    if source.is_prepared and source.is_in_order:
        return source.make_dataset(columns, preprocessor, targets, options)
    return build_dataset(columns, preprocessor, targets, options)


def load_cells(
    source: Source, modalities: Mapping[str, Modality], preprocessor: RowPreprocessor
) -> dict[str, np.ndarray]:
    """For each input the raw cells of all rows, with the content of files, as `preprocessor` takes them.

    Raises:
        ValueError: names the first file that cannot be read.
    """
    packed = {}
    for name, modality in modalities.items():
        cells = modality.read(name, source)
        try:
            packed[name] = pack_cells(cells, modality.preprocessor)
        except MediaError:
            raise ValueError(str(check_rows(source.as_table(), modalities))) from None
    return packed


def pack_cells(cells: Sequence, preprocessor: Preprocessor) -> np.ndarray:
    """The cells of one input, with the content of files, as its preprocessor takes them.

    Raises:
        MediaError: when a file cannot be read, or a cell is of another kind than its column.
    """
    for cell in cells:
        if finding := preprocessor.find_unreadable(cell):
            raise MediaError(finding)
    if preprocessor.media_type:
        nothing = [] if preprocessor.raw_shape else ""
        cells = [nothing if preprocessor.is_empty(cell) else preprocessor.load(cell) for cell in cells]
    return preprocessor.pack(cells)


def build_dataset(
    columns: Mapping[str, Sequence],
    preprocessor: RowPreprocessor,
    targets: np.ndarray | tuple | None,
    options: DatasetOptions,
) -> tf.data.Dataset:
    """As `make_dataset`, of the cells of each input as `Modality.read` gives them."""
    if targets is not None and not isinstance(targets, tuple):
        targets = (targets,)
    if options.cache:
        cache = options.cache if isinstance(options.cache, Cache) else Cache()
        rows, prepare_row, prepare_batch = _with_cache(columns, preprocessor, cache)
    else:
        rows, prepare_row, prepare_batch = _without_cache(columns, preprocessor, options.data_service)
    count = len(next(iter(columns.values()))) if columns else len(tf.nest.flatten(targets)[0])
    dataset = share_rows(tf.data.Dataset.from_tensor_slices((rows, *(targets or ()), np.arange(count))), options)
    dataset = shuffle_rows(dataset, count, options)  # of texts, paths or positions: nothing large
    if prepare_row is not None:
        dataset = dataset.map(_on_inputs(prepare_row), num_parallel_calls=tf.data.AUTOTUNE)
    dataset = dataset.batch(options.batch_size)
    dataset = dataset.map(_on_inputs(prepare_batch), num_parallel_calls=tf.data.AUTOTUNE)
    return finish(dataset, options, count)


def share_rows(dataset: tf.data.Dataset, options: DatasetOptions) -> tf.data.Dataset:
    """What a dataset begins with: of several servers of a tf.data service each has rows, or files, of its own."""
    if options.data_service is None:
        return dataset
    return dataset.shard(tf.data.experimental.SHARD_HINT, tf.data.experimental.SHARD_HINT)


def shuffle_rows(dataset: tf.data.Dataset, buffer: int, options: DatasetOptions) -> tf.data.Dataset:
    """In another order in every epoch, where the options say so, by a buffer of so many elements."""
    if not options.shuffle:
        return dataset
    if options.data_service is None:
        return dataset.shuffle(buffer, seed=options.seed)

    def permute(*parts):
        # A server makes the dataset anew for every epoch, so that any seed would give the same order again.
        now = tf.cast(tf.timestamp() * 1e6, tf.int64)
        order = tf.argsort(tf.random.stateless_uniform([len(tf.nest.flatten(parts)[0])], [options.seed, now]))
        return tf.nest.map_structure(lambda tensor: tf.gather(tensor, order), parts)

    return dataset.batch(buffer).map(permute).unbatch()


def finish(dataset: tf.data.Dataset, options: DatasetOptions, count: int, by_file: bool = False) -> tf.data.Dataset:
    """What every dataset of batches ends with: where it is made, in which order, and ahead of its use.

    Of several workers each takes its part of every batch, or, `by_file`, the batches of its own files.

    Args:
        dataset: of batches, each with the positions of its rows, below `count`, as the last part, which goes here.
    """
    tf_options = tf.data.Options()
    tf_options.deterministic = options.deterministic
    # As many rows at once as there are cores. The search for a better number starts each epoch at one core, and its
    # end may wait for the search for as long as the epoch took.
    tf_options.autotune.enabled = False
    policies = tf.data.experimental.AutoShardPolicy
    tf_options.experimental_external_state_policy = tf.data.experimental.ExternalStatePolicy.IGNORE  # of the clock
    tf_options.experimental_distribute.auto_shard_policy = policies.FILE if by_file else policies.DATA
    dataset = dataset.with_options(tf_options)
    if options.data_service is not None:
        service = tf.data.experimental.service
        dataset = dataset.apply(service.distribute(service.ShardingPolicy.HINT, options.data_service, options.job_name))
        dataset = _drop_repeated(dataset, count)
    return dataset.map(lambda *parts: parts[0] if len(parts) == 2 else parts[:-1]).prefetch(tf.data.AUTOTUNE)


def _drop_repeated(dataset, count):
    """Without rows that came before: a server that was started again begins anew with those that are its own."""

    def look(seen, parts):
        is_new = ~tf.gather(seen, parts[-1])
        seen = tf.tensor_scatter_nd_update(seen, parts[-1][:, None], tf.ones_like(is_new))
        return seen, tf.nest.map_structure(lambda tensor: tf.boolean_mask(tensor, is_new), parts)

    dataset = dataset.scan(tf.zeros(count, tf.bool), look)
    return dataset.filter(lambda *parts: tf.size(parts[-1]) > 0)


def _on_inputs(function):
    """`function` of the first part of an element."""
    return lambda inputs, *rest: (function(inputs), *rest)


def _source_key(name):
    return f"{name}/source"  # no input is called so


def _without_cache(columns, row_preprocessor, data_service):
    rows, readers = {}, {}
    for name, cells in columns.items():
        preprocessor = row_preprocessor.preprocessors[name]
        if preprocessor.media_type:
            # As the system writes names of files, which need not be Unicode.
            rows[name] = tf.constant([os.fsencode(cell) for cell in cells], tf.string)
            rows[_source_key(name)], readers[name] = _plan_reading(cells, preprocessor)
        else:
            rows[name] = tf.constant(preprocessor.pack(cells), tf.string)
    if data_service and any(rows[_source_key(name)].max(initial=0) > _FILE for name in readers):
        raise ValueError(
            "Some files are in formats that TensorFlow does not read, and are converted in this process, which the "
            "workers of a tf.data service cannot do. Prepare them first: mk.prepare(source, folder, modalities)"
        )

    def prepare_row(row):
        content = {name: row[name] for name in columns}
        content |= {name: read(row[name], row[_source_key(name)]) for name, read in readers.items()}
        return row_preprocessor.prepare_cells(content)

    return rows, prepare_row if readers else None, row_preprocessor.prepare_batch


# Where the content of a cell comes from: it is the content, or a file, which the graph reads; or either of them in a
# format that it does not.
_CONTENT, _FILE, _CONVERTED_CONTENT, _CONVERTED_FILE = range(4)


def _plan_reading(cells, preprocessor):
    """For each cell where its content comes from, and a function of a cell and that to the content."""
    found = {cell: _find_source(cell, preprocessor) for cell in dict.fromkeys(cells)}  # opens each file once
    sources = np.array([found[cell] for cell in cells], "int32")

    def load(cell, is_file):
        return np.array(preprocessor.load(os.fsdecode(cell) if is_file else cell), dtype=object)

    def convert(cell, is_file):
        return tf.ensure_shape(tf.numpy_function(load, [cell, is_file], tf.string), preprocessor.raw_shape)

    if preprocessor.raw_shape:
        branches = [lambda cell: tf.zeros((0,), tf.string)] * 2
    else:
        branches = [lambda cell: cell, tf.io.read_file]
    if sources.max(initial=0) > _FILE:  # else left out, because Python functions cannot leave this process
        branches += [functools.partial(convert, is_file=is_file) for is_file in (False, True)]

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
        native = preprocessor.is_native(cell)
    except OSError:
        return _FILE  # reading it will name it
    if isinstance(cell, bytes):
        return _CONTENT if native else _CONVERTED_CONTENT
    return _FILE if native else _CONVERTED_FILE


def _with_cache(columns, row_preprocessor, cache):
    indices, prepared = {}, {}
    for name, cells in columns.items():
        indices[name], distinct = pd.factorize(pd.Series(cells, dtype=object))
        prepared[name] = cache.prepare(name, distinct, row_preprocessor)

    def prepare_batch(batch):
        return {
            key: tf.gather(tensor, batch[name]) for name, tensors in prepared.items() for key, tensor in tensors.items()
        }

    return indices, None, prepare_batch
