"""Small presets of KerasHub with random weights, one of each family, as folders."""

import functools
import json
import tempfile
from pathlib import Path

import keras
import keras_hub
import numpy as np
import tokenizers

import mmkeras as mk
from mmkeras.preprocessing.tokenizers import parse_model
from mmkeras.preprocessing.tokenizers.byte_pair import BYTES

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = (
    "the cat's red réd straße naïve round reddish rounder наука жизнь Ελλάδα 我是不色 日本語 カタカナ 한국어 नमस्ते ไทย "
    "123 456 ... -- # $5.00 snake_case 😀"
).split(" ")


def make_lines(count, seed=0, words=12):
    """Lines in several scripts."""
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(WORDS, random.integers(1, words))) for _ in range(count)]


@functools.cache
def learn_words():
    letters = sorted({letter for word in WORDS for letter in word.lower()})
    words = ["the", "red", "##dish", "##er", "round"]
    return [*SPECIAL, *words, *letters, *(f"##{letter}" for letter in letters)]


@functools.cache
def learn_bytes(special):
    learned = tokenizers.Tokenizer(tokenizers.models.BPE())
    learned.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=500, initial_alphabet=BYTES, show_progress=False, special_tokens=list(special)
    )
    learned.train_from_iterator(make_lines(500, seed=1), trainer)
    model = json.loads(learned.to_str())["model"]
    return model["vocab"], [" ".join(merge) for merge in model["merges"]]


@functools.cache
def learn_pieces(padding):
    tokenizer = mk.tokenizers.SentencePiece(vocabulary_size=400)
    tokenizer.adapt(make_lines(500, seed=1))
    model = parse_model(tokenizer.model)
    model.pieces[0].piece = padding
    return model.SerializeToString()


SPECIAL_PIECES = {
    "Roberta": ("<s>", "<pad>", "</s>", "<mask>"),
    "GPT2": ("<|endoftext|>",),
    "OPT": ("<s>", "<pad>", "</s>"),
}


def make_text_preset(family):
    """Backbone and tokenizer of one of the families that `KerasHubText` takes."""
    make_tokenizer = getattr(keras_hub.models, f"{family}Tokenizer")
    if family in SPECIAL_PIECES:
        tokenizer = make_tokenizer(*learn_bytes(SPECIAL_PIECES[family]))
    elif family in ("Albert", "DebertaV3"):
        tokenizer = make_tokenizer(learn_pieces("<pad>" if family == "Albert" else "[PAD]"))
    else:
        tokenizer = make_tokenizer(learn_words(), lowercase=True)
    own = {"Albert": {"embedding_dim": 8}, "Electra": {"embedding_dim": 8}, "DebertaV3": {"bucket_size": 16}}
    backbone = getattr(keras_hub.models, f"{family}Backbone")(
        tokenizer.vocabulary_size(),
        num_layers=2,
        num_heads=2,
        hidden_dim=8,
        intermediate_dim=16,
        max_sequence_length=64,
        dropout=0,
        **own.get(family, {}),
    )
    return backbone, tokenizer


TEXT_FAMILIES = ["Bert", "DistilBert", "Electra", "Roberta", "Albert", "DebertaV3", "GPT2", "OPT"]


@functools.cache
def save_text_preset(family) -> Path:
    """The folder of a preset, made once a run."""
    folder = tempfile.mkdtemp(prefix=f"preset-{family}-")
    keras.utils.set_random_seed(0)
    for part in make_text_preset(family):
        part.save_to_preset(folder)
    return Path(folder)
