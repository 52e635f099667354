import itertools
import pickle
import re
import unicodedata
from collections import Counter

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import BertWordPieceTokenizer

from mmkeras.preprocessing import NGrams, RowPreprocessor, SentencePiece, TextPreprocessor, WordPiece
from mmkeras.preprocessing.tokenizers import parse_model
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
    assert {"▁what", "▁is"} <= set(text.vocabulary)
    assert text.sequence_length == 4
    assert 1 not in np.array(_ids(text, "what is red?"))


WRITTEN = {
    "Thai": ("ก" * 61, "ค" * 61),
    "kana": ("あいうえおかきくけこさしすせそたちつてとなにぬねのはひふへほまみむめもやゆよ", "かきくけこあいうえお"),
    "voiced": ("パンダ", "ハンダ"),
    "vowel signs": ("में", "म"),
    "Chinese": ("我喜欢红茶", "他不喜欢绿茶"),
    "Arabic": ("أحب الشاي", "لا أحب القهوة"),
    "Korean": ("차를 좋아해요", "커피를 좋아해요"),
    "emoji": ("😀", "🎉"),
    "accents": ("peche", "pêche"),
}


@pytest.mark.parametrize("script", WRITTEN)
def test_text_of_every_script_is_learned_and_told_apart(script):
    text = TextPreprocessor()
    text.adapt([*WRITTEN[script]] * 50)
    first, second = _ids(text, *WRITTEN[script])
    assert first != second
    assert text.tokenizer.find_id("[UNK]") not in first + second
    assert text.find_problems(WRITTEN[script]) == [[], []]


def test_one_character_that_was_not_learned_does_not_hide_the_others():
    text = TextPreprocessor()
    text.adapt(["กขค", "ขคก", "คกข"] * 20)
    known, mixed = (text.tokenizer.tokenize(tf.constant([cell])).to_list()[0] for cell in ("กขค", "กขคฮ"))
    assert mixed == [*known, 1]


@pytest.mark.skipif(
    tf.__version__.startswith("2.16."),
    reason="one process cannot hold SentencePiece and TensorFlow Text 2.16",
)
@settings(deadline=None, max_examples=15)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), min_size=1, max_size=8))
def test_a_vocabulary_is_learned_of_any_text(texts):
    if not any(map(str.strip, texts)):
        return
    import sentencepiece

    text = TextPreprocessor(SentencePiece(vocabulary_size=100))
    try:
        text.adapt(texts)
    except ValueError as error:
        assert "SentencePiece learns nothing" in str(error) and not any(map(str.isalnum, "".join(texts)))
        return
    ids = text.prepare_batch(tf.constant(texts)).numpy()
    expected = sentencepiece.SentencePieceProcessor(model_proto=text.tokenizer.model).encode(texts)
    assert [row[row > 0].tolist() for row in ids] == [row[: text.sequence_length] for row in expected]


def test_it_learns_as_many_pieces_as_are_asked_for(tmp_path):
    random = np.random.default_rng(0)
    syllables = ["".join(pair) for pair in itertools.product("bdfgklmnprst", "aeiou")]
    words = ["".join(random.choice(syllables, random.integers(1, 5))) for _ in range(5000)]
    tokenizer = SentencePiece(vocabulary_size=2000)
    tokenizer.adapt([" ".join(random.choice(words, 10)) for _ in range(3000)])
    assert len(tokenizer.vocabulary) == 2000
    again = SentencePiece.from_config(tokenizer.get_config())
    assert again.vocabulary == tokenizer.vocabulary
    assert pickle.loads(pickle.dumps(tokenizer)).vocabulary == tokenizer.vocabulary  # noqa: S301


def test_a_model_of_another_kind_is_refused():
    tokenizer = SentencePiece(vocabulary_size=20)
    tokenizer.adapt(["red tea", "red cup"] * 9)
    model = parse_model(tokenizer.model)
    model.trainer_spec.model_type = model.trainer_spec.BPE
    with pytest.raises(ValueError, match="SentencePiece takes a unigram model whose piece 0 is the padding"):
        SentencePiece(model.SerializeToString())


def test_more_characters_than_pieces_leave_out_the_rarest():
    tokenizer = SentencePiece(vocabulary_size=100)
    tokenizer.adapt(["的一是不"] * 50 + [chr(0x4E00 + i) for i in range(500)])
    assert len(tokenizer.vocabulary) <= 100
    assert {"的", "一", "是", "不"} <= set("".join(tokenizer.vocabulary))


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


def count_by_hand(text):
    """The runs of one and two words, and of three to five characters."""
    text = unicodedata.normalize("NFKC", text).casefold()
    words = ["▁" + word for word in re.findall(r"[^\W_]+", text)]
    characters = re.sub(r"\s+", " ", f" {text} ")
    runs = [*words, *map("".join, itertools.pairwise(words))]
    for length in (3, 4, 5):
        runs += [characters[start : start + length] for start in range(len(characters) - length + 1)]
    return Counter(runs)


@pytest.mark.parametrize(
    "text", ["Not so good, is it?", "don't  stop", "Ａ１ Straße", "日本語のテキスト", "crème brûlée", "a"]
)
def test_n_grams_are_those_counted_by_hand(text):
    tokenizer = NGrams(min_count=1)
    tokenizer.adapt([text, "other"])
    expected = count_by_hand(text)
    received = Counter(tokenizer.vocabulary[i] for i in tokenizer.tokenize(tf.constant([text]))[0].numpy())
    assert received == expected
    again = NGrams.from_config(tokenizer.get_config())
    assert again.tokenize(tf.constant([text])).to_list() == tokenizer.tokenize(tf.constant([text])).to_list()


def test_n_grams_that_are_rare_or_unknown_are_left_out():
    tokenizer = NGrams(words=(1, 1), characters=(20, 20))
    tokenizer.adapt(["red tea", "red cup", "tea cup", "pot"])
    assert tokenizer.vocabulary == ["[PAD]", "[UNK]", "▁cup", "▁red", "▁tea"]
    assert tokenizer.tokenize(tf.constant(["a red pot", "pot", "", "Tea tea"])).to_list() == [[3], [1], [], [4, 4]]
    with pytest.raises(ValueError, match=r"`words` of NGrams is the fewest and the most.*Received: words=\(2, 1\)"):
        NGrams(words=(2, 1))
