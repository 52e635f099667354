"""What `mk.fit` decides before it trains, and why."""

import numpy as np
import PIL.Image
import pytest
from media_files import write_sound, write_video

import mmkeras as mk
from mmkeras.fitting.groups import find_groups
from mmkeras.fitting.plan import make_plan


def plan(rows, target="label", **arguments):
    """The plan for rows, which are read from files where they are given as a table."""
    source = rows if isinstance(rows, mk.Source) else mk.read(rows)
    given = dict(modalities=None, validation=None, ignore=(), group=None, chosen_fusions=None, metric=None)
    return make_plan(source, target, **{**given, **arguments}, seconds=300, seed=0)


def find(plan, what):
    (decision,) = [decision for decision in plan.decisions if decision.what == what]
    return decision


def test_task_and_metric_follow_from_the_target():
    rows = [{"x": i, "even": i % 2, "rare": i % 9 == 0, "size": 1.5 * i, "kind": "abc"[i % 3]} for i in range(90)]
    columns = {name: plan(rows, name) for name in ("even", "rare", "size", "kind")}
    assert [(p.task.__name__, p.metric) for p in columns.values()] == [
        ("Classifier", "accuracy"),
        ("Classifier", "auroc"),
        ("Regressor", "r2_score"),
        ("Classifier", "accuracy"),
    ]
    assert "the rarer of the two classes has 11% of the rows" in find(columns["rare"], "metric").why
    several = plan(rows, ["kind", "size"])
    assert several.task is mk.MultiTask and several.metric == "mean score"
    assert plan(rows, "rare", metric="log_loss").metric == "log_loss"


def test_a_column_that_says_the_target_alone_is_told():
    rows = [{"x": i % 7, "total": 3 * (i % 11), "price": 1.0 * (i % 11)} for i in range(99)]
    assert any("Column 'total' predicts 'price' alone" in doubt for doubt in plan(rows, "price").doubts)
    without = plan(rows, "price", ignore=["total"])
    assert not without.doubts and without.declared["profile"][0].preprocessor.numbers == ["x"]


def test_the_validation_part_has_every_class_alike():
    rows = [{"x": i % 13, "label": "rare" if i % 10 == 0 else "often"} for i in range(200)]
    made = plan(rows)
    assert len(made.validation) == 40 and made.validation.texts("label").count("rare") == 4
    assert "drawn at random, stratified by class" in find(made, "validation rows").why


def test_one_row_of_a_class_stays_in_training():
    rows = [{"x": i % 13, "label": "only" if i == 5 else "xy"[i % 2]} for i in range(60)]
    made = plan(rows)
    assert "only" in made.train.texts("label") and "only" not in made.validation.texts("label")
    assert any("have one row" in doubt for doubt in made.doubts)


@pytest.mark.parametrize("column", ["user", "speaker_id", "Patient No", "customer"])
def test_nobody_is_in_both_parts(column):
    rows = [{"x": i % 7, column: f"A{i % 20}", "label": "xy"[i % 2]} for i in range(200)]
    made = plan(rows, ignore=[column])
    parts = [set(part.texts(column)) for part in (made.train, made.validation)]
    assert parts[0] & parts[1], "a column that is ignored says nothing"
    made = plan(rows)
    parts = [set(part.texts(column)) for part in (made.train, made.validation)]
    assert not parts[0] & parts[1] and parts[1]
    assert f"cells of '{column}' come back, and none is in both parts" in find(made, "validation rows").why


def test_a_group_that_is_asked_for():
    rows = [{"x": i % 7, "city": f"c{i % 12}", "label": "xy"[i % 2]} for i in range(240)]
    made = plan(rows, group="city")
    assert not set(made.train.texts("city")) & set(made.validation.texts("city"))
    assert "profile" in made.declared and not made.declared["profile"][0].preprocessor.categories


def test_files_and_recordings_that_come_back_are_in_one_part(tmp_path):
    cells = [f"{i % 10}.wav#t={i // 10},{i // 10 + 1}" for i in range(40)]
    rows = mk.read([{"sound": cell, "label": "xy"[i % 2]} for i, cell in enumerate(cells)], folder=tmp_path)
    groups, why = find_groups(rows, mk.propose(rows), None)
    assert len(set(groups)) == 10 and groups[0] == groups[10] and "'sound' come back" in why


def test_rows_are_tied_also_by_way_of_others():
    rows = [{"user": f"u{i // 2}", "photo": f"{(i + 1) // 2}.png"} for i in range(12)]
    source = mk.read(rows)
    groups, why = find_groups(source, mk.propose(source), None)
    assert groups is None and "tie 100% of the rows together" in why
    rows = [{"user": f"u{i // 2}", "photo": f"{(i + 1) // 2 if i % 6 else 99 + i}.png"} for i in range(24)]
    source = mk.read(rows)
    groups, _ = find_groups(source, mk.propose(source), None)
    assert len(set(groups)) == 4 and list(groups[:6]) == [groups[0]] * 6


def test_rows_that_cannot_be_used_are_left_out_by_name():
    rows = [{"x": i % 13, "label": "xy"[i % 2]} for i in range(60)]
    rows[7]["x"], rows[9]["label"] = "many", None
    with pytest.warns(UserWarning, match="row 8, column 'x' \\(many\\).*") as caught:
        made = plan(rows)
    assert "row 10, column 'label'" in str(caught[0].message)
    assert len(made.train) + len(made.validation) == 58 and made.problems.rejected == {7, 9}


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([None] * 40, "none of its 40 rows has a value"),
        (["same"] * 40, "holds fewer than two different labels in 40 rows"),
        ([7.5] * 40, "is 7.5 in every row"),
        ([f"name {i} of all" for i in range(40)], "has another value in each of its 40 labeled rows"),
    ],
)
def test_a_target_that_cannot_be_learned_is_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        plan([{"x": i % 13, "label": label} for i, label in enumerate(labels)])


def test_a_table_of_one_column_is_refused():
    with pytest.raises(ValueError, match="rows has no column that a model could read"):
        plan([{"label": "xy"[i % 2]} for i in range(40)])


def test_a_folder_of_one_class_is_refused(tmp_path):
    (tmp_path / "cat").mkdir()
    for i in range(30):
        PIL.Image.new("RGB", (8, 8), (i, 0, 0)).save(tmp_path / "cat" / f"{i}.png")
    with pytest.raises(ValueError, match="column 'label', which holds fewer than two different labels"):
        mk.fit(tmp_path)


def test_three_classes_of_one_row_are_told():
    rows = [{"x": i % 13, "label": f"only {i}" if i < 3 else "xy"[i % 2]} for i in range(60)]
    made = plan(rows)
    assert any("3 of the 5 classes of 'label' have one row" in doubt for doubt in made.doubts)
    assert {f"only {i}" for i in range(3)} <= set(made.train.texts("label"))


def test_rows_to_choose_by_with_other_columns_are_refused():
    rows = [{"x": i % 13, "label": "xy"[i % 2]} for i in range(60)]
    with pytest.raises(ValueError, match="rows has no column 'x', which was asked for as an input"):
        plan(rows, validation=mk.read([{"y": 1, "label": "x"}] * 30))


def test_rows_to_choose_by_may_be_given():
    rows = [{"x": i % 13, "label": "xy"[i % 2]} for i in range(60)]
    made = plan(rows, validation=mk.read(rows[:24]))
    assert len(made.train) == 60 and len(made.validation) == 24
    assert find(made, "validation rows").why == "as given: rows"


def test_encoders_that_read_alike_learn_the_vocabulary_once():
    rows = [{"text": f"{'red' if i % 2 else 'blue'} tea {i}", "label": "xy"[i % 2]} for i in range(80)]
    tried = [mk.Text(), mk.Text(encoder="cnn"), mk.Text(encoder="ngrams")]
    variants = plan(rows, modalities={"text": tried}).variants["text"]
    assert list(variants) == ["TextGRU", "TextCNN", "TextNGrams"]
    configs = [modality.preprocessor.get_config() for modality in variants.values()]
    assert configs[0] == configs[1] != configs[2]
    assert all(modality.preprocessor.is_adapted for modality in variants.values())
    assert not tried[0].preprocessor.is_adapted


def test_images_are_read_in_their_size_and_without_color_where_they_have_none(tmp_path):
    random = np.random.default_rng(0)
    rows = []
    for i in range(30):
        PIL.Image.fromarray(random.integers(0, 255, (20, 28), "uint8")).save(tmp_path / f"g{i}.png")
        PIL.Image.fromarray(random.integers(0, 255, (400, 300, 3), "uint8")).save(tmp_path / f"c{i}.jpg")
        rows.append({"gray": f"g{i}.png", "color": f"c{i}.jpg", "label": "xy"[i % 2]})
    made = plan(mk.read(rows, folder=tmp_path))
    gray, color = (made.declared[name][0].preprocessor for name in ("gray", "color"))
    assert (gray.size, gray.grayscale) == ((28, 28), True)
    assert color.size in [(96, 96), (128, 128)] and not color.grayscale
    assert find(made, "input 'gray'").choice == "mk.Image(size=28, grayscale=True)"
    assert "images are 28 pixels wide or high, without color" in find(made, "input 'gray'").why


def test_recordings_are_heard_as_long_as_they_last(tmp_path):
    for i in range(4):
        write_sound(tmp_path / f"{i}.wav", "wav", 1.2)
        write_sound(tmp_path / f"{i}.amr", "amr", 2.0)
    rows = [{"a": f"{i % 4}.wav", "b": f"{i % 4}.amr", "label": "xy"[i % 2]} for i in range(40)]
    made = plan(mk.read(rows, folder=tmp_path))
    a, b = (made.declared[name][0].preprocessor for name in "ab")
    assert (a.seconds, a.sample_rate) == (1.2, 16000)
    assert (b.seconds, b.sample_rate) == (pytest.approx(2, abs=0.15), 8000)
    assert made.mixup == 0.2


def test_a_video_with_sound_is_seen_and_heard(tmp_path):
    for i in range(4):
        write_video(tmp_path / f"{i}.mp4", "mp4", 20, 10)
    rows = mk.read([{"clip": f"{i % 4}.mp4", "label": "xy"[i % 2]} for i in range(40)], folder=tmp_path)
    made = plan(rows)
    assert set(made.declared) == {"clip", "clip_sound"}
    clip, sound = (made.declared[name][0] for name in ("clip", "clip_sound"))
    assert sound.column == "clip" and sound.preprocessor.seconds == pytest.approx(2, abs=0.15)
    assert clip.preprocessor.frames in (20, 21) and clip.preprocessor.rate == 10
    assert clip.preprocessor.image.grayscale
