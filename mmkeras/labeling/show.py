"""One row as HTML: images, players, text, and a small table of the rest."""

import base64
import contextlib
import functools
import mimetypes
import os
import statistics
from html import escape

from mmkeras.data import MediaError, decoders, media
from mmkeras.data.columns import SUFFIX_KINDS
from mmkeras.labeling.queue import LabelingQueue
from mmkeras.modalities import Modality

_PLAYED = (".wav", ".mp3", ".ogg", ".oga", ".opus", ".flac", ".m4a", ".aac", ".mp4", ".m4v", ".webm", ".ogv", ".mov")
_TYPES = {".mov": "video/mp4", ".m4a": "audio/mp4", ".opus": "audio/ogg"}  # what browsers take them for
_MAX_PIXELS = 2**27
_OPTIONS = {
    "image": {"max_pixels": _MAX_PIXELS},
    "audio": {"sample_rate": 44_100, "max_seconds": 600},
    "video": {"frames": 8, "rate": None, "shorter_side": 240, "max_pixels": _MAX_PIXELS},
}
_HEAD_BYTES = 64  # of a file, which tell what it holds
_SMALL = 200  # pixels; narrower images are enlarged
_SHOWN = 512  # pixels at most, of a picture that a modality makes of its file
_WORDS_OF_A_TEXT = 3
_ROWS_LOOKED_AT = 200


class RowView:
    """Shows the rows of a queue; media are decoded in processes of their own, or played by the browser.

    Args:
        queue: the rows.
    """

    def __init__(self, queue: LabelingQueue):
        self.queue = queue
        self.source = queue.table.source
        self.columns = list(self.source.table.columns)
        self._texts = {column for column in self.columns if self._is_text(column)}
        self._decode = functools.lru_cache(maxsize=4)(self._decode)

    def _is_text(self, column):
        cells = [cell for cell in self.source.table[column].head(_ROWS_LOOKED_AT) if isinstance(cell, str)]
        words = [len(cell.split()) for cell in cells if cell.strip()]
        media_count = sum(_find_kind(cell) is not None for cell in cells)
        return bool(words) and statistics.median(words) >= _WORDS_OF_A_TEXT and media_count < len(words) / 2

    def _find_kind(self, row, column):
        return None if column in self._texts else _find_kind(self.source.table[column].iloc[row])

    def render(self, row: int | None) -> str:
        """A row, counted from 0, as HTML; for None that no row is left."""
        table = self.queue.table
        count, total = self.queue.labeled_count, len(table)
        where = "" if row is None else f" &middot; row {row + 1:,}"
        left = f"{self.queue.left_count:,} left to show &middot; labels go to {escape(table.output.name)}"
        head = (
            f"<div class=top><span>{count:,} of {total:,} labeled{where}</span><span>{left}</span></div>"
            f"<progress max={total} value={count}></progress>"
        )
        if row is None:
            return f"{head}<div class=text>No row is left. The labels are in {escape(table.output.name)}.</div>"
        cells, rest = "", ""
        for index, column in enumerate(self.columns):
            kind = self._find_kind(row, column)
            name = escape(str(column))
            if kind:
                cells += f"<div class=cell><div class=name>{name}</div>{self._render_media(row, index, kind)}</div>"
                continue
            text = escape(self.source.select([row]).texts(column)[0])
            if column in self._texts:
                cells += f"<div class=cell><div class=name>{name}</div><div class=text>{text or '&empty;'}</div></div>"
            else:
                rest += f"<tr><td>{name}</td><td>{text}</td></tr>"
        return f"{head}{cells}<table>{rest}</table>{self._render_opinions(row)}"

    def _render_opinions(self, row):
        label, predictions = self.queue.table.labels[row], self.queue.predictions
        said = f"<div class=said>Its label: <b>{escape(label)}</b></div>" if label.strip() else ""
        if predictions is None:
            return said
        best = predictions.best(row)
        if not best:
            return f"{said}<div class='said broken'>The model has no answer to this row.</div>"
        names = ", ".join(f"<b>{escape(name)}</b> {probability:.1%}" for name, probability in best)
        return f"{said}<div class=said>The model proposes: {names}</div>"

    # === Media ===

    def _locate(self, row, index):
        """The located cell: bytes, or the path of a file that is there and within the table's folder."""
        cell = self.source.select([row]).files(self.columns[index])[0]
        if finding := self.source.find_outside([cell]).get(cell):
            raise MediaError(finding._replace(remedy="move the file there, or trust the table: --allow-outside"))
        if not isinstance(cell, bytes) and not os.path.isfile(path := media.split_span(cell)[0]):
            raise FileNotFoundError(f"no file at {path}")
        return cell

    def _render_media(self, row, index, kind):
        url = f"media/{row}/{index}"
        broken = "<div class=broken>This cell cannot be shown: {}</div>"
        on_error = "onerror=\"this.outerHTML='<div class=broken>This browser cannot play it.</div>'\""
        try:
            cell = self._locate(row, index)
            if kind in Modality.kinds:
                self._decode(row, index, kind)
                return f"<img src='{url}' alt=''>"
            if kind == "image":
                small = int.from_bytes(self._decode(row, index, kind)[16:20]) < _SMALL  # where PNG has its width
                return f"<img src='{url}' alt='' class='{'small' if small else ''}'>"
            with contextlib.suppress(ImportError):  # without the package that tells, the browser may know
                decoders.probe(cell if isinstance(cell, bytes) else media.split_span(cell)[0])
            if kind == "video" and not _is_played(cell):
                frames = [base64.b64encode(frame).decode() for frame in self._decode(row, index, kind)]
                strip = "".join(f"<img alt='' src='data:image/jpeg;base64,{frame}'>" for frame in frames)
                return f"<div class=strip>{strip}</div>"
            span = media.split_span(cell)[1] if isinstance(cell, str) and _is_played(cell) else None
            fragment = f"#t={span[0]},{span[1]}" if span else ""
            return f"<{kind} controls preload=metadata src='{url}{fragment}' {on_error}></{kind}>"
        except (ImportError, OSError, TypeError, ValueError) as error:  # a MediaError is a ValueError
            return broken.format(escape(str(error)))

    def _decode(self, row, index, kind):
        cell = self._locate(row, index)
        if kind in Modality.kinds:
            if (picture := Modality.kinds[kind].make_thumbnail(cell, _SHOWN)) is None:
                raise ValueError(f"mk.{kind} makes no picture of it")
            return picture
        if isinstance(cell, bytes):
            return decoders.convert(kind, cell, None, _OPTIONS[kind])
        return decoders.convert(kind, *media.split_span(cell), _OPTIONS[kind])

    def send_media(self, row: int, index: int):
        """The response with one media cell: sound and video as the file that a browser plays, all others decoded."""
        from starlette.responses import FileResponse, Response

        if not (0 <= row < len(self.source) and 0 <= index < len(self.columns)):
            return Response("There is no such cell.", 404)
        kind = self._find_kind(row, self.columns[index])
        if kind is None:
            return Response("This cell is no media.", 404)
        try:
            cell = self._locate(row, index)
            if kind in ("audio", "video") and isinstance(cell, str) and _is_played(cell):
                path = media.split_span(cell)[0]
                suffix = os.path.splitext(path)[1].lower()
                return FileResponse(path, media_type=_TYPES.get(suffix) or mimetypes.guess_type(path)[0])
            if kind == "video":
                return Response(cell, media_type="video/mp4")
            content = self._decode(row, index, kind)
        except (ImportError, OSError, TypeError, ValueError) as error:
            return Response(str(error), 404)
        return Response(content, media_type="audio/wav" if kind == "audio" else "image/png")


def _find_kind(cell):
    """`"image"`, `"audio"`, `"video"`, the name of another modality of files, or None for a cell that is no media."""
    if isinstance(cell, bytes):
        return media.guess_media_type(cell[:_HEAD_BYTES]) or "image"
    if not isinstance(cell, str):
        return None
    kind = SUFFIX_KINDS.get(os.path.splitext(media.split_span(cell)[0])[1].strip().lower())
    return kind.lower() if kind in ("Image", "Audio", "Video") else kind


def _is_played(cell):
    return isinstance(cell, bytes) or os.path.splitext(media.split_span(cell)[0])[1].lower() in _PLAYED
