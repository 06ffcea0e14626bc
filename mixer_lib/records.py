"""The recorded runs that the book tells of: cards and histories, which come with the library to every host."""

import json
import pathlib

import numpy as np

HERE = pathlib.Path(__file__).parent
FOLDERS = (HERE / "pretrained", HERE / "recorded")  # with published weights, and without
ADDONS = HERE / "recorded" / "tfa-adamw.csv"


def cards():
    """The cards of all recorded runs, {name: card}, as plain values.

    A run that wasn't recorded isn't there: whoever draws or lists runs takes those that are. `RunResult.load` reads
    one card strictly; this takes also that of the article's own code, which kept less.
    """
    files = [path for folder in FOLDERS for path in folder.glob("*.json")]
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(files, key=lambda p: p.stem)}


def read_history(path):
    """The columns of a run's history.csv by name, each an array with one value per epoch."""
    return np.atleast_1d(np.genfromtxt(path, delimiter=",", names=True))


def history(name):
    """The epochs of a recorded run: one array for each column of its history, by name.

    Raises:
        ValueError: if there is no recorded run of this name.
    """
    for folder in FOLDERS:
        if (folder / f"{name}.csv").is_file():
            return read_history(folder / f"{name}.csv")
    raise ValueError(f"No recorded run has the name {name!r}. Choose one of {', '.join(cards())}.")


def table(names):
    """Lines that set recorded runs side by side; a name without one has a line that says so."""
    widths = {"parameters": 11, "epochs": 7, "best": 5, "val top-1": 10, "val top-5": 10, "top-1": 8, "top-5": 8}
    lines = [" " * 20 + "".join(f"{head:>{width}}" for head, width in widths.items())]
    known = cards()
    for name in names:
        if name not in known:
            lines.append(f"{name:20}  not recorded")
            continue
        card = known[name]
        counts = [f"{card[key]:,}" for key in ("parameters", "epochs_run", "best_epoch")]
        shares = [f"{card[key]:.2%}" for key in ("val_top1", "val_top5", "top1", "top5")]
        values = zip(counts + shares, widths.values(), strict=True)
        lines.append(f"{name:20}" + "".join(f"{value:>{width}}" for value, width in values))
    return "\n".join(lines)


def addons_trajectory():
    """Weights that tensorflow-addons' AdamW went through on a small problem, written down on Python 3.11.

    Returns:
        (N,) numbers of steps and (N, 16) the weights after each. tests/test_optimizers.py holds the problem.
    """
    rows = np.loadtxt(ADDONS, delimiter=",", dtype="float64")
    return rows[:, 0].astype(int), rows[:, 1:]
