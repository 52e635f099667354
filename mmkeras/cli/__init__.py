"""The command `mmkeras`: the objects of the package from a shell."""

import argparse
import sys
import warnings

from mmkeras.cli import check, compare, data_service, demo, evaluate, export, fit, label, launch, predict

COMMANDS = (fit, evaluate, predict, export, compare, check, label, launch, data_service, demo)


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; returns its exit code: 0, 1 with a sentence, or 130 when it was interrupted."""
    options = build_parser().parse_args(arguments)
    warnings.formatwarning = lambda message, *_: f"{message}\n"  # a user of the command cannot act on a line of code
    try:
        return options.run(options) or 0
    except (ImportError, OSError, RuntimeError, TypeError, ValueError) as error:
        print(f"mmkeras {options.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\nmmkeras {options.command}: interrupted", file=sys.stderr)
        return 130


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands; each has an example at its end."""
    parser = argparse.ArgumentParser(prog="mmkeras", description="From files of several kinds to one Keras model.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for command in COMMANDS:
        command.add(commands)
    return parser
