"""`mmkeras export`."""

from mmkeras.cli.models import add_model, load_task
from mmkeras.cli.tables import TABLE, add_trust


def add(commands):
    export = commands.add_parser(
        "export",
        help="artifacts of a model, each run by its own runtime and compared with it",
        description="Writes SavedModel, TFLite and ONNX files, proven on real rows. Needs: "
        "pip install 'mmkeras[export]'",
        epilog="Example: mmkeras export run/model.keras artifacts --rows test.csv --formats saved_model,tflite",
    )
    add_model(export)
    export.add_argument("folder", help="where the artifacts go")
    export.add_argument("--rows", required=True, metavar="TABLE", help=f"real rows, best of a test: {TABLE}")
    export.add_argument("--formats", metavar="A,B", help="default: saved_model,tflite,tflite_dynamic_range,onnx")
    add_trust(export)
    export.set_defaults(run=run)


def run(options):
    import mmkeras as mk

    model = load_task(options.model)
    rows = mk.read(options.rows, allow_outside=options.allow_outside)
    chosen = {"formats": [part.strip() for part in options.formats.split(",")]} if options.formats else {}
    print(mk.export(model, options.folder, rows=rows, **chosen))
