"""`report.html`: what `mk.fit` has found, as one file that opens without a network."""

from collections.abc import Mapping
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd

from mmkeras.pages import draw_png, import_figure, make_image, make_table, write_page

_COLORS = ("#28489c", "#c2571a", "#2a7f62", "#8d3b8f", "#6b6b6b", "#b58900", "#1c8ca8", "#b3261e")
_MOST_CLASSES, _WRITTEN_CLASSES = 60, 20  # of a confusion matrix that is drawn, and that has its counts written in
_MOST_POINTS = 3000
_NOTHING = 1e-12  # is what rounding leaves


def write(report, path: str | Path):
    """Writes the page of a `FitReport`."""
    best, figures = report.trials["model"].iloc[0], report.evaluation.table
    title = f"{report.metric} {report.trials[report.metric].iloc[0]:.4f} by '{best}'"
    sections = [
        f"<h1>{escape(title)}</h1>",
        f"<p class=quiet>{report.rows[0]:,} training rows, {report.rows[1]:,} validation rows, {report.seconds:.0f} s"
        f"{', interrupted' if report.was_interrupted else ''}. All figures are of the validation rows, by which the "
        "model was chosen, and are a little optimistic: measure on rows of your own by "
        "<code>model.evaluate_rows(test)</code>.</p>",
        f"<p>{escape(report.sentence)}</p>",
        *(f"<p class=doubt><b>Look at this:</b> {escape(doubt)}</p>" for doubt in report.doubts),
        "<h2>Models</h2>",
        _make_trials(report),
        "<p class=quiet>Low and high: 95 % interval by drawing the validation rows again (bootstrap). Other seeds "
        "would give other models.</p>",
        f"<h2>'{escape(best)}': with everything, with less, and the best constant answer</h2>",
        _make_frame(figures.reset_index(names="given")),
        *_draw_pictures(report),
        "<h2>The answers that are most wrong</h2>",
        _make_worst(report),
        "<h2>What was decided, and why</h2>",
        make_table(("decided", "as", "why"), [tuple(map(escape, (d.what, d.choice, d.why))) for d in report.decisions]),
        "<h2>The cells</h2>",
        f"<pre>{escape(str(report.problems))}</pre>",
    ]
    write_page(path, f"mmkeras: {title}", sections)


def _make_trials(report):
    metric, table = report.metric, report.trials
    values = table[metric].to_numpy(float)
    least, most = (np.nanmin(values), np.nanmax(values)) if np.isfinite(values).any() else (0.0, 0.0)
    start = 0.0 if least >= 0 else least
    rows = []
    for index, row in table.iterrows():
        share = (row[metric] - start) / (most - start) if most > start and np.isfinite(row[metric]) else 0.0
        bar = f"<span class=bar style='width:{14 * max(share, 0):.1f}rem;background:{_COLORS[index > 0]}'></span>"
        figures = [_write(row[name]) for name in (metric, "low", "high", "epochs", "seconds", "parameters")]
        rows.append((escape(row["model"]), bar, *figures, escape(row["why"])))
    return make_table(("model", "", metric, "low", "high", "epochs", "seconds", "parameters", ""), rows)


def _write(value):
    if isinstance(value, str):
        return escape(value)
    if value != value:
        return ""
    value = 0.0 if abs(value) < _NOTHING else value
    return f"{value:,.4g}" if isinstance(value, float) and abs(value) < 1000 else f"{value:,.0f}"


def _make_frame(table):
    return make_table(list(map(str, table.columns)), [list(map(_write, row)) for row in table.itertuples(index=False)])


def _make_worst(report):
    rows = []
    for position, row in enumerate(report.worst.itertuples(index=False)):
        cells = []
        for column, value in zip(report.worst.columns, row, strict=True):
            thumbnail = report.thumbnails.get(column, {position: None})[position]
            cells.append(make_image(thumbnail, str(value), "thumbnail") if thumbnail else _write(value))
        rows.append(cells)
    return f"<div class=wide>{make_table(list(map(str, report.worst.columns)), rows)}</div>"


def _draw_pictures(report):
    """Learning curves; confusion matrices or residuals; calibration. A sentence where Matplotlib is missing."""
    try:
        import_figure()
    except ImportError as error:
        return [f"<p class=quiet>{escape(str(error))}</p>"]
    sections = [
        "<h2>Learning curves</h2>",
        make_image(draw_curves(report.curves, report.metric), "The metric by epoch"),
    ]
    for column, counts in report.evaluation.confusions.items():
        if len(counts) <= _MOST_CLASSES:
            sections.append(f"<h2>'{escape(column)}': truth and answer</h2>")
            sections.append(make_image(draw_confusion(counts), "Counts of true class by given answer"))
    for column, rows in report.residuals.items():
        sections.append(f"<h2>'{escape(column)}': truth and answer</h2>")
        sections.append(make_image(draw_residuals(rows), "Answers by true number"))
    for column, spans in report.calibration.items():
        sections.append(f"<h2>'{escape(column)}': how sure the answers are, and how many are right</h2>")
        error = (spans["rows"] * (spans["probability"] - spans["accuracy"]).abs()).sum() / spans["rows"].sum()
        sections.append(f"<p>They differ by {error:.3f} on average (expected calibration error).</p>")
        sections.append(make_image(draw_calibration(spans), "Accuracy by probability"))
    return sections


def draw_curves(histories: Mapping[str, Mapping[str, list[float]]], metric: str) -> bytes:
    """By model the metric after each epoch, of validation and training rows, as a PNG file."""
    figure = import_figure()(figsize=(8, 3.6), layout="constrained")
    axes = figure.subplots()
    for index, (name, history) in enumerate(histories.items()):
        known = metric if f"val_{metric}" in history else "loss"
        color = _COLORS[index % len(_COLORS)]
        for values, style in ((history[f"val_{known}"], "o-"), (history.get(known, []), ":")):
            label = name if style == "o-" else None
            axes.plot(range(1, len(values) + 1), values, style, color=color, markersize=3, linewidth=1.2, label=label)
    axes.set(xlabel="epoch", ylabel=known)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.3)
    axes.legend(title="validation (dotted: training)", fontsize=8)
    return draw_png(figure)


def draw_confusion(counts: pd.DataFrame) -> bytes:
    """How many rows of a true class (down) were given each answer (across), as a PNG file."""
    values = counts.to_numpy()
    shares = values / np.maximum(values.sum(axis=1, keepdims=True), 1)
    size = 2.5 + 0.42 * len(counts)
    figure = import_figure()(figsize=(min(8, size + 1), min(6.6, size)), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set(xlabel="answer", ylabel="truth")
    axes.set_xticks(range(len(counts)), map(str, counts.columns), rotation=45, ha="right", fontsize=8)
    axes.set_yticks(range(len(counts)), map(str, counts.index), fontsize=8)
    if len(counts) <= _WRITTEN_CLASSES:
        for row, column in np.argwhere(values):
            color = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, f"{values[row, column]:,}", ha="center", va="center", color=color, fontsize=8)
    return draw_png(figure)


def draw_residuals(rows: pd.DataFrame) -> bytes:
    """The answer to each row by its truth, as a PNG file."""
    rows = rows.iloc[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), _MOST_POINTS), dtype=int))]
    figure = import_figure()(figsize=(5, 4.6), layout="constrained")
    axes = figure.subplots()
    axes.scatter(rows["truth"], rows["answer"], s=8, alpha=0.4, color=_COLORS[0])
    ends = [rows["truth"].min(), rows["truth"].max()]
    axes.plot(ends, ends, color="#888", linewidth=1)
    axes.set(xlabel="truth", ylabel="answer")
    axes.grid(alpha=0.3)
    return draw_png(figure)


def draw_calibration(spans: pd.DataFrame) -> bytes:
    """The share of right answers by how sure they are; large points are many rows; as a PNG file."""
    figure = import_figure()(figsize=(4.6, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="#888", linewidth=1)
    sizes = 20 + 380 * spans["rows"] / spans["rows"].max()
    axes.scatter(spans["probability"], spans["accuracy"], s=sizes, alpha=0.7, color=_COLORS[0])
    axes.set(xlabel="probability of the answer", ylabel="share that is right", xlim=(0, 1.03), ylim=(-0.03, 1.03))
    axes.grid(alpha=0.3)
    return draw_png(figure)
