"""The article's run and all chapters in full (`make execute`).

Trains from nothing into runs/<dataset>-<preset>-seed<k>/, continues from there when it was stopped, runs every
chapter with that run, renders the book, and ends in a table: article, published, trained here.
"""

import json
import os
import shlex
import sys

from tools.chapters.notebooks import TRAINS, ChapterFailed
from tools.chapters.runner import run_chapters
from tools.paths import BUILD, ROOT
from tools.render.html import render
from tools.setup.options import read_options
from tools.verbs import exclusive, run, stop

PRESET = "article"


def make_command(verb, **options):
    """The command line of `make` with these options, for a shell: without those that are None."""
    given = [f"{name}={value}".replace("$", "$$") for name, value in options.items() if value is not None]
    return shlex.join(["make", verb, *given])


def train_here(dataset, epochs, seed, devices=1, data_dir=None):
    """Train, or continue training, into the run's folder; returns that folder."""
    from mixer_lib import train

    run_dir = ROOT / "runs" / f"{dataset.name}-{PRESET}-seed{seed}"
    several = devices if devices > 1 else None
    options = {"DATASET": dataset.name, "DATA": data_dir, "EPOCHS": epochs, "SEED": seed, "DEVICES": several}
    command = make_command("execute", **options)
    print(f"training {PRESET} on {dataset.name} into {run_dir.relative_to(ROOT)}/", flush=True)
    train(PRESET, dataset, run_dir, epochs=epochs, seed=seed, command=command, devices=devices)
    return run_dir


def percent(value):
    return "-" if value is None else f"{100 * value:.2f} %"


def row(name, top1, top5, epochs, seconds):
    time = "-" if seconds is None else f"{seconds:,.0f}"
    return f"{name:<14}{percent(top1):>10}{percent(top5):>10}{epochs:>8}{time:>10}"


def card_row(name, card):
    return row(name, card["top1"], card["top5"], card["epochs_run"], card["seconds_total"])


def article_row(facts_path=ROOT / "book" / "facts.json"):
    """What the article states; its top-1 and total time are not in its text."""
    facts = json.loads(facts_path.read_text(encoding="utf-8"))
    return row("article", None, facts["article-top5"]["value"] / 100, facts["article-epochs"]["value"], None)


def table(here, published_path, with_article):
    """The closing table as text; `here` is the card of the run in runs/."""
    lines = [f"{'':<14}{'top-1':>10}{'top-5':>10}{'epochs':>8}{'seconds':>10}"]
    if with_article:
        lines.append(article_row())
    if published_path.is_file():
        lines.append(card_row("published", json.loads(published_path.read_text(encoding="utf-8"))))
    return "\n".join([*lines, card_row("trained here", here)])


@exclusive(BUILD / "full")
def main():
    given = read_options()
    name = given["dataset"] or "cifar100"
    epochs, seed, devices = given["epochs"] or 100, given["seed"] or 0, given["devices"] or 1
    from mixer_lib import load_dataset
    from mixer_lib.runs.interrupts import Terminated

    try:
        dataset = load_dataset(name, given["data_dir"])
    except (ValueError, OSError) as error:
        ways = "Give its place with DATA=<folder>, or try `make quick`: it needs no data."
        stop(f"{name} is not available: {error}\n{ways}")
    try:
        run_dir = train_here(dataset, epochs, seed, devices, given["data_dir"])
    except (ValueError, OSError, FloatingPointError) as error:
        stop(error)
    except KeyboardInterrupt as stopped:
        print(
            f"\n{str(stopped) or 'Stopped.'}\nThe same command continues after the last finished epoch.",
            file=sys.stderr,
        )
        sys.exit(143 if isinstance(stopped, Terminated) else 130)  # what a shell expects after SIGTERM and Ctrl-C
    parameters = {
        "profile": "full",
        "dataset": name,
        "data_dir": given["data_dir"],
        "epochs": epochs,
        "seed": seed,
        "run_dir": str(run_dir),
    }
    del dataset
    try:
        chapters = run_chapters(
            "full", parameters, extra={TRAINS: {"devices": devices}}, jobs=min(2, os.cpu_count() or 1)
        )
    except ChapterFailed as error:
        stop(error)
    print("rendering the book", flush=True)
    html = render("full", chapters)
    here = json.loads((run_dir / "card.json").read_text(encoding="utf-8"))
    published = ROOT / "mixer_lib" / "pretrained" / ("article.json" if name == "cifar100" else f"article-{name}.json")
    print(f"the book: {(html / 'index.html').relative_to(ROOT)}\n\n{table(here, published, name == 'cifar100')}")


if __name__ == "__main__":
    run(main)
