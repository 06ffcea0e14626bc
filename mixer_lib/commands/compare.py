"""Compare two groups of runs on the same test pictures: the difference, with the luck of seeds and pictures in it."""

import json

HELP = "compare two groups of runs: a difference, or luck?"


def add_arguments(parser):
    what = "a run folder, a group of a sweep (runs/small/article: its seeds), or a recorded name"
    parser.add_argument("first", help=what)
    parser.add_argument("second", help="the same")
    parser.add_argument("--json", action="store_true", help="print JSON in place of sentences")


def run(asked, command):
    """Print the difference of both groups' top-1 and top-5, each with its 95 % interval."""
    import dataclasses

    from ..analysis.comparison import describe_runs, difference, find_runs

    groups = [(name, find_runs(name)) for name in (asked.first, asked.second)]
    fingerprints = {name: {run.data_fingerprint for run in runs} for name, runs in groups}
    if len(set().union(*fingerprints.values())) > 1:
        both = f"{asked.first} and {asked.second}"
        raise ValueError(f"{both} do not have the same data, to train and to test on: {fingerprints}.")
    first, second = ({run.folder: run.ranks for run in runs} for _, runs in groups)
    if asked.json:
        found = {f"top{k}": difference([*first.values()], [*second.values()], k) for k in (1, 5)}
        rows = {key: {**dataclasses.asdict(one), "found": one.found} for key, one in found.items()}
        print(json.dumps({"first": [*first], "second": [*second], **rows}, indent=2))
        return
    for k in (1, 5):
        print(describe_runs((asked.first, first), (asked.second, second), k))
