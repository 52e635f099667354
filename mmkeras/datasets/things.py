"""Things, what they are called, and how they are drawn."""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from mmkeras.datasets.archives import DRAWINGS, fetch, read_drawings

STYLES = ("google", "twitter")
_NAMES_ALIKE, _DRAWINGS_ALIKE = 0.5, 0.95
_SIZE = 32


def things(folder: str | Path = "things", archives: Mapping[str, str | Path] | None = None) -> Path:
    """1,911 things (emoji) with their names, each drawn in two styles.

    Writes PNG files of 64 x 64 pixels, and `things.csv` with the columns `name,category,google,twitter,group`. Many
    things have siblings, such as flags, families and moons: of one group are those whose names share half of their
    words, or whose drawings correlate by 0.95, and those that are alike with these, and so on. Split by it, no thing of
    the test has a sibling in training: `source.split(test_size=0.2, by="group")`. A folder that holds the data already
    is left as it is.

    Drawings: the packages emoji-datasource-google (Apache-2.0) and emoji-datasource-twitter (CC BY 4.0).

    Args:
        folder: where to write.
        archives: paths of tar files, packed in any way: `google`, `twitter`; those that are left out are downloaded
            (twice about 60 MB).

    Returns: the folder.

    Raises:
        ValueError: when archives hold no things that both draw.
        OSError: when an archive cannot be read or downloaded.
    """
    folder = Path(folder)
    if (folder / "things.csv").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    archives = fetch({style: DRAWINGS.format(style=style) for style in STYLES}, archives, folder)
    rows, pixels = {}, {style: {} for style in STYLES}
    for style in STYLES:
        (folder / style).mkdir(exist_ok=True)
        for thing, drawing in read_drawings(archives[style], style, lambda thing: "name" in thing):
            code = thing["image"]
            row = rows.setdefault(code, {"name": thing["name"].lower(), "category": thing.get("category", "")})
            row[style] = f"{style}/{code}"
            drawing.save(folder / row[style])
            pixels[style][code] = np.asarray(drawing.resize((_SIZE, _SIZE)), "float32").ravel()
    kept = [code for code, row in rows.items() if set(STYLES) <= row.keys()]
    if not kept:
        raise ValueError(f"{list(map(str, archives.values()))} hold no things that both draw: emoji.json and drawings.")
    table = pd.DataFrame([rows[code] for code in kept])
    drawings = [np.stack([pixels[style][code] for code in kept]) for style in STYLES]
    table["group"] = _find_groups(list(table["name"]), drawings)
    table.to_csv(folder / "things.csv", index=False)
    return folder


def _find_groups(names, drawings):
    """For each thing the number of its group, that of the first thing in it."""
    words = [set(re.findall(r"[a-z0-9]+", name)) for name in names]
    known = {word: index for index, word in enumerate(sorted(set().union(*words)))}
    bags = np.zeros((len(words), len(known)), "float32")
    for index, found in enumerate(words):
        bags[index, [known[word] for word in found]] = 1
    shared, counts = bags @ bags.T, bags.sum(axis=1)
    alike = shared / np.maximum(counts[:, None] + counts - shared, 1) >= _NAMES_ALIKE
    for pixels in drawings:
        vectors = pixels - pixels.mean(axis=1, keepdims=True)
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)
        alike |= vectors @ vectors.T >= _DRAWINGS_ALIKE
    groups = np.arange(len(names))
    np.fill_diagonal(alike, True)
    while True:
        smallest = np.where(alike, groups, len(names)).min(axis=1)
        if np.array_equal(smallest, groups):
            return groups
        groups = smallest
