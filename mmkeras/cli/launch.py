"""`mmkeras launch`."""

import argparse


def add(commands):
    launch = commands.add_parser(
        "launch",
        help="train on several processes of this machine",
        description="Starts a script several times, sets TF_CONFIG for mk.distribute.strategy(), shows what each "
        "prints with its name, and starts all again when one dies. With mk.callbacks.Backup training then goes on "
        "after the last full epoch.",
        epilog="Example: mmkeras launch --workers 2 -- python train.py",
    )
    launch.add_argument("--workers", type=int, required=True, help="how many processes")
    launch.add_argument("--restarts", type=int, default=3, help="how many times at most (default: %(default)s)")
    launch.add_argument("script", nargs=argparse.REMAINDER, metavar="-- command", help="what to run")
    launch.set_defaults(run=run)


def run(options):
    from mmkeras.distribute.launch import launch

    command = options.script[1:] if options.script[:1] == ["--"] else options.script
    return launch(command, options.workers, options.restarts)
