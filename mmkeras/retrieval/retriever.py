"""`mk.Retriever`: rows found by what another modality says."""

import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mmkeras.backbone import Backbone
from mmkeras.data import Source, read
from mmkeras.exporting import export
from mmkeras.files import replacing
from mmkeras.pipeline import DatasetOptions, check_rows, keep_usable
from mmkeras.pretraining import Contrastive, Pretrainer
from mmkeras.retrieval.artifact import write_search
from mmkeras.retrieval.ranking import cut, find_top, rank_pairs
from mmkeras.retrieval.tower import Tower
from mmkeras.row_model import hash_cells
from mmkeras.weights import list_weights

_RANKS = (1, 5, 10)


class Retriever:
    """Searches the rows of one modality by another, or by itself.

    Each modality has a `Tower`, which makes a vector of length 1 of it; the score of a row is the cosine of its vector
    and that of the query. All rows are compared, exactly. It shares the layers of what it is made of.

    Args:
        model: a `mk.pretraining.Pretrainer` with a `Contrastive` of the pair, whose projections it takes; or a
            `Backbone`, whose pooled vectors are compared as they are.
        pairs: names of the two inputs; None for those of the first `Contrastive`.

    Attributes:
        towers: dict from name to `Tower`.
        source: the rows of the index; None before there is one.
        indexed_rows: by name of a modality the indices in `source` of the rows that have it.
        indexed_vectors: by name their vectors, cut in parts.

    Raises:
        ValueError: for inputs that are not paired, or whose vectors differ in size.

    Example:

    >>> rows = mk.read([{"color": c, "price": p} for c, p in (("red", 1), ("blue", 5)) * 8])
    >>> modalities = {"color": mk.Text(), "price": mk.Tabular(["price"])}
    >>> pretrainer = mk.pretraining.Pretrainer.from_source(
    ...     rows, modalities, [mk.pretraining.Contrastive("color", "price")], optimizer="adam"
    ... )
    >>> history = pretrainer.fit(pretrainer.dataset(rows, 16), epochs=100, verbose=0)
    >>> retriever = mk.Retriever(pretrainer)
    >>> retriever.index(rows.select([0, 1]))
    >>> retriever.search([{"color": "blue"}], top=1)[0][0]["row"]
    {'color': 'blue', 'price': 5}
    """

    def __init__(self, model: Pretrainer | Backbone, pairs: Sequence[str] | None = None):
        objective = _find_objective(model, pairs)
        self.pair = tuple(pairs or objective.inputs)
        backbone = getattr(model, "backbone", model)
        if unknown := [name for name in self.pair if name not in backbone.encoders]:
            raise ValueError(
                f"The model reads {sorted(backbone.encoders)}. Received: pairs={self.pair}, of which {unknown}"
            )
        self.towers = {}
        for name in self.pair:
            layers = [] if objective is None else _find_layers(model, objective, name)
            encoder = backbone.encoders[name]
            self.towers[name] = Tower(
                name, backbone.modalities[name], layers, encoder, backbone.policy, name=f"{name}_tower"
            )
        sizes = {name: tower.target.units for name, tower in self.towers.items()}
        if len(set(sizes.values())) > 1:
            raise ValueError(
                f"Vectors of one size are compared: give the encoders the same `units`, or pre-train projections by "
                f"mk.pretraining.Contrastive. Received: {sizes}"
            )
        self.source = None
        self.indexed_rows, self.indexed_vectors, self._digest = {}, {}, None

    def embed(self, source: Source | Sequence[Mapping], name: str, batch_size: int = 256) -> np.ndarray:
        """The vectors of one modality, `(rows, units)`, float32; 0 for rows that lack it.

        Raises:
            ValueError: names a cell that cannot be read.
        """
        source = _read(source)
        self.towers[self._require(name)].require_answerable(source)
        return self._embed(source, name, batch_size)

    def _embed(self, source, name, batch_size):
        """The same of rows that are known to be usable."""
        tower = self.towers[name]
        batches = tower.make_dataset(source, None, DatasetOptions(batch_size=batch_size))
        return tower.predict(batches, verbose=0)

    def index(self, source: Source | Sequence[Mapping], batch_size: int = 256):
        """Takes these rows as those that are searched, in place of others before.

        Rows with a bad cell are never found, and a warning says how many. Of each modality the rows are searched that
        have it; a column that no row has may be left out.

        Args:
            source: the rows.
            batch_size: rows at once.

        Raises:
            ValueError: when the rows have none of the modalities.
        """
        source = _read(source)
        names = [name for name in self.pair if set(self.towers[name].columns) <= set(source.table.columns)]
        if not names:
            wanted = {name: tower.columns for name, tower in self.towers.items()}
            raise ValueError(f"{source.name} has none of the columns {wanted}. Received: {list(source.table.columns)}")
        report = check_rows(source, {name: self.towers[name].modalities[name] for name in names})
        report.warn(stacklevel=2)
        usable = keep_usable(source, report)
        numbers = np.array([number for number in range(len(source)) if number not in report.rejected])
        vectors, rows = {}, {}
        for name in names:
            found = self._embed(usable, name, batch_size)
            if np.any(has := np.any(found != 0, axis=1)):
                vectors[name], rows[name] = found[has], numbers[has]
        if not rows:
            raise ValueError(f"{source.name}: no row has any of {names}, so there is nothing to search.")
        self._set_index(source, vectors, rows)

    def _set_index(self, source, vectors, rows):
        self.source, self.indexed_rows = source, rows
        self.indexed_vectors = {name: cut(array) for name, array in vectors.items()}
        self._digest = self._hash_weights()

    def search(
        self, rows: Source | Sequence[Mapping], top: int = 10, among: str | None = None, by: str | None = None
    ) -> list[list[dict]]:
        """For each row what fits best in the index, best first.

        Args:
            rows: the queries: dicts from column to cell, or a `Source`, with one of the two modalities.
            top: how many are found.
            among: which modality of the index is compared; None for the other one.
            by: which modality of the queries is taken; None for the one that they have.

        Returns: for each query a list of dicts: `index` of the row in `source`, `score`, its cosine, and `row`, its
            cells by column.

        Raises:
            ValueError: without an index, or where the weights changed since it was made; for queries that have both
                modalities, where `by` is None, and for a query without any.
        """
        if top < 1:
            raise ValueError(f"`top` is at least 1. Received: top={top}")
        source = _read(rows)
        by = self._require(by) if by else self._choose_query(source)
        among = self._require(among) if among else next((name for name in self.pair if name != by), by)
        self._require_index(among)
        vectors = self.embed(source.with_columns(self.towers[by].columns), by)
        if len(empty := np.flatnonzero(~np.any(vectors != 0, axis=1))):
            raise ValueError(f"{source.name}: these queries have no '{by}': {source.row_numbers[empty][:10].tolist()}")
        scores, places = find_top(vectors, self.indexed_vectors[among], top)
        cells = self.source.table
        found = []
        for query_scores, query_places in zip(scores, self.indexed_rows[among][places], strict=True):
            hits = zip(query_places.tolist(), query_scores.tolist(), strict=True)
            found.append([{"index": i, "score": score, "row": cells.iloc[i].to_dict()} for i, score in hits])
        return found

    def evaluate_rows(self, source: Source | Sequence[Mapping]) -> pd.DataFrame:
        """How well the two modalities of a row find each other among all of these rows.

        Returns: for each direction, such as `name -> image`, how many rows had both, the shares of them whose other
            half is among the best 1, 5 and 10, and its median rank; and `chance`, the recall at 1 of no knowledge.
            Of equal scores the mean rank counts.

        Raises:
            ValueError: when fewer than two rows have both.
        """
        source = _read(source)
        vectors = [self.embed(source, name) for name in self.pair]
        both = np.all([np.any(array != 0, axis=1) for array in vectors], axis=0)
        if both.sum() < 2:
            raise ValueError(f"{source.name}: recall takes two rows with {self.pair} at least. Received: {both.sum()}")
        one, other = (array[both] for array in vectors)
        table = {}
        for names, pair in ((self.pair, (one, other)), (self.pair[::-1], (other, one))):
            ranks = rank_pairs(*pair)
            facts = {"rows": len(ranks)} | {f"recall_at_{rank}": np.mean(ranks <= rank) for rank in _RANKS}
            table[" -> ".join(names)] = facts | {"median_rank": np.median(ranks), "chance": 1 / len(ranks)}
        return pd.DataFrame.from_dict(table, orient="index")

    def save_index(self, path: str | Path):
        """Writes the vectors, and what weights they are of, as `.npz`; the rows stay where they are.

        Raises:
            ValueError: without an index.
        """
        self._require_index(next(iter(self.indexed_vectors), None))
        facts = {"weights": self._digest, "rows": self._hash_rows(self.source), "pair": self.pair}
        arrays = {f"vectors/{name}": np.concatenate(parts) for name, parts in self.indexed_vectors.items()}
        arrays |= {f"rows/{name}": rows for name, rows in self.indexed_rows.items()}
        with replacing(Path(path)) as scratch, scratch.open("wb") as file:
            np.savez(file, facts=np.array(json.dumps(facts)), **arrays)

    def load_index(self, path: str | Path, source: Source | Sequence[Mapping]):
        """Takes what `save_index` wrote in place of an index that is made anew.

        Args:
            path: of the file.
            source: the rows that were indexed, in the same order; files are known by their names.

        Raises:
            FileNotFoundError: without a file.
            ValueError: when it is of other weights, or of other rows, or no index.
        """
        source = _read(source)
        facts, vectors, rows = _read_index(Path(path))
        if facts["weights"] != self._hash_weights():
            raise ValueError(f"{path} was made by other weights than those of this model: index the rows again.")
        if facts["rows"] != self._hash_rows(source):
            raise ValueError(
                f"{path} was made of other rows, or of these in another order: give those that were indexed, or index "
                f"these again. Received: {source.name} with {len(source):,}"
            )
        self._set_index(source, vectors, rows)

    def export(self, folder: str | Path, formats=None, *, rows, top: int = 10, **options) -> dict:
        """Writes artifacts of both towers, each proven as by `mk.export`; and of the search, where there is an index.

        Each tower gets a folder of its name. `search` beside them is a SavedModel with the index inside: its signatures
        `embed_<name>` take raw cells to vectors, and `search_by_<name>` to `index` and `score`, `(batch, top)`, of the
        best rows of the other modality. It is run without mmkeras, and compared with `search` on the same rows.

        Args:
            folder: where to write.
            formats: as for `mk.export`; None for all.
            rows: real rows with both modalities, to prove them on.
            top: how many rows a search finds.
            options: further arguments of `mk.export`.

        Returns: for each name the `ExportReport`.
        """
        source = _read(rows)
        formats = {} if formats is None else {"formats": formats}
        reports = {}
        for name, tower in self.towers.items():
            own = source.with_columns(tower.columns)
            reports[name] = export(tower, Path(folder) / name, **formats, rows=own, **options)
        if self.indexed_vectors and "saved_model" in formats.get("formats", ["saved_model"]):
            write_search(self, Path(folder) / "search", source, top)
        return reports

    def _require(self, name):
        if name not in self.towers:
            raise ValueError(f"The modalities of this Retriever are {list(self.pair)}. Received: {name!r}")
        return name

    def _require_index(self, among):
        if among not in self.indexed_vectors:
            have = f"It has {sorted(self.indexed_vectors)}." if self.indexed_vectors else "There is none yet."
            raise ValueError(f"There is no index of '{among}' to search: retriever.index(rows) makes one. {have}")
        if self._digest != self._hash_weights():
            raise ValueError("The weights have changed since the rows were indexed: call retriever.index(rows) again.")

    def _choose_query(self, source):
        """The modality that the queries have."""
        have = [name for name, tower in self.towers.items() if _has_cells(tower, name, source)]
        if len(have) != 1:
            problem = "both, so `by` has to name one" if have else "none of them"
            raise ValueError(
                f"Queries have one of {list(self.pair)}, and these have {problem}. Received: {source.name}"
            )
        return have[0]

    def _hash_weights(self):
        """Of all weights of the towers; a checksum, which is fast, for it guards against mistakes only."""
        digest = 0
        for name, tower in sorted(self.towers.items()):
            for path, weight in sorted(list_weights(tower).items()):
                digest = zlib.crc32(np.ascontiguousarray(weight), zlib.crc32(f"{name}/{path}".encode(), digest))
        return digest

    def _hash_rows(self, source):
        return hash_cells(source, sorted({column for tower in self.towers.values() for column in tower.columns}))


def _read_index(path):
    """What `save_index` wrote: facts, and by name vectors and rows."""
    try:
        with zipfile.ZipFile(path) as archive:
            if any(part.compress_type != zipfile.ZIP_STORED for part in archive.infolist()):
                raise ValueError("it is compressed, and might not fit into the memory")
        with np.load(path) as held:  # allows no pickle
            facts = json.loads(str(held["facts"]))
            vectors = {name: held[f"vectors/{name}"] for name in facts["pair"] if f"vectors/{name}" in held}
            return facts, vectors, {name: held[f"rows/{name}"] for name in vectors}
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is no index that `save_index` has written: {error}") from error


def _read(rows):
    return rows if isinstance(rows, Source) else read(list(rows))


def _has_cells(tower, name, source):
    if not set(tower.columns) & set(source.table.columns):
        return False
    modality = tower.modalities[name]
    cells = modality.read(name, source.with_columns(tower.columns))
    return not all(map(modality.preprocessor.is_empty, cells))


def _find_objective(model, pairs):
    """The `Contrastive` of a pretrainer that pairs these inputs; None for a backbone."""
    if isinstance(model, Backbone):
        if pairs is None or len(pairs) != 2:
            raise ValueError(f"A Retriever on a Backbone needs two inputs: pairs=(one, other). Received: pairs={pairs}")
        return None
    if not isinstance(model, Pretrainer):
        raise TypeError(f"A Retriever is made of a Pretrainer or a Backbone. Received: {type(model).__name__}")
    made = [each for each in model.objectives if isinstance(each, Contrastive)]
    for objective in made:
        if pairs is None or set(pairs) == set(objective.inputs):
            return objective
    raise ValueError(
        f"The Pretrainer has no Contrastive of these inputs. It has {[each.inputs for each in made]}. "
        f"Received: pairs={pairs}"
    )


def _find_layers(pretrainer, objective, name):
    names = [objective.layer_name(f"{name}_{part}") for part in ("hidden", "vector")]
    known = {layer.name for layer in pretrainer.layers}
    return [pretrainer.get_layer(each) for each in names if each in known]
