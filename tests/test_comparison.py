import json

import numpy as np
import pytest

import mmkeras as mk
from mmkeras import cli
from mmkeras.comparison.compare import MISSING_RATES, _Bench

pytestmark = pytest.mark.slow

MODALITIES = {"left": mk.Tabular(categories=["a"]), "right": mk.Tabular(categories=["b"])}


def make_rows(count=400):
    """Rows whose label is the exclusive or of two cells; the cell `c` is the label itself."""
    random = np.random.default_rng(0)
    rows = [
        {"a": str(a), "b": str(b), "label": "odd" if a != b else "even"} for a, b in random.integers(0, 2, (count, 2))
    ]
    return [{**row, "c": row["label"]} for row in rows]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("comparison")
    arguments = dict(target="label", fusions=["product", Careless(name="careless")], seeds=2, epochs=12, batch_size=32)
    return folder, arguments, mk.compare(mk.read(make_rows()), MODALITIES, folder=folder, **arguments)


class Careless(mk.fusion.Concatenation):
    def fuse(self, features, present, training):
        raise RuntimeError("it was written in a hurry")


def test_fusing_helps_where_no_modality_alone_can_answer(found):
    table = found[2].table.set_index("candidate")
    assert table.loc["product", "accuracy"] > 0.95
    assert table.loc[["left", "right"], "accuracy"].max() < 0.7
    assert table.loc["product", "seeds"] == 2
    assert table.loc["product", "parameters"] > table.loc["left", "parameters"] > 0
    assert table.loc["product", ["seconds", "latency_ms"]].min() > 0
    assert found[2].sentence.startswith("Fusing helped: accuracy ")
    assert "by 'product' against" in found[2].sentence


def test_a_candidate_that_fails_is_a_row_with_its_error(found):
    row = found[2].table.set_index("candidate").loc["careless"]
    assert "RuntimeError" in row["error"] and "it was written in a hurry" in row["error"]
    assert row["seeds"] == 0
    assert "it was written in a hurry" in str(found[2])


def test_the_metric_is_told_for_every_share_of_missing_cells(found):
    for run in found[2].runs:
        for values in run.get("missing", {}).values():
            assert len(values) == len(MISSING_RATES)
            assert values[0] == run["metric"]
    product = next(run for run in found[2].runs if run["candidate"] == "product")
    assert product["missing"]["left"][-1] < product["missing"]["left"][0] - 0.2


def test_what_was_trained_is_not_trained_again(found, monkeypatch, capsys):
    folder, arguments, comparison = found
    monkeypatch.setattr(_Bench, "train", lambda *_: pytest.fail("it trains again"))
    again = mk.compare(mk.read(make_rows()), MODALITIES, folder=folder, **arguments)
    assert again.runs == comparison.runs
    assert "[8/8] right, seed 1: accuracy" in capsys.readouterr().out
    with pytest.raises(ValueError, match="comparison.json holds the trainings of another comparison.*epochs"):
        mk.compare(mk.read(make_rows()), MODALITIES, folder=folder, **{**arguments, "epochs": 3})
    with pytest.raises(ValueError, match="another comparison.*arguments"):
        mk.compare(mk.read(make_rows()), MODALITIES, folder=folder, auxiliary_weight=0.5, **arguments)
    with pytest.raises(ValueError, match="another comparison.*candidates"):
        other = {**arguments, "fusions": [mk.fusion.Product(units=4, name="product"), *arguments["fusions"][1:]]}
        mk.compare(mk.read(make_rows()), MODALITIES, folder=folder, **other)


def test_a_run_that_was_interrupted_goes_on(found, tmp_path, monkeypatch):
    folder, arguments, comparison = found
    held = json.loads((folder / "comparison.json").read_text())
    held["runs"] = held["runs"][:-1]
    (tmp_path / "comparison.json").write_text(json.dumps(held))
    trained = []
    monkeypatch.setattr(
        _Bench,
        "train",
        lambda bench, fusion, names, seed: trained.append((names, seed)) or {"metric": 0.5, "seconds": 1},
    )
    mk.compare(mk.read(make_rows()), MODALITIES, folder=tmp_path, **arguments)
    assert trained == [(["right"], 1)]


def test_where_fusing_does_not_help_it_says_so():
    parts = {"clear": mk.Tabular(categories=["c"]), "noise": mk.Tabular(categories=["a"])}
    found = mk.compare(mk.read(make_rows(200)), parts, "label", ["sum"], seeds=1, epochs=6)
    assert "Fusing did not help beyond the spread" in found.sentence
    assert found.sentence.endswith("Use 'clear' alone.")


def test_numbers_are_compared_by_their_share_of_variance():
    rows = [{"a": str(i % 2), "b": str(i % 3), "size": i % 2 + i % 3} for i in range(120)]
    found = mk.compare(mk.read(rows), MODALITIES, "size", ["sum"], task=mk.Regressor, seeds=1, epochs=2)
    assert found.metric == "r2_score"
    assert len(found.table) == 3


def test_the_page_needs_no_network(found, tmp_path):
    found[2].write_page(tmp_path / "comparison.html")
    page = (tmp_path / "comparison.html").read_text()
    assert found[2].sentence.split(":")[0] in page
    assert "product" in page and "data:image/png" in page and "http" not in page
    found[2].plot(tmp_path / "comparison.png")
    assert (tmp_path / "comparison.png").read_bytes().startswith(b"\x89PNG")


def test_unknown_fusions_are_refused_before_any_training():
    with pytest.raises(ValueError, match="Did you mean 'product'"):
        mk.compare(mk.read(make_rows(20)), MODALITIES, "label", ["produkt"])
    with pytest.raises(ValueError, match="Each fusion has a name of its own.*'sum'"):
        mk.compare(mk.read(make_rows(20)), MODALITIES, "label", ["sum", "sum"])


@pytest.mark.filterwarnings("ignore:.*text cut")  # of so few rows the longest may be in the test
def test_the_command_writes_what_it_found(tmp_path, capsys):
    table = tmp_path / "rows.csv"
    lines = ["note,size,label"] + [f"{'red tea' if i % 2 else 'blue cup'} {i},{i % 7},{'ab'[i % 2]}" for i in range(60)]
    table.write_text("\n".join(lines))
    arguments = ["compare", str(table), "--target", "label", "--fusions", "sum", "--seeds", "1", "--epochs", "1"]
    assert cli.main([*arguments, "--folder", str(tmp_path / "out")]) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "comparison.json",
        "comparison.png",
        "comparison.html",
    }
    printed = capsys.readouterr().out
    assert "[1/" in printed and "sum" in printed
    assert cli.main([*arguments[:3], "label", "--fusions", "summ"]) == 1
    assert "Did you mean 'sum'" in capsys.readouterr().err
