"""What data sets read from archives."""

import io
import itertools
import json
import tarfile
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath

import PIL.Image

DRAWINGS = "https://registry.npmjs.org/emoji-datasource-{style}/-/emoji-datasource-{style}-16.0.0.tgz"
_MAX_BYTES, _MAX_FILES = 2**22, 50_000  # of a file, and of what an archive may hold


def fetch(addresses: Mapping[str, str], archives: Mapping[str, str | Path] | None, folder: Path) -> dict:
    """The paths of archives by name; those that are not given are downloaded to the folder."""
    found = dict(archives or {})
    for name, address in addresses.items():
        if name not in found:
            found[name] = folder / f"{name}.tar.gz"
            urllib.request.urlretrieve(address, found[name])  # noqa: S310
    return found


def read_files(archive: str | Path, wanted: Callable[[PurePosixPath], bool]) -> dict[PurePosixPath, bytes]:
    """Some of the files of an archive in memory, by path."""
    with tarfile.open(archive) as file:
        members = [member for member in itertools.islice(file, _MAX_FILES) if member.isfile()]
        chosen = [member for member in members if wanted(PurePosixPath(member.name))]
        return {PurePosixPath(member.name): file.extractfile(member).read(_MAX_BYTES) for member in chosen}


def read_drawings(
    archive: str | Path, style: str, wanted: Callable[[Mapping], bool]
) -> Iterator[tuple[Mapping, PIL.Image.Image]]:
    """What `emoji.json` says of each wanted thing, and its drawing of 64 x 64 pixels, on white."""
    (index,) = read_files(archive, lambda path: path.name == "emoji.json").values() or (b"[]",)
    things = [thing for thing in json.loads(index) if wanted(thing)]
    names = {thing["image"] for thing in things}
    # Of several sizes the one of 64 pixels.
    found = read_files(archive, lambda path: path.name in names and path.parent.name in ("64", f"emoji-{style}"))
    content = {path.name: data for path, data in found.items()}
    for thing in things:
        if thing["image"] in content:
            image = PIL.Image.open(io.BytesIO(content[thing["image"]])).convert("RGBA")
            paper = PIL.Image.new("RGBA", image.size, "white")
            yield thing, PIL.Image.alpha_composite(paper, image).convert("RGB")
