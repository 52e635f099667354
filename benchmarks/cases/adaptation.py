"""Masked-language adaptation of all-MiniLM-L6-v2 to sentences of film reviews, before a linear layer on it frozen."""

import tempfile

import keras

import mmkeras as mk
from cases import sentences
from cases.minilm import LENGTH, load_encoder

SEEDS, WAYS = (0,), ("as it is", "adapted")
EPOCHS, BATCH, RATE = 1, 32, 5e-5
ROWS = 1500  # of the training rows, without their labels
HEAD_EPOCHS = 10


def prepare():
    """Reads the data."""
    sentences.divide(0)


def train(way: str, seed: int, is_quick: bool) -> dict:
    """The accuracy of the linear layer on the test, and the accuracy of masked pieces before and after."""
    keras.utils.set_random_seed(seed)
    train_rows, test_rows = sentences.divide(seed)
    rows = 200 if is_quick else len(train_rows)
    source, test = mk.read(train_rows[:rows], target="label"), mk.read(test_rows[:rows], target="label")
    modalities = {"text": mk.Text(encoder=load_encoder(), sequence_length=LENGTH)}
    backbone = mk.Backbone.from_source(source, modalities)
    found = {}
    if way == "adapted":
        pretrainer = mk.pretraining.Pretrainer(backbone, [mk.pretraining.MaskedLanguage("text")])
        pretrainer.compile(keras.optimizers.AdamW(mk.schedules.CosineToEnd(RATE, warmup=0.1), weight_decay=0.01))
        batches = pretrainer.dataset(source.select(range(min(ROWS, rows))), BATCH, shuffle=True, seed=seed)
        held_out = pretrainer.dataset(test.select(range(min(512, rows))), BATCH)
        name = "masked_language_text_accuracy"
        found["masked before"] = pretrainer.evaluate(held_out, verbose=0, return_dict=True)[name]
        pretrainer.fit(batches, epochs=EPOCHS, verbose=0)
        found["masked after"] = pretrainer.evaluate(held_out, verbose=0, return_dict=True)[name]
    optimizer = keras.optimizers.Adam(mk.schedules.CosineToEnd(0.002, warmup=0.1))
    model = mk.Classifier.from_source(source, backbone=backbone, target="label", hidden_units=0, optimizer=optimizer)
    mk.finetuning.freeze(model, "text")
    with tempfile.TemporaryDirectory() as folder:
        cached = mk.finetuning.CachedTask(model, folder)
        cached.fit(cached.dataset(source, 64, shuffle=True, seed=seed), epochs=HEAD_EPOCHS, verbose=0)
    return {**found, "accuracy": model.evaluate(model.dataset(test, 256), verbose=0)[1]}
