"""Put a finished run among the recorded ones (for maintainers).

    python -m tools.maintain.record RUN_DIR NAME [--weights]

The card's command loses the places of its data and its run, which are this machine's.
Card, history and ranks go to mixer_lib/recorded/<NAME>.{json,csv,ranks.npy}. With --weights the run becomes the
published model NAME: card, history, ranks and weights go to mixer_lib/pretrained/ instead.

    python -m tools.maintain.record SEARCH_FOLDER NAME

The folder of a search, or of a sweep without test: its table of trials goes to recorded/<NAME>.csv, the epochs of all
to <NAME>-epochs.csv.

    python -m tools.maintain.record RUN_DIR NAME --lay-out

The other way: the published model NAME becomes a finished run in RUN_DIR, so that chapters can be published on a
machine that didn't train it. What it can't do is go on: its checkpoint isn't kept.
"""

import argparse
import csv
import dataclasses
import json
import shlex
import shutil
import sys
from pathlib import Path

from tools.paths import ROOT


def lay_out(run_dir, name, published=ROOT / "mixer_lib" / "pretrained"):
    """Put card, history and weights of a published model into a new run folder. FileExistsError if it's there."""
    run_dir.mkdir(parents=True)
    files = {"json": "card.json", "csv": "history.csv", "weights.h5": "best.weights.h5", "ranks.npy": "ranks.npy"}
    for kept, file in files.items():
        shutil.copyfile(published / f"{name}.{kept}", run_dir / file)


def without_paths(command):
    """A command without the places that it names: --data, --run-dir, --runs, and DATA= of make."""
    words, kept = iter(shlex.split(command)), []
    for word in words:
        if word in ("--data", "--run-dir", "--runs"):
            next(words, None)
        elif not word.startswith(("--data=", "--run-dir=", "--runs=", "DATA=")):
            kept.append(word)
    return shlex.join(kept)


def trials_of_a_search(folder):
    """The rows of its table."""
    with open(folder / "trials.csv", newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if row["state"] != "running"]


def trials_of_a_sweep(folder):
    """The same of the runs that left the test set unseen, the best first: their model and fields are in the command."""
    from mixer_lib.runs.recorded import read_history

    rows = []
    for path in folder.glob("*/card.json"):
        card = json.loads(path.read_text(encoding="utf-8"))
        if not card["dataset"].endswith("-validation"):
            raise ValueError(f"{path} has test accuracies: record each run of this sweep by itself")
        history = read_history(path.with_name("history.csv"))
        words = [word for word in shlex.split(card["command"]) if word.startswith(("--preset=", "--set="))]
        fields = dict(word.removeprefix("--").removeprefix("set=").split("=", 1) for word in words)
        row = {"trial": path.parent.name, "state": "complete", "epochs": card["epochs_run"]}
        row |= {"val_loss": min(history["val_loss"]), "val_top1": card["val_top1"], "val_top5": card["val_top5"]}
        rows.append({**row, "seconds": round(card["seconds_total"], 1), **fields, "command": card["command"]})
    return sorted(rows, key=lambda row: row["val_loss"])


def record_trials(rows, folder, name, target):
    """Put the trials of a search or a sweep, and their epochs, among the recorded runs."""
    rows = [{**row, "command": without_paths(row["command"])} for row in rows]
    epochs = []
    target.mkdir(exist_ok=True)
    for row in rows:
        with open(folder / row["trial"] / "history.csv", newline="", encoding="utf-8") as file:
            epochs += [{"trial": row["trial"], **epoch} for epoch in csv.DictReader(file)]
    for path, content in ((target / f"{name}.csv", rows), (target / f"{name}-epochs.csv", epochs)):
        with open(path, "w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, list(content[0]), lineterminator="\n")
            table.writeheader()
            table.writerows(content)
    print(f"recorded {name}: {len(rows)} trials, {len(epochs)} epochs, in {target}/")


def main():
    from mixer_lib.runs.card import RunResult
    from mixer_lib.runs.files import sha256_of

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("name", help="such as article, or article-seed1")
    parser.add_argument("--weights", action="store_true", help="publish the weights too")
    parser.add_argument("--lay-out", action="store_true", help="put the published model NAME into RUN_DIR")
    asked = parser.parse_args()
    if asked.lay_out:
        try:
            lay_out(asked.run_dir, asked.name)
        except OSError as error:
            sys.exit(
                f"{asked.name} can't be laid out: {error}. Name a published model and a folder that isn't there yet"
            )
        return
    if (asked.run_dir / "trials.csv").is_file():
        record_trials(trials_of_a_search(asked.run_dir), asked.run_dir, asked.name, ROOT / "mixer_lib/recorded")
        return
    try:
        rows = trials_of_a_sweep(asked.run_dir)
    except ValueError as error:
        sys.exit(str(error))
    if rows:
        record_trials(rows, asked.run_dir, asked.name, ROOT / "mixer_lib/recorded")
        return
    try:
        card = RunResult.load(asked.run_dir / "card.json")
    except (OSError, ValueError) as error:
        sys.exit(f"{asked.run_dir} holds no finished run: {error}")
    weights = asked.run_dir / "best.weights.h5"
    if sha256_of(weights) != card.weights_sha256:
        sys.exit(f"{weights} is not the file that card.json describes: train again into an empty folder")
    target = ROOT / ("mixer_lib/pretrained" if asked.weights else "mixer_lib/recorded")
    target.mkdir(exist_ok=True)
    dataclasses.replace(card, command=without_paths(card.command)).save(target / f"{asked.name}.json")
    shutil.copyfile(asked.run_dir / "history.csv", target / f"{asked.name}.csv")
    ranks = asked.run_dir / "ranks.npy"
    if ranks.is_file():  # runs of the first versions have none
        shutil.copyfile(ranks, target / f"{asked.name}.ranks.npy")
    if asked.weights:
        shutil.copyfile(weights, target / f"{asked.name}.weights.h5")
    print(f"recorded {asked.name}: top-1 {card.top1:.2%}, top-5 {card.top5:.2%}, in {target.relative_to(ROOT)}/")


if __name__ == "__main__":
    main()
