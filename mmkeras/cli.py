"""The command `mmkeras`: the objects of the package from a shell."""

import argparse
import sys
import warnings


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    options = _build_parser().parse_args(arguments)
    warnings.formatwarning = lambda message, *_: f"{message}\n"  # a user of the command cannot act on a line of code
    try:
        options.run(options)
    except (ImportError, OSError, RuntimeError, TypeError, ValueError) as error:
        print(f"mmkeras {options.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\nmmkeras {options.command}: interrupted", file=sys.stderr)
        return 130
    return 0


def _build_parser():
    parser = argparse.ArgumentParser(prog="mmkeras", description="From files of several kinds to one Keras model.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    demo = commands.add_parser("demo", help="train, export and prove a model of questions on images")
    demo.add_argument("--folder", default="demo", help="where results go (default: %(default)s)")
    demo.add_argument("--epochs", type=int, default=10, help="for each of three models (default: %(default)s)")
    demo.add_argument("--rows", type=int, help="use only so many training and test rows")
    demo.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    demo.set_defaults(run=_run_demo)
    check = commands.add_parser("check", help="what the columns of a table seem to hold, and which cells are bad")
    check.add_argument("table", help="a .csv, .tsv, .jsonl or .parquet file, or a folder with one folder a class")
    check.add_argument("--target", help="the column with the labels")
    check.add_argument("--allow-outside", action="store_true", help="the table may name files outside of its folder")
    check.set_defaults(run=_run_check)
    _add_compare(commands)
    _add_label(commands)
    return parser


def _add_compare(commands):
    compare = commands.add_parser(
        "compare",
        help="train every fusion and every single modality alike, and say what fusing brings",
        description="Trains each candidate on the rows of a table, and measures it on others. What the columns hold is "
        "proposed as by `mmkeras check`.",
        epilog="Example: mmkeras compare train.csv --target answer --fusions sum,gated --seeds 1 --folder comparison",
    )
    compare.add_argument("table", help="a .csv, .tsv, .jsonl or .parquet file, or a folder with one folder a class")
    compare.add_argument("--target", required=True, metavar="COLUMN", help="the column to predict")
    compare.add_argument("--test", metavar="TABLE", help="rows to measure on (default: a fifth of the table)")
    compare.add_argument("--fusions", metavar="A,B", help="names, such as sum,gated (default: all)")
    compare.add_argument(
        "--task", choices=["classifier", "regressor"], default="classifier", help="default: %(default)s"
    )
    compare.add_argument("--seeds", type=int, default=3, help="trainings of each (default: %(default)s)")
    compare.add_argument("--epochs", type=int, default=10, help="of each training (default: %(default)s)")
    compare.add_argument("--folder", default="comparison", help="for results, plot and page (default: %(default)s)")
    compare.add_argument(
        "--allow-outside", action="store_true", help="the tables may name files outside of their folder"
    )
    compare.set_defaults(run=_run_compare)


def _run_compare(options):
    from pathlib import Path

    import mmkeras as mk
    from mmkeras import pages

    pages.import_figure()  # what is missing is told before any work is done
    train, test = (
        mk.read(table, target=options.target, allow_outside=options.allow_outside) if table else None
        for table in (options.table, options.test)
    )
    modalities = _guess_modalities(mk.propose(train))
    print(f"{train.name}: {len(train):,} rows; modalities: {', '.join(map(str, modalities))}", flush=True)
    task = mk.Classifier if options.task == "classifier" else mk.Regressor
    chosen = options.fusions.split(",") if options.fusions else None
    folder = Path(options.folder)
    found = mk.compare(
        train,
        modalities,
        fusions=chosen,
        test=test,
        task=task,
        seeds=options.seeds,
        epochs=options.epochs,
        folder=folder,
    )
    print(f"\n{found}")
    found.plot(folder / "comparison.png")
    found.write_page(folder / "comparison.html")
    print(f"\nWritten to {folder}: comparison.json, comparison.png, comparison.html")


def _add_label(commands):
    label = commands.add_parser(
        "label",
        help="give rows of a table their labels, on a page of this computer",
        description="Shows rows of a table one by one on a page at 127.0.0.1, and writes each label into the table "
        "at once. Nothing leaves this computer. Needs: pip install 'mmkeras[label]'",
        epilog="CSV and TSV files get the labels themselves; beside other tables <table>.labels.csv is written.",
    )
    label.add_argument("table", help="a .csv, .tsv, .jsonl or .parquet file; paths in it start from its folder")
    label.add_argument("--target", required=True, metavar="COLUMN", help="column of the labels; added where missing")
    label.add_argument("--classes", default="", metavar="A,B,C", help="labels to offer besides those in the table")
    label.add_argument(
        "--model", metavar="FILE", help="a saved .keras classifier: shows what it is least sure of first"
    )
    which = label.add_mutually_exclusive_group()
    which.add_argument("--all", action="store_true", help="show rows that have a label too")
    which.add_argument(
        "--contradictions", action="store_true", help="show rows whose label the model contradicts with confidence"
    )
    label.add_argument("--encoding", help="of a table of text (default: UTF-8, or UTF-16 where it is marked)")
    label.add_argument("--allow-outside", action="store_true", help="show files outside of the table's folder")
    label.add_argument("--port", type=int, default=7860, help="0 for any free one (default: %(default)s)")
    label.add_argument("--no-browser", action="store_true", help="only print the address of the page")
    label.set_defaults(run=_run_label)


def _run_label(options):
    if options.contradictions and not options.model:
        raise ValueError("--contradictions needs a model that contradicts: --model FILE")
    from mmkeras import labeling

    labeling.import_gradio()  # what is missing is told before any work is done
    table = labeling.LabeledTable(options.table, options.target, options.encoding, options.allow_outside)
    rows = labeling.choose_rows(table.labels, options.all, options.contradictions)
    predictions = None
    if options.model:
        print(f"Asking the model about {len(rows):,} rows ...", flush=True)
        predictions = labeling.predict(options.model, table.source, rows)
        if options.contradictions:
            rows = labeling.find_contradictions(rows, table.labels, predictions)
        else:
            rows = labeling.order_rows(rows, predictions)
    classes = [name.strip() for name in options.classes.split(",") if name.strip()]
    queue = labeling.LabelingQueue(table, rows, classes, predictions)
    labeling.serve(queue, options.port, browser=not options.no_browser)


def _run_demo(options):
    print("Starting TensorFlow ...", flush=True)
    try:
        import tensorflow as tf

        from mmkeras import demo
    except ImportError as error:
        raise ImportError(f"{error}. The demo needs: pip install 'mmkeras[demo]'") from None
    tf.get_logger().setLevel("ERROR")  # says that three models trace more functions than one
    demo.run(options.folder, options.epochs, options.rows, options.seed)


def _run_check(options):
    from mmkeras import data
    from mmkeras.pipeline import check
    from mmkeras.targets import propose_target

    source = data.read(options.table, target=options.target, allow_outside=options.allow_outside)
    proposals = data.propose(source)
    target = propose_target(source, proposals=proposals) if source.target else None
    print(f"{source.name}: {len(source):,} rows, {len(source.table.columns)} columns\n")
    print(data.format_proposals(proposals))
    if target:
        print(f"\nTo predict: {target}")
    report = check(source, _guess_modalities(proposals), target and target.target)
    print(f"\nIf they are, this is what is wrong with the cells:\n{report}")


def _guess_modalities(proposals):
    """What a table is read as when nobody says what its columns hold."""
    from mmkeras import data, modalities

    planned = data.plan_modalities(proposals)
    return {name: getattr(modalities, kind)(**arguments) for name, (kind, arguments) in planned.items()}
