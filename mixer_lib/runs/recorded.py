"""Recorded runs, whose cards and histories come with the library."""

import csv
import json
import pathlib
import re

import numpy as np

from .tables import Table

LIBRARY = pathlib.Path(__file__).parents[1]
PRETRAINED, RECORDED = LIBRARY / "pretrained", LIBRARY / "recorded"  # with published weights, and without
FOLDERS = (PRETRAINED, RECORDED)


def cards():
    """The cards of all recorded runs, {name: card}, as plain values; that of the article's own code has fewer fields."""
    files = [path for folder in FOLDERS for path in folder.glob("*.json")]
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(files, key=lambda p: p.stem)}


def read_history(path):
    """The columns of a run's history.csv by name, each an array with one value per epoch."""
    return np.atleast_1d(np.genfromtxt(path, delimiter=",", names=True))


def history(name):
    """The epochs of a recorded run: one array for each column of its history; ValueError for an unknown name."""
    for folder in FOLDERS:
        if (folder / f"{name}.csv").is_file():
            return read_history(folder / f"{name}.csv")
    raise ValueError(f"No recorded run has the name {name!r}. Choose one of {', '.join(cards())}.")


def rows(name):
    """The rows of a recorded table, such as the trials of a search, the best first: a dict of texts each."""
    with open(RECORDED / f"{name}.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def trial_epochs(name):
    """The epochs of a recorded search's trials: {trial: history}."""
    all_rows = np.genfromtxt(RECORDED / f"{name}-epochs.csv", delimiter=",", names=True, dtype=None, encoding="utf-8")
    return {trial: all_rows[all_rows["trial"] == trial] for trial in np.unique(all_rows["trial"]).tolist()}


def table(names):
    """A `Table` of recorded runs, accuracies first; a name that isn't recorded has a row that says so."""
    heads = ("run", "top-1", "top-5", "val top-1", "val top-5", "epochs", "best", "parameters")
    lines, known = [], cards()
    for name in names:
        cells = ["not recorded", *[""] * (len(heads) - 2)]
        if card := known.get(name):
            cells = [f"{card[key]:.2%}" for key in ("top1", "top5", "val_top1", "val_top5")]
            cells += [f"{card[key]:,}" for key in ("epochs_run", "best_epoch", "parameters")]
        lines.append((name, *cells))
    return Table(heads, lines)


def seeds(name):
    """The recorded runs of a name, which differ in their seed alone, {run: card}: "article", "article-seed1", ..."""
    return {run: card for run, card in cards().items() if name in (run, re.sub(r"-seed\d+$", "", run))}


def tfa_trajectory():
    """(N,) numbers of steps and (N, 16) weights after each, as tensorflow-addons' AdamW gave them on Python 3.11.

    tests/test_optimizers.py defines the problem.
    """
    steps = np.loadtxt(RECORDED / "tfa-adamw.csv", delimiter=",", dtype="float64")
    return steps[:, 0].astype(int), steps[:, 1:]
