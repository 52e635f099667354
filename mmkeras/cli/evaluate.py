"""`mmkeras evaluate`."""

from mmkeras.cli.models import add_model, load_task
from mmkeras.cli.tables import TABLE, add_trust


def add(commands):
    evaluate = commands.add_parser(
        "evaluate",
        help="how good a model is on labeled rows",
        description="Metrics with 95 % intervals, beside those of each input alone and of the best constant answer.",
        epilog="Example: mmkeras evaluate run/model.keras test.csv",
    )
    add_model(evaluate)
    evaluate.add_argument("table", help=TABLE)
    add_trust(evaluate)
    evaluate.set_defaults(run=run)


def run(options):
    from mmkeras import data

    model = load_task(options.model)
    print(model.evaluate_rows(data.read(options.table, allow_outside=options.allow_outside)))
