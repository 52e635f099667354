"""The page: one row as HTML, and the whole of it as a user starts it."""

import contextlib
import http.client
import re
import signal
import subprocess
import sys

import pytest
from PIL import Image

from mmkeras.cli import main
from mmkeras.labeling import LabeledTable, LabelingQueue
from mmkeras.labeling.show import RowView


@pytest.fixture
def folder(tmp_path):
    """A table of files, good and bad, in a folder with a secret beside it."""
    (tmp_path / "secret.png").write_bytes(b"secret")
    folder = tmp_path / "data"
    folder.mkdir()
    Image.new("RGB", (8, 8), "red").save(folder / "red.png")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xffno")
    (folder / "broken.wav").write_bytes(b"RIFFno")
    cells = ["red.png", "broken.jpg", "broken.wav", "nowhere.mp4", "../secret.png", "http://example.org/a.png", ""]
    lines = [f'{cell},"a <b>text</b> of words\nin two lines",007,\n' for cell in cells]
    (folder / "table.csv").write_text("file,text,code,label\n" + "".join(lines))
    return folder


@pytest.fixture
def view(folder):
    return RowView(LabelingQueue(LabeledTable(folder / "table.csv", "label"), range(7)))


def test_a_row_is_shown_with_its_image_its_text_and_the_rest(view):
    page = view.render(0)
    assert "0 of 7 labeled &middot; row 1" in page
    assert "<img src='media/0/0'" in page
    assert "a &lt;b&gt;text&lt;/b&gt; of words\nin two lines" in page
    assert "<td>code</td><td>007</td>" in page
    assert view.send_media(0, 0).body.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (1, "damaged image"),
        (2, "damaged"),
        (3, "no file at"),
        (4, "outside of the data&#x27;s folder"),
        (5, "no file at"),
    ],
)
def test_what_cannot_be_shown_says_why_in_its_place_and_is_not_sent(view, row, reason):
    page = view.render(row)
    assert re.search(f"<div class=broken>This cell cannot be shown: {reason}", page)
    assert "src=" not in page
    assert view.send_media(row, 0).status_code == 404 or row == 2  # a browser may know more than FFmpeg


def test_cells_that_are_no_media_are_not_sent(view):
    assert [view.send_media(*index).status_code for index in ((6, 0), (0, 1), (7, 0), (0, 9), (-1, 0))] == [404] * 5


@pytest.fixture
def page(folder):
    """`mmkeras label` in a process of its own: the process, the address, the table."""
    pytest.importorskip("gradio", reason="the page needs gradio: pip install 'mmkeras[label]'")
    command = [sys.executable, "-m", "mmkeras", "label", "table.csv", "--target", "label", "--classes", "red,blue"]
    process = subprocess.Popen(
        [*command, "--port", "0", "--no-browser"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline() == "0 of 7 rows have a label, 7 are to be shown.\n"
        url = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())[0]
        yield process, url, folder / "table.csv"
    finally:
        process.kill()
        process.communicate()


def test_two_rows_are_labeled_through_the_page_which_talks_to_nobody_else(page, monkeypatch):
    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "False")  # of the client; the page has it off by itself
    from gradio_client import Client

    process, url, table = page
    before = table.read_text()
    client = Client(url, verbose=False, analytics_enabled=False)
    row, card, *_ = client.predict(api_name="/start")
    assert (row, "red.png" in card, "media/0/0" in card) == (0, False, True)
    assert client.predict(row, "red", api_name="/label")[0] == 1
    assert client.predict(1, api_name="/skip")[0] == 2
    row, card, *_ = client.predict(2, "a new one", api_name="/label")
    assert (row, "2 of 7 labeled" in card) == (3, True)
    assert client.predict(3, "wrong", api_name="/label")[0] == 4
    assert client.predict(4, api_name="/back")[0] == 3
    rows = before.split("007,\n")
    assert table.read_text() == f"{rows[0]}007,red\n{rows[1]}007,\n{rows[2]}007,a new one\n" + "007,\n".join(rows[3:])

    def ask(path, **headers):
        connection = http.client.HTTPConnection(url.removeprefix("http://"))
        with contextlib.closing(connection):
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            return response.status, response.headers, response.read().decode(errors="replace")

    status, headers, content = ask("/")
    assert (status, "default-src 'self'" in headers["content-security-policy"]) == (200, True)
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=[\"']?(https?:)?//", content)
    assert ask("/media/0/0")[0] == 200
    assert ask("/media/4/0")[0] == 404
    assert ask(f"/gradio_api/file={table}")[0] == 403
    assert ask("/media/0/0", Host="example.org")[0] == 403
    assert ask("/media/0/0", Origin="http://example.org")[0] == 403

    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, "")
    assert out.endswith(f"Ended: 2 of 7 rows have a label, in {table}\n")


def test_a_mistake_on_the_command_line_is_a_sentence(folder, capsys):
    table = str(folder / "table.csv")
    assert main(["label", table, "--target", "label", "--contradictions"]) == 1
    assert "--contradictions needs a model that contradicts" in capsys.readouterr().err
    assert main(["label", str(folder / "no.csv"), "--target", "label"]) == 1
    assert "No table at" in capsys.readouterr().err


def test_without_gradio_the_pip_line_is_told(folder, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert main(["label", str(folder / "table.csv"), "--target", "label", "--no-browser"]) == 1
    assert "pip install 'mmkeras[label]'" in capsys.readouterr().err
