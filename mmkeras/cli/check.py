"""`mmkeras check`."""

from mmkeras.cli.tables import TABLE, add_trust, guess_modalities


def add(commands):
    check = commands.add_parser(
        "check",
        help="what the columns of a table seem to hold, and which cells are bad",
        epilog="Example: mmkeras check train.csv --target label",
    )
    check.add_argument("table", help=TABLE)
    check.add_argument("--target", help="the column with the labels")
    add_trust(check)
    check.set_defaults(run=run)


def run(options):
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
    report = check(source, guess_modalities(proposals), target and target.target)
    print(f"\nIf they are, this is what is wrong with the cells:\n{report}")
