"""Rows find what belongs to them, in the model and in its artifacts."""

import json

import keras
import numpy as np
import onnxruntime
import pytest
import tensorflow as tf

import mmkeras as mk
from mmkeras.retrieval.ranking import cut, find_top, rank_pairs
from mmkeras.testing import check_reload

COLORS = {"red": (255, 0, 0), "blue": (0, 0, 255), "green": (0, 200, 0), "gold": (250, 200, 0), "gray": (90, 90, 90)}


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Names of colors and pictures of them."""
    folder = tmp_path_factory.mktemp("colors")
    random = np.random.default_rng(0)
    rows = []
    for index, (name, color) in enumerate(list(COLORS.items()) * 8):
        pixels = np.clip(np.array(color) + random.normal(0, 12, (8, 8, 3)), 0, 255).astype("uint8")
        tf.io.write_file(f"{folder}/{index}.png", tf.io.encode_png(pixels))
        rows.append({"name": name, "image": f"{index}.png", "number": index})
    return mk.read(rows, folder=folder)


@pytest.fixture(scope="module")
def pretrainer(rows):
    keras.utils.set_random_seed(0)
    image = mk.Image(size=8, encoder=mk.encoders.ImageCNN(units=32, filters=(8,), dropout=0))
    pretrainer = mk.pretraining.Pretrainer.from_source(
        rows, {"name": mk.Text(), "image": image}, [mk.pretraining.Contrastive("name", "image", units=16)]
    )
    pretrainer.fit(pretrainer.dataset(rows, 20, shuffle=True, cache=True), epochs=40, verbose=0)
    return pretrainer


@pytest.fixture(scope="module")
def retriever(pretrainer, rows):
    retriever = mk.Retriever(pretrainer)
    retriever.index(rows)
    return retriever


def test_a_name_finds_its_pictures_and_a_picture_its_name(retriever, rows):
    found = retriever.search([{"name": "gold"}, {"name": "gray"}], top=8)
    assert [{hit["row"]["name"] for hit in hits} for hits in found] == [{"gold"}, {"gray"}]
    assert all(rows.table["number"].iloc[hit["index"]] == hit["row"]["number"] for hit in found[0])
    scores = [hit["score"] for hit in found[0]]
    assert scores == sorted(scores, reverse=True) and -1 <= scores[-1] and scores[0] <= 1 + 1e-6
    (hits,) = retriever.search([{"image": str(rows.folder / "2.png")}], top=3)
    assert {hit["row"]["name"] for hit in hits} == {"green"}


def test_a_picture_finds_itself_among_pictures(retriever, rows):
    (hits,) = retriever.search(rows.select([7]).with_columns(["image"]), top=1, among="image")
    assert hits[0]["index"] == 7 and np.isclose(hits[0]["score"], 1, atol=1e-5)


def test_vectors_are_those_of_the_pretrainer(pretrainer, retriever, rows):
    outputs = pretrainer.predict(pretrainer.dataset(rows, 16), verbose=0)["contrastive_name_image"]
    assert np.allclose(retriever.embed(rows, "image"), outputs["other"][:, :-1], atol=1e-5)
    one = outputs["one"][:, :-1]
    assert np.allclose(retriever.embed(rows, "name"), one / np.linalg.norm(one, axis=1, keepdims=True), atol=1e-5)


def test_recall_and_ranks_by_direction(retriever, rows):
    table = retriever.evaluate_rows(rows)
    assert list(table.index) == ["name -> image", "image -> name"] and (table["rows"] == 40).all()
    # Eight rows have each name: they tie in one direction, and stand in no order in the other.
    assert table.loc["image -> name", "recall_at_1"] == 0 and table.loc["image -> name", "median_rank"] == 4.5
    assert table.loc["name -> image", "recall_at_10"] == 1 and np.isclose(table["chance"], 1 / 40).all()


def test_ranks_by_hand():
    one = np.eye(3, dtype="float32")
    other = np.array([[1, 0, 0], [2, 1, 1], [0, 1, 1]], "float32")
    assert rank_pairs(one, other).tolist() == [2, 1.5, 1.5]
    assert rank_pairs(np.ones((4, 2)), np.ones((4, 2))).tolist() == [2.5] * 4


def test_the_search_is_exact_over_several_parts(monkeypatch):
    monkeypatch.setattr("mmkeras.retrieval.ranking._PART", 7)
    monkeypatch.setattr("mmkeras.retrieval.ranking._QUERIES", 3)
    random = np.random.default_rng(0)
    queries, vectors = random.normal(size=(5, 4)).astype("float32"), random.normal(size=(30, 4)).astype("float32")
    products = queries @ vectors.T
    for top in (1, 10, 99):
        scores, rows = find_top(queries, cut(vectors), top)
        expected = np.argsort(-products, axis=1, kind="stable")[:, :top]
        assert np.array_equal(rows, expected)
        assert np.allclose(scores, np.take_along_axis(products, expected, axis=1), atol=1e-6)


def test_rows_that_lack_a_modality_are_found_by_the_other(pretrainer, rows):
    table = rows.table.head(6).copy()
    table.loc[1, "name"] = None
    table.loc[2, "image"] = None
    retriever = mk.Retriever(pretrainer)
    retriever.index(mk.read(table, folder=rows.folder))
    (by_name,) = retriever.search([{"name": "red"}], top=10)
    assert sorted(hit["index"] for hit in by_name) == [0, 1, 3, 4, 5]
    (by_image,) = retriever.search([{"image": str(rows.folder / "0.png")}], top=10)
    assert sorted(hit["index"] for hit in by_image) == [0, 2, 3, 4, 5]


def list_hits(found):
    return [(hit["index"], round(hit["score"], 4)) for hits in found for hit in hits]


def test_an_index_is_kept_and_one_of_other_weights_refused(pretrainer, retriever, rows, tmp_path):
    retriever.save_index(tmp_path / "index.npz")
    other = mk.Retriever(pretrainer, ("image", "name"))
    other.load_index(tmp_path / "index.npz", rows)
    query = [{"name": "blue"}]
    assert list_hits(other.search(query)) == list_hits(retriever.search(query))
    for others in (rows.select([0, 1, 2]), rows.select([1, 0, *range(2, len(rows))])):
        with pytest.raises(ValueError, match="index.npz was made of other rows, or of these in another order"):
            other.load_index(tmp_path / "index.npz", others)
    weight = pretrainer.backbone.encoders["image"].weights[0]
    before = weight.numpy()
    weight.assign(before + 1)
    try:
        with pytest.raises(ValueError, match="weights have changed since the rows were indexed"):
            retriever.search(query)
        with pytest.raises(ValueError, match="index.npz was made by other weights"):
            other.load_index(tmp_path / "index.npz", rows)
    finally:
        weight.assign(before)
    assert list_hits(other.search(query)) == list_hits(retriever.search(query))


@pytest.mark.parametrize("damage", ["cut", "text", "other arrays", "compressed"])
def test_a_file_that_is_no_index_is_refused(retriever, rows, tmp_path, damage):
    path = tmp_path / "index.npz"
    retriever.save_index(path)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:1000])
    elif damage == "text":
        path.write_text("name,image")
    elif damage == "compressed":
        with np.load(path) as held:
            arrays = dict(held)
        np.savez_compressed(path, **arrays)
    else:
        np.savez(path, rows=np.arange(3))
    with pytest.raises(ValueError, match="index.npz is no index that `save_index` has written: "):
        retriever.load_index(path, rows)


def test_what_cannot_be_searched_is_refused(pretrainer, retriever, rows):
    empty = mk.Retriever(pretrainer)
    with pytest.raises(ValueError, match="no index of 'image' to search.*There is none yet"):
        empty.search([{"name": "red"}])
    with pytest.raises(ValueError, match="these have both, so `by` has to name one"):
        retriever.search(rows.select([0]))
    with pytest.raises(ValueError, match="these have none"):
        retriever.search([{"name": None}])
    with pytest.raises(ValueError, match="these queries have no 'name': .2."):
        retriever.search([{"name": "red"}, {"name": ""}])
    with pytest.raises(ValueError, match=r"of this Retriever are \['name', 'image'\]. Received: 'sound'"):
        retriever.search([{"name": "red"}], among="sound")
    with pytest.raises(ValueError, match="`top` is at least 1. Received: top=0"):
        retriever.search([{"name": "red"}], top=0)
    with pytest.raises(ValueError, match="has none of the columns"):
        empty.index([{"price": 3}])
    with pytest.raises(ValueError, match="no row has any of .*so there is nothing to search"):
        empty.index([{"name": "", "image": None}])
    empty.index([{"name": "red", "image": None}])
    with pytest.raises(ValueError, match="no index of 'image' to search.*It has .'name'."):
        empty.search([{"name": "red"}])
    with pytest.raises(ValueError, match="no Contrastive of these inputs. It has .*Received: pairs="):
        mk.Retriever(pretrainer, ("name", "sound"))
    with pytest.raises(TypeError, match="made of a Pretrainer or a Backbone. Received: str"):
        mk.Retriever("model")
    image = mk.Image(size=8, encoder=mk.encoders.ImageCNN(units=16))
    backbone = mk.Backbone.from_source(rows, {"name": mk.Text(), "image": image})
    with pytest.raises(ValueError, match="Vectors of one size are compared.*'name': 64"):
        mk.Retriever(backbone, ("name", "image"))
    with pytest.raises(ValueError, match="needs two inputs: pairs=.*Received: pairs=None"):
        mk.Retriever(backbone)


def test_a_damaged_picture_is_left_out_of_the_index_and_named_in_a_query(pretrainer, rows, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"\x89PNG nothing")
    tf.io.write_file(f"{tmp_path}/good.png", tf.io.read_file(str(rows.folder / "0.png")))
    retriever = mk.Retriever(pretrainer)
    source = mk.read([{"name": "red", "image": name} for name in ("bad.png", "good.png")], folder=tmp_path)
    with pytest.warns(UserWarning, match="1 of 2 rows are left out"):
        retriever.index(source)
    retriever.save_index(tmp_path / "index.npz")
    for _ in range(2):
        assert [hit["index"] for hit in retriever.search([{"name": "red"}])[0]] == [1]
        retriever.load_index(tmp_path / "index.npz", source)
    with pytest.raises(ValueError, match="bad.png"):
        retriever.search([{"image": str(tmp_path / "bad.png")}])


def test_a_tower_is_the_same_in_a_fresh_process(retriever, rows):
    tower = retriever.towers["image"]
    batch = next(iter(tower.dataset(rows.with_columns(["image"]), 8)))
    check_reload(tower, {name: tensor.numpy() for name, tensor in batch.items()})


FORMATS = ["saved_model", "tflite", "tflite_dynamic_range", "onnx"]


@pytest.mark.parametrize("formats", [["saved_model"], pytest.param(FORMATS, marks=pytest.mark.slow)])
def test_artifacts_of_the_towers_and_of_the_search(retriever, rows, formats, tmp_path):
    reports = retriever.export(tmp_path / "artifacts", formats, rows=rows, top=5)
    for name, report in reports.items():
        assert [artifact.format for artifact in report.artifacts] == formats
        assert min(artifact.agreement for artifact in report.artifacts) > 0.99
        assert json.loads((tmp_path / "artifacts" / name / "signature.json").read_text())["task"] == "Tower"
    if "onnx" in formats:
        session = onnxruntime.InferenceSession(str(tmp_path / "artifacts" / "name" / "model.onnx"))
        assert [output.name for output in session.get_outputs()] == ["vector"]
    loaded = tf.saved_model.load(str(tmp_path / "artifacts" / "search"))
    assert set(loaded.signatures) == {"embed_name", "embed_image", "search_by_name", "search_by_image"}
    found = loaded.signatures["search_by_name"](name=tf.constant(["gold", "red"]))
    expected = retriever.search([{"name": "gold"}, {"name": "red"}], top=5)
    assert np.allclose(found["score"], [[hit["score"] for hit in hits] for hits in expected], atol=1e-5)
    assert {rows.table["name"].iloc[i] for i in found["index"].numpy()[0]} == {"gold"}
    content = (rows.folder / "3.png").read_bytes()
    found = loaded.signatures["search_by_image"](image=tf.constant([content]))
    assert rows.table["name"].iloc[int(found["index"][0, 0])] == "gold"
    vectors = loaded.signatures["embed_image"](image=tf.constant([content]))["vector"]
    assert np.allclose(vectors[0], retriever.embed(rows.select([3]), "image")[0], atol=1e-5)
