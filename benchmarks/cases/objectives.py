"""What objectives cost in time and memory, and how fast a million rows are searched."""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import ops

import mmkeras as mk
from mmkeras.retrieval.ranking import cut, find_top

SEEDS, WAYS = (0,), ("steps", "memory", "search")
OVERHEAD, MEMORY = 0.05, 0.5
BATCH, WORDS = 128, 24
ROWS, UNITS = 1_000_000, 128


def train(way: str, seed: int, is_quick: bool) -> dict:
    """By what was measured its figure, and what it may be at most."""
    return {"steps": _measure_steps, "memory": _measure_memory, "search": _measure_search}[way](is_quick)


def _make_rows(count):
    words = [f"word{index}" for index in range(200)]
    random = np.random.default_rng(0)
    texts = [" ".join(random.choice(words, WORDS)) for _ in range(count)]
    return mk.read([{"text": text, "a": index, "b": index % 7} for index, text in enumerate(texts)])


def _declare():
    encoder = mk.encoders.TextTransformer(units=64, num_layers=2, dropout=0)
    facts = mk.Tabular(["a", "b"], encoder=mk.encoders.TabularMLP(dropout=0))
    return {"text": mk.Text(encoder=encoder), "facts": facts}


def _measure_steps(is_quick):
    """Time of an epoch of `fit` over that of a loop by hand on the same encoders, the median of interleaved runs."""
    objectives = {
        "Contrastive": (mk.pretraining.Contrastive("text", "facts"), _contrast_by_hand),
        "MaskedLanguage": (mk.pretraining.MaskedLanguage("text"), _mask_by_hand),
    }
    rows = _make_rows(BATCH * (20 if is_quick else 60))
    found = {}
    for name, (objective, make_by_hand) in objectives.items():
        ratio = _compare_steps(rows, objective, make_by_hand(rows), turns=3 if is_quick else 9)
        found[f"{name}: time of a step above that by hand"] = (ratio - 1, OVERHEAD)
    return found


def _compare_steps(rows, objective, run_by_hand, turns):
    pretrainer = mk.pretraining.Pretrainer.from_source(rows, _declare(), [objective], optimizer="adam")
    batches = pretrainer.dataset(rows, BATCH, cache=True).cache()
    ratios = []
    for turn in range(turns):
        ours = _time(lambda: pretrainer.fit(batches, verbose=0))
        by_hand = _time(lambda: run_by_hand(batches))
        if turn:  # the first traces
            ratios.append(ours / by_hand)
    return float(np.median(ratios))


def _time(function):
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def _train_by_hand(backbone, used, layers, variables, measure):
    """A function that trains an epoch in plain Keras and TensorFlow: a step is the gradient of `measure(batch)`."""
    weights, optimizer = [], keras.optimizers.Adam(0.001)

    @tf.function
    def step(batch):
        with tf.GradientTape() as tape:
            loss = measure(batch)
        zero = tf.UnconnectedGradients.ZERO
        optimizer.apply(tape.gradient(loss, [weight.value for weight in weights], unconnected_gradients=zero), weights)
        return loss

    def run(batches):
        total = 0.0
        for batch in batches:
            if not weights:
                measure(batch)  # makes the weights of the layers
                unused = set(map(id, backbone.find_unused(used)))
                weights.extend(w for layer in layers for w in layer.trainable_weights if id(w) not in unused)
                weights.extend(variables)
                optimizer.build(weights)
            total += step(batch)
        return float(total)

    return run


def _contrast_by_hand(rows):
    """CLIP's loss on two encoders."""
    backbone = mk.Backbone.from_source(rows, _declare())
    encoders = backbone.encoders
    heads = {name: keras.layers.Dense(128, use_bias=False) for name in encoders}
    scale = keras.Variable(np.log(1 / 0.07), dtype="float32")

    def measure(batch):
        vectors = []
        for name, encoder in encoders.items():
            features = encoder({"content": batch[name], "present": batch[f"{name}_present"]}, training=True)
            vectors.append(ops.normalize(heads[name](features["pooled"]), axis=-1))
        scores = ops.exp(scale) * ops.matmul(vectors[0], ops.transpose(vectors[1]))
        truth = tf.range(tf.shape(scores)[0])
        both = (scores, ops.transpose(scores))
        return tf.reduce_mean([tf.nn.sparse_softmax_cross_entropy_with_logits(truth, each) for each in both])

    used = {name: {"pooled", "present"} for name in encoders}
    return _train_by_hand(backbone, used, [*encoders.values(), *heads.values()], [scale], measure)


def _mask_by_hand(rows):
    """BERT's loss on one encoder."""
    backbone = mk.Backbone.from_source(rows, {"text": _declare()["text"]})
    encoder = backbone.encoders["text"]
    vocabulary = backbone.modalities["text"].preprocessor.vocabulary
    embedding = next(layer for layer in encoder.layers if isinstance(layer, keras.layers.Embedding))
    mask_id = vocabulary.index("[MASK]")
    hidden, norm = keras.layers.Dense(64, "gelu"), keras.layers.LayerNormalization()
    bias = keras.Variable(np.zeros(len(vocabulary), "float32"))

    def measure(batch):
        ids = batch["text"]
        drawn = tf.random.uniform(tf.shape(ids)) * tf.cast(ids > 4, tf.float32)
        places = tf.math.top_k(drawn, round(0.15 * ids.shape[1])).indices
        chosen = tf.reduce_sum(tf.one_hot(places, ids.shape[1]), axis=1) > 0
        fate, others = tf.random.uniform(tf.shape(ids)), tf.random.uniform(tf.shape(ids), 1, len(vocabulary), tf.int32)
        left = tf.where(fate < 0.8, mask_id, tf.where(fate < 0.9, others, ids))
        content = {"content": tf.where(chosen, left, ids), "present": batch["text_present"]}
        tokens = norm(hidden(tf.gather(encoder(content, training=True)["tokens"], places, batch_dims=1)))
        logits = ops.matmul(tokens, ops.transpose(embedding.embeddings)) + bias
        truth = tf.gather(ids, places, batch_dims=1)
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(truth, logits))

    used = {"text": {"tokens", "mask", "present"}}
    return _train_by_hand(backbone, used, [encoder, hidden, norm], [bias], measure)


def _measure_memory(is_quick):
    """What a step on 1,024 images adds to the peak of memory, all at once and 64 at a time, in a process each."""
    peaks = {}
    for rows_at_once in (None, 64):
        command = [sys.executable, "-c", f"from cases import objectives; objectives.print_peak({rows_at_once})"]
        done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=True)
        peaks[rows_at_once] = json.loads(done.stdout.splitlines()[-1])
    return {
        "gradient caching: memory of a step, of that of the whole batch": (peaks[64] / peaks[None], MEMORY),
        "gradient caching: MB of the whole batch": (peaks[None], None),
    }


def print_peak(rows_at_once: int | None):
    """What two steps add to the peak of memory of this process, in MB."""
    random = np.random.default_rng(0)
    image = mk.Image(size=32, encoder=mk.encoders.ImageViT(patch_size=4, dropout=0))
    modalities = {"image": image, "facts": mk.Tabular(["a"], statistics={"a": (0, 1)}, quantiles={})}
    objectives = [mk.pretraining.Contrastive("image", "facts")]
    pretrainer = mk.pretraining.Pretrainer(mk.Backbone(modalities), objectives, rows_at_once)
    pretrainer.compile("adam")
    specs = pretrainer.preprocessor.tensor_specs()
    rows = {
        name: random.integers(0, 2, (1024, *spec.shape[1:])).astype(spec.dtype.as_numpy_dtype)
        for name, spec in specs.items()
    }
    batches = tf.data.Dataset.from_tensors(rows)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pretrainer.fit(batches, epochs=2, verbose=0)
    print(json.dumps((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024))


def _measure_search(is_quick):
    """Seconds of a search among a million vectors, after the first."""
    random = np.random.default_rng(0)
    rows = ROWS // 100 if is_quick else ROWS
    parts = cut(random.normal(size=(rows, UNITS)).astype("float32"))
    found = {}
    for count in (1, 100):
        queries = random.normal(size=(count, UNITS)).astype("float32")
        seconds = [_time(lambda queries=queries: find_top(queries, parts, 10)) for _ in range(4)]
        found[f"search: seconds for {count} of {rows:,} rows"] = (min(seconds[1:]), None)
    found["search: MB of the process"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, None)
    return found
