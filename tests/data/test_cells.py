import itertools
import sys

import pytest
import tensorflow as tf

import mmkeras as mk
from mmkeras.data.cells import FILE, LIST, TEXT, is_unicode, strip

CHARACTERS = [chr(code) for code in range(1, sys.maxunicode + 1) if not 0xD800 <= code <= 0xDFFF]


def test_white_space_is_the_same_in_python_and_in_the_graph_for_every_character():
    stripped = strip(tf.constant([f"{c}a{c}" for c in CHARACTERS])).numpy()
    differing = [c for c, s in zip(CHARACTERS, stripped, strict=True) if s != f"{c}a{c}".strip().encode()]
    assert differing == []


def test_what_is_missing_is_the_same_in_python_and_in_the_graph_for_every_character():
    present = TEXT.is_present(tf.constant(CHARACTERS)).numpy()
    differing = [c for c, p in zip(CHARACTERS, present, strict=True) if p == TEXT.is_empty(c)]
    assert differing == []


def test_lists_are_missing_when_all_their_items_are():
    assert [LIST.is_empty(cell) for cell in [(), ("", "\u3000"), ("", "a")]] == [True, True, False]


def test_a_file_is_missing_without_a_path_or_a_byte():
    source = mk.read([{"image": " \u00a0"}, {"image": None}, {"image": b""}, {"image": b" "}, {"image": "a.png"}])
    assert [FILE.is_empty(cell) for cell in source.files("image")] == [True, True, True, False, False]


@pytest.mark.parametrize(
    "modality",
    [mk.Text(), mk.Tabular(categories=["c"]), mk.History(column="c")],
    ids=["text", "tabular", "history"],
)
def test_rows_of_unicode_space_are_missing_to_the_check_and_to_the_graph(modality):
    source = mk.read([{"c": "a"}, {"c": "\u2003\u00a0"}, {"c": "\x1c"}, {"c": None}])
    modality = type(modality).from_config({**modality.get_config(), "column": "c"})
    cells = modality.read("c", source)
    modality.adapt(cells)
    packed = tf.constant(modality.preprocessor.pack(cells), tf.string)
    assert modality.preprocessor.is_present(packed).numpy().tolist() == [True, False, False, False]
    assert [modality.preprocessor.is_empty(cell) for cell in cells] == [False, True, True, True]
    assert mk.check(source, {"c": modality}).missing == {"c": 3}


def test_text_is_unicode_where_python_says_so():
    """All sequences of up to three bytes around the bounds of UTF-8, and every character and surrogate."""
    bounds = [
        0x00,
        0x7F,
        0x80,
        0x8F,
        0x90,
        0x9F,
        0xA0,
        0xBF,
        0xC1,
        0xC2,
        0xDF,
        0xE0,
        0xEC,
        0xED,
        0xEF,
        0xF0,
        0xF4,
        0xFF,
    ]
    cells = [bytes(part) for length in range(4) for part in itertools.product(bounds, repeat=length)]
    cells += [bytes([*part, 0x80, 0xBF]) for part in itertools.product([0xEF, 0xF0, 0xF4, 0xF5], bounds)]
    cells += [chr(code).encode("utf-8", "surrogatepass") for code in range(0x80, 0x110000, 7)]
    expected = [cell == cell.decode("utf-8", "replace").encode("utf-8") for cell in cells]
    assert is_unicode(tf.constant(cells)).numpy().tolist() == expected
