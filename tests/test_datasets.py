"""Data sets as they are laid out on disk; none is downloaded here."""

import hashlib
import importlib
import shutil
import wave

import numpy as np
import pandas as pd
import pytest
from post_archives import write_archives, write_tar

import mmkeras as mk
from mmkeras.datasets.speech import _write_wav

speaks = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")


def read_wav(path):
    with wave.open(str(path)) as file:
        assert file.getsampwidth() == 2 and file.getnchannels() == 1
        return np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768, file.getframerate()


@speaks
def test_texts_are_spoken_in_every_voice(tmp_path):
    speech = mk.datasets.speak(["is it red?", "yes", "is it red?"], tmp_path, ["en-us", "en-us+f2"], sample_rate=8000)
    assert speech[["text", "voice"]].values.tolist() == [
        ["is it red?", "en-us"],
        ["yes", "en-us"],
        ["is it red?", "en-us+f2"],
        ["yes", "en-us+f2"],
    ]
    sounds = [read_wav(tmp_path / file)[0] for file in speech["file"]]
    assert {read_wav(tmp_path / file)[1] for file in speech["file"]} == {8000}
    assert all(0.2 < len(sound) / 8000 < 2 and np.abs(sound).max() > 0.1 for sound in sounds)
    assert len(sounds[0]) > len(sounds[1])
    assert not np.array_equal(sounds[0][:4000], sounds[2][:4000])


@speaks
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"voices": ["en-us+nobody"]}, "espeak-ng has no speaker 'nobody'.*Received: voice='en-us\\+nobody'"),
        ({"voices": ["en-gb-nowhere"]}, "has no language 'en-gb-nowhere'.*--voices.*Received: voice='en-gb-nowhere'"),
        ({"texts": ["a", " "]}, "holds at least one word. Received: ' '"),
        ({"sample_rate": 44100}, "between 8000 and 22050. Received: sample_rate=44100"),
    ],
)
def test_what_cannot_be_spoken_is_named(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        mk.datasets.speak(**{"texts": ["a"], "folder": tmp_path, **arguments})


def test_without_the_program_it_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(RuntimeError, match="apt-get install espeak-ng"):
        mk.datasets.speak(["a"], tmp_path)


def test_resampling_keeps_what_both_rates_can_hold(tmp_path):
    seconds = np.arange(22050) / 22050
    low, high = np.sin(2 * np.pi * 440 * seconds), np.sin(2 * np.pi * 6000 * seconds)
    _write_wav(tmp_path / "a.wav", 0.4 * low + 0.4 * high, 22050, 8000)
    samples, rate = read_wav(tmp_path / "a.wav")
    assert (len(samples), rate) == (8000, 8000)
    assert np.allclose(samples, 0.4 * np.sin(2 * np.pi * 440 * np.arange(8000) / 8000), atol=1e-3)


@speaks
def test_questions_are_spoken_by_voices_that_the_test_alone_has(tmp_path, easy_vqa):
    for split in ("train", "test"):
        table = pd.read_csv(easy_vqa / f"{split}.csv")
        table[table["question"].isin(["is there a circle?", "what shape is present?"])].to_csv(
            tmp_path / f"{split}.csv", index=False
        )
    folder = mk.datasets.easy_vqa(tmp_path, spoken=True)
    tables = {split: pd.read_csv(folder / f"{split}.csv") for split in ("train", "test")}
    speakers = {
        split: {cell.split("+")[1].split("-")[0] for cell in table["spoken"]} for split, table in tables.items()
    }
    assert not speakers["train"] & speakers["test"] and min(map(len, speakers.values())) > 1
    for table in tables.values():
        assert list(table.columns) == ["question", "spoken", "image", "answer"]
        assert {cell.rsplit("-", 1)[1] for cell in table["spoken"]} == {"0.wav", "1.wav"}
        assert table.groupby(table["spoken"])["question"].nunique().max() == 1
        assert all((folder / cell).exists() for cell in table["spoken"])
    before = (folder / "train.csv").read_bytes()
    mk.datasets.easy_vqa(folder, spoken=True)
    assert (folder / "train.csv").read_bytes() == before


def test_spoken_digits_come_as_tables_from_a_download(tmp_path, monkeypatch):
    recordings = {f"{digit}_ann_{index}.wav": bytes([digit, index]) for digit in (0, 7) for index in (0, 4, 5, 49)}
    packed = {f"fsdd-1/recordings/{name}": content for name, content in recordings.items()}
    write_tar(tmp_path / "a.tar.gz", {**packed, "fsdd-1/setup.py": b"", "fsdd-1/other.wav": b""})
    digest = hashlib.sha256()
    for name, content in sorted(recordings.items()):
        digest.update(name.encode() + b"\0" + hashlib.sha256(content).digest())
    module = importlib.import_module("mmkeras.datasets.spoken_digits")  # its function has the same name
    monkeypatch.setattr(module, "SHA256", digest.hexdigest())
    monkeypatch.setattr(module, "ADDRESS", (tmp_path / "a.tar.gz").as_uri())
    folder = mk.datasets.spoken_digits(tmp_path / "digits")
    train, test = (pd.read_csv(folder / f"{split}.csv") for split in ("train", "test"))
    assert train["sound"].tolist() == [f"recordings/{d}_ann_{i}.wav" for d in (0, 7) for i in (49, 5)]
    assert test[["digit", "speaker"]].values.tolist() == [[0, "ann"], [0, "ann"], [7, "ann"], [7, "ann"]]
    assert all((folder / cell).read_bytes() == recordings[cell.split("/")[1]] for cell in train["sound"])


def test_other_recordings_are_refused(tmp_path):
    write_tar(tmp_path / "a.tar.gz", {"fsdd/recordings/0_ann_0.wav": b"abc"})
    message = "holds 1 recordings that are not the 3,000 of version 1.0.10.*Received: [0-9a-f]{64}"
    with pytest.raises(ValueError, match=message):
        mk.datasets.spoken_digits(tmp_path / "digits", archive=tmp_path / "a.tar.gz")
    assert not (tmp_path / "digits" / "train.csv").exists()


def test_posts_are_composed_of_sentences_and_faces(tmp_path):
    write_archives(tmp_path)
    archives = {name: tmp_path / f"{name}.tar" for name in ("reviews", "google", "twitter")}
    folder = mk.datasets.posts(tmp_path / "posts", archives)
    train, test = (pd.read_csv(folder / name) for name in ("train.csv", "test.csv"))
    assert (len(train), len(test)) == (800, 200) and not set(train["text"]) & set(test["text"])
    assert train["face"].str.contains("google").all() and test["face"].str.contains("twitter").all()
    assert 0.8 < train["agrees"].mean() < 0.9
    smiling = train["face"].str.extract(r"(\d+)\.png")[0].astype(int) % 5 % 2 == 0
    assert ((smiling == (train["label"] == "positive")) == train["agrees"]).all()
    assert all((folder / face).exists() for face in (*train["face"], *test["face"]))
    again = mk.datasets.posts(tmp_path / "again", archives)
    assert (again / "train.csv").read_bytes() == (folder / "train.csv").read_bytes()
    with pytest.raises(ValueError, match="holds no sentences: files that end in .pos and in .neg"):
        mk.datasets.posts(tmp_path / "wrong", {**archives, "reviews": archives["google"]})
    with pytest.raises(ValueError, match="holds no faces of both moods: emoji.json, and the drawings"):
        mk.datasets.posts(tmp_path / "other", {**archives, "google": archives["reviews"]})


def test_things_are_drawn_twice_and_siblings_are_a_group(tmp_path):
    write_archives(tmp_path, count=10)
    archives = {style: tmp_path / f"{style}.tar" for style in ("google", "twitter")}
    folder = mk.datasets.things(tmp_path / "things", archives)
    table = pd.read_csv(folder / "things.csv")
    assert list(table.columns) == ["name", "category", "google", "twitter", "group"] and len(table) == 15
    assert table["name"][0] == "red face-smiling number 0" and (folder / table["twitter"][3]).exists()
    by_mood = table.groupby(table["name"].str.split().str[1])["group"].nunique()
    assert (by_mood == 1).all()  # of the words two thirds are shared
    again = mk.datasets.things(tmp_path / "again", archives)
    assert (again / "things.csv").read_text() == (folder / "things.csv").read_text()
    with pytest.raises(ValueError, match="hold no things that both draw"):
        mk.datasets.things(tmp_path / "other", {**archives, "google": tmp_path / "reviews.tar"})
