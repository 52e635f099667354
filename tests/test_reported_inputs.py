"""Inputs that once broke a promise, one line each: what they are, and what is right.

A line is a name, a function of nothing, and what it gives; `Refusal` stands for an exception with these words.
"""

import pickle
import re
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import mmkeras as mk
from mmkeras.data import plan_modalities


class Refusal(NamedTuple):
    kind: type
    words: str


def read(*cells, column="cell", **options):
    return mk.read([{column: cell, "label": "ab"[i % 2]} for i, cell in enumerate(cells)], "label", **options)


def find(modality, *cells, column="cell"):
    """Kinds of the problems, by row."""
    report = mk.check(read(*cells, column=column), {column: modality})
    return [(problem.row, problem.kind) for problem in report.problems]


def classify(modality, *cells):
    return mk.Classifier.from_source(read(*cells), {"cell": modality})


def write(text, encoding="utf-8"):
    Path("table.csv").write_bytes(text.encode(encoding))
    return "table.csv"


def split_reads(**options):
    return mk.read(write("text;n;label\na;1,5;x\nb;2,5;y\n"), "label", **options).table.values.tolist()


def compile_with(*metrics):
    model = classify(mk.Tabular(numbers=["cell"]), *range(8))
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=list(metrics))
    return sorted(model.fit(model.dataset(read(*range(8))), verbose=0).history)


NUMBERS = mk.Tabular(numbers=["cell"])
CASES = {
    # Text, lists and labels
    "bytes are text": (lambda: read(b"good").texts("cell"), ["good"]),
    "tensors are text": (lambda: read(tf.constant("good"), np.str_("x")).texts("cell"), ["good", "x"]),
    "bytes that are no text": (lambda: find(mk.Text(), b"\xff", "yo"), [(1, "not Unicode text")]),
    "lone surrogates": (lambda: find(mk.Text(), "hi \ud83d", "yo"), [(1, "not Unicode text")]),
    "a list is no text": (lambda: find(mk.Text(), ["a"], "yo", {"b": 1}), [(1, "not a text"), (3, "not a text")]),
    "labels of bytes": (lambda: mk.check(mk.read([{"label": b"yes"}], "label"), {}, "label").problems, []),
    "quotes in a list": (lambda: read(str(["Bug's Life", "Heat"])).lists("cell"), [("Bug's Life", "Heat")]),
    "a list of NumPy": (lambda: find(mk.History(items=["a"]), str(np.array(["a", "b c"])), "a"), [(1, "not a list")]),
    "a list that was shortened": (lambda: find(mk.History(items=["1"]), "[1 2 ... 9]", "1"), [(1, "not a list")]),
    "numbers of NumPy": (
        lambda: read("[1 2 3]", np.array([1, 2]), tf.constant(["q"])).lists("cell"),
        [("1", "2", "3"), ("1", "2"), ("q",)],
    ),
    "white space only": (lambda: mk.check(read("\u3000", "\u00a0", "x"), {"cell": mk.Text()}).missing, {"cell": 2}),
    "spaces around a category": (
        lambda: classify(mk.Tabular(categories=["cell"]), "a\u00a0", "b").modalities["cell"].preprocessor.vocabularies,
        {"cell": ["a", "b"]},
    ),
    "blank labels": (lambda: classify_labels("yes", "yes ", "  ", "no"), ["no", "yes"]),
    "0 and 0.0 are one class": (lambda: classify_labels(0.0, 1, None, "0"), ["0", "1"]),
    "a price is no class": (lambda: warn(lambda: classify_labels(*[f"{i}.5" for i in range(60)])), "mk.Regressor"),
    "lists are no labels": (lambda: classify_labels(["a"], ["b"]), Refusal(ValueError, "holds lists")),
    # Numbers, dates and times
    "Arabic digits": (lambda: find(NUMBERS, "١٢", "3"), [(1, "not a number")]),
    "spaces around a number": (lambda: find(NUMBERS, "12\u00a0", "3"), []),
    "a decimal comma": (lambda: find(NUMBERS, "1,5", "3"), [(1, "not a number")]),
    "too large": (lambda: find(NUMBERS, "1.7e308", "3"), [(1, "not a number")]),
    "True is no number": (lambda: find(NUMBERS, True, "3"), [(1, "not a number")]),
    "no such day": (
        lambda: find(mk.Tabular(dates=["cell"]), "1980-02-30", "1980-13-01"),
        [(1, "not a date"), (2, "not a date")],
    ),
    # Tables
    "two columns of a name": (
        lambda: mk.read(pd.DataFrame([[1, 2]], columns=["t", "t"])),
        Refusal(ValueError, "more than one column of the name ['t']"),
    ),
    "columns that are numbers": (lambda: mk.read(pd.DataFrame([["a", "x"]]), 1).texts("0"), ["a"]),
    "semicolons": (lambda: split_reads(), Refusal(ValueError, "mk.read(..., sep=';')")),
    "semicolons and commas": (lambda: split_reads(sep=";", decimal=","), [["a", "1.5", "x"], ["b", "2.5", "y"]]),
    "one column of semicolons": (
        lambda: mk.read(write("text;label\na;x\n")),
        Refusal(ValueError, "mk.read(..., sep=';')"),
    ),
    "a title": (lambda: mk.read(write("My table\ntext,label\na,x\n")), Refusal(ValueError, "'My table'. Take it out")),
    "UTF-16 without a mark": (
        lambda: mk.read(write("text,label\na,x\n", "utf-16-le")),
        Refusal(ValueError, "encoding='utf-16-le'"),
    ),
    "names in other scripts": (
        lambda: sorted(
            plan_modalities(mk.propose(mk.read([{"标题": f"甲 {i} 文", "正文": f"乙 {i} 字"} for i in range(30)])))
        ),
        ["text", "text_2"],
    ),
    "labels only": (
        lambda: str(mk.propose(mk.read([{"label": "a"}], "label"))),
        "There is no column besides that of the target.",
    ),
    # Paths
    "a web address": (lambda: find(mk.Image(), "https://a.b/x.png"), [(1, "not a file")]),
    "a path with a zero byte": (lambda: find(mk.Image(), "a\0b.png"), [(1, "not a path")]),
    "a path that is too long": (lambda: find(mk.Image(), "x" * 5000), [(1, "not a path")]),
    "a path that is no Unicode": (lambda: find(mk.Image(), "\ud83d.png"), [(1, "not a path")]),
    "an object is no file": (lambda: find(mk.Image(), 7), [(1, "not a file")]),
    "bytes and path": (lambda: read({"bytes": b"x", "path": None}).files("cell"), [b"x"]),
    # Keras's own ways
    "a typo in the constructor": (
        lambda: mk.Classifier({"cell": mk.Text()}, ["a", "b"], droput=0.5),
        Refusal(TypeError, "Did you mean 'dropout'?"),
    ),
    "a typo in from_source": (
        lambda: mk.Classifier.from_source(read("a", "b"), {"cell": mk.Text()}, hiden_units=9),
        Refusal(TypeError, "Did you mean 'hidden_units'?"),
    ),
    "fit on a source": (
        lambda: classify(NUMBERS, 1, 2).fit(read(1, 2)),
        Refusal(TypeError, "model.fit(model.dataset(source))"),
    ),
    "pickled modalities": (
        lambda: pickle.loads(pickle.dumps(classify(NUMBERS, 1, 3).modalities))["cell"].preprocessor.statistics,
        {"cell": [2.0, 1.0]},
    ),
    "AUC and its like": (
        lambda: compile_with(keras.metrics.F1Score(), "auc", "accuracy"),
        ["accuracy", "auc", "f1_score", "loss"],
    ),
    "no rows": (lambda: classify(NUMBERS, 1, 2).predict_rows([]), []),
    "one row by itself": (
        lambda: classify(NUMBERS, 1, 2).predict_rows({"cell": 1}),
        Refusal(TypeError, "predict_rows([row])"),
    ),
    "emoji are text": (lambda: len(mk.clean(read("😀", "a"), {"cell": mk.Text()}, drop=["empty text"])[0]), 2),
}


def classify_labels(*labels):
    rows = [{"text": "a b", "label": label} for label in labels]
    return mk.Classifier.from_source(mk.read(rows, "label"), {"text": mk.Text()}).classes


def warn(function):
    """What a function warns of, where it says it."""
    with pytest.warns(UserWarning) as record:
        function()
    return next(match[0] for warning in record if (match := re.search(r"mk\.Regressor", str(warning.message))))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CASES)
def test_it_is_as_promised(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make, expected = CASES[name]
    if isinstance(expected, Refusal):
        with pytest.raises(expected.kind, match=re.escape(expected.words)):
            make()
    else:
        assert make() == expected
