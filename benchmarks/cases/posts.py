"""Posts of a sentence and a face, composed: sentences of film reviews, each with the drawing of a face.

The mood of the face agrees with the sentence in 85 % of the rows. 57 faces in one style are for training, the same in
another style for the test. The text is read by a frozen MiniLM, the face by a network that learns.
"""

import functools

import keras

import mmkeras as mk
from cases import minilm
from cases.archives import WORK, find_archive

NAME = "posts of a sentence and a face"
MODELS = {"text": ("text",), "face": ("face",), "both": ("text", "face")}
SEEDS = (0, 1, 2)
EPOCHS, BATCH, RATE = 6, 64, 0.002
MARGIN = 0.015


def train(model: str, seed: int, is_quick: bool) -> dict:
    """The accuracy on the test."""
    keras.utils.set_random_seed(seed)
    train_rows, test_rows = read(seed)
    if is_quick:
        train_rows, test_rows = train_rows.select(range(600)), test_rows.select(range(200))
    modalities = {name: declare()[name] for name in MODELS[model]}
    task = mk.Classifier.from_source(
        train_rows, modalities, "label", optimizer=keras.optimizers.Adam(mk.schedules.CosineToEnd(RATE))
    )
    if "text" in modalities:
        mk.finetuning.freeze(task, "text")
        fitted = mk.finetuning.CachedTask(task, minilm.FEATURES)
    else:
        fitted = task
    batches = fitted.dataset(train_rows, BATCH, shuffle=True, cache=True, seed=seed)
    fitted.fit(batches, epochs=1 if is_quick else EPOCHS, verbose=0)
    measured = mk.finetuning.CachedTask(task, minilm.FEATURES) if "text" in modalities else task
    return {"accuracy": measured.evaluate(measured.dataset(test_rows, 256, cache=True), verbose=0)[1]}


def declare() -> dict[str, mk.Modality]:
    flips = [keras.layers.RandomRotation(0.05), keras.layers.RandomTranslation(0.1, 0.1), keras.layers.RandomZoom(0.15)]
    return {
        "text": mk.Text(encoder=minilm.load_encoder(), sequence_length=minilm.LENGTH),
        "face": mk.Image(size=32, encoder=mk.encoders.ImageCNN(), augmentation=flips),
    }


@functools.cache
def read(seed: int) -> tuple[mk.Source, mk.Source]:
    names = {"reviews": "rt-polarity", "google": "emoji-google", "twitter": "emoji-twitter"}
    archives = {name: find_archive(archive) for name, archive in names.items()}
    folder = mk.datasets.posts(WORK / f"posts-{seed}", archives, seed=seed)
    return mk.read(folder / "train.csv"), mk.read(folder / "test.csv")
