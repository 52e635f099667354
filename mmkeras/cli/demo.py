"""`mmkeras demo`."""


def add(commands):
    demo = commands.add_parser(
        "demo",
        help="train, export and prove a model of questions on images",
        epilog="Example: mmkeras demo --rows 4000 --epochs 3",
    )
    demo.add_argument("--folder", default="demo", help="where results go (default: %(default)s)")
    demo.add_argument("--epochs", type=int, default=10, help="for each of three models (default: %(default)s)")
    demo.add_argument("--rows", type=int, help="use only so many training and test rows")
    demo.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    demo.set_defaults(run=run)


def run(options):
    print("Starting TensorFlow ...", flush=True)
    try:
        import tensorflow as tf

        from mmkeras import demo
    except ImportError as error:
        raise ImportError(f"{error}. The demo needs: pip install 'mmkeras[demo]'") from None
    tf.get_logger().setLevel("ERROR")  # says that three models trace more functions than one
    demo.run(options.folder, options.epochs, options.rows, options.seed)
