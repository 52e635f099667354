import pytest
from media_files import write_sound

import mmkeras as mk
from mmkeras.cli import main

CELLS = {
    "Text": [f"this is the {i}th text of them" for i in range(100)],
    "Image": [f"photos/{i}.JPG" for i in range(100)],
    "Audio": [f"{i}.mp3#t=0,{i + 1}" for i in range(100)],
    "Video": [f"{i}.webm" for i in range(100)],
    "History": [["a", "b"]] * 50 + [[]] * 50,
    "number": [str(i * i) for i in range(95)] + ["?"] * 5,
    "category": ["red", "green", ""] * 33 + ["red"],
    "date": [f"2024-01-{1 + i % 28:02d}" for i in range(100)],
    "unused": ["same"] * 100,
}


@pytest.mark.parametrize("kind", CELLS)
def test_each_kind_is_proposed_with_a_reason_and_examples(kind):
    (proposal,) = mk.propose(mk.read([{"column": cell} for cell in CELLS[kind]]))
    assert proposal.kind == kind
    assert proposal.why
    assert 1 <= len(proposal.examples) <= 3


def test_bytes_are_known_by_how_they_begin(tmp_path):
    wav = write_sound(tmp_path / "s.wav").read_bytes()
    cells = {"a": wav, "b": b"\xff\xd8\xff", "c": b"\0\0\0\x18ftypisom", "d": b"hello"}
    assert [p.kind for p in mk.propose(mk.read([cells]))] == ["Audio", "Image", "Video", "unused"]


def test_numbers_that_count_the_rows_are_of_no_use_and_few_numbers_may_be_categories():
    rows = [{"id": i, "stars": i % 5} for i in range(100)]
    counted, few = mk.propose(mk.read(rows))
    assert counted.kind == "unused" and "count the rows" in counted.why
    assert few.kind == "number" and "is it a category?" in few.why


def test_the_command_shows_guesses_code_and_bad_cells(tmp_path, capsys):
    lines = [f"{i}.wav,{20 + i * 7 % 50},{'ab'[i % 2]},some text {i} here" for i in range(30)]
    (tmp_path / "t.csv").write_text("sound,age of,label,my note\n" + "\n".join(lines))
    for i in range(29):
        write_sound(tmp_path / f"{i}.wav", seconds=0.1)
    assert main(["check", str(tmp_path / "t.csv"), "--target", "label"]) == 0
    out = capsys.readouterr().out
    assert "t.csv: 30 rows, 4 columns" in out
    assert "sound    Audio     100% of its cells end in .wav" in out
    assert (
        "modalities = {'sound': mk.Audio(), 'my_note': mk.Text(column='my note'), "
        "'profile': mk.Tabular(numbers=['age of'])}"
    ) in out
    assert "t.csv, row 30, column 'sound' (29.wav): file not found" in out


def test_the_command_says_what_is_wrong_in_a_sentence(tmp_path, capsys):
    assert main(["check", str(tmp_path / "no.csv")]) == 1
    assert capsys.readouterr().err.startswith("mmkeras check: No table at")
