"""Posts of a sentence and a face, composed of two data sets."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from mmkeras.datasets.archives import DRAWINGS, fetch, read_drawings, read_files

REVIEWS = "https://www.cs.cornell.edu/people/pabo/movie-review-data/rt-polaritydata.tar.gz"
STYLES = {"train": "google", "test": "twitter"}
_GOOD = ("face-smiling", "face-affection")
_BAD = ("face-concerned", "face-negative")


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
    drawings = {style: DRAWINGS.format(style=style) for style in STYLES.values()}
    archives = fetch({"reviews": REVIEWS, **drawings}, archives, folder)
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
    found = read_files(archive, lambda path: path.suffix in (".pos", ".neg"))
    for label, ending in {"positive": ".pos", "negative": ".neg"}.items():
        for content in (content for path, content in found.items() if path.suffix == ending):
            lines = content.decode("latin-1").split("\n")
            rows += [(line.strip(), label) for line in lines if line.strip()]
    if len({label for _, label in rows}) < 2:
        raise ValueError(f"{archive} holds no sentences: files that end in .pos and in .neg.")
    return pd.DataFrame(rows, columns=["text", "label"])


def _write_faces(archive, folder, style):
    """Draws the faces on white; returns those of good and of bad mood."""
    faces = {True: [], False: []}
    for thing, drawing in read_drawings(archive, style, lambda thing: thing["subcategory"] in (*_GOOD, *_BAD)):
        path = f"faces/{style}-{thing['image']}"
        drawing.save(folder / path)
        faces[thing["subcategory"] in _GOOD].append(path)
    if not all(faces.values()):
        raise ValueError(f"{archive} holds no faces of both moods: emoji.json, and the drawings that it names.")
    return faces
