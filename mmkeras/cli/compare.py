"""`mmkeras compare`."""

from pathlib import Path

from mmkeras.cli.tables import TABLE, add_trust, guess_modalities


def add(commands):
    compare = commands.add_parser(
        "compare",
        help="train every fusion and every single modality under one budget, and report the gain from fusion",
        description="Trains each candidate on the rows of a table, and measures it on others. What the columns hold is "
        "proposed as by `mmkeras check`.",
        epilog="Example: mmkeras compare train.csv --target label --fusions sum,gated --seeds 1 --folder comparison",
    )
    compare.add_argument("table", help=TABLE)
    compare.add_argument("--target", required=True, metavar="COLUMN", help="the column to predict")
    compare.add_argument("--test", metavar="TABLE", help="rows to measure on (default: a fifth of the table)")
    compare.add_argument("--fusions", metavar="A,B", help="names, such as sum,gated (default: all)")
    compare.add_argument(
        "--task", choices=["classifier", "regressor"], default="classifier", help="default: %(default)s"
    )
    compare.add_argument("--seeds", type=int, default=3, help="trainings of each (default: %(default)s)")
    compare.add_argument("--epochs", type=int, default=10, help="of each training (default: %(default)s)")
    compare.add_argument("--folder", default="comparison", help="for results, plot and page (default: %(default)s)")
    add_trust(compare)
    compare.set_defaults(run=run)


def run(options):
    import mmkeras as mk
    from mmkeras import pages

    pages.import_figure()  # what is missing is told before any work is done
    train, test = (
        mk.read(table, target=options.target, allow_outside=options.allow_outside) if table else None
        for table in (options.table, options.test)
    )
    modalities = guess_modalities(mk.propose(train))
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
