"""Environmental sounds with 5 labels a class: pre-training on recordings without labels beside none (ESC-10, folds).

Contrastive pre-training between two crops of a recording, on the four folds that are not the test; and masked patches
of spectrograms, on these and on the sounds of GRID sentences.
"""

import functools
import tempfile

import keras
import pandas as pd

import mmkeras as mk
from cases.archives import unpack
from cases.sounds import read_sounds

SEEDS, LABELS = (1, 2, 3), 5  # the fold that is the test
WAYS = {"scratch": 0, "two crops": 20, "masked patches": 4}  # the epochs of pre-training
BATCH, RATE, STEPS, LABELED_BATCH = 64, 0.002, 100, 25
WAIT = 0.2  # of the steps, in which the head learns alone on what was pretrained
GAIN = 0.03
GRID_CLIPS = 100


def prepare():
    """Unpacks the data."""
    read_sounds()
    _list_sentences()


def train(way: str, seed: int, is_quick: bool, is_test: bool = True) -> dict:
    """With 5 labels a class the accuracy of a linear probe, and of all that is trained."""
    keras.utils.set_random_seed(seed)
    rows, folder = read_sounds()
    if not is_test:  # settings are chosen without the fold, on the last of the others
        rows = rows[rows["fold"] != str(seed)]
    is_held_out = (rows["fold"] == (str(seed) if is_test else "5")).to_numpy()
    unlabeled = mk.read(rows[~is_held_out].reset_index(drop=True), folder=folder)
    tested = mk.read(rows[is_held_out].reset_index(drop=True), target="label", folder=folder)
    few = pd.concat([part.sample(LABELS, random_state=seed) for _, part in rows[~is_held_out].groupby("label")])
    labeled = mk.read(few.reset_index(drop=True), target="label", folder=folder)
    # Smaller than the default, for the sake of time.
    encoder = mk.encoders.AudioCNN2D(filters=(8, 16, 32, 64), mel_bins=32)
    backbone = mk.Backbone.from_source(unlabeled, {"sound": mk.Audio(seconds=5, sample_rate=16000, encoder=encoder)})
    found = _pretrain(backbone, unlabeled, way, seed, is_quick) if way != "scratch" else {}
    weights = {path: weight.numpy() for path, weight in mk.weights.list_weights(backbone).items()}
    for name in ("probe", "all"):
        mk.weights.assign_weights(backbone, weights)
        epochs = 2 if is_quick else STEPS // (len(labeled) // LABELED_BATCH)
        waits = {"probe": epochs, "all": 0 if way == "scratch" else round(WAIT * epochs)}[name]
        found[name] = _measure(backbone, labeled, tested, seed, epochs, waits)
    return found


def _pretrain(backbone, unlabeled, way, seed, is_quick):
    """Trains the backbone; what the objective measured in the last epoch."""
    is_masked = way == "masked patches"
    objective = mk.pretraining.MaskedPatches("sound") if is_masked else mk.pretraining.TwoViews("sound")
    pretrainer = mk.pretraining.Pretrainer(backbone, [objective])
    pretrainer.compile(keras.optimizers.Adam(mk.schedules.CosineToEnd(RATE, warmup=0.1)))
    batches = pretrainer.dataset(unlabeled, BATCH, shuffle=True, cache=True, seed=seed)
    if is_masked:
        more = mk.read(_list_sentences(), folder=unpack("grid-s1-mouth"))
        batches = batches.concatenate(pretrainer.dataset(more, BATCH, shuffle=True, cache=True, seed=seed))
    history = pretrainer.fit(batches, epochs=1 if is_quick else WAYS[way], verbose=0).history
    return {name: values[-1] for name, values in history.items() if "recall_at_1" in name or "variance" in name}


def _measure(backbone, labeled, tested, seed, epochs, waits):
    """The accuracy of a linear layer and the network, which waits this many of the epochs."""
    optimizer = keras.optimizers.Adam(mk.schedules.CosineToEnd(RATE, warmup=0.1))
    options = {"target": "label", "hidden_units": 0, "optimizer": optimizer}
    model = fitted = mk.Classifier.from_source(labeled, backbone=backbone, **options)
    callbacks = [mk.finetuning.LinearProbing("sound", epochs=waits)] if 0 < waits < epochs else []
    with tempfile.TemporaryDirectory() as folder:
        (mk.finetuning.freeze if waits == epochs else mk.finetuning.unfreeze)(model, "sound")
        if waits == epochs:
            fitted = mk.finetuning.CachedTask(model, folder)
        batches = fitted.dataset(labeled, LABELED_BATCH, shuffle=True, cache=True, seed=seed)
        fitted.fit(batches, epochs=epochs, callbacks=callbacks, verbose=0)
    return model.evaluate(model.dataset(tested, 80), verbose=0)[1]


@functools.cache
def _list_sentences():
    folder = unpack("grid-s1-mouth")
    files = sorted(path.relative_to(folder) for path in folder.rglob("*.mp4"))[:GRID_CLIPS]
    return pd.DataFrame({"sound": list(map(str, files))})
