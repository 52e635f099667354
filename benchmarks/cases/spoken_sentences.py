"""1,000 clips of one speaker who says sentences of six words (GRID): sound in noise, the mouth, and both.

All six words are learned at once; the digit of ten, and the color of four, are what is measured. A fifth of the clips,
by a hash of their ids, is the test. New white noise, of 0 to -10 dB, is added in every epoch, and the test has the same
of 0 dB and of -10 dB.
"""

import functools
import hashlib
import json

import pandas as pd
import tensorflow as tf

import mmkeras as mk
from cases.archives import unpack

NAME = "words of a sentence, heard and seen"
METRICS = ("digit", "color", "digit at -10 dB", "color at -10 dB")
SEEDS = (0,)
EPOCHS, BATCH = 26, 16
LEVELS = (0, -10)  # the sound against the noise, in dB
BASELINES = ()
MODELS = {"sound": ("sound",), "mouth": ("mouth",), "sound and mouth": ("sound", "mouth")}
TARGETS = {
    ("sound", "digit"): (0.75, 0.90),
    ("sound", "digit at -10 dB"): (0.60, 0.80),
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
        grayscale=True,
        encoder=mk.encoders.VideoCNN3D(motion=True, recurrent=True),
    ),
}


def train(model: str, seed: int, is_quick: bool) -> dict[str, float]:
    """The accuracies of a model on the test."""
    names = MODELS[model]
    train_rows, test_rows = _read()
    task = mk.MultiTask.from_source(train_rows, {name: MODALITIES[name] for name in names}, WORDS)
    batches = task.dataset(train_rows, BATCH, shuffle=True, cache=True, seed=seed)
    tested = task.dataset(test_rows, 61, cache=True)
    has_sound = "sound" in names
    if has_sound:
        batches = add_noise(batches, LEVELS, seed)
    task.fit(batches, epochs=1 if is_quick else EPOCHS, verbose=0)
    found = {}
    for level in LEVELS:
        noisy = add_noise(tested, (level, level), seed=1, anew=False) if has_sound else tested
        metrics = task.evaluate(noisy, return_dict=True, verbose=0)
        found |= {name: metrics[f"{name.split()[0]}_accuracy"] for name in METRICS if (" at " in name) == (level < 0)}
    return found


def add_noise(dataset: tf.data.Dataset, levels: tuple[float, float], seed: int, anew: bool = True) -> tf.data.Dataset:
    """White noise between two levels in dB against each recording; anew in each epoch, or always the same."""

    def add(batch, drawn):
        tensors, truth = batch
        samples, count = tensors["sound"], tf.shape(tensors["sound"])[1]
        real = tf.sequence_mask(tensors["sound_length"], count, tf.float32)
        power = tf.reduce_sum(samples**2, 1, True) / tf.maximum(tf.reduce_sum(real, 1, True), 1)
        noise = tf.random.stateless_normal(tf.shape(samples), drawn)
        level = tf.random.stateless_uniform(tf.shape(power), drawn + 1, min(levels), max(levels))
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
