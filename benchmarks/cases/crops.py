"""Environmental sounds with 5 labels a class: pre-training on recordings without labels beside none (ESC-10, folds).

Contrastive pre-training between two crops of a recording, on the four folds that are not the test; and masked patches
of spectrograms, on these and on the sounds of GRID sentences.
"""

import functools

import keras
import pandas as pd

import mmkeras as mk
from cases.archives import unpack
from cases.sounds import read_sounds

SEEDS, LABELS = (1, 2, 3), 5  # the fold that is the test
WAYS = ("two crops", "masked patches")
MEASURED = ("probe", "fine-tuned", "scratch")
EPOCHS = {"two crops": 60, "masked patches": 30}
BATCH, STEPS = 64, 300
GAIN = 0.03
GRID_CLIPS = 320


def train(way: str, seed: int, is_quick: bool, is_test: bool = True) -> dict:
    """The accuracy from scratch, of a linear probe, and of all fine-tuned, with 5 labels a class."""
    keras.utils.set_random_seed(seed)
    rows, folder = read_sounds()
    if not is_test:  # settings are chosen without the fold, on the last of the others
        rows = rows[rows["fold"] != str(seed)]
    is_test = (rows["fold"] == (str(seed) if is_test else "5")).to_numpy()
    unlabeled = mk.read(rows[~is_test].reset_index(drop=True), folder=folder)
    tested = mk.read(rows[is_test].reset_index(drop=True), target="label", folder=folder)
    few = pd.concat([part.sample(LABELS, random_state=seed) for _, part in rows[~is_test].groupby("label")])
    labeled = mk.read(few.reset_index(drop=True), target="label", folder=folder)
    is_masked = way == "masked patches"
    encoder = mk.encoders.AudioTransformer(units=96) if is_masked else mk.encoders.AudioCNN()
    modalities = {"sound": mk.Audio(seconds=5, sample_rate=16000, encoder=encoder)}
    backbone = mk.Backbone.from_source(unlabeled, modalities)
    found = {"scratch": _measure(backbone, labeled, tested, seed, is_quick, is_frozen=False)}
    backbone = mk.Backbone.from_source(unlabeled, modalities)
    objective = mk.pretraining.MaskedPatches("sound") if is_masked else mk.pretraining.TwoViews("sound")
    pretrainer = mk.pretraining.Pretrainer(backbone, [objective])
    pretrainer.compile(keras.optimizers.Adam(mk.schedules.CosineToEnd(0.002, warmup=0.1)))
    batches = pretrainer.dataset(unlabeled, BATCH, shuffle=True, cache=True, seed=seed)
    if is_masked:
        more = mk.read(_list_sentences(), folder=unpack("grid-s1-mouth"))
        batches = batches.concatenate(pretrainer.dataset(more, BATCH, shuffle=True, cache=True, seed=seed))
    history = pretrainer.fit(batches, epochs=1 if is_quick else EPOCHS[way], verbose=0).history
    found |= {name: values[-1] for name, values in history.items() if "recall_at_1" in name or "variance" in name}
    preset = {path: weight.numpy() for path, weight in mk.weights.list_weights(backbone).items()}
    for is_frozen in (True, False):
        mk.weights.assign_weights(backbone, preset)
        name = "probe" if is_frozen else "fine-tuned"
        found[name] = _measure(backbone, labeled, tested, seed, is_quick, is_frozen)
    return found


def _measure(backbone, labeled, tested, seed, is_quick, is_frozen):
    model = mk.Classifier.from_source(labeled, backbone=backbone, target="label", hidden_units=0)
    (mk.finetuning.freeze if is_frozen else mk.finetuning.unfreeze)(model, "sound")
    batches = model.dataset(labeled, 50, shuffle=True, cache=True, seed=seed)
    model.fit(batches, epochs=2 if is_quick else STEPS // len(batches), verbose=0)
    return model.evaluate(model.dataset(tested, 64), verbose=0)[1]


@functools.cache
def _list_sentences():
    folder = unpack("grid-s1-mouth")
    files = sorted(path.relative_to(folder) for path in folder.rglob("*.mp4"))[:GRID_CLIPS]
    return pd.DataFrame({"sound": list(map(str, files))})
