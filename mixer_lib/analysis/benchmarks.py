"""How long a training step takes, and what shortened it: the cards of recorded benchmarks.

`make bench` measures; a card that a maintainer records lies in `MEASURED` and comes along wherever the library goes.
"""

import json
import pathlib

import numpy as np

from ..runs.recorded import LIBRARY, read_history
from ..runs.tables import Table

MEASURED = LIBRARY / "measured"
CURVES = MEASURED / "curves"
PATHS = ("plain", "fast")
FIGURES = {"milliseconds_a_step", "images_a_second", "times_as_fast", "share_of_peak"}


def recorded(folder=MEASURED):
    """The recorded benchmarks: {name: card}, sorted by name; ValueError for a file that is not a benchmark's card."""
    return {path.stem: read(path) for path in sorted(pathlib.Path(folder).glob("*.json"))}


def read(path):
    """The card of one benchmark; ValueError if the file holds none."""
    try:
        card = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
        whole = len(card["stages"]) > 1 and set(card["stages"]) <= set(card["train"])
        whole = whole and all(set(row) >= FIGURES for row in card["train"].values())
        whole = whole and all(card[key] for key in ("device", "versions", "batch"))
    except (ValueError, KeyError, TypeError, AttributeError):
        whole = False
    if not whole:
        raise ValueError(f"{path} is not the card of a benchmark: take it from the repository, or run `make bench`.")
    return card


def savings(card):
    """What each stage after the first takes off a step, in milliseconds: {stage: saved}; below 0 where it costs."""
    times = [(stage, card["train"][stage]["milliseconds_a_step"]) for stage in card["stages"]]
    return {stage: before - after for (_, before), (stage, after) in zip(times, times[1:], strict=False)}


def title(card):
    """One line: on what, and with which versions, a benchmark ran."""
    versions = card["versions"]
    backend = versions["backend"]
    named = {"Python": versions["python"], "Keras": versions["keras"], backend: versions.get(backend, "")}
    return ", ".join(f"{name} {version}".strip() for name, version in named.items()) + " on " + card["device"]


def table(card, kind="train"):
    """A benchmark's rows as a `Table`; `kind` is "train" or "predict"."""
    rows = []
    for name, row in card[kind].items():
        times = f"{row['times_as_fast']:.2f}", f"{row['milliseconds_a_step']:.1f}", f"{row['images_a_second']:,.0f}"
        rows.append((name, *times, f"{row['share_of_peak']:.1%}"))
    return Table(("", "times as fast", "ms a step", "images/s", "of the peak"), rows)


def tables(card):
    """What a card holds beside steps, as a `Table` each: {title: table}, without those that it has not measured."""
    made = (
        ("parts", "Where a step's time goes", _parts),
        ("sizes", "Cost against size", _sizes),
        ("family", "The family", _family),
        ("clock", "What one waits for", _clock),
    )
    return {title: make(card[key]) for key, title, make in made if key in card}


def _parts(found):
    step = found["step"]
    rows = [("the whole step", step), ("its matrix products alone", found["matrix products"])]
    rows += [(f"saved without {part}", saved) for part, saved in found["parts"].items()]
    shares = [(name, f"{milliseconds:.1f}", f"{milliseconds / step:.0%}") for name, milliseconds in rows]
    return Table(("", "ms", "of the step"), [*shares, ("the cores idle", "", f"{found['cores idle']:.0%}")])


def _sizes(found):
    rows = []
    for size, steps in found.items():
        first = steps[0]
        for step in steps:
            work, time = (step[key] / first[key] for key in ("multiply_adds", "milliseconds_a_step"))
            named = f"{size.replace('_', ' ')} {step['value']}"
            rows.append(
                (named, f"{step['milliseconds_a_step']:.1f}", f"{time:.2f}", f"{work:.2f}", f"{time / work:.2f}")
            )
    return Table(("", "ms a step", "times the time", "times the work", "time / work"), rows)


def _family(found):
    mixer = found["mixer"]["milliseconds_a_step"]
    rows = []
    for name, row in found.items():
        work, time = row["multiply_adds"] / found["mixer"]["multiply_adds"], row["milliseconds_a_step"]
        with_xla = f"{row['milliseconds_with_xla']:.1f}" if "milliseconds_with_xla" in row else ""
        rows.append((name, f"{time:.1f}", f"{time / mixer:.2f}", f"{work:.2f}", with_xla))
    return Table(("", "ms a step", "times the Mixer's time", "times its work", "ms if XLA compiled it"), rows)


def _clock(found):
    return Table(("", "seconds"), [(what, f"{seconds:.1f}") for what, seconds in found.items()])


def learning_curves(folder=CURVES):
    """Histories of short runs in the article's way ("plain") and by `train` ("fast"), as far as they are recorded.

    Returns {way: (seeds, epochs) structured array with a history's columns}.
    """
    found = {path: sorted(pathlib.Path(folder).glob(f"{path}-*.csv")) for path in PATHS}
    return {path: np.stack([read_history(file) for file in files]) for path, files in found.items() if files}


def seed_spread(found, column, last=5):
    """(difference of both ways' means, largest distance of two seeds of one way): means over the last epochs."""
    ends = {path: histories[column][:, -last:].mean(axis=1) for path, histories in found.items()}
    means = [end.mean() for end in ends.values()]
    return abs(means[0] - means[1]), max(np.ptp(end) for end in ends.values())
