"""The command line: `python -m mixer_lib COMMAND`, or `mixer-lib COMMAND`; each command is a file in `commands/`."""

import argparse
import importlib
import shlex
import sys
import warnings

from .quiet import hide_hints
from .runs.interrupts import Terminated

COMMANDS = ("train", "predict", "evaluate", "export", "sweep", "compare")


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message):
        sys.exit(f"error: {message}")


def main(arguments=None):
    """Run one command; whatever is wrong with it ends with a line that says so."""
    hide_hints()
    words = sys.argv[1:] if arguments is None else arguments
    parser = _Parser(prog="python -m mixer_lib", description="Train and use an MLP-Mixer.")
    parsers = parser.add_subparsers(dest="command", metavar="command", required=True)
    modules = {name: importlib.import_module(f".commands.{name}", __package__) for name in COMMANDS}
    for name, module in modules.items():
        module.add_arguments(parsers.add_parser(name, help=module.HELP, description=module.__doc__))
    asked = parser.parse_args(words)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_, **__: print(f"warning: {message}", file=sys.stderr)
            modules[asked.command].run(asked, shlex.join(["python", "-m", "mixer_lib", *words]))
    except (ValueError, OSError, FloatingPointError, ImportError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt as stopped:
        print(f"\n{str(stopped) or 'Stopped.'} The same command continues.", file=sys.stderr)
        sys.exit(143 if isinstance(stopped, Terminated) else 130)  # as a shell counts SIGTERM and Ctrl-C


if __name__ == "__main__":
    main()
