"""The input pipeline against what others use: images, records, text, sound, start and memory.

python benchmarks/input_pipeline.py [--quick]

Needs the extra `bench`. Every contender runs in a process of its own, one after the other, in rounds; the best round of
each counts. Writes benchmarks/results/input_pipeline.json. A measurement that was made on this commit is not made
again.
"""

import argparse
import concurrent.futures
import json
import os
import subprocess
import sys
import time
import wave
from pathlib import Path

import numpy as np

from first_run import find_commit

HERE = Path(__file__).parent
WORK = HERE / "work" / "input_pipeline"
SEED = 0
PICTURES, SIZE, BATCH = 1000, 224, 64
PHOTOGRAPHS = 200
LINES, WORDS = 20_000, 100
CLIPS, SECONDS, RATE, BANDS = 200, 10, 16_000, 64
WORKERS = 2


# === Data: made once, the same for all ===


def make_images() -> list[str]:
    """Files of 500x375 pixels, about 110 KB, as in ImageNet."""
    return _make_jpegs(WORK / "images", PICTURES, height=375, width=500)


def make_photographs() -> list[str]:
    """Files of 1600x1200 pixels, as a camera or a phone writes them."""
    return _make_jpegs(WORK / "photographs", PHOTOGRAPHS, height=1200, width=1600)


def _make_jpegs(folder, count, height, width):
    """JPEG files with the spectrum of photographs, 1/f."""
    import PIL.Image

    folder.mkdir(parents=True, exist_ok=True)
    falloff = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None]) + 1 / width
    paths = [folder / f"{i}.jpg" for i in range(count)]
    for i, path in enumerate(paths):
        if not path.exists():
            noise = np.random.default_rng([SEED, i]).normal(size=(height, width, 3))
            pixels = np.fft.ifft2(np.fft.fft2(noise, axes=(0, 1)) / falloff[..., None], axes=(0, 1)).real
            pixels = 128 + 50 * (pixels - pixels.mean()) / pixels.std()
            PIL.Image.fromarray(np.clip(pixels, 0, 255).astype("uint8")).save(path, quality=88)
    return [str(path) for path in paths]


def make_lines() -> tuple[list[str], list[str]]:
    """A vocabulary of word pieces, and lines of words of English length that are made of them."""
    random = np.random.default_rng(SEED)
    letters = "etaoinshrdlcumwfgypbvk"
    syllables = sorted({"".join(random.choice(list(letters), random.integers(2, 5))) for _ in range(3000)})
    words = ["".join(random.choice(syllables, random.integers(1, 4))) for _ in range(20_000)]
    # As with BERT and English, most words are in the vocabulary.
    pieces = [*letters, *syllables, *(f"##{piece}" for piece in [*letters, *syllables]), *words[:18_000]]
    lines = [" ".join(random.choice(words, WORDS)) for _ in range(LINES)]
    return ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *dict.fromkeys(pieces)], lines


def make_clips() -> list[str]:
    """WAV files of 10 s, 16 kHz, mono, 16 bits."""
    folder = WORK / "clips"
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{i}.wav" for i in range(CLIPS)]
    for i, path in enumerate(paths):
        if not path.exists():
            samples = np.random.default_rng([SEED, i]).normal(scale=3000, size=SECONDS * RATE).astype("<i2")
            with wave.open(str(path), "wb") as file:
                file.setparams((1, 2, RATE, len(samples), "NONE", ""))
                file.writeframes(samples.tobytes())
    return [str(path) for path in paths]


# === Contenders: each returns what it does in a second ===


def time_epochs(make_epoch, count: int) -> float:
    """Items a second in the faster of two epochs, after one that warms up."""
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        for _ in make_epoch():
            pass
        seconds.append(time.perf_counter() - start)
    return count / min(seconds[1:])


def make_image_model(antialias):
    import mmkeras as mk

    modality = mk.Image(size=SIZE, antialias=antialias)
    return mk.Classifier({"image": modality}, ["a", "b"])


def mmkeras_images(paths, antialias=False):
    import mmkeras as mk

    model = make_image_model(antialias)
    dataset = model.dataset(mk.read([{"image": path} for path in paths]), batch_size=BATCH)
    return time_epochs(lambda: dataset, len(paths))


def tensorflow_images(antialias):
    """TensorFlow's decoding and resizing with nothing beside them: no check, no orientation, no absent file."""
    import tensorflow as tf

    def prepare(path):
        pixels = tf.io.decode_jpeg(tf.io.read_file(path), channels=3, dct_method="INTEGER_ACCURATE")
        return tf.cast(tf.image.resize(pixels, (SIZE, SIZE), antialias=antialias) + 0.5, tf.uint8)

    paths = make_images()
    options = tf.data.Options()
    options.autotune.enabled = False
    dataset = tf.data.Dataset.from_tensor_slices(paths).map(prepare, num_parallel_calls=tf.data.AUTOTUNE)
    dataset = dataset.batch(BATCH).prefetch(tf.data.AUTOTUNE).with_options(options)
    return time_epochs(lambda: dataset, len(paths))


def mmkeras_records(antialias=False):
    import mmkeras as mk

    paths = make_images()
    model = make_image_model(antialias)
    records = mk.prepare(mk.read([{"image": path} for path in paths]), WORK / "records", model.modalities)
    dataset = model.dataset(records, batch_size=BATCH)
    return time_epochs(lambda: dataset, len(paths))


class TorchImages:
    """The files as a map-style data set of PyTorch."""

    def __init__(self, paths, library):
        self.paths, self.library = paths, library

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        import torch

        if self.library == "pil":
            import PIL.Image

            image = PIL.Image.open(self.paths[index]).convert("RGB").resize((SIZE, SIZE), PIL.Image.BILINEAR)
            return torch.from_numpy(np.array(image))
        import cv2

        cv2.setNumThreads(0)
        pixels = cv2.cvtColor(cv2.imread(self.paths[index]), cv2.COLOR_BGR2RGB)
        return torch.from_numpy(cv2.resize(pixels, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR))


def torch_images(paths, library):
    from torch.utils.data import DataLoader

    loader = DataLoader(TorchImages(paths, library), BATCH, num_workers=WORKERS, persistent_workers=True)
    return time_epochs(lambda: loader, len(paths))


def libjpeg_turbo():
    """Decoding alone, from memory, in two threads."""
    import simplejpeg

    contents = [Path(path).read_bytes() for path in make_images()]
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        return time_epochs(lambda: pool.map(lambda data: simplejpeg.decode_jpeg(data).shape, contents), len(contents))


def mmkeras_text():
    import mmkeras as mk
    from mmkeras.pipeline import DatasetOptions, build_dataset

    vocabulary, lines = make_lines()
    text = mk.Text(mk.tokenizers.WordPiece(vocabulary), sequence_length=2 * WORDS)
    model = mk.Classifier({"text": text}, ["a", "b"])
    dataset = build_dataset({"text": lines}, model.preprocessor, None, DatasetOptions(batch_size=256))
    return time_epochs(lambda: dataset, len(lines))


def huggingface_text():
    from tokenizers import BertWordPieceTokenizer

    vocabulary, lines = make_lines()
    tokenizer = BertWordPieceTokenizer({piece: i for i, piece in enumerate(vocabulary)}, lowercase=True)
    tokenizer.enable_truncation(2 * WORDS)
    tokenizer.enable_padding(length=2 * WORDS)
    batches = [lines[i : i + 256] for i in range(0, len(lines), 256)]

    def run():
        for batch in batches:
            yield np.array([encoding.ids for encoding in tokenizer.encode_batch(batch, add_special_tokens=False)])

    return time_epochs(run, len(lines))


def mmkeras_sound():
    import mmkeras as mk

    paths = make_clips()
    model = mk.Classifier({"sound": mk.Audio(seconds=SECONDS)}, ["a", "b"])
    layer = mk.layers.LogMelSpectrogram(RATE, BANDS)
    dataset = model.dataset(mk.read([{"sound": path} for path in paths]), batch_size=20)
    dataset = dataset.map(lambda batch: layer(batch["sound"]), num_parallel_calls=WORKERS).prefetch(2)
    return time_epochs(lambda: dataset, len(paths))


def _librosa_clip(path):
    import librosa

    samples, _ = librosa.load(path, sr=RATE)
    bands = librosa.feature.melspectrogram(
        y=samples, sr=RATE, n_fft=512, win_length=400, hop_length=160, n_mels=BANDS, center=False
    )
    return np.log(bands + 1e-6).shape


def librosa_sound():
    paths = make_clips()
    with concurrent.futures.ProcessPoolExecutor(WORKERS) as pool:
        return time_epochs(lambda: pool.map(_librosa_clip, paths, chunksize=10), len(paths))


def seconds_to_first_batch():
    """From a source that was read to its first batch, everything imported; a rate, as all else: batches a second."""
    import mmkeras as mk
    from mmkeras.pipeline import DatasetOptions, make_dataset

    source = mk.read([{"image": path} for path in make_images()[:PICTURES]])
    model = make_image_model(antialias=True)
    options = DatasetOptions(batch_size=BATCH, shuffle=True)
    start = time.perf_counter()
    next(iter(make_dataset(source, model.modalities, model.preprocessor, None, options)))
    return 1 / (time.perf_counter() - start)


CONTENDERS = {
    "mmkeras, files": lambda: mmkeras_images(make_images()),
    "mmkeras, files, antialias": lambda: mmkeras_images(make_images(), antialias=True),
    "mmkeras, photographs": lambda: mmkeras_images(make_photographs()),
    "mmkeras, records": mmkeras_records,
    "DataLoader, OpenCV": lambda: torch_images(make_images(), "cv2"),
    "DataLoader, PIL": lambda: torch_images(make_images(), "pil"),
    "DataLoader, photographs": lambda: torch_images(make_photographs(), "cv2"),
    "TensorFlow alone": lambda: tensorflow_images(antialias=False),
    "TensorFlow alone, antialias": lambda: tensorflow_images(antialias=True),
    "libjpeg-turbo alone": libjpeg_turbo,
    "mmkeras, text": mmkeras_text,
    "Hugging Face tokenizers": huggingface_text,
    "mmkeras, log-mel": mmkeras_sound,
    "librosa, log-mel": librosa_sound,
    "mmkeras, first batch": seconds_to_first_batch,
}
# Name: the ratio of these two, at least so much.
TARGETS = {
    "images against the better DataLoader": ("mmkeras, files", "DataLoader, OpenCV", 2.0),
    "photographs against the better DataLoader": ("mmkeras, photographs", "DataLoader, photographs", 2.0),
    "antialiased images against PIL": ("mmkeras, files, antialias", "DataLoader, PIL", 1.0),
    "images against libjpeg-turbo alone": ("mmkeras, files", "libjpeg-turbo alone", 0.85),
    "images against TensorFlow alone": ("mmkeras, files", "TensorFlow alone", 0.75),
    "antialiased against TensorFlow alone": ("mmkeras, files, antialias", "TensorFlow alone, antialias", 0.85),
    "records against files": ("mmkeras, records", "mmkeras, files", 3.0),
    "tokenizing against Hugging Face": ("mmkeras, text", "Hugging Face tokenizers", 10.0),
    "log-mel against librosa": ("mmkeras, log-mel", "librosa, log-mel", 2.0),
}


def measure_memory(rows: int) -> float:
    """Peak of resident memory, MiB, of reading so many rows of images in training order."""
    import resource

    import mmkeras as mk

    paths = make_images()
    source = mk.read([{"image": paths[i % PICTURES]} for i in range(rows)])
    model = mk.Classifier({"image": mk.Image(size=64)}, ["a", "b"])
    for _ in model.dataset(source, batch_size=BATCH, shuffle=True):
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run_apart(arguments: list[str], cache: Path) -> float:
    """The number that a process of this script prints last, from an earlier run where there is one."""
    if not cache.exists():
        command = [sys.executable, __file__, *arguments]
        process = subprocess.run(
            command, capture_output=True, text=True, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        )
        if process.returncode != 0:
            sys.exit(f"{' '.join(arguments)} failed:\n{process.stderr[-2000:]}")
        cache.parent.mkdir(parents=True, exist_ok=True)
        cache.write_text(process.stdout.splitlines()[-1])
    return float(cache.read_text())


def list_versions() -> dict:
    import importlib.metadata

    names = "mmkeras tensorflow tensorflow-text keras torch opencv-python-headless pillow tokenizers librosa simplejpeg"
    return {name: importlib.metadata.version(name) for name in names.split()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="2 rounds and 20,000 rows instead of 5 and 100,000")
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contender:
        print(CONTENDERS[options.contender]())
        return
    if options.rows:
        print(measure_memory(options.rows))
        return

    rounds, rows = (2, (1000, 20_000)) if options.quick else (5, (1000, 100_000))
    commit = find_commit()
    cache = WORK / (f"{commit}-{os.getpid()}" if commit.endswith("-changed") else commit)
    make_images(), make_photographs(), make_clips()
    rates = {name: [] for name in CONTENDERS}
    for number in range(rounds):
        for name, measured in rates.items():
            print(f"round {number + 1} of {rounds}: {name} ...", end=" ", flush=True)
            slug = name.replace(", ", "-").replace(" ", "-")
            measured.append(run_apart(["--contender", name], cache / f"{slug}-{number}"))
            print(f"{measured[-1]:,.1f} a second", flush=True)
    memory = {}
    for count in rows:
        print(f"memory for {count:,} rows ...", flush=True)
        memory[count] = run_apart(["--rows", str(count)], cache / f"memory-{count}")

    print(f"\n{'a second':<28}{'best':>12}{'worst':>12}")
    for name, measured in rates.items():
        print(f"{name:<28}{max(measured):>12,.1f}{min(measured):>12,.1f}")
    ratios = {}
    print(f"\n{'ratio of the best rounds':<42}{'target':>14}{'found':>8}")
    for name, (ours, other, least) in TARGETS.items():
        ratios[name] = {"target": least, "ratio": max(rates[ours]) / max(rates[other])}
        ratios[name]["reached"] = ratios[name]["ratio"] >= least
        print(f"{name:<42}{f'at least {least:g}':>14}{ratios[name]['ratio']:>8.2f}", end="")
        print("  reached" if ratios[name]["reached"] else "  MISSED")
    first = 1 / max(rates["mmkeras, first batch"])
    growth = memory[rows[1]] / memory[rows[0]]
    print(f"{'seconds to the first batch':<42}{'at most 2':>14}{first:>8.2f}  {'reached' if first <= 2 else 'MISSED'}")
    print(f"{f'memory, {rows[1]:,} rows against {rows[0]:,}':<42}{'at most 1.1':>14}{growth:>8.2f}", end="")
    print("  reached" if growth <= 1.1 else "  MISSED")
    results = {
        "commit": commit,
        "quick": options.quick,
        "seed": SEED,
        "cores": os.cpu_count(),
        "versions": list_versions(),
        "rates": rates,
        "ratios": ratios,
        "seconds_to_first_batch": {"target": 2, "seconds": first, "reached": first <= 2},
        "memory_mib": memory,
        "memory_growth": {"target": 1.1, "ratio": growth, "reached": growth <= 1.1},
    }
    path = HERE / "results" / "input_pipeline.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(results, indent=2) + "\n")
    print(f"\nWritten to {path}")


if __name__ == "__main__":
    main()
