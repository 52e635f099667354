"""What objectives cost in time and memory, and how fast a million rows are searched."""

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import tensorflow as tf

import mmkeras as mk
from cases import by_hand
from mmkeras.preprocessing.tokenizers import RESERVED_TOKENS
from mmkeras.retrieval.ranking import cut, find_top

SEEDS, WAYS = (0,), ("steps", "memory", "search")
OVERHEAD, MEMORY = 0.05, 0.5
BATCH, WORDS = 64, 24
ROWS, UNITS = 1_000_000, 128


def prepare():
    """Nothing: all rows are drawn at random."""


def train(way: str, seed: int, is_quick: bool) -> dict:
    """By what was measured its figure, and what it may be at most."""
    return {"steps": _measure_steps, "memory": _measure_memory, "search": _measure_search}[way](is_quick)


def _measure_steps(is_quick):
    """In one thread: with two, the same epoch takes once 1.6 and once 2.6 s."""
    ratios = _run(f"compare_steps({is_quick})", TF_NUM_INTRAOP_THREADS="1", TF_NUM_INTEROP_THREADS="1")
    return {f"{name}: time of a step above that by hand": (ratio - 1, OVERHEAD) for name, ratio in ratios.items()}


def compare_steps(is_quick: bool) -> dict[str, float]:
    """CPU time of an epoch of `fit` over that of a step by hand on the same encoders, the best of interleaved ones."""
    steps, turns, count = (20, 3, 2) if is_quick else (30, 5, None)
    return {name: _compare_steps(*parts, steps, turns) for name, parts in list(_list_steps().items())[:count]}


def _list_steps():
    """By name the inputs, the objectives, and what makes the step by hand."""
    pair, one = ("text", "facts"), mk.pretraining.Contrastive("text", "facts")
    return {
        "Contrastive": (pair, [one], by_hand.contrast),
        "TwoViews": (("image",), [mk.pretraining.TwoViews("image")], by_hand.see_twice),
        "Contrastive and Matching": (pair, [one, mk.pretraining.Matching(*pair)], by_hand.match),
        "MaskedModality": (pair, [mk.pretraining.MaskedModality("text")], by_hand.mask_modality),
        "MaskedLanguage": (("text",), [mk.pretraining.MaskedLanguage("text")], by_hand.mask_words),
        "CausalLanguage": (("read",), [mk.pretraining.CausalLanguage("read")], by_hand.follow_words),
        "MaskedPatches": (("image",), [mk.pretraining.MaskedPatches("image", (4, 4))], by_hand.mask_patches),
    }


def _declare(name, size=16):
    words = mk.tokenizers.WordPiece([*RESERVED_TOKENS, *(f"word{index}" for index in range(200))])
    encoder = {
        "text": lambda: mk.encoders.TextTransformer(units=64, num_layers=2, dropout=0),
        "read": lambda: mk.encoders.TextGRU(units=64, dropout=0),
        "image": lambda: mk.encoders.ImageViT(patch_size=4, dropout=0),
        "facts": lambda: mk.encoders.TabularMLP(dropout=0),
    }[name]()
    if name == "facts":
        return mk.Tabular(["a"], statistics={"a": (0, 1)}, quantiles={}, encoder=encoder)
    if name == "image":
        return mk.Image(size=size, encoder=encoder)
    return mk.Text(words, WORDS, encoder=encoder)


def _compare_steps(inputs, objectives, make_by_hand, steps, turns):
    pretrainer = mk.pretraining.Pretrainer(mk.Backbone({name: _declare(name) for name in inputs}), objectives)
    pretrainer.compile("adam")
    step = make_by_hand(mk.Backbone({name: _declare(name) for name in inputs}))
    batch = _draw(pretrainer.preprocessor.tensor_specs(), BATCH)
    step.prepare(batch)
    batches = tf.data.Dataset.from_tensors(batch).cache().repeat(steps)
    seconds = {pretrainer: [], step: []}
    for turn in range(turns):
        for model, found in seconds.items():
            started = time.process_time()
            model.fit(batches, verbose=0)
            if turn:  # the first traces
                found.append(time.process_time() - started)
    ours, its = map(min, seconds.values())
    return ours / its


def _draw(specs, count):
    """Random tensors of these specs: no padding, nothing absent."""
    random, tensors = np.random.default_rng(0), {}
    for name, spec in specs.items():
        shape, dtype = (count, *spec.shape[1:]), spec.dtype.as_numpy_dtype
        tensors[name] = random.normal(size=shape) if spec.dtype.is_floating else random.integers(5, 200, shape)
        tensors[name] = tensors[name].astype(dtype)
    return {name: tf.convert_to_tensor(tensor) for name, tensor in tensors.items()}


def _time(function):
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def _measure_memory(is_quick):
    """What a step on 1,024 images adds to the peak of memory, all at once and 64 at a time, in a process each."""
    peaks = {rows_at_once: _run(f"measure_peak({rows_at_once})") for rows_at_once in (None, 64)}
    return {
        "gradient caching: memory of a step, of that of the whole batch": (peaks[64] / peaks[None], MEMORY),
        "gradient caching: MB of the whole batch": (peaks[None], None),
    }


def measure_peak(rows_at_once: int | None) -> float:
    """What two steps add to the peak of memory of this process, in MB."""
    modalities = {name: _declare(name, size=32) for name in ("image", "facts")}
    objectives = [mk.pretraining.Contrastive("image", "facts")]
    pretrainer = mk.pretraining.Pretrainer(mk.Backbone(modalities), objectives, rows_at_once)
    pretrainer.compile("adam")
    rows = _draw(pretrainer.preprocessor.tensor_specs(), 1024)
    batches = tf.data.Dataset.from_tensors(rows)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pretrainer.fit(batches, epochs=2, verbose=0)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def _run(call, **environment):
    """What a call of a function of this module returns in a new process."""
    command = [sys.executable, "-c", f"import json; from cases import objectives as o; print(json.dumps(o.{call}))"]
    options = {"cwd": Path(__file__).parents[1], "env": os.environ | environment, "capture_output": True}
    done = subprocess.run(command, text=True, check=True, **options)
    return json.loads(done.stdout.splitlines()[-1])


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
