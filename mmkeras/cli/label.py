"""`mmkeras label`."""


def add(commands):
    label = commands.add_parser(
        "label",
        help="give rows of a table their labels, on a page of this computer",
        description="Shows rows of a table one by one on a page at 127.0.0.1, and writes each label into the table "
        "at once. Nothing leaves this computer. Needs: pip install 'mmkeras[label]'",
        epilog="Example: mmkeras label train.csv --target label --classes good,bad. CSV and TSV files get the labels "
        "themselves; beside other tables <table>.labels.csv is written.",
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
    label.set_defaults(run=run)


def run(options):
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
