"""Posts of a sentence and a face, composed of two data sets."""

import io
import itertools
import json
import tarfile
import urllib.request
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
import PIL.Image

REVIEWS = "https://www.cs.cornell.edu/people/pabo/movie-review-data/rt-polaritydata.tar.gz"
FACES = "https://registry.npmjs.org/emoji-datasource-{style}/-/emoji-datasource-{style}-16.0.0.tgz"
STYLES = {"train": "google", "test": "twitter"}
_GOOD = ("face-smiling", "face-affection")
_BAD = ("face-concerned", "face-negative")
_MAX_BYTES, _MAX_FILES = 2**22, 50_000  # of a file, and of what an archive may hold


def posts(
    folder: str | Path = "posts",
    archives: Mapping[str, str | Path] | None = None,
    agreement: float = 0.85,
    seed: int = 0,
) -> Path:
    """Sentences of film reviews, positive or negative, each with the drawing of a face; the pairs are composed.

    A face smiles or shows affection, or it is concerned or negative; its mood agrees with the sentence in 85 % of the
    rows. The faces of the training rows are drawn in one style, those of the test in another. Writes PNG files into
    `faces`, and `train.csv` and `test.csv` (a fifth of the sentences) with the columns `text,face,label,agrees`. A
    folder that holds the data already is left as it is.

    Sentences: Pang and Lee, "Seeing Stars" (2005), for research. Faces: the packages emoji-datasource-google
    (Apache-2.0) and emoji-datasource-twitter (CC BY 4.0).

    Args:
        folder: where to write.
        archives: paths of tar files, packed in any way: `reviews`, `google`, `twitter`; those that are left out are
            downloaded (0.5 MB, and twice about 60 MB).
        agreement: share of the rows in which both say the same.
        seed: of the split and of the pairs.

    Returns: the folder.

    Raises:
        ValueError: when an archive holds no sentences, or no faces.
        OSError: when an archive cannot be read or downloaded.
    """
    folder = Path(folder)
    if (folder / "test.csv").exists():
        return folder
    (folder / "faces").mkdir(parents=True, exist_ok=True)
    archives = dict(archives or {})
    addresses = {"reviews": REVIEWS, **{style: FACES.format(style=style) for style in STYLES.values()}}
    for name, address in addresses.items():
        if name not in archives:
            archives[name] = folder / f"{name}.tar.gz"
            urllib.request.urlretrieve(address, archives[name])  # noqa: S310
    rows = _read_reviews(archives["reviews"])
    order, count = np.random.default_rng(seed).permutation(len(rows)), len(rows) // 5
    for part, (split, style) in enumerate(STYLES.items()):
        chosen = rows.iloc[order[count:] if split == "train" else order[:count]]
        faces = _write_faces(archives[style], folder, style)
        random = np.random.default_rng([seed, part])
        agrees = random.random(len(chosen)) < agreement
        moods = (chosen["label"] == "positive").to_numpy() == agrees
        drawn = [random.choice(faces[bool(mood)]) for mood in moods]
        table = chosen.assign(face=drawn, agrees=agrees)[["text", "face", "label", "agrees"]]
        table.to_csv(folder / f"{split}.csv", index=False)
    return folder


def _read_reviews(archive):
    rows = []
    found = _read_files(archive, lambda path: path.suffix in (".pos", ".neg"))
    for label, ending in {"positive": ".pos", "negative": ".neg"}.items():
        for content in (content for path, content in found.items() if path.suffix == ending):
            lines = content.decode("latin-1").split("\n")
            rows += [(line.strip(), label) for line in lines if line.strip()]
    if len({label for _, label in rows}) < 2:
        raise ValueError(f"{archive} holds no sentences: files that end in .pos and in .neg.")
    return pd.DataFrame(rows, columns=["text", "label"])


def _write_faces(archive, folder, style):
    """Draws the faces on white; returns those of good and of bad mood."""
    (index,) = _read_files(archive, lambda path: path.name == "emoji.json").values() or (b"[]",)
    things = [thing for thing in json.loads(index) if thing["subcategory"] in (*_GOOD, *_BAD)]
    names = {thing["image"] for thing in things}
    # Of several sizes the one of 64 pixels.
    found = _read_files(archive, lambda path: path.name in names and path.parent.name in ("64", f"emoji-{style}"))
    content = {path.name: data for path, data in found.items()}
    faces = {True: [], False: []}
    for thing in things:
        if thing["image"] not in content:
            continue
        image = PIL.Image.open(io.BytesIO(content[thing["image"]])).convert("RGBA")
        path = f"faces/{style}-{thing['image']}"
        PIL.Image.alpha_composite(PIL.Image.new("RGBA", image.size, "white"), image).convert("RGB").save(folder / path)
        faces[thing["subcategory"] in _GOOD].append(path)
    if not all(faces.values()):
        raise ValueError(f"{archive} holds no faces of both moods: emoji.json, and the drawings that it names.")
    return faces


def _read_files(archive, wanted):
    """Some of the files of an archive in memory, by path."""
    with tarfile.open(archive) as file:
        members = [member for member in itertools.islice(file, _MAX_FILES) if member.isfile()]
        chosen = [member for member in members if wanted(PurePosixPath(member.name))]
        return {PurePosixPath(member.name): file.extractfile(member).read(_MAX_BYTES) for member in chosen}
