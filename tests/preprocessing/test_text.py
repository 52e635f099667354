import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import BertWordPieceTokenizer

from mmkeras.preprocessing import RowPreprocessor, TextPreprocessor, WordPiece
from mmkeras.testing import check_preprocessor

pytestmark = pytest.mark.compat

VOCABULARY = ["[PAD]", "[UNK]", "red", "blue", "##ish", "?", "é", "色"]


@pytest.fixture(scope="module")
def text():
    return TextPreprocessor(WordPiece(VOCABULARY), sequence_length=4)


def _ids(text, *cells):
    return text.prepare_batch(tf.constant(cells)).numpy().tolist()


def test_words_become_their_longest_pieces(text):
    assert _ids(text, "Reddish red, blueish?") == [[1, 2, 1, 3]]


def test_text_is_padded_with_zero_and_cut_at_the_end(text):
    assert _ids(text, "red", "red blue red blue red") == [[2, 0, 0, 0], [2, 3, 2, 3]]


def test_case_and_accents_are_folded_on_request(text):
    assert _ids(text, "RÉD") == [[2, 0, 0, 0]]
    kept = TextPreprocessor(WordPiece(VOCABULARY, lowercase=False), sequence_length=4)
    assert _ids(kept, "RED é") == [[1, 6, 0, 0]]


def test_chinese_characters_are_words_of_their_own(text):
    assert _ids(text, "red色色") == [[2, 7, 7, 0]]


def test_white_space_is_absent(text):
    assert text.is_present(tf.constant(["", " \n", "a"])).numpy().tolist() == [False, False, True]


def test_all_ways_through_give_the_same(text):
    check_preprocessor(RowPreprocessor({"text": text}), {"text": ["red", "", "色 blue?", " "]})


def test_adapting_learns_vocabulary_and_length():
    text = TextPreprocessor()
    text.adapt(["what is red?", "what is blue?"] * 20 + ["", "red"])
    assert text.vocabulary[:5] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert {"what", "is", "red", "blue"} <= set(text.vocabulary)
    assert text.sequence_length == 4
    assert 1 not in np.array(_ids(text, "what is red?"))


def test_a_given_vocabulary_stays():
    text = TextPreprocessor(WordPiece(VOCABULARY))
    text.adapt(["red red red blue", "new words"])
    assert text.vocabulary == VOCABULARY
    assert text.sequence_length == 4


@pytest.mark.parametrize(
    "vocabulary, message",
    [
        (["[UNK]", "[PAD]"], r"'\[PAD\]' as its first piece"),
        (["[PAD]", "red"], r"'\[UNK\]' among the others"),
        (["[PAD]", "[UNK]", "red", "red"], r"Received twice: \['red'\]"),
    ],
)
def test_a_vocabulary_that_cannot_work_is_refused(vocabulary, message):
    with pytest.raises(ValueError, match=message):
        WordPiece(vocabulary)


def test_nothing_to_learn_from_is_refused():
    with pytest.raises(ValueError, match="every cell is empty"):
        TextPreprocessor().adapt(["", "  "])


def test_use_before_adapting_is_refused():
    with pytest.raises(ValueError, match="has not seen data yet: call `adapt"):
        TextPreprocessor().prepare_batch(tf.constant(["red"]))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text(max_size=30), min_size=1, max_size=5))
def test_any_text_becomes_ids_of_the_vocabulary(cells):
    text = TextPreprocessor(WordPiece(VOCABULARY), sequence_length=4)
    cells = [cell.encode("utf-8", "surrogatepass") for cell in cells]
    ids = np.array(_ids(text, *cells))
    assert ids.shape == (len(cells), 4)
    assert ids.min() >= 0 and ids.max() < len(VOCABULARY)


SCRIPTS = {
    "Latin": "abcdefghijklmnopqrstuvwxyzABCDEFGÀÉÎÕÜßçñøåæœŁž",
    "Greek": "αβγδεζηθικλμνξοπρστυφχψωΆΈΉΊΌΎΏ",
    "Cyrillic": "абвгдежзийклмнопрстуфхцчшщъыьэюяЁЇЙ",
    "Arabic": "ابتثجحخدذرزسشصضطظعغفقكلمنهويأإآ",
    "Hebrew": "אבגדהוזחטיכלמנסעפצקרשת",
    "Devanagari": "अआइईउऊएऐओऔकखगघचछजझटठडढणतथदधनपफबभमयरलवशषसह",
    "Chinese": "的一是不了人我在有他这中大来上国个到说们为子和你地出道也时年",
    "Japanese": "あいうえおかきくけこさしすせそアイウエオカキクケコ日本語",
    "Hangul": "가나다라마바사아자차카타파하",
    "Thai": "กขคงจฉชซญดตถทธนบปผฝพฟภมยรลวศษสห",
    "other": "0123456789.,!?-_'\"()[]{}#@%&*+=/\\<>|~^$€£ \t\u00a0😀🎉…—",
}


def test_ids_equal_those_of_hugging_face_in_every_script():
    random = np.random.default_rng(0)
    letters = [character for script in SCRIPTS.values() for character in script.lower() if not character.isspace()]
    known = [letter for letter in dict.fromkeys(letters) if random.random() < 0.9]
    pairs = [
        "".join(random.choice(list(script.lower().split()[0]), 2)) for script in SCRIPTS.values() for _ in range(40)
    ]
    pieces = [*known, *(f"##{letter}" for letter in known), *pairs, *(f"##{pair}" for pair in pairs)]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *dict.fromkeys(pieces)]
    lines = []
    for _ in range(10_000):
        scripts = random.choice(list(SCRIPTS), random.integers(1, 4))
        words = ["".join(random.choice(list(SCRIPTS[script]), random.integers(1, 9))) for script in scripts]
        lines.append((" " if random.random() < 0.7 else "").join(words))
    reference = BertWordPieceTokenizer({piece: i for i, piece in enumerate(vocabulary)}, lowercase=True)
    expected = [encoding.ids for encoding in reference.encode_batch(lines, add_special_tokens=False)]
    text = TextPreprocessor(WordPiece(vocabulary), sequence_length=64)
    received = text.prepare_batch(tf.constant(lines)).numpy()
    differing = [
        (line, ids, row[row > 0].tolist())
        for line, ids, row in zip(lines, expected, received, strict=True)
        if ids != row[row > 0].tolist()
    ]
    assert not differing[:3]
