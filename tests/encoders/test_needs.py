"""What an encoder needs of its preprocessor."""

import keras
import keras_hub
import numpy as np
import pytest
import tensorflow as tf

import mmkeras as mk
from mmkeras.exporting.signatures import raw_signature, tensors_signature

LETTERS = "abcdefghijklmnopqrstuvwxyzéüñабвгдежз的是不我色日本語ไทย0123456789.,!?-'"
WORDS = ["red", "the", "##dish", "##st", "is", "round", "##er", "cat"]
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *LETTERS, *(f"##{letter}" for letter in LETTERS)]


@keras.saving.register_keras_serializable(package="mmkeras_tests")
class BertLike(mk.encoders.TextGRU):
    """An encoder whose weights would have been trained with [CLS], [SEP] and a vocabulary of its own."""

    def preprocessing(self):
        tokenizer = mk.tokenizers.WordPiece(VOCABULARY, strip_accents=False)
        hard = {"tokenizer": tokenizer, "start_token": "[CLS]", "end_token": "[SEP]"}
        return mk.encoders.Needs(hard=hard, soft={"sequence_length": 12})


def make_lines(count):
    random = np.random.default_rng(0)
    alphabet = list(LETTERS + LETTERS.upper() + "   \t😀")
    lines = ["".join(random.choice(alphabet, random.integers(1, 40))) for _ in range(count)]
    return [*lines, "The cat is reddish, rounder than cats.", "red"]


def test_the_raw_signature_gives_the_ids_of_keras_hub():
    """On ids from KerasHub's preprocessor the tensors signature answers as the raw signature on the text."""
    model = mk.Classifier({"text": mk.Text(encoder=BertLike(units=8))}, ["a", "b"])
    assert model.modalities["text"].preprocessor.sequence_length == 12
    lines = make_lines(1000)
    tokenizer = keras_hub.tokenizers.BertTokenizer(vocabulary=VOCABULARY, lowercase=True)
    reference = keras_hub.models.BertTextClassifierPreprocessor(tokenizer, sequence_length=12)
    ids = tf.cast(reference(tf.constant(lines))["token_ids"], tf.int32)
    assert ids[:, 0].numpy().tolist() == [2] * len(lines)
    assert np.array_equal(model.preprocessor({"text": tf.constant(lines)})["text"], ids)
    raw = raw_signature(model)({"text": tf.constant(lines)})
    present = tf.constant([bool(line.strip()) for line in lines])
    tensors = tensors_signature(model)({"text": ids, "text_present": present})
    assert np.allclose(raw["probabilities"], tensors["probabilities"], atol=1e-6)


def test_an_argument_that_contradicts_a_hard_need_is_an_error():
    with pytest.raises(ValueError, match=r"encoder of Text works with start_token='\[CLS\]' only: leave `start_token`"):
        mk.Text(encoder=BertLike(), start_token="[UNK]")
    other = mk.tokenizers.WordPiece(VOCABULARY[:20])
    with pytest.raises(ValueError, match="works with tokenizer=WordPiece only: leave `tokenizer` out"):
        mk.Text(other, encoder=BertLike())
    same = mk.tokenizers.WordPiece(VOCABULARY, strip_accents=False)
    assert mk.Text(same, encoder=BertLike()).preprocessor.start_token == "[CLS]"


def test_an_argument_may_overrule_a_soft_need():
    assert mk.Text(encoder=BertLike()).preprocessor.sequence_length == 12
    assert mk.Text(sequence_length=7, encoder=BertLike()).preprocessor.sequence_length == 7


def test_without_needs_the_defaults_stand():
    image = mk.Image().preprocessor
    assert (image.size, image.fit, image.antialias) == ((64, 64), "stretch", True)


def test_a_need_that_the_modality_has_no_argument_for_is_an_error():
    class Odd(mk.encoders.ImageCNN):
        def preprocessing(self):
            return mk.encoders.Needs(soft={"sample_rate": 3})

    with pytest.raises(TypeError, match=r"needs \['sample_rate'\] of Image, which has no such argument"):
        mk.Image(encoder=Odd())


def test_text_that_is_cut_keeps_its_end():
    text = mk.Text(sequence_length=4, encoder=BertLike()).preprocessor
    assert text.prepare_batch(tf.constant(["red red red red", "red"])).numpy().tolist() == [[2, 5, 5, 3], [2, 5, 3, 0]]
    (finding,) = text.find_problems(["red red red red"])[0]
    assert finding.detail == "it has 4 tokens, and those after the first 2 are cut"
    assert finding.remedy == "give Text a `sequence_length` of 6"
    with pytest.raises(ValueError, match="`sequence_length` of Text is at least 3"):
        mk.Text(sequence_length=2, encoder=BertLike())
    with pytest.raises(TypeError, match="`tokenizer` of Text is an object from `mk.tokenizers`"):
        mk.Text(["[PAD]", "[UNK]"])
