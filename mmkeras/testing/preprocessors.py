from collections.abc import Mapping

import tensorflow as tf

from mmkeras.preprocessing import RowPreprocessor
from mmkeras.testing.requirements import require, require_close


def check_preprocessor(preprocessor: RowPreprocessor, rows: Mapping[str, list]):
    """Checks that raw rows become the same tensors op by op, in a graph, one at a time, in a batch and in tf.data."""
    rows = {name: tf.constant(cells) for name, cells in rows.items()}
    batch = preprocessor(rows)
    specs = preprocessor.tensor_specs()
    require(set(batch) == set(specs), f"it returns {sorted(batch)} and declares {sorted(specs)}")
    for name, spec in specs.items():
        require(spec.is_compatible_with(batch[name]), f"'{name}' is {batch[name].shape}, declared is {spec}")
    count = len(next(iter(rows.values())))
    graph = tf.function(preprocessor, reduce_retracing=True, autograph=False)
    singly = [graph({name: cells[i : i + 1] for name, cells in rows.items()}) for i in range(count)]
    joined = {name: tf.concat([tensors[name] for tensors in singly], axis=0) for name in batch}
    require_close(batch, joined, "one row at a time gives something else", tolerance=0)
    in_data = next(iter(tf.data.Dataset.from_tensor_slices(rows).batch(count).map(preprocessor)))
    require_close(batch, in_data, "tf.data gives something else", tolerance=0)
    in_graph = graph(rows)
    require_close(batch, in_graph, "a graph gives something else", tolerance=0)
