"""1,911 things, their names and how two styles draw them (emoji): names and drawings of things never seen in training.

Things whose names or drawings are nearly alike (families, flags, moons) are siblings. Split by thing, many of the test
have a sibling in training, and its name is half the answer; split by group, siblings stay on one side. Beside what is
learned stands what needs no learning: the name of the nearest training drawing, by pixels.
"""

import functools
import tempfile
import time

import keras
import numpy as np
import tensorflow as tf

import mmkeras as mk
from cases.archives import WORK, find_archive
from cases.minilm import load_encoder

SIZE, SEEDS = 32, (0, 1, 2)
STYLES = ("google", "twitter")
BATCH, RATE = 256, 0.002
# By what is trained on: the split, and the epochs.
WAYS = {"names": ("group", 40), "styles": ("thing", 80)}
STYLE_WANTED = 0.6
AUGMENTATION = [
    keras.layers.RandomTranslation(0.1, 0.1, fill_mode="nearest"),
    keras.layers.RandomZoom((-0.2, 0.2), fill_mode="nearest"),
]


def prepare():
    """Writes the drawings."""
    _read()


def train(way: str, seed: int, is_quick: bool, is_test: bool = True) -> dict:
    """Recall and median rank by direction on things never seen in training, and what needs no learning."""
    keras.utils.set_random_seed(seed)
    split, epochs = WAYS[way]
    train_rows, test_rows = divide(split, seed, is_test)
    started = time.perf_counter()
    pretrainer = (_pair_styles if way == "styles" else _pair_names)(train_rows, seed, 2 if is_quick else epochs)
    found = {"seconds": time.perf_counter() - started, "things": len(test_rows)}
    if way == "styles":
        table = mk.Retriever(pretrainer).evaluate_rows(test_rows)
        vectors = [_list_pixels(test_rows, style) for style in STYLES]
        scores = vectors[0] @ vectors[1].T
        found["without learning"] = {
            " -> ".join(names): float(np.mean(np.argmax(each, axis=1) == np.arange(len(each))))
            for names, each in ((STYLES, scores), (STYLES[::-1], scores.T))
        }
    else:
        table = mk.Retriever(pretrainer, ("name", "image")).evaluate_rows(_draw(test_rows))
        found["without learning"] = {"image -> name": _name_by_pixels(train_rows, test_rows)}
        found["without learning, split by thing"] = _name_by_pixels(*divide("thing", seed, is_test))
    return found | {direction: row.to_dict() for direction, row in table.iterrows()}


def _pair_names(train_rows, seed, epochs):
    """Drawings learn to say what a frozen language model says of their names."""
    objectives = [mk.pretraining.Contrastive("name", "image", units=None)]
    modalities = {"name": _declare_name(), "image": _declare_image(units=384)}
    rows = _draw(train_rows)
    pretrainer = mk.pretraining.Pretrainer.from_source(rows, modalities, objectives, optimizer=_make_optimizer())
    mk.finetuning.freeze(pretrainer, "name")
    with tempfile.TemporaryDirectory() as folder:
        cached = mk.finetuning.CachedTask(pretrainer, folder)
        cached.fit(cached.dataset(rows, BATCH, shuffle=True, cache=True, seed=seed), epochs=epochs, verbose=0)
    return pretrainer


def _pair_styles(train_rows, seed, epochs):
    """Both drawings of a thing find each other."""
    modalities = {style: _declare_image(units=128, dropout=0.1) for style in STYLES}
    objectives = [mk.pretraining.Contrastive(*STYLES)]
    pretrainer = mk.pretraining.Pretrainer.from_source(train_rows, modalities, objectives, optimizer=_make_optimizer())
    batches = pretrainer.dataset(train_rows, BATCH, shuffle=True, cache=True, seed=seed)
    pretrainer.fit(batches, epochs=epochs, verbose=0)
    return pretrainer


def _make_optimizer():
    return keras.optimizers.AdamW(mk.schedules.CosineToEnd(RATE, warmup=0.1), weight_decay=0.01)


def _draw(rows):
    """Names and drawings of the first style."""
    return mk.read(rows.table[["name"]].assign(image=rows.table[STYLES[0]]), folder=rows.folder)


def _declare_name():
    return mk.Text(encoder=load_encoder(), sequence_length=16)


def _declare_image(units, dropout=0.3):
    encoder = mk.encoders.ImageCNN(units=units, filters=(32, 64, 128), dropout=dropout, is_strided=True)
    return mk.Image(size=SIZE, encoder=encoder, augmentation=AUGMENTATION)


@functools.cache
def _read() -> mk.Source:
    archives = {style: find_archive(f"emoji-{style}") for style in STYLES}
    return mk.read(mk.datasets.things(WORK.parent / "pretraining" / "things", archives) / "things.csv")


def divide(split: str, seed: int, is_test: bool) -> tuple[mk.Source, mk.Source]:
    """Things to learn from, and a fifth to measure on; to choose settings, a fifth of those to learn from."""
    source = _read()
    groups = np.arange(len(source)) if split == "thing" else source.table["group"].astype(int).to_numpy()
    chosen = np.arange(len(source))
    for each in [seed] if is_test else [seed, seed + 100]:
        order = np.random.default_rng([each, split == "thing"]).permutation(np.unique(groups[chosen]))
        shares = np.cumsum([np.sum(groups[chosen] == group) for group in order]) / len(chosen)
        held_out = np.isin(groups[chosen], order[shares <= 0.2])
        chosen, tested = chosen[~held_out], chosen[held_out]
    return source.select(chosen), source.select(tested)


def _list_pixels(source, style):
    """Vectors of length 1 whose products are the correlations of the pixels."""
    files = [str(source.folder / path) for path in source.table[style]]
    pixels = np.stack([tf.io.decode_png(tf.io.read_file(path)).numpy().ravel() for path in files]).astype("float32")
    pixels -= pixels.mean(axis=1, keepdims=True)
    return pixels / np.maximum(np.linalg.norm(pixels, axis=1, keepdims=True), 1e-6)


def _name_by_pixels(train_rows, test_rows) -> float:
    """How often, of the names of the test, the one nearest to that of the most similar training drawing is right."""
    nearest = np.argmax(_list_pixels(test_rows, "google") @ _list_pixels(train_rows, "google").T, axis=1)
    backbone = mk.Backbone.from_source(train_rows, {"name": _declare_name()})
    retriever = mk.Retriever(backbone, ("name", "name"))
    known, asked = (retriever.embed(rows, "name") for rows in (train_rows, test_rows))
    scores = known[nearest] @ asked.T
    return float(np.mean(np.argmax(scores, axis=1) == np.arange(len(asked))))
