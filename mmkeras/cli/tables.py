"""What several commands say of tables."""

TABLE = "a .csv, .tsv, .jsonl or .parquet file, or a folder with one folder a class"


def add_trust(command):
    """The option by which a table may name files anywhere."""
    command.add_argument("--allow-outside", action="store_true", help="the table may name files outside of its folder")


def guess_modalities(proposals):
    """What a table is read as when nobody says what its columns hold."""
    from mmkeras import data, modalities

    planned = data.plan_modalities(proposals)
    return {name: getattr(modalities, kind)(**arguments) for name, (kind, arguments) in planned.items()}
