"""What `mk.datasets.posts` reads, in small."""

import io
import json
import tarfile

import numpy as np
import PIL.Image


def write_archives(folder, count=1000, drawings=15):
    """Archives in the form of those of `mk.datasets.posts`: sentences of two words, and faces of two colors."""
    random = np.random.default_rng(0)
    content = {}
    for ending, words in {"pos": ["good", "fine"], "neg": ["bad", "poor"]}.items():
        lines = [f"a {random.choice(words)} {random.choice(['film', 'plot'])} , number {i}" for i in range(count // 2)]
        content[f"rt-polaritydata/rt-polarity.{ending}"] = "\n".join(lines).encode("latin-1")
    write_tar(folder / "reviews.tar", content)
    for style, light in {"google": 255, "twitter": 200}.items():
        things, content = [], {}
        moods = ["face-smiling", "face-negative", "face-affection", "face-concerned", "hat"]
        for index, mood in enumerate(moods * (drawings // 5)):
            color = (light, 60, 0, 255) if index % 5 % 2 else (0, light, 60, 255)
            image = io.BytesIO()
            PIL.Image.new("RGBA", (64, 64), color).save(image, "PNG")
            content[f"package/img/{style}/64/{index}.png"] = image.getvalue()
            name = f"red {mood} number {index}".upper()
            things.append({"image": f"{index}.png", "subcategory": mood, "name": name, "category": "Things"})
        write_tar(folder / f"{style}.tar", {**content, "package/emoji.json": json.dumps(things).encode()})


def write_tar(path, content):
    with tarfile.open(path, "w") as archive:
        for name, data in content.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
