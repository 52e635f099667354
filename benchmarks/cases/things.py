"""1,911 things, their names and how two styles draw them (emoji): names and drawings of things never seen in training.

Things whose names or drawings are nearly alike (families, flags, moons) are siblings. Split by thing, many of the test
have a sibling in training, and its name is half the answer; split by group, siblings stay on one side. Beside what is
learned stands what needs no learning: the name of the nearest training drawing, by pixels.
"""

import functools
import json
import re
import time
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

import mmkeras as mk
from cases.archives import WORK, unpack
from cases.minilm import load_encoder

SIZE, SEEDS = 32, (0, 1, 2)
STYLES = ("google", "twitter")
EPOCHS, BATCH, RATE = 60, 256, 0.002
# By way of training the split, and what is paired.
WAYS = {
    "names alone": ("group", [("name", "google")]),
    "names and styles": ("group", [("name", "google"), ("name", "twitter"), STYLES]),
    "styles": ("thing", [STYLES]),
}
STYLE_WANTED = 0.6
NAMES_ALIKE, DRAWINGS_ALIKE = 0.5, 0.95  # shared words of all, and correlation of pixels
FEATURES = WORK.parent / "pretraining" / "features"
AUGMENTATION = [
    keras.layers.RandomTranslation(0.1, 0.1, fill_mode="nearest"),
    keras.layers.RandomZoom((-0.15, 0.15), fill_mode="nearest"),
    keras.layers.RandomRotation(0.04, fill_mode="nearest"),
]


def train(way: str, seed: int, is_quick: bool, is_test: bool = True) -> dict:
    """Recall and median rank by direction on things never seen in training, and what needs no learning."""
    keras.utils.set_random_seed(seed)
    split, pairs = WAYS[way]
    train_rows, test_rows = divide(split, seed, is_test)
    names = sorted({name for pair in pairs for name in pair})
    modalities = {name: _declare(name) for name in names}
    objectives = [mk.pretraining.Contrastive(*pair) for pair in pairs]
    optimizer = keras.optimizers.AdamW(mk.schedules.CosineToEnd(RATE, warmup=0.1), weight_decay=0.01)
    started = time.perf_counter()
    pretrainer = mk.pretraining.Pretrainer.from_source(train_rows, modalities, objectives, optimizer=optimizer)
    fitted = pretrainer
    if "name" in names:
        mk.finetuning.freeze(pretrainer, "name")
        fitted = mk.finetuning.CachedTask(pretrainer, FEATURES)
    batches = fitted.dataset(train_rows, BATCH, shuffle=True, cache=True, seed=seed)
    fitted.fit(batches, epochs=2 if is_quick else EPOCHS, verbose=0)
    found = {"seconds": time.perf_counter() - started, "things": len(test_rows)}
    for pair in pairs:
        table = mk.Retriever(pretrainer, pair).evaluate_rows(test_rows)
        found |= {direction: row.to_dict() for direction, row in table.iterrows()}
    if split == "group":
        found |= {
            f"without learning, by {each}": _name_by_pixels(*divide(each, seed, is_test)) for each in ("thing", "group")
        }
    else:
        vectors = [_list_pixels(test_rows, style) for style in STYLES]
        ranks = np.argsort(-(vectors[0] @ vectors[1].T), axis=1)
        found["without learning"] = float(np.mean(ranks[:, 0] == np.arange(len(ranks))))
    return found


def _declare(name):
    if name == "name":
        return mk.Text(encoder=load_encoder(), sequence_length=16)
    encoder = mk.encoders.ImageCNN(units=128, filters=(32, 64, 128), is_strided=True)
    return mk.Image(size=SIZE, encoder=encoder, augmentation=AUGMENTATION)


@functools.cache
def _read() -> mk.Source:
    """The things, with their drawings on white."""
    folder = WORK.parent / "pretraining" / "things"
    archives = {style: unpack(f"emoji-{style}") for style in STYLES}
    (path,) = archives["google"].rglob("emoji.json")
    things = json.loads(path.read_text(encoding="utf-8"))
    rows = []
    for thing in things:
        row = {"name": thing["name"].lower(), "code": thing["image"]}
        for style, archive in archives.items():
            row[style] = f"{style}/{thing['image']}"
            if not (folder / row[style]).exists():
                (found,) = archive.rglob(thing["image"])
                _draw_on_white(found, folder / row[style])
        rows.append(row)
    return mk.read(pd.DataFrame(rows), folder=folder)


def _draw_on_white(source: Path, target: Path):
    from PIL import Image

    drawing = Image.open(source).convert("RGBA").resize((SIZE, SIZE))
    paper = Image.new("RGBA", drawing.size, (255, 255, 255, 255))
    paper.alpha_composite(drawing)
    target.parent.mkdir(parents=True, exist_ok=True)
    paper.convert("RGB").save(target)


def divide(split: str, seed: int, is_test: bool) -> tuple[mk.Source, mk.Source]:
    """Things to learn from, and a fifth to measure on; to choose settings, a fifth of those to learn from."""
    source = _read()
    groups = np.arange(len(source)) if split == "thing" else find_groups()
    chosen = np.arange(len(source))
    for each in [seed] if is_test else [seed, seed + 100]:
        order = np.random.default_rng([each, split == "thing"]).permutation(np.unique(groups[chosen]))
        shares = np.cumsum([np.sum(groups[chosen] == group) for group in order]) / len(chosen)
        held_out = np.isin(groups[chosen], order[shares <= 0.2])
        chosen, tested = chosen[~held_out], chosen[held_out]
    return source.select(chosen), source.select(tested)


@functools.cache
def find_groups() -> np.ndarray:
    """For each thing the number of its group: things that are alike, and those that are alike with them, and so on."""
    from scipy.sparse.csgraph import connected_components

    source = _read()
    words = [set(re.findall("[a-z0-9]+", name)) for name in source.table["name"]]
    known = {word: index for index, word in enumerate(sorted(set().union(*words)))}
    bags = np.zeros((len(words), len(known)), "float32")
    for index, found in enumerate(words):
        bags[index, [known[word] for word in found]] = 1
    shared, counts = bags @ bags.T, bags.sum(axis=1)
    alike = shared / (counts[:, None] + counts - shared) >= NAMES_ALIKE
    for style in STYLES:
        vectors = _list_pixels(source, style)
        alike |= vectors @ vectors.T >= DRAWINGS_ALIKE
    return connected_components(alike)[1]


def _list_pixels(source, style):
    """Vectors of length 1 whose products are the correlations of the pixels."""
    files = [str(source.folder / path) for path in source.table[style]]
    pixels = np.stack([tf.io.decode_png(tf.io.read_file(path)).numpy().ravel() for path in files]).astype("float32")
    pixels -= pixels.mean(axis=1, keepdims=True)
    return pixels / np.maximum(np.linalg.norm(pixels, axis=1, keepdims=True), 1e-6)


def _name_by_pixels(train_rows, test_rows) -> float:
    """How often, of the names of the test, the one nearest to that of the most similar training drawing is right."""
    nearest = np.argmax(_list_pixels(test_rows, "google") @ _list_pixels(train_rows, "google").T, axis=1)
    backbone = mk.Backbone.from_source(train_rows, {"name": _declare("name")})
    retriever = mk.Retriever(backbone, ("name", "name"))
    known, asked = (retriever.embed(rows, "name") for rows in (train_rows, test_rows))
    scores = known[nearest] @ asked.T
    return float(np.mean(np.argmax(scores, axis=1) == np.arange(len(asked))))
