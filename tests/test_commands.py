"""`mmkeras fit`, `evaluate`, `predict`, `export`, and the example of each command."""

import csv
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import yaml

import mmkeras as mk
from mmkeras.cli import COMMANDS, build_parser, main
from mmkeras.fitting import read_run

pytestmark = pytest.mark.docs

WAITS = ("data-service", "label", "demo")  # for somebody at the page; for minutes: their examples run elsewhere


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Tables, and what `mmkeras fit` makes of one."""
    folder = tmp_path_factory.mktemp("commands")
    random = np.random.default_rng(0)
    for name, count in {"train.csv": 160, "test.csv": 40, "new.csv": 30}.items():
        with (folder / name).open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["text", "size", "color", "label"])
            for kind, size in random.integers(0, 2, (count, 2)):
                text = f"{['good', 'bad'][kind]} tea {random.integers(9)}"
                writer.writerow([text, size + random.normal() / 9, "rgb"[random.integers(3)], ["yes", "no"][kind]])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        example = read_example("fit").replace("600", "20")
        assert main([*shlex.split(example), "--fusions", "sum", "--ignore", "color"]) == 0
    return folder


def read_example(name):
    """The arguments in the epilog of a command."""
    (actions,) = build_parser()._subparsers._group_actions
    return re.search(r"Example: mmkeras (.*?)(\.\s|$)", " ".join(actions.choices[name].epilog.split()))[1]


@pytest.mark.parametrize("name", [command.__name__.split(".")[-1].replace("_", "-") for command in COMMANDS])
def test_the_example_of_each_command_runs(name, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    example = shlex.split(read_example(name))
    assert build_parser().parse_args(example).command == name
    if name in WAITS:
        return
    if name == "launch":
        (folder / "train.py").write_text("import os; assert os.environ['TF_CONFIG']")
    if name == "fit":
        assert (folder / "run" / "report.html").exists()
    else:
        assert main(example) == 0, capsys.readouterr().err


def test_fit_writes_what_makes_the_same_run_again(folder, monkeypatch):
    run = yaml.safe_load((folder / "run" / "run.yaml").read_text())
    assert run["source"] == "train.csv" and run["target"] == "label" and run["ignore"] == ["color"]
    assert {"Text": {"encoder": {"TextNGrams": {}}}} in run["modalities"]["text"]
    monkeypatch.chdir(folder)
    arguments = read_run("run/run.yaml", mk.fit)
    assert arguments["modalities"]["profile"][0].preprocessor.numbers == ["size"]
    seen = {}
    monkeypatch.setattr(mk, "fit", lambda **given: seen.update(given) or mk.Classifier)
    monkeypatch.setattr(mk.Classifier, "report", type("Report", (), {"was_interrupted": True}))
    monkeypatch.setattr("mmkeras.fitting.read_run", lambda path, *_: read_run(path, arguments_of_fit))
    assert main(["fit", "run/run.yaml", "--seed", "3", "--folder", "again"]) == 130
    assert seen["seed"] == 3 and seen["folder"] == "again" and seen["target"] == "label"


def arguments_of_fit(source, target, modalities, ignore, fusions, metric, time_limit, seed):
    """What the file of this run holds."""


def test_predict_writes_answers_and_why_there_is_none(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    monkeypatch.setattr("mmkeras.cli.predict._ROWS", 7)
    modalities = {"text": mk.Text(), "profile": mk.Tabular(numbers=["size"])}
    train = mk.read(folder / "train.csv")
    model = mk.Classifier.from_source(train, modalities, "label")
    model.fit(model.dataset(train), verbose=0)
    model.save(folder / "both.keras")
    lines = (folder / "new.csv").read_text().splitlines()
    lines[10] = "good tea,not a number,r,yes"
    lines[11] = ",,,"
    (folder / "bad.csv").write_text("\n".join(lines) + "\n")
    assert main(["predict", "both.keras", "bad.csv", "answers.csv"]) == 0
    assert "30 rows; 1 of them cannot be answered" in capsys.readouterr().out
    with (folder / "answers.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 30
    assert "row 10, column 'size' (not a number): not a number" in rows[9]["error"] and rows[9]["predicted_label"] == ""
    assert all(row["predicted_label"] in ("yes", "no") for index, row in enumerate(rows) if index != 9)
    assert rows[10]["error"] == ""
    answers = model.predict_rows(mk.read(folder / "new.csv"))
    assert [row["predicted_label"] for row in rows[:9]] == [answer["label"] for answer in answers[:9]]
    assert not [*folder.glob("*.part"), *folder.glob(".*.csv")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate", "no.keras", "test.csv"], "No model at no.keras"),
        (["predict", "run/model.keras", "new.csv", "new.csv"], "would take the place of the rows"),
        (["predict", "run/model.keras", "other.csv", "out.csv"], "none of the columns that the model reads"),
        (["fit", "train.csv", "--target", "labl"], "Did you mean 'label'"),
        (["fit", "no.yaml"], "No file at no.yaml"),
        (["fit", "train.csv", "--target", "label"], "To go on with it"),
        (["export", "run/model.keras", "out", "--rows", "test.csv", "--formats", "tfl"], "A format is one of"),
    ],
)
def test_a_failure_is_a_sentence_and_exit_code_1(arguments, message, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    (folder / "other.csv").write_text("a,b\n1,2\n")
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"mmkeras {arguments[0]}: ") and message in error


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time_limt: 5", "has no argument 'time_limt'. Did you mean 'time_limit'"),
        ("modalities: {text: {Text: {encodr: cnn}}}", "Text has no argument 'encodr'. Did you mean 'encoder'"),
        ("modalities: {text: {Txt: {}}}", "There is no class 'Txt'. Did you mean 'Text'"),
        ("target: a\ntarget: b", "'target' stands twice"),
        ("a: &x [1]\nb: *x", r"references \(\*\) are not read"),
        ("target: !!python/object:os.system {}", "is not YAML"),
        ("source: ../t.csv", "`source` leads out of the current folder.*--allow-outside"),
        ("folder: /tmp/elsewhere", "`folder` leads out of the current folder"),
        ("allow_outside: true", "a file cannot trust itself"),
        ("- a", "holds arguments of mk.fit"),
        ("target: [a", "is not YAML"),
    ],
)
def test_a_file_with_something_wrong_is_refused(text, message, tmp_path):
    (tmp_path / "run.yaml").write_text(text)
    with pytest.raises((TypeError, ValueError), match=message):
        read_run(tmp_path / "run.yaml", mk.fit)


def test_the_file_in_the_docs_is_read(tmp_path, monkeypatch):
    page = (Path(__file__).parents[1] / "docs" / "training.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "run.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    arguments = read_run("run.yaml", mk.fit)
    assert arguments["modalities"]["text"][0].encoder.bidirectional
    assert arguments["fusions"][1].modality_dropout == 0.1


def test_objects_come_back_from_a_file_as_they_were(tmp_path):
    modalities = {
        "a": [
            mk.Text(mk.tokenizers.NGrams(min_count=3), encoder="ngrams"),
            mk.Text(encoder=mk.encoders.TextCNN(units=32)),
        ],
        "b": [mk.Video(frames=4, size=(8, 12), grayscale=True, column="clip", encoder="cnn3d")],
        "c": [mk.Tabular(numbers=["x"], categories=["y"])],
    }
    target, fusions = mk.targets.MultiTarget(["u", mk.targets.NumberTarget("v")]), [mk.fusion.Gated(units=8), "sum"]
    mk.fitting.write_run(tmp_path / "run.yaml", dict(target=target, modalities=modalities, fusions=fusions))
    again = read_run(tmp_path / "run.yaml", mk.fit)
    for name, tried in modalities.items():
        for one, other in zip(tried, again["modalities"][name], strict=True):
            assert one.get_config() == other.get_config()
    assert again["target"].get_config() == target.get_config()
    assert again["fusions"][0].units == 8 and again["fusions"][1] == "sum"
