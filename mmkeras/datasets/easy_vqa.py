"""Questions on images, written and spoken."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd

from mmkeras.datasets.speech import speak

# Speakers of espeak-ng, each with one accent; no speaker of the test is heard in training, their accents are.
_ACCENTS = "en-us en-us-nyc en-gb en-gb-x-rp en-gb-scotland en-gb-x-gbclan en-gb-x-gbcwmd en-029".split()
_SPEAKERS = (
    "f1 f2 f3 f4 m1 m2 m3 m4 m5 m6 m8 Alicia Andrea Andy Annie Denis Diogo Gene Henrique Hugo Jacky Lee Alex Mario "
    "Michael Mike Nguyen RicishayMax Tweaky adam anika antonio aunty belinda benjamin boris caleb david ed edward "
    "edward2 grandma grandpa gustave iven iven2 iven3 iven4 john kaukovalta klatt klatt2 klatt3 klatt4 klatt5 klatt6 "
    "marcelo max michel miguel norbert pablo paul pedro quincy rob robert sandro shelby travis victor zac"
).split()
_TRAINING_VOICES = [f"{_ACCENTS[index % len(_ACCENTS)]}+{speaker}" for index, speaker in enumerate(_SPEAKERS)]
_VOICES_A_QUESTION = 24  # teach as much as all would, in fewer files
_TEST_VOICES = ["en-us+linda", "en-gb-x-rp+steph", "en-us-nyc+m7", "en-gb-scotland+f5"]


def easy_vqa(folder: str | Path = "easy-vqa", spoken: bool = False, sample_rate: int = 8000) -> Path:
    """Questions on images of one colored shape, from the package `easy-vqa` (Victor Zhou, 2019; MIT).

    Writes `train.csv` (38,575 rows on 4,000 images) and `test.csv` (9,673 on 1,000) with the columns
    `question,image,answer`, and the PNG files, 64x64 pixels, into `images/train` and `images/test`.
    There are 13 answers. A folder that holds the data already is left as it is.

    Args:
        folder: where to write.
        spoken: adds the column `spoken`: the question as a WAV file, said by espeak-ng in one of 72 voices, in the test
            in one of 4 others.
        sample_rate: of the WAV files, in hertz.

    Returns: the folder.

    Raises:
        ImportError: when the package is not installed.
        RuntimeError: when questions are to be spoken, and espeak-ng is not installed.
    """
    folder = Path(folder)
    if not (folder / "test.csv").exists():
        _write_tables(folder)
    if spoken:
        for split, voices in {"train": _TRAINING_VOICES, "test": _TEST_VOICES}.items():
            _add_speech(folder, split, voices, sample_rate)
    return folder


def _write_tables(folder):
    try:
        import easy_vqa as package
    except ImportError:
        raise ImportError("This data set comes from a package of its own: pip install 'mmkeras[demo]'") from None
    train = package.get_train_questions(), package.get_train_image_paths()
    test = package.get_test_questions(), package.get_test_image_paths()
    for split, ((questions, answers, image_ids), paths) in {"train": train, "test": test}.items():
        images = folder / "images" / split
        images.mkdir(parents=True, exist_ok=True)
        for image_id, path in paths.items():
            shutil.copyfile(path, images / f"{image_id}.png")
        image_cells = [f"images/{split}/{image_id}.png" for image_id in image_ids]
        table = pd.DataFrame({"question": questions, "image": image_cells, "answer": answers})
        table.to_csv(folder / f"{split}.csv", index=False)


def _add_speech(folder, split, voices, sample_rate):
    table = pd.read_csv(folder / f"{split}.csv")
    if "spoken" in table:
        return
    random = np.random.default_rng(0)
    count = min(_VOICES_A_QUESTION, len(voices))
    choices = {question: random.choice(voices, count, replace=False) for question in table["question"].unique()}
    chosen = np.array([random.choice(choices[question]) for question in table["question"]])
    table.insert(1, "spoken", "")
    for voice in voices:
        says = chosen == voice
        speech = speak(table["question"][says], folder / "spoken" / split, [voice], sample_rate)
        files = dict(zip(speech["text"], speech["file"], strict=True))
        table.loc[says, "spoken"] = [f"spoken/{split}/{files[question]}" for question in table["question"][says]]
    table.to_csv(folder / f"{split}.csv", index=False)
