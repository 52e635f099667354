import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf
from media_files import write_sound, write_video

import mmkeras as mk
from mmkeras.distribute.launch import find_ports

# The clips are longer than what the model hears, and a vocabulary knows few words.
pytestmark = pytest.mark.filterwarnings("ignore:.* kept")

MODALITIES = {
    "sound": mk.Audio(seconds=0.5, column="clip"),
    "image": mk.Video(frames=3, size=16, column="clip"),
    "note": mk.Text(mk.tokenizers.WordPiece(["[PAD]", "[UNK]", "good", "bad"]), sequence_length=3),
    "clicks": mk.History(items=["a"], sequence_length=2),
}
NAMES = ["mp4", "webm", "avi"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twelve clips, one of them broken, one not there, and a row without."""
    folder = tmp_path_factory.mktemp("clips")
    lines = ["clip,note,clicks,label"]
    for i in range(12):
        path = write_video(folder / f"{i}.{NAMES[i % 3]}", NAMES[i % 3], frames=5 + i)
        lines.append(f"{path.name},{'good' if i % 2 else 'bad'} {i},a,{'yes' if i % 2 else 'no'}")
    (folder / "broken.mp4").write_bytes((folder / "0.mp4").read_bytes()[:300])
    lines += ["broken.mp4,bad,a,no", "gone.mp4,good,a,yes", ",good,,yes"]
    (folder / "rows.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def source(folder):
    return mk.read(folder / "rows.csv", target="label")


@pytest.fixture(scope="module")
def records(source, tmp_path_factory):
    return mk.prepare(source, tmp_path_factory.mktemp("records"), MODALITIES, rows_a_shard=5)


@pytest.fixture(scope="module")
def model():
    return mk.Classifier(MODALITIES, ["no", "yes"], target="label")


def collect(dataset):
    batches = list(dataset)
    tensors = {name: np.concatenate([batch[0][name] for batch in batches]) for name in batches[0][0]}
    return tensors, np.concatenate([batch[1] for batch in batches])


@pytest.fixture(scope="module")
def expected(model, source, records):
    return collect(model.dataset(source.without({12, 13}), batch_size=4))


def test_records_hold_what_the_files_hold(model, records, expected):
    tensors, targets = collect(model.dataset(records, batch_size=4))
    assert targets.tolist() == expected[1].tolist()
    assert tensors.keys() == expected[0].keys()
    for name, values in tensors.items():
        assert np.array_equal(values, expected[0][name]), name


def test_bad_rows_are_left_out_and_named(records):
    assert len(records) == 13
    rejected = [json.loads(line) for line in (records.path / "rejected.jsonl").read_text().splitlines()]
    assert {(problem["row"], problem["kind"]) for problem in rejected} == {
        (13, "damaged video"),
        (13, "damaged audio"),
        (14, "file not found"),
    }
    assert all(problem["source"] == "rows.csv" and problem["column"] == "clip" for problem in rejected)


@pytest.mark.parametrize("cache", [False, True])
def test_training_sees_every_row_once_in_another_order(model, records, expected, cache):
    dataset = model.dataset(records, batch_size=4, shuffle=True, cache=cache, seed=1)
    orders = []
    for _ in range(2):
        tensors, targets = collect(dataset)
        keys = [image.tobytes() for image in expected[0]["image"]]
        order = [keys.index(image.tobytes()) for image in tensors["image"]]
        assert sorted(order) == list(range(13))
        assert targets.tolist() == expected[1][order].tolist()
        assert np.array_equal(tensors["note"], expected[0]["note"][order])
        orders.append(order)
    assert orders[0] != orders[1] != list(range(13))


def test_a_selection_holds_its_rows_and_no_others(model, records, expected):
    for rows in ([2, 7, 11], [7, 2, 11], [4, 4]):  # in the order of the shards, in another one, twice
        tensors, targets = collect(model.dataset(records.select(rows), batch_size=2))
        assert targets.tolist() == expected[1][rows].tolist()
        assert np.array_equal(tensors["image"], expected[0]["image"][rows])
        assert np.array_equal(tensors["note"], expected[0]["note"][rows])
    first, second = records.split(test_size=0.3, seed=2)
    assert sorted([*first.row_numbers, *second.row_numbers]) == sorted(records.row_numbers)


def test_opened_again_they_are_the_same(records):
    again = mk.Records(records.path)
    assert again.table.equals(records.table)
    assert again.row_numbers.tolist() == records.row_numbers.tolist()


def test_a_corrected_label_needs_no_new_preparation(model, records):
    again = mk.Records(records.path)
    again.table["label"] = "yes"
    assert set(collect(model.dataset(again))[1]) == {1}


def test_another_size_is_refused_with_the_remedy(records):
    other = mk.Classifier({"image": mk.Video(frames=3, size=32, column="clip")}, ["no", "yes"], target="label")
    with pytest.raises(
        ValueError, match=r"was prepared with .*'size': \[16, 16\].*model wants .*\[32, 32\].*mk.prepare"
    ):
        other.dataset(records)


def test_what_is_there_is_not_made_again_and_what_changed_is(source, folder, tmp_path, capsys):
    mk.prepare(source, tmp_path, MODALITIES, rows_a_shard=5)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.tfrecord")}
    time.sleep(0.01)
    data = (folder / "7.webm").read_bytes()
    try:
        write_video(folder / "7.webm", "webm", frames=9)
        mk.prepare(source, tmp_path, MODALITIES, rows_a_shard=5)
    finally:
        (folder / "7.webm").write_bytes(data)
    after = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.tfrecord")}
    assert [after[name] == before[name] for name in sorted(before)] == [True, False, True]
    out = capsys.readouterr().out
    assert "13 rows in 3 shards" in out and "2 left out" in out and "1 file not found" not in out.split("\n")[0]


_PREPARE = """
import sys
import mmkeras as mk
modalities = {"sound": mk.Audio(seconds=0.5, column="clip"), "image": mk.Video(frames=3, size=16, column="clip")}
print("ready", flush=True)
mk.prepare(mk.read(sys.argv[1]), sys.argv[2], modalities, rows_a_shard=2)
"""


def test_killed_and_started_again_it_goes_on(source, folder, tmp_path):
    command = [sys.executable, "-c", _PREPARE, str(folder / "rows.csv"), str(tmp_path / "out")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    deadline = time.monotonic() + 60
    while not list((tmp_path / "out").glob("shard-*.json")) and time.monotonic() < deadline:
        time.sleep(0.005)
    process.kill()
    process.wait()
    process.stdout.close()
    done = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("shard-*.json")}
    assert done
    with pytest.raises(FileNotFoundError, match="holds no records.json: mk.prepare has not written it, or did not end"):
        mk.Records(tmp_path / "out")
    modalities = {name: MODALITIES[name] for name in ("sound", "image")}
    records = mk.prepare(mk.read(folder / "rows.csv"), tmp_path / "out", modalities, rows_a_shard=2)
    assert len(records) == 13
    assert all((tmp_path / "out" / name).stat().st_mtime_ns == when for name, when in done.items())


def test_without_a_usable_row_nothing_is_written(tmp_path):
    source = mk.read([{"clip": "a.mp4"}, {"clip": "b.mp4"}])
    with pytest.raises(ValueError, match="No usable row is left"):
        mk.prepare(source, tmp_path, {"clip": mk.Audio()})
    assert not (tmp_path / "records.json").exists()


def test_windows_cut_sound_and_images_at_the_same_times(tmp_path):
    write_video(tmp_path / "long.mp4", frames=40, fps=10, click=2.1)
    write_sound(tmp_path / "short.flac", "flac", seconds=0.3)
    (tmp_path / "broken.mp4").write_text("no")
    rows = [{"file": name, "note": name[:1]} for name in ("long.mp4", "short.flac", "broken.mp4", "")]
    source = mk.windows(mk.read(rows, folder=tmp_path), "file", seconds=1, step=0.5)
    assert source.table["file"].tolist()[1:3] == ["long.mp4#t=0.5,1.5", "long.mp4#t=1,2"]
    assert source.table["note"].tolist() == ["l"] * 8 + ["s", "b", ""]
    assert source.row_numbers.tolist() == [1] * 8 + [2, 3, 4]
    model = mk.Classifier(
        {"sound": mk.Audio(seconds=1, column="file"), "image": mk.Video(frames=2, size=16, column="file")}, ["a", "b"]
    )
    tensors = next(iter(model.dataset(source.select(range(7)))))
    loud = [np.flatnonzero(np.abs(sound) > 0.2) for sound in tensors["sound"].numpy()]
    starts = [None if not len(spans) else spans[0] / 16000 for spans in loud]
    assert starts[:3] == [None] * 3
    assert starts[3] == pytest.approx(0.6, abs=0.05)
    assert starts[4] == pytest.approx(0.1, abs=0.05)
    # Frame 22 is shown at 2.25 s, as bright as 230; the first of two in the window from 2 to 3 s.
    assert tensors["image"].numpy()[4, 0].mean() == pytest.approx(10 + 10 * 22, abs=6)


@pytest.mark.parametrize("arguments", [{"seconds": 0}, {"seconds": 1, "step": -1}])
def test_windows_have_a_length(arguments):
    with pytest.raises(ValueError, match="`seconds` and `step` are greater than 0"):
        mk.windows(mk.read([{"f": ""}]), "f", **arguments)


@pytest.mark.parametrize("cell", ["../outside.wav", "link.wav", "/etc/passwd"])
def test_a_table_names_no_files_outside_of_its_folder(tmp_path, cell):
    (tmp_path / "data").mkdir()
    write_sound(tmp_path / "outside.wav")
    (tmp_path / "data" / "link.wav").symlink_to(tmp_path / "outside.wav")
    (tmp_path / "data" / "t.csv").write_text(f"sound\n{cell}\n")
    modalities = {"sound": mk.Audio(seconds=1)}
    (problem,) = mk.check(mk.read(tmp_path / "data" / "t.csv"), modalities).problems
    assert problem.kind == "outside of the data's folder"
    assert "mk.read(..., allow_outside=True)" in problem.remedy
    with pytest.raises(ValueError, match="outside of the data's folder"):
        mk.prepare(mk.read(tmp_path / "data" / "t.csv"), tmp_path / "out", modalities)
    trusted = mk.read(tmp_path / "data" / "t.csv", allow_outside=True)
    assert len(mk.check(trusted, modalities).problems) == (cell == "/etc/passwd")


def test_a_loop_of_links_is_named(tmp_path):
    (tmp_path / "a.wav").symlink_to(tmp_path / "b.wav")
    (tmp_path / "b.wav").symlink_to(tmp_path / "a.wav")
    (problem,) = mk.check(mk.read([{"sound": "a.wav"}], folder=tmp_path), {"sound": mk.Audio()}).problems
    assert problem.kind == "broken link"


def test_a_service_prepares_every_row_once(model, records, source, tmp_path):
    service = tf.data.experimental.service
    ports = find_ports(2)
    addresses = [f"localhost:{port}" for port in ports]
    dispatcher = service.DispatchServer(service.DispatcherConfig(port=0, worker_addresses=addresses))
    address = dispatcher.target.split("://")[1]
    workers = [
        service.WorkerServer(service.WorkerConfig(address, worker_address=each, port=port))
        for each, port in zip(addresses, ports, strict=True)
    ]
    tensors, targets = collect(model.dataset(records, batch_size=2, data_service=dispatcher.target))
    expected = collect(model.dataset(records))
    rows = [image.tobytes() + sound.tobytes() for image, sound in zip(tensors["image"], tensors["sound"], strict=True)]
    wanted = [p.tobytes() + s.tobytes() for p, s in zip(expected[0]["image"], expected[0]["sound"], strict=True)]
    assert sorted(rows) == sorted(wanted)
    assert sorted(zip(rows, targets, strict=True)) == sorted(zip(wanted, expected[1], strict=True))
    with pytest.raises(ValueError, match=r"converted in this process.*Prepare them first: mk.prepare"):
        model.dataset(source.select([0, 1]), data_service=dispatcher.target)
    del workers


def test_an_epoch_goes_on_where_it_was_interrupted(train, tmp_path):
    model = mk.Classifier(
        {
            "question": mk.Text(mk.tokenizers.WordPiece(["[PAD]", "[UNK]", "red"]), sequence_length=8),
            "image": mk.Image(size=8),
        },
        ["circle", "red"],
        target="answer",
    )
    source = train.select(range(60)).with_columns(["question", "image"])
    whole = [batch["image"].numpy() for batch in model.dataset(source, batch_size=8, shuffle=True, seed=3)]
    iterator = iter(model.dataset(source, batch_size=8, shuffle=True, seed=3))
    for _ in range(3):
        next(iterator)
    path = tf.train.Checkpoint(iterator=iterator).save(os.fspath(tmp_path / "iterator"))
    again = iter(model.dataset(source, batch_size=8, shuffle=True, seed=3))
    tf.train.Checkpoint(iterator=again).restore(path)
    rest = [batch["image"].numpy() for batch in again]
    assert len(rest) == len(whole) - 3
    assert all(np.array_equal(a, b) for a, b in zip(rest, whole[3:], strict=True))
