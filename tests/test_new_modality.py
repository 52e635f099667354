"""A modality of files that somebody else writes, without an edit in the package: depth maps, gray PNG of 16 bits."""

import io
from pathlib import Path

import keras
import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

import mmkeras as mk
from mmkeras.data import MediaError
from mmkeras.data.cells import FILE
from mmkeras.data.report import Finding
from mmkeras.labeling import LabeledTable, LabelingQueue
from mmkeras.labeling.show import RowView
from mmkeras.preprocessing import Preprocessor
from mmkeras.preprocessing.base import attempt

PACKAGE = "mmkeras_depth"
_KIND = "not a depth map"


@keras.saving.register_keras_serializable(package=PACKAGE)
class DepthPreprocessor(Preprocessor):
    """Gray PNG files of 16 bits, in millimeters, to meters `(size, size, 1)`, float32."""

    cells = FILE
    media_type = "depth"
    dtype = "float32"

    def __init__(self, size: int = 16):
        self.size = size

    @property
    def shape(self):
        return (self.size, self.size, 1)

    def is_native(self, cell):
        return True

    def load(self, cell):
        try:
            return cell if isinstance(cell, bytes) else Path(cell).read_bytes()
        except OSError as error:
            raise MediaError(Finding("file not found", str(error), "correct the path", True)) from None

    def prepare_cell(self, cell):
        def decode():
            millimeters = tf.io.decode_png(cell, channels=1, dtype=tf.uint16)
            return tf.image.resize(tf.cast(millimeters, tf.float32) / 1000, (self.size, self.size))

        return tf.ensure_shape(tf.cond(self.is_present(cell), decode, lambda: tf.zeros(self.shape)), self.shape)

    def explain_file(self, cell):
        total = attempt(lambda data: tf.reduce_sum(self.prepare_cell(data)), cell, np.float32(-1))
        return tf.where(total < 0, _KIND, "")

    def find_problems(self, cells):
        kinds = [self.compile_cell(self.explain_file)(cell).numpy().decode() for cell in cells]
        finding = Finding(_KIND, "it is no PNG file", "replace the file", True)
        return [[finding] if kind else [] for kind in kinds]

    def get_config(self):
        return {"size": self.size}


@keras.saving.register_keras_serializable(package=PACKAGE)
class DepthCNN(mk.encoders.Encoder):
    """One convolution."""

    def encode(self, inputs, preprocessor):
        maps = keras.layers.Conv2D(self.units, 4, 4, data_format="channels_last", name="conv")(inputs)
        tokens = keras.layers.Reshape((-1, self.units), name="cells")(maps)
        return tokens, keras.ops.ones_like(tokens[..., 0], dtype="bool"), keras.ops.mean(tokens, axis=1)


@keras.saving.register_keras_serializable(package=PACKAGE)
class DepthMap(mk.Modality):
    """A column of depth maps."""

    preprocessor_class = DepthPreprocessor
    encoders = {"cnn": DepthCNN}
    tried_encoders = ("cnn",)
    suffixes = (".depth",)
    defaults = {"size": 16}

    def __init__(self, size: int | None = None, encoder="cnn", column: str | None = None):
        super().__init__(encoder, column, size=size)

    @classmethod
    def choose_inputs(cls, source, column, rows, seconds):
        return {"": ("DepthMap", {"size": 8}, "eight pixels are enough for a test")}

    @classmethod
    def make_thumbnail(cls, cell, size):
        try:
            image = PIL.Image.open(io.BytesIO(cell) if isinstance(cell, bytes) else cell)
        except OSError:
            return None
        buffer = io.BytesIO()
        PIL.Image.fromarray((np.asarray(image) // 16).astype("uint8")).save(buffer, "PNG")
        return buffer.getvalue()


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Near and far walls, one file that is none, and a table."""
    folder, random = tmp_path_factory.mktemp("depth"), np.random.default_rng(0)
    lines = ["scan,size,label"]
    for index in range(40):
        depth = np.full((12, 12), 800 + 2000 * (index % 2), "uint16") + random.integers(0, 99, (12, 12), "uint16")
        PIL.Image.fromarray(depth).save(folder / f"{index}.png")
        (folder / f"{index}.png").rename(folder / f"{index}.depth")
        lines.append(f"{index}.depth,{random.integers(9)},{('near', 'far')[index % 2]}")
    (folder / "40.depth").write_text("no depth")
    (folder / "table.csv").write_text("\n".join([*lines, "40.depth,3,near"]) + "\n")
    return mk.read(folder / "table.csv", target="label")


def test_its_columns_are_proposed_and_its_files_checked(rows):
    kinds = {proposal.column: proposal.kind for proposal in mk.propose(rows)}
    assert kinds["scan"] == "DepthMap"
    report = mk.check(rows, {"scan": DepthMap()})
    assert [(problem.row, problem.kind) for problem in report.problems] == [(41, _KIND)]
    (missing,) = mk.check(mk.read([{"scan": "nowhere.depth"}]), {"scan": DepthMap()}).problems
    assert missing.kind == "file not found"


@pytest.fixture(scope="module")
def fitted(rows, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fitted")
    with pytest.warns(UserWarning, match="1 of 41 rows are left out"):
        return mk.fit(rows, time_limit=20, ignore=["size"], folder=folder, seed=1), folder


@pytest.mark.graph
def test_mk_fit_tries_its_encoder_with_the_arguments_that_it_chooses(fitted):
    model, folder = fitted
    assert isinstance(model.modalities["scan"], DepthMap) and model.modalities["scan"].preprocessor.size == 8
    assert any("eight pixels are enough" in decision.why for decision in model.report.decisions)
    assert "data:image/png" in (folder / "report.html").read_text(encoding="utf-8")
    assert "DepthMap" in (folder / "run.yaml").read_text(encoding="utf-8")
    loaded = keras.saving.load_model(folder / "model.keras")
    assert repr(loaded.modalities["scan"]) == "DepthMap(size=8)"


def test_it_is_exported_with_its_preprocessing_inside(fitted, rows, tmp_path):
    model, _ = fitted
    part = rows.select(range(40))
    report = mk.export(model, tmp_path / "out", ["saved_model", "onnx"], rows=part)
    assert min(artifact.agreement for artifact in report.artifacts) == 1
    inputs = report.signature["serving_default"]["inputs"]
    assert inputs["scan"] == {"input": "scan", "column": "scan", "kind": "file", "media_type": "depth", "shape": []}
    serve = tf.saved_model.load(str(tmp_path / "out" / "saved_model")).signatures["serving_default"]
    served = serve(scan=tf.constant([Path(part.files("scan")[0]).read_bytes(), b"no depth"]))
    assert served["error"].numpy().tolist() == [b"", b"scan: not a depth map"]
    assert served["label"].numpy()[0].decode() == model.predict_rows(part.select([0]))[0]["label"]


def test_the_labeling_page_shows_it(rows):
    table = LabeledTable(rows.folder / "table.csv", "label")
    view = RowView(LabelingQueue(table, range(41)))
    assert "<img src='media/0/0'" in view.render(0)
    response = view.send_media(0, 0)
    assert response.media_type == "image/png" and response.body.startswith(b"\x89PNG")
    assert "This cell cannot be shown: mk.DepthMap makes no picture of it" in view.render(40)
