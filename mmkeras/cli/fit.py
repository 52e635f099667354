"""`mmkeras fit`."""

from mmkeras.cli.tables import TABLE, add_trust

_YAML = (".yaml", ".yml")


def add(commands):
    fit = commands.add_parser(
        "fit",
        help="from a table to a trained model and a report",
        description="Says what the columns hold and what is predicted, trains each input alone and fused within the "
        "time, and writes report.html, model.keras and run.yaml. Ctrl-C keeps the best model so far; --resume goes on.",
        epilog="Example: mmkeras fit train.csv --target label --time-limit 600 --folder run",
    )
    fit.add_argument("table", help=f"{TABLE}; or a run.yaml, with all arguments in it")
    fit.add_argument("--target", metavar="A,B", help="the column to predict, or several")
    fit.add_argument("--validation", metavar="TABLE", help="rows to choose by (default: a part of the table)")
    fit.add_argument("--ignore", metavar="A,B", help="columns that are not read")
    fit.add_argument("--group", metavar="COLUMN", help="rows with the same cell are all learned from, or all chosen by")
    fit.add_argument("--fusions", metavar="A,B", help="names, such as sum,gated")
    fit.add_argument("--metric", help="by which models are compared, such as auroc")
    fit.add_argument("--time-limit", type=float, metavar="SECONDS", help="default: 600")
    fit.add_argument("--seed", type=int, help="default: 0")
    place = fit.add_mutually_exclusive_group()
    place.add_argument("--folder", help="where results go (default: run)")
    place.add_argument("--resume", metavar="FOLDER", help="go on where an interrupted run has stopped")
    add_trust(fit)
    fit.set_defaults(run=run)


def run(options):
    from pathlib import Path

    import mmkeras as mk
    from mmkeras.fitting import read_run

    names = ("target", "validation", "ignore", "group", "fusions", "metric", "time_limit", "seed", "folder", "resume")
    arguments = {name: value for name in names if (value := getattr(options, name)) is not None}
    for name in ("ignore", "fusions", "target"):
        if name in arguments:
            parts = [part.strip() for part in arguments[name].split(",") if part.strip()]
            arguments[name] = parts[0] if name == "target" and len(parts) == 1 else parts
    if options.allow_outside:
        arguments["allow_outside"] = True
    if Path(options.table).suffix.lower() in _YAML:
        arguments = {**read_run(options.table, mk.fit, options.allow_outside), **arguments}
        if "source" not in arguments:
            raise ValueError(f"{options.table} names no table to learn from: source: train.csv")
    else:
        arguments["source"] = options.table
    if "resume" not in arguments:
        arguments.setdefault("folder", "run")
    if isinstance(arguments.get("validation"), str):
        trust = arguments.get("allow_outside", False)
        arguments["validation"] = mk.read(arguments["validation"], allow_outside=trust)
    model = mk.fit(**arguments)
    return 130 if model.report.was_interrupted else 0
