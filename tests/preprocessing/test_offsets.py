"""Where a piece stands in the text as it was given."""

import unicodedata

import pytest
import tensorflow as tf

import mmkeras as mk
from mmkeras.preprocessing.tokenizers.byte_pair import BYTES

TEXTS = [
    "Red  tea, and a cup of green tea",
    "Größe: ein Café in Zürich, Straße 7",
    "cafe\u0301 au lait, re\u0301sume\u0301 now",  # combining marks
    "ΟΔΟΣ Σίσυφος και η θάλασσα",
    "Москва и ещё один день",
    "東京で寿司を食べる。 今日は雨",
    "สวัสดีครับ กินข้าวหรือยัง",
    "नमस्ते दुनिया और चाय",
    "I \u2764\ufe0f tea \U0001f469\u200d\U0001f373 \U0001f600!",  # emoji of several characters
    "\u3000ﬁne ｗｉｄｅ  letters\u00a0here\n",
    "",
    "   ",
]


def make_word_piece(lowercase=True):
    letters = sorted(
        {c for text in TEXTS for c in unicodedata.normalize("NFD", text.lower() + text) if not c.isspace()}
    )
    words = ["red", "tea", "green", "cafe", "lait", "москва", "##tea", "##cha"]
    pieces = dict.fromkeys(["[PAD]", "[UNK]", *words, *letters, *(f"##{letter}" for letter in letters)])
    return mk.tokenizers.WordPiece(list(pieces), lowercase=lowercase)


def make_byte_pair(add_prefix_space):
    merges = ["t e", "te a", "Ġ tea", "r e", "Ð ¾", "c a", "ca f"]
    return mk.tokenizers.BytePair(
        ["[PAD]", *BYTES, *(merge.replace(" ", "") for merge in merges)], merges, add_prefix_space=add_prefix_space
    )


def learn(tokenizer):
    tokenizer.adapt(TEXTS * 3)
    return tokenizer


@pytest.fixture(scope="module")
def tokenizers():
    return {
        "word piece": make_word_piece(),
        "word piece, cased": make_word_piece(lowercase=False),
        "sentence piece": learn(mk.tokenizers.SentencePiece(vocabulary_size=300)),
        "byte pair": make_byte_pair(False),
        "byte pair with a space": make_byte_pair(True),
        "n-grams": learn(mk.tokenizers.NGrams(min_count=1)),
    }


NAMES = ["word piece", "word piece, cased", "sentence piece", "byte pair", "byte pair with a space", "n-grams"]


@pytest.mark.parametrize("name", NAMES)
def test_ids_are_the_same_with_offsets_and_in_a_graph(tokenizers, name):
    tokenizer = tokenizers[name]
    ids, offsets = tokenizer.tokenize(tf.constant(TEXTS), offsets=True)
    assert ids.to_list() == tokenizer.tokenize(tf.constant(TEXTS)).to_list()
    graph = tf.function(lambda texts: tokenizer.tokenize(texts, offsets=True), autograph=False)
    in_graph, (starts, ends) = graph(tf.constant(TEXTS))
    assert (in_graph.to_list(), starts.to_list(), ends.to_list()) == (
        ids.to_list(),
        offsets.starts.to_list(),
        offsets.ends.to_list(),
    )
    backwards = graph(tf.constant(TEXTS[::-1]))[1]  # the other texts do not matter
    assert backwards.starts.to_list() == offsets.starts.to_list()[::-1]
    assert backwards.ends.to_list() == offsets.ends.to_list()[::-1]


@pytest.mark.parametrize("name", NAMES)
def test_the_characters_of_a_piece_alone_give_that_piece(tokenizers, name):
    tokenizer = tokenizers[name]
    ids, (starts, ends) = tokenizer.tokenize(tf.constant(TEXTS), offsets=True)
    parts = [
        text[start:end]
        for text, *places in zip(TEXTS, starts.to_list(), ends.to_list(), strict=True)
        for start, end in zip(*places, strict=True)
    ]
    tokenized = iter(tokenizer.tokenize(tf.constant(parts)).to_list())
    unknown = None if tokenizer.unknown_token is None else tokenizer.find_id(tokenizer.unknown_token)
    count = 0
    for text, *pieces in zip(TEXTS, ids.to_list(), starts.to_list(), ends.to_list(), strict=True):
        for piece, start, end in zip(*pieces, strict=True):
            assert 0 <= start <= end <= len(text)
            part = text[start:end]
            surface = show(tokenizer.vocabulary[piece])
            surfaces = [show(tokenizer.vocabulary[each]) for each in next(tokenized)]
            if piece == unknown:
                continue
            if name.startswith("byte") and len(surface) < len(part.encode()):
                assert surface in "".join(surfaces)  # a part of a character
            elif surface:
                assert surface in surfaces or surface == "".join(surfaces), (text, part, surface, surfaces)
            count += 1
    assert count > 50


def show(piece):
    """A piece without the signs of spaces and of continued words; a sigma at the end of a word is one as any other."""
    return piece.removeprefix("##").strip("▁Ġ ").replace("Ġ", "").replace("ς", "σ")


@pytest.mark.parametrize("name", ["word piece", "sentence piece"])
def test_pieces_follow_each_other_and_cover_what_is_no_space(tokenizers, name):
    _, (starts, ends) = tokenizers[name].tokenize(tf.constant(TEXTS), offsets=True)
    for text, first, last in zip(TEXTS, starts.to_list(), ends.to_list(), strict=True):
        assert first == sorted(first) and last == sorted(last)
        covered = {index for start, end in zip(first, last, strict=True) for index in range(start, end)}
        left = {text[index] for index in range(len(text)) if index not in covered and not text[index].isspace()}
        assert left <= {"\ufe0f", "\u200d"}  # which normalization takes away


def test_known_offsets():
    tokenizer = make_word_piece()
    ids, (starts, ends) = tokenizer.tokenize(tf.constant(["Cafe\u0301  tea"]), offsets=True)
    assert [tokenizer.vocabulary[index] for index in ids[0]] == ["cafe", "tea"]
    assert (starts.to_list(), ends.to_list()) == ([[0, 7]], [[5, 10]])
