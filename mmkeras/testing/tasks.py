import json
from collections.abc import Sequence

import keras
import numpy as np

from mmkeras.data import Source
from mmkeras.tasks import Task
from mmkeras.testing.reload import check_reload
from mmkeras.testing.requirements import require, require_close


def check_task(task: Task, source: Source, modules: Sequence[str] = ()):
    """Checks what holds for every task, on labeled rows.

    Rows are answered the same one by one, together, as a `Source` and by `dataset`, also without any modality; the
    outputs are named as the target does; the answers are plain Python values; the loss is finite, and every trainable
    weight learns; `evaluate_rows` gives the metrics of the target's measures; and it is the same in a fresh process.

    Args:
        task: a compiled task.
        source: labeled rows, some of them usable.
        modules: as for `check_reload`.
    """
    rows = source.table.to_dict("records")
    answers = task.predict_rows(source)
    require(len(answers) == len(rows), f"{len(answers)} answers to {len(rows)} rows")
    json.dumps(answers)  # plain Python values
    _require_same_answers(answers, task.predict_rows(_locate(task, source)), "a list of rows")
    _require_same_answers(answers[:1], task.predict_rows(source.select([0])), "one row")
    (nothing,) = task.predict_rows([dict.fromkeys(task.columns)])
    require(set(nothing) == set(answers[0]), "a row without any modality is answered otherwise")

    batches = task.dataset(source, batch_size=len(source))
    tensors, truth = next(iter(batches))
    outputs = task.predict(tensors, verbose=0)
    require_close(outputs, task.predict(task.dataset(source, batch_size=3), verbose=0), "the size of batches matters")
    named = task.name_outputs(outputs)
    require(list(named) == list(task.target.output_names), f"outputs are called {sorted(named)}")
    require(list(task.exported_names) == list(task.target.output_names), "other outputs are exported")
    require(set(task.exported_names.values()).isdisjoint(task.input), "an output is exported as an input")

    evaluation = task.evaluate_rows(source)
    constant = task.target.measures.answer_constantly(keras.tree.map_structure(np.asarray, truth))
    known = set(task.target.measures.measure_all(constant, keras.tree.map_structure(np.asarray, truth)))
    require(set(evaluation.table.columns) == known, f"it is evaluated by {sorted(evaluation.table.columns)}")
    _check_learning(task, batches)
    check_reload(task, {name: tensor.numpy() for name, tensor in tensors.items()}, modules)


def _locate(task, source):
    """The rows as dicts, with paths of files where the source has them."""
    columns = {column: source.values([column]) for column in task.columns}
    for name, modality in task.modalities.items():
        if modality.preprocessor.media_type:
            for column in modality.source_columns(name):
                columns[column] = source.files(column)
    return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]


def _require_same_answers(expected, received, what):
    for one, other in zip(expected, received, strict=True):
        require(set(one) == set(other), f"{what} gives the answers {sorted(other)}")
        for name, value in one.items():
            is_number = isinstance(value, int | float)
            same = np.isclose(value, other[name], atol=1e-5) if is_number else value == other[name]
            require(same, f"{what} is answered otherwise: '{name}' is {other[name]!r}, and was {value!r}")


def _check_learning(task, batches):
    before = [weight.numpy() for weight in task.trainable_variables]
    history = task.fit(batches, epochs=2, verbose=0).history
    require(all(np.isfinite(history["loss"])), f"the loss is {history['loss']}")
    same = [
        weight.path
        for weight, value in zip(task.trainable_variables, before, strict=True)
        if np.array_equal(weight.numpy(), value) and not weight.path.endswith("/missing")  # where no cell is missing
    ]
    require(not same, f"no gradient reaches {same}")
