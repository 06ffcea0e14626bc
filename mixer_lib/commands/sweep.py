"""Train many models: the runs that a file asks for, as many at once as fit, on this machine or a Ray cluster."""

import os

HELP = "train all runs that a file asks for, several at once"


def add_arguments(parser):
    parser.add_argument("file", help="what to run, as in sweeps/small.toml")
    parser.add_argument("--folder", default=None, help="for the run folders; default: the file's, or runs/<its name>")
    parser.add_argument("--data", default=None, help="folder with the data")
    parser.add_argument("--cpus-per-run", type=int, default=1, help="CPUs and threads of each run; default: 1")
    parser.add_argument("--address", default=None, help="of a Ray cluster; default: RAY_ADDRESS, or this machine")
    parser.add_argument("--dry-run", action="store_true", help="list the runs and what they cost, and stop")
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")


def run(asked, command):
    """Run the sweep and print its table."""
    from ..sweep.sweep import sweep
    from ..validation import positive_integer

    positive_integer("--cpus-per-run", asked.cpus_per_run)
    address = asked.address or os.environ.get("RAY_ADDRESS")
    sweep(asked.file, asked.folder, asked.data, asked.cpus_per_run, address, asked.dry_run, asked.json)
