"""Byte-pair encoding against the implementation in Rust of the `tokenizers` package."""

import json
import pickle

import numpy as np
import pytest
import tensorflow as tf
import tokenizers

import mmkeras as mk
from mmkeras.preprocessing.tokenizers.byte_pair import BYTES

WORDS = (
    "the cat's you're I'll red réd straße naïve наука и жизнь Ελλάδα 我是不色 日本語 カタカナ 한국어 नमस्ते "
    "ไทย שלום مرحبا 123 4567 ३६ ½ ... -- 'tis # $5.00 snake_case a\tb 😀 👍🏽 e\u0301 \u200b"
).split(" ")
SPACES = [" ", "  ", "   ", "\n", " \n", "\t", "\u00a0", "\u3000 ", " \r\n ", ""]


def make_lines(count, seed):
    random = np.random.default_rng(seed)
    return [
        "".join(random.choice(SPACES) + random.choice(WORDS) for _ in range(random.integers(1, 12)))
        + random.choice(SPACES)
        for _ in range(count)
    ]


@pytest.fixture(scope="module")
def reference():
    """A tokenizer that has learned from other lines."""
    learned = tokenizers.Tokenizer(tokenizers.models.BPE())
    learned.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=700, initial_alphabet=BYTES, show_progress=False)
    learned.train_from_iterator(make_lines(1000, seed=1), trainer)
    return learned


@pytest.fixture(scope="module")
def tokenizer(reference):
    model = json.loads(reference.to_str())["model"]
    pieces = sorted(model["vocab"], key=model["vocab"].get)
    return mk.tokenizers.BytePair(["[PAD]", *pieces], [" ".join(merge) for merge in model["merges"]])


def test_ids_are_those_of_the_reference(reference, tokenizer):
    lines = [*make_lines(1000, seed=0), "", " ", "\n\n", "x", "'s's", "  leading", "trailing  "]
    expected = [[index + 1 for index in encoding.ids] for encoding in reference.encode_batch(lines)]
    assert (
        sum(len(ids) < len(line.encode()) for ids, line in zip(expected, lines, strict=True)) > 900
    )  # pairs are joined
    received = tokenizer.tokenize(tf.constant(lines)).to_list()
    wrong = [(line, e, r) for line, e, r in zip(lines, expected, received, strict=True) if e != r]
    assert not wrong, wrong[:3]
    dataset = tf.data.Dataset.from_tensor_slices(lines).batch(100).map(tokenizer.tokenize)
    assert [ids for batch in dataset for ids in batch.to_list()] == expected


def test_a_prefix_space_makes_the_first_word_one_as_any_other(tokenizer):
    spaced = mk.tokenizers.BytePair(tokenizer.vocabulary, tokenizer.merges, add_prefix_space=True)
    assert spaced.tokenize(tf.constant(["cat"])).to_list() == tokenizer.tokenize(tf.constant([" cat"])).to_list()


def test_a_word_without_end_takes_no_time_without_end(tokenizer):
    """A word of more than 512 bytes is split; nothing is lost of it."""
    ids = tokenizer.tokenize(tf.constant(["ab" * 20_000])).to_list()[0]
    assert "".join(tokenizer.vocabulary[index] for index in ids) == "ab" * 20_000


def test_it_is_made_again_from_its_configuration(tokenizer):
    texts = tf.constant(make_lines(5, seed=2))
    for again in (type(tokenizer).from_config(tokenizer.get_config()), pickle.loads(pickle.dumps(tokenizer))):
        assert again.tokenize(texts).to_list() == tokenizer.tokenize(texts).to_list()


def test_no_text_is_unknown(tokenizer):
    text = mk.Text(tokenizer, sequence_length=64).preprocessor
    assert text.find_problems(["\u1234 plain"]) == [[]]


def test_a_vocabulary_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"a piece for each of the 256 bytes. Missing: \['\*'"):
        mk.tokenizers.BytePair([piece for piece in BYTES if piece != "*"], [])
    with pytest.raises(ValueError, match="once in the vocabulary of BytePair. Received: 257 pieces, 256"):
        mk.tokenizers.BytePair([*BYTES, "a"], [])
    with pytest.raises(ValueError, match=r"one of the vocabulary. Received: merges\[0\]='r e'"):
        mk.tokenizers.BytePair(BYTES, ["r e"])
