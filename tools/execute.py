"""The article's run and all chapters in full (`make execute`).

Trains from nothing into runs/<dataset>-<preset>-seed<k>/, goes on from there when it was stopped, runs every
chapter with that run, renders the book, and ends in a table: article, published, trained here.
"""

import contextlib
import json
import os
import sys

from chapters import BUILD, ChapterFailed, run_chapters, stop
from options import read_options
from verbs import alone, run

from book import ROOT, render

PRESET = "article"


@contextlib.contextmanager
def quiet_stderr():
    """Keep what TensorFlow logs at import, below Python, off the terminal."""
    kept = os.dup(2)
    with open(os.devnull, "wb") as nothing:
        os.dup2(nothing.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def train_here(dataset, epochs, seed):
    """Train, or go on training, into the run's folder; returns that folder."""
    from mixer_lib import devices, train

    devices.share_cores()  # chapters run in processes of their own
    run_dir = ROOT / "runs" / f"{dataset.name}-{PRESET}-seed{seed}"
    command = f"make execute DATASET={dataset.name} EPOCHS={epochs} SEED={seed}"
    print(f"training {PRESET} on {dataset.name} into {run_dir.relative_to(ROOT)}/", flush=True)
    train(PRESET, dataset, run_dir, epochs=epochs, seed=seed, command=command)
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


@alone(BUILD / "full")
def main():
    given = read_options()
    name = given["dataset"] or "cifar100"
    epochs, seed = given["epochs"] or 100, given["seed"] or 0
    sys.path.insert(0, str(ROOT))
    with quiet_stderr():
        from mixer_lib import load_dataset
        from mixer_lib.run_folder import Terminated

    try:
        dataset = load_dataset(name, given["data_dir"])
    except (ValueError, OSError) as error:
        ways = "Give its place with DATA=<folder>, or try `make quick`: it needs no data."
        stop(f"{name} is not to be had: {error}\n{ways}")
    try:
        run_dir = train_here(dataset, epochs, seed)
    except (ValueError, OSError, FloatingPointError) as error:
        stop(error)
    except KeyboardInterrupt as stopped:
        print(f"\n{stopped or 'Stopped.'}\nThe same command goes on after the last finished epoch.", file=sys.stderr)
        sys.exit(143 if isinstance(stopped, Terminated) else 130)  # as a shell counts SIGTERM and Ctrl-C
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
        chapters = run_chapters("full", parameters, jobs=min(2, os.cpu_count() or 1))
    except ChapterFailed as error:
        stop(error)
    print("rendering the book", flush=True)
    html = render("full", chapters)
    here = json.loads((run_dir / "card.json").read_text(encoding="utf-8"))
    published = ROOT / "mixer_lib" / "pretrained" / ("article.json" if name == "cifar100" else f"article-{name}.json")
    print(f"the book: {(html / 'index.html').relative_to(ROOT)}\n\n{table(here, published, name == 'cifar100')}")


if __name__ == "__main__":
    run(main)
