"""`report.html`: one file with images and tables, which opens without a network."""

from html import escape
from pathlib import Path

import numpy as np

from mmkeras.fitting.page import draw_confusion, draw_curves
from mmkeras.pages import make_image, make_table, write_page

_COLORS = {"question": "#c2571a", "image": "#2a7f62", "fused": "#28489c"}
_MISTAKES_SHOWN = 3


def write_report(path: Path, model, test, row_count: int, histories: dict, export_report, answers: list, results: dict):
    """Writes the page.

    Args:
        path: of the HTML file.
        model: the fused classifier.
        test: source of the test rows.
        row_count: how many of them to show.
        histories: for each model's name, the `history` of its `fit`.
        export_report: what `mk.export` returned.
        answers: what `answer_with_all` returned.
        results: accuracy, seconds and versions, as in `results.json`.
    """
    predictions = model.predict(model.dataset(test, batch_size=256), verbose=0)
    truth = model.encode_targets(test)
    (confusions,) = model.target.measures.count_confusions(model.name_outputs(predictions), truth).values()
    accuracy = results["accuracy"]
    best_alone = max(accuracy["question"], accuracy["image"])
    sections = [
        "<h1>Questions about images</h1>",
        f"<p class=quiet>{results['rows']['training']:,} training rows, {results['rows']['test']:,} test rows of "
        f"easy-VQA, {results['epochs']} epochs for each model, seed {results['seed']}, {results['cores']} cores</p>",
        f"<p>Fusing question and image answers <b>{accuracy['fused']:.2%}</b> of the test rows rightly; "
        f"the better of the two alone {best_alone:.2%}.</p>",
        "<h2>What fusing brought</h2>",
        _comparison_table(accuracy, results["seconds"]),
        "<h2>Learning curves</h2>",
        make_image(draw_curves(histories, "accuracy"), "Accuracy by epoch of the three models"),
        "<p class=quiet>Training rows of the fused model lack a modality at random; validation rows do not, and are "
        "answered better.</p>",
        "<h2>Confusion matrix of the fused model, test rows</h2>",
        make_image(draw_confusion(confusions), "Counts of true answer by given answer"),
        f"<h2>{row_count} test rows</h2>",
        "<p class=quiet>Mistakes come first, up to three where there are any; the others are evenly spaced.</p>",
        _cards(model, test, predictions, truth, row_count),
        "<h2>Artifacts, each run by its own runtime and compared with the Keras model</h2>",
        _parity_table(export_report),
        "<h2>The same raw rows, answered by each</h2>",
        _answers_table(answers),
        f"<p class=quiet>{escape(', '.join(f'{name} {version}' for name, version in results['versions'].items()))}</p>",
    ]
    write_page(path, "mmkeras demo", sections)


def _comparison_table(accuracy, seconds):
    rows = [
        (
            escape(name),
            f"<span class=bar style='width:{value * 20:.1f}rem;background:{_COLORS[name]}'></span>",
            f"{value:.2%}",
            f"{seconds[name]:.0f} s",
        )
        for name, value in accuracy.items()
    ]
    return make_table(("model", "", "test accuracy", "training"), rows)


def _parity_table(report):
    rows = [
        (
            escape(a.format),
            f"{a.bytes / 1024:,.0f} KiB",
            f"{a.max_difference:.1e}",
            f"{a.agreement:.2%}",
            f"{a.metrics['accuracy']:.2%}",
            f"{a.latency_ms:.2f} ms",
        )
        for a in report.artifacts
    ]
    missing = ", ".join(f"{count} without {escape(name)}" for name, count in report.missing.items())
    header = ("format", "size", "largest difference", "same answer", "accuracy", "one row")
    return f"{make_table(header, rows)}<p class=quiet>On {report.rows} rows, {missing}.</p>"


def _answers_table(answers):
    names = list(answers[0]["answers"])
    rows = [(escape(row["question"]), *(escape(row["answers"][name]) for name in names)) for row in answers]
    return make_table(("question", *names), rows)


def _cards(model, test, predictions, truth, row_count):
    wrong = np.flatnonzero(predictions.argmax(axis=1) != truth)[:_MISTAKES_SHOWN]
    spaced = np.linspace(0, len(truth) - 1, row_count - len(wrong), dtype=int)
    questions, images = test.texts("question"), test.files("image")
    return (
        "<div class=cards>"
        + "".join(
            _card(
                questions[index],
                Path(images[index]).read_bytes(),
                model.classes[truth[index]],
                model.classes[predictions[index].argmax()],
                predictions[index].max(),
            )
            for index in [*wrong, *spaced]
        )
        + "</div>"
    )


def _card(question, image, truth, answer, probability):
    wrong = "" if answer == truth else " wrong"
    return (
        f"<div class='card{wrong}'>{make_image(image, question, '')}{escape(question)}<br>"
        f"<b>{escape(answer)}</b> {probability:.1%}<br><span class=quiet>truth: {escape(truth)}</span></div>"
    )
