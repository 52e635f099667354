"""Each kind of bad input, and the very message that a user reads."""

import io
import os
import shutil
import warnings

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

import mmkeras as mk

pytestmark = pytest.mark.compat

MODALITIES = {"question": mk.Text(), "image": mk.Image(size=32)}


@pytest.fixture
def folder(tmp_path, easy_vqa):
    for name in ("0", "1", "2"):
        shutil.copy(easy_vqa / "images" / "train" / f"{name}.png", tmp_path / f"{name}.png")
    return tmp_path


def read(folder, *rows, name="rows.csv"):
    """A table of `question,image,answer` rows, after two good ones."""
    lines = ["question,image,answer", "what shape is it?,0.png,circle", "what color is it?,1.png,red", *rows]
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return mk.read(folder / name, target="answer")


def check_one(source):
    """The only problem of the source."""
    (problem,) = mk.check(source, MODALITIES).problems
    return str(problem)


def test_a_truncated_png(folder):
    data = (folder / "2.png").read_bytes()
    (folder / "2.png").write_bytes(data[: len(data) // 2])
    assert check_one(read(folder, "what?,2.png,red")) == (
        f"rows.csv, row 3, column 'image' (2.png): damaged image: its {len(data) // 2} bytes cannot be decoded. "
        "Fix: replace the file."
    )


def test_a_path_that_does_not_exist(folder):
    assert check_one(read(folder, "what?,img/9.png,red")) == (
        f"rows.csv, row 3, column 'image' (img/9.png): file not found: no file at {folder / 'img/9.png'}. "
        "Fix: correct the path; it is relative to the table's folder."
    )


def test_a_text_file_named_png(folder):
    (folder / "2.png").write_text("not a image")
    assert check_one(read(folder, "what?,2.png,red")) == (
        "rows.csv, row 3, column 'image' (2.png): not an image: it starts with b'not a im', which is no known format. "
        "Fix: convert the file to PNG or JPEG."
    )


def test_an_empty_file(folder):
    (folder / "2.png").write_bytes(b"")
    assert check_one(read(folder, "what?,2.png,red")) == (
        "rows.csv, row 3, column 'image' (2.png): empty file: it has 0 bytes. "
        "Fix: replace the file, or leave the cell empty."
    )


def test_a_folder_in_place_of_a_file(folder):
    (folder / "sub").mkdir()
    assert "row 3, column 'image' (sub): not a file: it is a folder" in check_one(read(folder, "what?,sub,red"))


def test_a_image_of_forty_megapixels(folder):
    PIL.Image.new("L", (8000, 5000)).save(folder / "2.png")
    assert check_one(read(folder, "what?,2.png,red")) == (
        "rows.csv, row 3, column 'image' (2.png): image too large: it has 40.0 megapixels, more than the 33.6 allowed. "
        "Fix: shrink the file, or allow it by mk.Image(max_pixels=40000000)."
    )


def test_a_row_without_label(folder):
    assert check_one(read(folder, "what?,2.png,")) == (
        "rows.csv, row 3, column 'answer': no label: the cell is empty. Fix: label the row."
    )


def test_a_csv_without_the_target_column(folder):
    read(folder)
    with pytest.raises(ValueError, match=r"rows.csv has no column 'label', which was asked for as target. Its columns"):
        mk.read(folder / "rows.csv", target="label")


def test_a_label_never_seen_in_training(folder, trained):
    source = read(folder, "what color is it?,2.png,blu")
    assert str(trained.check(source).problems[0]) == (
        "rows.csv, row 3, column 'answer' (blu): unknown label: it is not one of the 13 labels of the model. "
        "Fix: correct it to 'blue'."
    )


def test_a_question_in_another_script_is_used_and_named(trained):
    with pytest.warns(UserWarning) as caught:
        (answer,) = trained.predict_rows([{"question": "какого цвета?", "image": None}])
    assert answer["answer"] in trained.classes
    size = len(trained.modalities["question"].preprocessor.vocabulary)
    assert str(caught[0].message).splitlines() == [
        "rows: kept: 1 unknown words only.",
        f"  rows, row 1, column 'question' (какого цвета?): unknown words only: none of its words is in the "
        f"vocabulary of {size} pieces, the model sees only [UNK]. Fix: train on text in this script, or give "
        "Text a vocabulary that has it.",
    ]


def test_a_text_longer_than_the_model_reads_is_used_and_named(trained):
    with pytest.warns(UserWarning, match=r"text cut: it has 40 tokens, and those after the first \d+ are cut"):
        trained.predict_rows([{"question": "is " * 40, "image": None}])


def test_training_goes_on_without_bad_rows_and_says_how_many_and_why(folder):
    (folder / "broken.png").write_text("no")
    source = read(folder, "what?,broken.png,red", "what?,nowhere.png,red", "what?,gone.png,red", "what?,2.png,")
    model = mk.Classifier.from_source(source, MODALITIES)
    with pytest.warns(UserWarning) as caught:
        dataset = model.dataset(source)
    message = str(caught[0].message)
    assert message.startswith(
        "rows.csv: 4 of 6 rows are left out: 2 file not found, 1 not an image, 1 no label.\n"
        "  rows.csv, row 3, column 'image' (broken.png): not an image"
    )
    assert message.endswith("`print(model.check(source))` names them all.")
    assert caught[0].filename == __file__
    ((tensors, targets),) = dataset
    assert targets.numpy().tolist() == [0, 1]
    assert model.classes == ["circle", "red"]
    assert tensors["image_present"].numpy().all()
    model.fit(dataset, epochs=1, verbose=0)


def test_no_usable_row_is_an_error_with_the_report(folder):
    (folder / "rows.csv").write_text("question,image,answer\nwhat?,nowhere.png,red\n")
    with pytest.raises(ValueError, match=r"No usable row is left.\n(.*\n)*  left out: 1 file not found"):
        mk.Classifier.from_source(mk.read(folder / "rows.csv", target="answer"), MODALITIES)


def test_rows_that_cannot_be_answered_are_named_and_none_is_answered(trained, folder):
    good = {"question": "what?", "image": str(folder / "0.png")}
    with pytest.raises(ValueError, match="These rows cannot be answered.\n(.*\n)*.*rows, row 2, column 'image'"):
        trained.predict_rows([good, {"question": "what?", "image": "nowhere.png"}])


def test_bytes_that_are_no_image_are_named(trained):
    with pytest.raises(ValueError, match=r"row 1, column 'image' \(5 bytes\): not an image"):
        trained.predict_rows([{"question": "what?", "image": b"hello"}])


def test_a_misspelt_column_is_not_taken_for_a_missing_modality(trained):
    with pytest.raises(ValueError, match=r"The rows have no \['image'\], but \['imgae'\].*give it as None"):
        trained.predict_rows([{"question": "what?", "imgae": "1.png"}])


def test_good_rows_pass_without_a_warning(trained, folder):
    buffer = io.BytesIO()
    PIL.Image.fromarray(np.zeros((9, 9), "uint8")).save(buffer, "PNG")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        answers = trained.predict_rows([{"question": "what shape is it?", "image": buffer.getvalue()}, {}])
    assert len(answers) == 2


def test_the_report_counts_and_shows(folder):
    source = read(folder, ",,red", "what?,,red", *["what?,no.png,red"] * 30)
    report = mk.check(source, MODALITIES)
    assert (report.rows, report.missing, len(report.rejected)) == (34, {"question": 1, "image": 2}, 30)
    lines = str(report).splitlines()
    assert lines[:3] == [
        "rows.csv: 34 rows, 4 usable",
        "  missing cells: question 1, image 2",
        "  left out: 30 file not found",
    ]
    assert lines[-1] == "  ... and 27 more of 'file not found' in column 'image'; all are in `report.problems`"


def test_a_file_whose_name_is_no_unicode_is_read(tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    (tmp_path / name).write_bytes(tf.io.encode_png(np.full((4, 4, 3), 200, "uint8")).numpy())
    rows = mk.read([{"image": name, "label": "a"}, {"image": name, "label": "b"}], "label", folder=tmp_path)
    model = mk.Classifier.from_source(rows, {"image": mk.Image(size=4)})
    (batch, _) = next(iter(model.dataset(rows)))
    assert (batch["image"].numpy() == 200).all()
    assert len(model.predict_rows([{"image": str(tmp_path / name)}])) == 1
