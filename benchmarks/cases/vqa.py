"""easy-VQA: 38,575 training questions on 4,000 images, 13 answers; typed, or spoken by espeak-ng.

In the spoken setting a training row has its question typed, spoken, or both; the voices of the test are not heard in
training.
"""

import functools

import numpy as np
import pandas as pd
import PIL.Image

import mmkeras as mk
from cases import Run, without
from cases.archives import WORK

TYPED, SPOKEN = "easy-VQA, typed", "easy-VQA, typed or spoken"
MODALITIES = {
    "question": mk.Text(),
    "spoken": mk.Audio(seconds=3, sample_rate=8000, encoder=mk.encoders.AudioCNN(filters=(64, 64, 128, 128))),
    "image": mk.Image(size=32),
    "noise": mk.Image(size=32),
}
NOISE_IMAGES = 500
ALIGNMENT = 0.2  # of what is typed and what is spoken: 2 points on validation rows by unheard voices


def train(run: Run, epochs: int) -> dict:
    """A model, and its accuracy with everything and without each modality."""
    train_rows, test_rows = _read_rows(run.case == SPOKEN)
    modalities = {name: MODALITIES[name] for name in run.modalities}
    arguments = {"fusion": run.fusion, "alignment_weight": ALIGNMENT if run.case == SPOKEN else 0.0, **run.arguments}
    model = mk.Classifier.from_source(train_rows, modalities, "answer", **arguments)
    model.fit(model.dataset(train_rows, 128, shuffle=True, cache=True, seed=run.seed), epochs=epochs, verbose=0)
    batches = model.dataset(test_rows, 256, cache=True)
    figures = {"score": model.evaluate(batches, verbose=0)[1], "parameters": model.count_params()}
    for name in run.modalities if len(run.modalities) > 1 else ():
        figures[f"without {name}"] = model.evaluate(without(batches, name), verbose=0)[1]
    return figures


@functools.lru_cache(maxsize=1)
def _read_rows(is_spoken):
    folder = mk.datasets.easy_vqa(WORK / ("easy-vqa-spoken" if is_spoken else "easy-vqa"), spoken=is_spoken)
    random = np.random.default_rng(0)
    (folder / "noise").mkdir(exist_ok=True)
    for index in range(NOISE_IMAGES):
        pixels = random.integers(0, 256, (32, 32, 3), "uint8")
        PIL.Image.fromarray(pixels).save(folder / "noise" / f"{index}.png")
    parts = []
    for split in ("train", "test"):
        table = pd.read_csv(folder / f"{split}.csv")
        table["noise"] = [f"noise/{index}.png" for index in random.integers(0, NOISE_IMAGES, len(table))]
        if is_spoken and split == "train":
            kind = random.integers(0, 3, len(table))
            table["question"] = table["question"].mask(kind == 1)
            table["spoken"] = table["spoken"].mask(kind == 0)
        parts.append(mk.read(table, target="answer", folder=folder))
    return parts
