"""The search as a SavedModel, with the index inside."""

import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf

from mmkeras.exporting.child import TENSORFLOW, run_script
from mmkeras.exporting.graphs import OPTIONS
from mmkeras.exporting.parity import ParityError
from mmkeras.exporting.rows import write_cells
from mmkeras.exporting.scratch import open_scratch, put_in_place
from mmkeras.exporting.signatures import raw_signature
from mmkeras.retrieval.ranking import find_top_of_some

_PROOF_ROWS = 64
_CLOSE = 1e-5
_SECONDS = 600


def write_search(retriever, folder: Path, source, top: int):
    """Writes the SavedModel, runs it in a process without mmkeras, and compares it with the search.

    Raises:
        ParityError: when it finds other rows.
    """
    signatures = {}
    module = tf.Module()
    # As variables, for constants are a part of the graph, which holds no more than 2 GB.
    module.index = {
        name: [tf.Variable(part, trainable=False) for part in parts]
        for name, parts in retriever.indexed_vectors.items()
    }
    for name, tower in retriever.towers.items():
        embed = raw_signature(tower)
        signatures[f"embed_{name}"] = embed
        other = next(each for each in retriever.pair if each != name)
        if other in module.index:
            rows = tf.constant(retriever.indexed_rows[other])
            signatures[f"search_by_{name}"] = _make_search(tower, embed, rows, module.index[other], top)
    module.weights = [variable.value for tower in retriever.towers.values() for variable in tower.variables]
    module.tables = {
        name: preprocessor.tables
        for tower in retriever.towers.values()
        for name, preprocessor in tower.preprocessor.preprocessors.items()
    }
    with open_scratch(folder) as scratch:
        path = scratch / "saved_model"
        tf.saved_model.save(module, str(path), signatures=signatures, options=OPTIONS)
        _prove(retriever, path, source, top)
        put_in_place(path, folder, scratch)


def _make_search(tower, embed, rows, parts, top):
    @tf.function(input_signature=[tower.preprocessor.raw_specs()], autograph=False)
    def search(inputs):
        answers = embed(inputs)
        scores, places = find_top_of_some(answers["vector"], parts, top)
        return {"index": tf.gather(rows, places), "score": scores, "error": answers["error"]}

    return search


def _prove(retriever, path, source, top):
    """Every signature of a search on some rows that have its modality."""
    for name, tower in retriever.towers.items():
        other = next(each for each in retriever.pair if each != name)
        if other not in retriever.indexed_vectors:
            continue
        part = source.select(np.unique(np.linspace(0, len(source) - 1, min(_PROOF_ROWS, len(source)), dtype=int)))
        part = part.with_columns(tower.columns)
        vectors = retriever.embed(part, name)
        part = part.select(np.flatnonzero(np.any(vectors != 0, axis=1)))
        if not len(part):
            continue
        expected = retriever.search(part, top, by=name)
        signature = f"search_by_{name}"
        with tempfile.TemporaryDirectory() as folder:
            write_cells(tower.preprocessor, tower.load_cells(part), Path(folder))
            output = Path(folder) / "found.npz"
            run_script(
                "run_saved_model",
                _SECONDS,
                TENSORFLOW,
                artifact=path,
                signatures=[signature],
                inputs={signature: folder},
                outputs={signature: str(output)},
                latency_runs=1,
            )
            with np.load(output) as held:
                scores = held["score"]
        wanted = np.array([[hit["score"] for hit in hits] for hits in expected])
        if scores.shape != wanted.shape or np.abs(scores - wanted).max() > _CLOSE:
            raise ParityError(
                f"The SavedModel finds other rows by '{name}' than the model: scores differ by "
                f"{np.abs(scores - wanted).max():.1e}, allowed is {_CLOSE}."
            )
