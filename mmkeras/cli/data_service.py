"""`mmkeras data-service`."""


def add(commands):
    service = commands.add_parser(
        "data-service",
        help="prepare rows in processes of their own, for several trainers",
        description="Starts a dispatcher and workers of a tf.data service on this machine, and starts again what dies. "
        "model.dataset(rows, data_service='grpc://<host>:<port>') has its rows prepared there.",
        epilog="Example: mmkeras data-service --workers 4 --port 5000 --journal journal",
    )
    service.add_argument("--workers", type=int, required=True, help="processes that prepare rows")
    service.add_argument("--port", type=int, default=0, help="of the dispatcher (default: any free one)")
    service.add_argument("--journal", metavar="FOLDER", help="where the dispatcher remembers what goes on")
    service.set_defaults(run=run)


def run(options):
    from mmkeras.distribute.data_service import serve

    serve(options.workers, options.port, options.journal)
