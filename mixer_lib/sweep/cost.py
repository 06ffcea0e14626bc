"""What a sweep costs, told before it begins: from the card of a run on this machine, if there is one."""

import contextlib
import json
import subprocess

from ..runs.provenance import cpu_name
from ..runs.recorded import cards


def known_cards(folder):
    """{name or path: card as plain values} of recorded runs, and of those in a sweep's folder and beside it."""
    found = dict(cards())
    for path in sorted([*folder.parent.glob("*/card.json"), *folder.glob("*/card.json")]):
        with contextlib.suppress(OSError, ValueError):  # somebody else's file
            found[str(path.parent)] = json.loads(path.read_text(encoding="utf-8"))
    return found


def device_of_a_run(cpus):
    """The device that the card of a run with so many threads names here, asked without starting a backend."""
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    with contextlib.suppress(OSError):
        if names := subprocess.run(command, capture_output=True, text=True).stdout.splitlines():
            return names[0]
    return cpu_name(cpus)


def estimate(work, folder, cpus, slots):
    """A sentence: how long some runs take, `slots` at once, by cards of this machine.

    `work` is a list of (name of the data, multiply-adds, epochs). A card of the same data, device and threads counts;
    a model with twice its multiply-adds takes twice its time.
    """
    usable, names, device = {}, {data for data, _, _ in work}, device_of_a_run(cpus)
    for path, card in known_cards(folder).items():
        name = str(card.get("dataset")).removesuffix("-validation")
        if name in names and card.get("device") == device and card.get("macs"):
            usable[path] = name, card
    if missing := names - {name for name, _ in usable.values()}:
        where = f"no card is of this machine and {', '.join(sorted(missing))}"
        return f"How long {len(work)} runs take is not known: {where}."
    seconds, used = 0.0, set()
    for data, macs, epochs in work:
        alike = {path: card for path, (name, card) in usable.items() if name == data}
        path, card = min(alike.items(), key=lambda found: abs(found[1]["macs"] - macs))
        seconds += epochs * card["seconds_per_epoch"] * macs / card["macs"]
        used.add(path)
    hours, by = seconds / slots / 3600, f"by the card of {', '.join(sorted(used))}"
    time = f"{hours:.2g} hours" if hours > 1.5 else f"{60 * hours:.0f} minutes"
    return f"{len(work)} runs take about {time}, {slots} at once, {by}." if work else "No run is left to do."
