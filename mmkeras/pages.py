"""Pages of results: one HTML file with images and tables, which opens without a network."""

import base64
import io
import re
from html import escape
from pathlib import Path

_NUMBER = re.compile(r"[-+]?[\d.,]+(e[-+]?\d+)?( ?(%|s|ms|KiB))?")
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1c1e21; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.7rem; margin-bottom: 0; } h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem; }
table { border-collapse: collapse; } th, td { padding: .3rem .9rem .3rem 0; text-align: left; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; } tr { border-bottom: 1px solid #ddd; }
.bar { display: inline-block; height: .8rem; border-radius: 2px; } .wide { overflow-x: auto; }
td img { max-width: 96px; max-height: 96px; display: block; } .wide td { max-width: 22rem; overflow-wrap: anywhere; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(13rem, 1fr)); gap: .9rem; }
.card { border: 1px solid #ddd; border-radius: 6px; padding: .7rem; } .card.wrong { border-color: #b3261e; }
.card img { width: 96px; height: 96px; image-rendering: pixelated; display: block; margin-bottom: .4rem; }
.wrong b { color: #b3261e; } .quiet { color: #666; font-size: .9rem; } .figure { max-width: 100%; }
"""


def import_figure():
    """Matplotlib's `Figure`, which draws to files and needs no screen; or an error that says how to get it."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError("Plots need Matplotlib: pip install 'mmkeras[demo]'") from None
    return Figure


def write_page(path: str | Path, title: str, sections: list[str]):
    """Writes a page of sections, which are HTML already."""
    Path(path).write_text(
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(title)}</title><style>{_STYLE}</style>"
        f"<body>{''.join(sections)}</body></html>\n",
        encoding="utf-8",
    )


def make_table(header, rows):
    """Cells are HTML already; those that are numbers, also with a unit, stand to the right."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join(
        "<tr>"
        + "".join(f"<td{' class=number' if _NUMBER.fullmatch(cell) else ''}>{cell}</td>" for cell in row)
        + "</tr>"
        for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def make_image(png, description, style="figure"):
    data = base64.b64encode(png).decode()
    return f"<img class='{style}' alt='{escape(description, quote=True)}' src='data:image/png;base64,{data}'>"


def draw_png(figure):
    """A figure of Matplotlib as the bytes of a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return buffer.getvalue()
