"""Spoken and seen digits with few labels: contrastive pre-training on 2,700 unlabeled pairs beside no pre-training.

Sound has as much noise as signal, and images lack most of their variance, as in `digits`. Each recording comes with
another image in every epoch. That pairs share a digit is weak supervision: nobody says which digit.
"""

import functools
import time

import keras
import numpy as np

import mmkeras as mk
from cases.digits import MODALITIES, Pairs, read_images, read_sounds

LABELS, SEEDS = (1, 5, 20), (0, 1, 2)
INPUTS = {"both": ("sound", "image"), "sound": ("sound",), "image": ("image",)}
WAYS = ("scratch", "probe", "fine-tuned")
PRE_EPOCHS, PRE_BATCH, PRE_RATE = 12, 128, 0.002
STEPS, BATCH = 150, 40  # of each training on labels; a batch is never more than all of them
NETWORK_RATE = 0.05  # of pretrained encoders, in parts of the rate of their heads
GAIN = 0.18  # points of the probe above scratch that are wanted at 5 labels a class


def train(way: str, seed: int, is_quick: bool, labels=LABELS, is_test: bool = True) -> dict:
    """By number of labels a class, inputs and way the accuracy; and the seconds of the pre-training."""
    keras.utils.set_random_seed(seed)
    started = time.perf_counter()
    pretrainer, sums = pretrain(seed, is_quick, is_test)
    found = {"seconds": time.perf_counter() - started, "pre-training": sums}
    labels = labels[1:2] if is_quick else labels
    for inputs, names in INPUTS.items():
        for way in WAYS:
            learner = Learner(pretrainer.backbone, names, way)
            for count in labels:
                found[f"{count}, {inputs}, {way}"] = learner.measure(count, seed, is_test)
        if is_quick:
            break
    return found


def prepare():
    """Unpacks the data."""
    read_sounds("0 dB")
    read_images()


def pretrain(seed: int, is_quick: bool, is_test: bool) -> tuple:
    """A pretrainer that has seen the unlabeled pairs, and its metrics in the last epoch."""
    backbone = mk.Backbone(MODALITIES)
    pretrainer = mk.pretraining.Pretrainer(backbone, [mk.pretraining.Contrastive("sound", "image")])
    pretrainer.compile(keras.optimizers.Adam(mk.schedules.CosineToEnd(PRE_RATE, warmup=0.05)))
    sounds, _ = _split(is_test)
    pairs = Unlabeled(sounds, read_images()["train"], list(backbone.input), PRE_BATCH, seed=seed)
    history = pretrainer.fit(pairs, epochs=2 if is_quick else PRE_EPOCHS, verbose=0).history
    return pretrainer, {name: values[-1] for name, values in history.items()}


class Learner:
    """A classifier that begins anew with each number of labels; the graph of its step is made once."""

    def __init__(self, pretrained: mk.Backbone, names, way: str):
        backbone = mk.Backbone({name: MODALITIES[name] for name in names}, "mean_logits")
        if way != "scratch":
            mk.move_weights(pretrained, backbone)
        self.model = mk.Classifier(backbone=backbone, classes=list(range(10)), hidden_units=0)
        optimizer = keras.optimizers.Adam(mk.schedules.CosineToEnd(0.002, warmup=0.1))
        if way == "fine-tuned":
            optimizer = mk.finetuning.by_part(optimizer, dict.fromkeys(names, NETWORK_RATE))
        self.model.compile(optimizer, self.model.target.default_loss, metrics=["accuracy"])
        if way == "probe":
            for name in names:
                mk.finetuning.freeze(self.model, name)
        optimizer.build(self.model.trainable_variables)
        self.variables = [*self.model.variables, *optimizer.variables]
        self.start = [variable.numpy() for variable in self.variables]

    def measure(self, count: int, seed: int, is_test: bool) -> float:
        """The accuracy after learning from so many labels of each digit."""
        for variable, value in zip(self.variables, self.start, strict=True):
            variable.assign(value)
        rows, held_out = _split(is_test)
        random = np.random.default_rng([seed, count])
        chosen = np.concatenate([random.choice(np.flatnonzero(rows[2] == d), count, replace=False) for d in range(10)])
        images = read_images()
        few = [array[chosen] for array in rows]
        seen = _one_image_each(few[2], images["train"], random)
        options = {"inputs": list(self.model.input)}
        self.model.fit(Steps(few, seen, batch_size=min(BATCH, 10 * count), seed=seed, **options), verbose=0)
        tested = Pairs(held_out, images["test"] if is_test else images["train"], batch_size=512, **options)
        return self.model.evaluate(tested, verbose=0)[1]


class Unlabeled(Pairs):
    """The same pairs without their digits."""

    def __getitem__(self, index):
        return super().__getitem__(index)[0]


class Steps(Pairs):
    """So many steps as one epoch, which takes Keras longer to begin than to train on some rows."""

    def on_epoch_end(self):
        rows = STEPS * self.batch_size
        parts = []
        for _ in range(-(-rows // len(self.digits))):
            super().on_epoch_end()
            parts.append((self.rows, self.images))
        self.rows, self.images = (np.concatenate(each)[:rows] for each in zip(*parts, strict=True))


def _one_image_each(digits, images, random):
    """Labeled rows are pairs too: of each digit as many images as recordings."""
    pixels, labels = images
    chosen = [random.choice(np.flatnonzero(labels == digit)) for digit in digits]
    return pixels[chosen], labels[chosen]


@functools.lru_cache(maxsize=2)
def _split(is_test: bool):
    """The rows to learn from and those to measure on: the test, or, to choose settings, a ninth of the others."""
    sounds = read_sounds("0 dB")
    if is_test:
        return sounds["train"], sounds["test"]
    is_held_out = np.random.default_rng(0).permutation(len(sounds["train"][2])) < 300
    return tuple([array[flags] for array in sounds["train"]] for flags in (~is_held_out, is_held_out))
