"""1,000 clips of one speaker who says sentences of six words (GRID): sound in noise, the mouth, and both.

All six words are learned at once; the digit of ten, and the color of four, are what is measured. A fifth of the clips,
by a hash of their ids, is the test. New white noise is added in every epoch.
"""

import functools
import hashlib
import json

import pandas as pd
import tensorflow as tf

import mmkeras as mk
from cases.archives import unpack

NAME, METRICS = "words of a sentence, heard and seen", ("digit", "color")
SEEDS = (0,)
EPOCHS, BATCH = 30, 16
BASELINES = ()
# The modalities, and the noise of the sound in dB.
MODELS = {
    "sound, 0 dB": (("sound",), 0),
    "sound, -10 dB": (("sound",), -10),
    "mouth": (("mouth",), 0),
    "sound and mouth, 0 dB": (("sound", "mouth"), 0),
    "sound and mouth, -10 dB": (("sound", "mouth"), -10),
}
TARGETS = {
    ("sound, 0 dB", "digit"): (0.75, 0.90),
    ("sound, -10 dB", "digit"): (0.60, 0.80),
    ("mouth", "digit"): (0.55, 0.70),
    ("mouth", "color"): (0.85, 0.90),
}
WORDS = ("command", "color", "preposition", "letter", "digit", "adverb")
MODALITIES = {
    "sound": mk.Audio(seconds=3, sample_rate=16000, encoder="crnn"),
    "mouth": mk.Video(
        frames=75,
        size=(32, 40),
        rate=25,
        encoder=mk.encoders.VideoGRU(
            motion=True, bidirectional=True, dropout=0.2, frame_encoder=mk.encoders.ImageCNN(filters=(8, 16, 32))
        ),
    ),
}


def train(model: str, seed: int, is_quick: bool) -> dict[str, float]:
    """The accuracies of a model on the test."""
    names, level = MODELS[model]
    train_rows, test_rows = _read()
    task = mk.MultiTask.from_source(train_rows, {name: MODALITIES[name] for name in names}, WORDS)
    batches = task.dataset(train_rows, BATCH, shuffle=True, cache=True, seed=seed)
    tested = task.dataset(test_rows, 61, cache=True)
    if "sound" in names:
        batches, tested = add_noise(batches, level, seed), add_noise(tested, level, seed=1, anew=False)
    task.fit(batches, epochs=1 if is_quick else EPOCHS, verbose=0)
    metrics = task.evaluate(tested, return_dict=True, verbose=0)
    return {metric: metrics[f"{metric}_accuracy"] for metric in METRICS}


def add_noise(dataset: tf.data.Dataset, level: float, seed: int, anew: bool = True) -> tf.data.Dataset:
    """White noise in dB against each recording; anew in each epoch, or always the same."""

    def add(batch, drawn):
        tensors, truth = batch
        samples, count = tensors["sound"], tf.shape(tensors["sound"])[1]
        real = tf.sequence_mask(tensors["sound_length"], count, tf.float32)
        power = tf.reduce_sum(samples**2, 1, True) / tf.maximum(tf.reduce_sum(real, 1, True), 1)
        noise = tf.random.stateless_normal(tf.shape(samples), drawn)
        noisy = (samples + noise * tf.sqrt(power) * 10 ** (-level / 20)) * real
        largest = tf.maximum(tf.reduce_max(tf.abs(noisy), 1, True), 1e-6)
        return {**tensors, "sound": 0.9 * noisy / largest}, truth

    seeds = tf.data.Dataset.random(seed, rerandomize_each_iteration=anew).batch(2)
    return tf.data.Dataset.zip(dataset, seeds).map(add)


@functools.lru_cache(maxsize=1)
def _read() -> tuple[mk.Source, mk.Source]:
    folder = unpack("grid-s1-mouth")
    (labels,) = folder.rglob("labels.json")
    rows = []
    for clip in json.loads(labels.read_text()):
        path = str(next(folder.rglob(f"{clip['id']}.mp4")).relative_to(folder))
        is_test = int(hashlib.sha256(clip["id"].encode()).hexdigest(), 16) % 5 == 0
        rows.append({**dict(zip(WORDS, clip["words"], strict=True)), "sound": path, "mouth": path, "test": is_test})
    table = pd.DataFrame(rows)
    return tuple(mk.read(table[table["test"] == part].reset_index(drop=True), folder=folder) for part in (False, True))
