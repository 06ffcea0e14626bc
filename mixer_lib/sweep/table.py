"""What came out of a sweep: for each group of runs that differ in nothing but the seed, mean and spread."""

import shlex
import statistics

from ..runs.tables import Table

COLUMNS = {"top1": "top-1", "top5": "top-5", "val_top1": "validation top-1"}


def groups(cards):
    """A row for each group of {job: its card, or None}: n, means, standard deviations (None for one run), seconds.

    Of runs without a test, top-1 and top-5 are None.
    """
    rows = {}
    for job, card in cards.items():
        if card:
            rows.setdefault(job.group, []).append((job, card))
    return [_row(group, runs) for group, runs in rows.items()]


def _row(group, runs):
    row, tested = {"group": group, "n": len(runs), **dict.fromkeys(COLUMNS)}, runs[0][0].test
    for column in COLUMNS if tested else ("val_top1",):
        values = [getattr(card, column) for _, card in runs]
        row[column] = {"mean": statistics.mean(values), "sd": statistics.stdev(values) if len(values) > 1 else None}
    row["seconds"] = statistics.mean(card.seconds_total for _, card in runs)
    return {**row, "parameters": runs[0][1].parameters, "runs": [str(job.folder) for job, _ in runs]}


def as_table(rows):
    """The rows of `groups` as a `Table`; accuracies in per cent, the standard deviation in points."""
    heads, cells = ["group", "n", *(f"{head} (sd)" for head in COLUMNS.values()), "seconds a run"], []
    for row in rows:
        scores = [_score(row[column]) for column in COLUMNS]
        cells.append([row["group"], str(row["n"]), *scores, f"{row['seconds']:,.0f}"])
    return Table(heads, cells)


def _score(found):
    """Mean and spread as text; a dash for what is not there."""
    if not found:
        return "-"
    return f"{found['mean']:.2%} ({'-' if found['sd'] is None else format(100 * found['sd'], '.2f')})"


def search_text(rows, most=10):
    """The best trials as a table; and how the best is trained again and tested."""
    kept = [key for key in dict.fromkeys(key for row in rows for key in row) if key != "command"]
    table = str(Table(kept, ([_short(row.get(key)) for key in kept] for row in rows[:most])))
    if not rows or rows[0]["state"] != "complete":
        return table
    of_trial = ("--no-test", "--name=", "--run-dir=")
    words = [word for word in shlex.split(rows[0]["command"]) if not word.startswith(of_trial)]
    return f"{table}\nThe best, trained again and tested: {shlex.join(words)}"


def _short(value):
    return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
