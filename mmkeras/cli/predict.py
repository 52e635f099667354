"""`mmkeras predict`."""

import sys
from pathlib import Path

import numpy as np

from mmkeras.cli.models import add_model, load_task
from mmkeras.cli.tables import add_trust

_ROWS = 2_000  # at once


def add(commands):
    predict = commands.add_parser(
        "predict",
        help="the answers of a model to the rows of a table, as a CSV file",
        description="Writes the rows with the answers in columns of their own. The column `error` has the reason "
        "for a row that cannot be answered. Rows are read and written in parts, so that any number of them will do.",
        epilog="Example: mmkeras predict run/model.keras new.csv answers.csv",
    )
    add_model(predict)
    predict.add_argument("table", help="a .csv, .tsv, .jsonl or .parquet file; paths in it start from its folder")
    predict.add_argument("answers", metavar="ANSWERS", help="the .csv file that is written")
    predict.add_argument("--encoding", help="of a table of text (default: UTF-8, or UTF-16 where it is marked)")
    add_trust(predict)
    predict.set_defaults(run=run)


def run(options):
    from mmkeras.data import Source
    from mmkeras.data.tables import name_columns, read_parts
    from mmkeras.files import replacing

    path, answers = Path(options.table), Path(options.answers)
    if answers.exists() and answers.samefile(path):
        raise ValueError(f"The answers would take the place of the rows. Received: {options.answers} for both")
    model = load_task(options.model)
    count, refused = 0, 0
    with replacing(answers) as scratch, scratch.open("w", encoding="utf-8", newline="") as file:
        for part in read_parts(path, _ROWS, options.encoding):
            table = name_columns(part.reset_index(drop=True), str(path))
            numbers = np.arange(count + 1, count + len(table) + 1)
            rows = Source(table, None, path.parent.absolute(), path.name, options.allow_outside, numbers)
            answered = _answer(model, rows)
            answered.to_csv(file, index=False, header=count == 0)
            count += len(table)
            refused += int((answered["error"] != "").sum())
            print(f"{count:,} rows", file=sys.stderr, flush=True)
    reason = f"; {refused:,} of them cannot be answered: the column 'error' has the reason" if refused else ""
    print(f"Written to {answers}: {count:,} rows{reason}")


def _answer(model, rows):
    """The table with the answers, and why there is none."""
    import pandas as pd

    if not set(model.columns) & set(rows.table.columns):
        raise ValueError(
            f"{rows.name} has none of the columns that the model reads: {model.columns}. Received: "
            f"{list(rows.table.columns)}"
        )
    asked = rows.with_columns(model.columns)
    reasons = {problem.index: str(problem) for problem in reversed(model.check(asked).problems) if problem.rejected}
    usable = [index for index in range(len(rows)) if index not in reasons]
    answers = pd.DataFrame(model.predict_rows(asked.select(usable)), index=usable) if usable else pd.DataFrame()
    taken = set(rows.table.columns)
    answers.columns = [f"predicted_{name}" if name in taken else name for name in answers.columns]
    errors = pd.DataFrame({"error": [reasons.get(index, "") for index in range(len(rows))]})
    return pd.concat([rows.table, answers.reindex(range(len(rows))), errors], axis=1)
