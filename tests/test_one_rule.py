"""What a cell is worth is the same for the check, the dataset, `predict_rows` and the raw signature."""

import io

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st

import mmkeras as mk
from mmkeras.data import media
from mmkeras.exporting.signatures import raw_signature
from mmkeras.preprocessing import to_strings

TEXTS = st.one_of(
    st.text(max_size=12),
    st.text("0123456789+-.eE_x,' \u00a0٣", max_size=8),
    st.text("0123456789-T: ", max_size=12),
    st.dates().map(str),
    st.floats().map(repr),
    st.text("[]'\", ab1\\", max_size=10),
    st.binary(max_size=6),
)
EXAMPLES = [
    "12\u00a0",
    "\u3000",
    "1_0",
    "0x10",
    "inf",
    "nan",
    "1e400",
    "1,5",
    "1980-02-30",
    "2024-1-1",
    "a\ud83d",
    "a\0b",
    b"\xff",
]


@pytest.fixture(scope="module")
def model():
    rows = [
        {"text": "red tea", "number": i, "category": "ab"[i % 2], "date": f"2024-01-0{i + 1}", "label": "xy"[i % 2]}
        for i in range(4)
    ]
    for i, row in enumerate(rows):
        row |= {"history": ["a", "b"][: i % 3], "at": [1, 5][: i % 3]}
    modalities = {
        "text": mk.Text(encoder=mk.encoders.TextGRU(units=4, embedding_dim=4)),
        "table": mk.Tabular(["number"], ["category"], ["date"], encoder=mk.encoders.TabularMLP(units=4)),
        "history": mk.History(3, times="at", encoder=mk.encoders.HistoryGRU(units=4, embedding_dim=4)),
    }
    return mk.Classifier.from_source(mk.read(rows), modalities, "label")


@pytest.fixture(scope="module")
def serve(model):
    """Rows to what the raw signature answers."""
    signature = raw_signature(model)

    def ask(rows):
        packed = {
            name: model.preprocessor.preprocessors[name].pack(modality.convert(name, rows, "."), whole=True)
            for name, modality in model.modalities.items()
        }
        inputs = {key: to_strings(cells) for key, cells in model.preprocessor.split_columns(packed).items()}
        return {key: tensor.numpy() for key, tensor in signature(inputs).items()}

    return ask


def check_one_rule(model, serve, rows):
    """Each row is refused by all, or has the same answer from all."""
    source = mk.read(rows).with_columns(model.columns)
    report = model.check(source)
    answers = serve(rows)
    refused = answers["error"] != b""
    assert report.rejected == set(np.flatnonzero(refused)), f"{report}\n{answers['error']}"
    assert np.isnan(answers["probabilities"][refused]).all() and set(answers["label"][refused]) <= {b""}
    for index in np.flatnonzero(refused)[:2]:
        with pytest.raises(ValueError, match="cannot be answered"):
            model.predict_rows([rows[index]])
    if refused.all():
        return
    usable = [row for row, is_refused in zip(rows, refused, strict=True) if not is_refused]
    said = model.predict_rows(usable)
    assert [answer["label"].encode() for answer in said] == answers["label"][~refused].tolist()
    assert np.allclose([answer["probability"] for answer in said], answers["probability"][~refused], atol=1e-6)
    by_dataset = model.predict(model.dataset(source), verbose=0)
    assert np.allclose(by_dataset, answers["probabilities"][~refused], atol=1e-6)


@pytest.mark.filterwarnings("ignore:rows")
@pytest.mark.parametrize("column", ["text", "number", "category", "date", "history"])
@settings(deadline=None, max_examples=8)
@given(cells=st.lists(TEXTS, min_size=20, max_size=40))
@example(cells=EXAMPLES)
def test_text_numbers_categories_dates_and_items(model, serve, column, cells):
    check_one_rule(model, serve, [{column: cell} for cell in cells])


ITEMS = st.lists(st.sampled_from(["a", "b", "", " ", "new"]), max_size=6)
TIMES = st.lists(st.one_of(st.integers(0, 9), st.sampled_from(["", "1_0", "inf", "1e1"])), max_size=6)


@pytest.mark.filterwarnings("ignore:rows")
@settings(deadline=None, max_examples=10)
@given(st.lists(st.tuples(ITEMS, TIMES), min_size=20, max_size=40))
@example([(["a"] * 5, [1, 2, 3, 4, 5]), (["a", "", "b", "a", "b"], [1, 2, 3, 4, 5]), (["a", "b"], [2, 1])])
def test_histories_with_times(model, serve, histories):
    check_one_rule(model, serve, [{"history": items, "at": times} for items, times in histories])


def write_wav():
    return tf.audio.encode_wav(np.linspace(-0.5, 0.5, 200)[:, None].astype("float32"), 16000).numpy()


def write_image(format, **options):
    buffer = io.BytesIO()
    PIL.Image.fromarray(np.arange(192, dtype="uint8").reshape(8, 8, 3)).save(buffer, format, **options)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def of_media():
    modalities = {
        "image": mk.Image(size=8, encoder=mk.encoders.ImageCNN(units=4, filters=(4,))),
        "sound": mk.Audio(seconds=0.1, encoder=mk.encoders.AudioCNN(units=4, filters=(4,), mel_bins=8)),
    }
    rows = [{"image": write_image("PNG"), "sound": write_wav(), "label": label} for label in "ab"]
    return mk.Classifier.from_source(mk.read(rows), modalities, "label")


@pytest.fixture(scope="module")
def serve_media(of_media):
    return raw_signature(of_media)


@pytest.mark.filterwarnings("ignore:rows")
@pytest.mark.parametrize(
    "column, good",
    [
        ("image", write_image("PNG")),
        ("image", write_image("JPEG")),
        ("image", write_image("JPEG", progressive=True)),
        ("sound", write_wav()),
    ],
    ids=["png", "jpeg", "progressive", "wav"],
)
@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_mutated_media(of_media, serve_media, column, good, data):
    """What Python takes as it is, the graph reads or refuses as the check does; what it converts, the graph refuses."""
    cell = bytearray(good)
    for _ in range(data.draw(st.integers(0, 4))):
        cell[data.draw(st.integers(0, min(60, len(cell) - 1)))] = data.draw(st.integers(0, 255))
    cell = bytes(cell[: data.draw(st.integers(1, len(cell)))])
    other = {"image": "sound", "sound": "image"}[column]
    answers = serve_media({column: tf.constant([cell]), other: tf.constant([""])})
    error = answers["error"].numpy()[0].decode()
    preprocessor = of_media.modalities[column].preprocessor
    if not media.is_native(cell, column.replace("sound", "audio"), preprocessor.media_options):
        assert error, "the graph reads what Python converts"
        return
    problems = [
        problem for problem in of_media.check(mk.read([{column: cell, other: ""}])).problems if problem.rejected
    ]
    assert error == (f"{column}: {problems[0].kind}" if problems else "")
    if not problems:
        (said,) = of_media.predict_rows([{column: cell}])
        assert np.isclose(said["probability"], answers["probability"].numpy()[0], atol=1e-6)
