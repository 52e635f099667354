"""What a comparison looks like: a plot, and a page with it."""

from html import escape
from pathlib import Path

from mmkeras.pages import draw_png, import_figure, make_image, make_table, write_page

_SHOWN = 4  # fusions in the plots of missing modalities, beside all single modalities


def draw(comparison) -> bytes:
    """The metric of every candidate, and that of the best by how often each modality is missing, as a PNG file."""
    table = comparison.table.dropna(subset=[comparison.metric])
    modalities = sorted({name for run in comparison.runs for name in run.get("missing", ())})
    shown = [*table[table["kind"] == "fusion"]["candidate"][:_SHOWN], *table[table["kind"] == "modality"]["candidate"]]
    figure = import_figure()(figsize=(4.6 * (1 + len(modalities)), 1.6 + 0.28 * len(table)), layout="constrained")
    bars, *plots = figure.subplots(1, 1 + len(modalities))
    backwards = table[::-1]
    colors = ["#28489c" if kind == "fusion" else "#c2571a" for kind in backwards["kind"]]
    bars.barh(backwards["candidate"], backwards[comparison.metric], xerr=backwards["spread"] / 2, color=colors)
    bars.set(xlabel=comparison.metric, title="all rows (whiskers: range of the seeds)")
    lowest = backwards[comparison.metric].min()
    bars.set_xlim(left=max(0, lowest - 0.1) if lowest > 0 else None)
    for axes, modality in zip(plots, modalities, strict=True):
        for name in shown:
            runs = [run for run in comparison.runs if run["candidate"] == name and "missing" in run]
            # One that does not use the modality stays as it is.
            curves = [run["missing"].get(modality, [run["metric"]] * len(comparison.missing_rates)) for run in runs]
            means = [sum(values) / len(curves) for values in zip(*curves, strict=True)]
            style = "-" if modality in runs[0]["missing"] else "--"
            axes.plot(
                [100 * rate for rate in comparison.missing_rates], means, style, marker="o", markersize=3, label=name
            )
        axes.set(xlabel=f"rows without {modality}, %", ylabel=comparison.metric, title=f"{modality} missing")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    return draw_png(figure)


def write(comparison, path: str | Path):
    """Writes the page."""
    table = comparison.table
    rows = [
        ["" if value != value else f"{value:,.4g}" if isinstance(value, float) else escape(str(value)) for value in row]
        for row in table.itertuples(index=False)
    ]
    sections = [
        "<h1>What fusing brings</h1>",
        f"<p>{escape(comparison.sentence)}</p>",
        make_table(list(table.columns), rows),
        "<p class=quiet>Means over the seeds; <i>spread</i> is the range. <i>without</i>: that modality is missing in "
        "every row. Seconds of training, milliseconds of one row.</p>",
        make_image(draw(comparison), "Metric by candidate, and by the share of rows that lack a modality"),
    ]
    write_page(path, "mmkeras comparison", sections)
