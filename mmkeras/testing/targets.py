import json
from collections.abc import Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from mmkeras.targets import Target
from mmkeras.testing.requirements import require, require_close


def check_target(
    target: Target, cells: Sequence, length: int | None = None, tensors: Mapping[str, np.ndarray] | None = None
):
    """Checks what holds for every target with labels, on cells of its columns.

    It learns from the cells once; a copy from the configuration encodes the same; each row is encoded and decoded by
    itself; the graph decodes what arrays decode to; the answers are plain Python values; the measures are finite, and
    do not depend on the order of the rows.

    Args:
        target: is adapted to the cells if it is not adapted.
        cells: as the column was read; some of them usable.
        length: number of tokens, for a target with an answer for each token; None for an answer for the row.
        tensors: for a target that `needs_tensors`: what the preprocessor made of the rows, by name.
    """
    if not target.is_adapted:
        target.adapt(cells)
    copy = type(target).from_config(json.loads(json.dumps(target.get_config())))
    require(copy.get_config() == target.get_config(), "a copy from the configuration has another one")
    require(repr(copy) == repr(target) and " object at 0x" not in repr(target), f"it is shown as {target!r}")

    problems = target.find_problems(cells)
    require(len(problems) == len(cells), f"it finds problems of {len(problems)} of {len(cells)} cells")
    usable = [index for index, found in enumerate(problems) if not any(finding.rejected for finding in found)]
    require(usable, "no cell is usable")
    require(not any(target.is_missing(cells[index]) for index in usable), "a missing cell has no finding")
    cells = [cells[index] for index in usable]
    tensors = _choose(tensors, usable)

    truth = target.encode(cells, tensors)
    require(_is_same(truth, copy.encode(cells, tensors)), "a copy encodes something else")
    singly = [target.encode([cell], _choose(tensors, [index])) for index, cell in enumerate(cells)]
    joined = keras.tree.map_structure(lambda *parts: np.concatenate(parts), *singly)
    require(_is_same(truth, joined), "one row at a time is encoded as something else")

    outputs = _make_outputs(target, len(cells), length)
    _check_answers(target, outputs, tensors)
    if target.measures is not None:
        _check_measures(target, outputs, truth)


def _choose(arrays, indices):
    """The rows at these indices of all arrays of a structure; None stays None."""
    if arrays is None:
        return None
    return keras.tree.map_structure(lambda array: np.asarray(array)[indices], arrays)


def _is_same(one, other):
    pairs = zip(keras.tree.flatten(one), keras.tree.flatten(other), strict=True)
    return all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in pairs)


def _make_outputs(target, rows, length):
    """Outputs of random logits, as arrays by name."""
    random = np.random.default_rng(0)
    shape = (rows, target.output_units) if length is None else (rows, length, target.output_units)
    logits = random.normal(size=shape).astype("float32")
    mask = None if length is None else np.arange(length) <= random.integers(0, length, (rows, 1))
    activated = target.activate(logits, mask, "output")
    parts = keras.tree.flatten(activated)
    require(all(len(part) == rows for part in parts), "outputs have another number of rows than the logits")
    alone = target.activate(logits[:1], None if mask is None else mask[:1], "output_alone")
    require_close(_choose(activated, slice(1)), alone, "the other rows of the batch matter to an output")
    outputs = {name: np.asarray(part) for name, part in target.name_outputs(activated).items()}
    require(list(outputs) == list(target.output_names), f"outputs are called {list(outputs)}")
    return outputs


def _check_answers(target, outputs, tensors):
    decoded = target.decode_arrays(outputs, tensors)
    graph = tf.function(lambda outputs, tensors: target.decode(outputs, tensors), autograph=False)
    in_graph = graph(*keras.tree.map_structure(tf.constant, (outputs, dict(tensors or {}))))
    require(set(in_graph) == set(decoded), "a graph decodes other answers")
    for name, answers in decoded.items():
        require(np.array_equal(answers, in_graph[name].numpy()), f"a graph decodes '{name}' to something else")
    alone = target.decode_arrays(_choose(outputs, slice(1)), _choose(tensors, slice(1)))
    for name, answers in alone.items():
        require(answers[0] == decoded[name][0], f"the other rows of the batch matter to '{name}'")
    described = target.describe(outputs, decoded)
    require(len(described) == len(next(iter(outputs.values()))), "another number of rows is described")
    require(set(decoded) <= set(described[0]), f"{sorted(decoded)} are decoded, {sorted(described[0])} described")
    json.dumps(described)  # plain Python values
    require(np.all(target.same_answer(outputs, outputs)), "an output gives another answer than itself")


def _check_measures(target, outputs, truth):
    measures, rows = target.measures, len(next(iter(outputs.values())))
    constant = measures.answer_constantly(truth)
    require(set(constant) == set(outputs), f"the constant answer has the outputs {sorted(constant)}")
    metrics, more = measures.measure(constant, truth), measures.measure_all(constant, truth)
    require(set(metrics) <= set(more), "`measure_all` lacks metrics of `measure`")
    require(np.isfinite(measures.score(constant, truth)), "the score of the constant answer is not finite")
    order = np.arange(rows)[::-1]
    require_close(
        measures.measure_all(outputs, truth),
        measures.measure_all(_choose(outputs, order), _choose(truth, order)),
        "the order of the rows matters to the metrics",
    )
    errors = measures.measure_errors(outputs, truth)
    require(errors.shape == (rows,) and np.all(errors >= 0), "errors are not one number of 0 or more a row")
    twice = {name: np.stack([array, array]) for name, array in outputs.items()}
    agreement = measures.measure_disagreement(twice, np.ones((2, rows), bool))
    require_close(agreement, np.zeros(rows), "an answer disagrees with itself")
    for tables in (measures.count_confusions(outputs, truth), measures.calibrate(outputs, truth)):
        require(set(tables) <= set(target.columns), f"tables are of {sorted(tables)}, which are no columns")
