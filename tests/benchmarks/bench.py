"""How fast a training step is, and why (`make bench`).

    make bench [TORCH=PYTHON] [RECORD=NAME]
    python tests/benchmarks/bench.py [--rounds 7] [--steps 10] [--torch PYTHON] [--sweep] [--record NAME]

Every contender runs in a process of its own; they take turns, a few steps each, round after round, so that whatever
else the machine does falls on all of them. What counts is the median over rounds of ratios taken within one round.
The card goes to _build/bench.json; a recorded one to mixer_lib/measured/, where appendix C finds it.
"""

import argparse
import contextlib
import dataclasses
import datetime
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT), str(HERE)]

BATCH = 128
SWEEPS = {
    "batch": [{"batch": n} for n in (16, 32, 64, 128, 256, 512)],
    "tokens": [{"image_size": n} for n in (16, 32, 64)],
    "width": [{"hidden_dim": n} for n in (64, 128, 256)],
    "depth": [{"num_blocks": n} for n in (2, 4, 8)],
}


class Worker:
    """A contender in its own process; `ask("train", 10)` gives the seconds for ten steps."""

    def __init__(self, contender, config, batch=BATCH, python=sys.executable):
        command = [python, str(HERE / "worker.py"), contender, json.dumps(dataclasses.asdict(config)), str(batch)]
        self.name = contender
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def ask(self, verb, steps=1):
        print(verb, steps, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(
                f"The contender {self.name!r} broke off. See why: {' '.join(self.process.args)!r}, then type: "
                f"{verb} {steps}"
            )
        return float(answer)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.stdin.close()  # the worker's loop ends with its input
        self.process.stdout.close()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def alternate(workers, verb, rounds, steps):
    """Seconds a step: {contender: [one number a round]}."""
    for worker in workers:
        worker.ask(verb, 5)
    found = {worker.name: [] for worker in workers}
    for _ in range(rounds):
        for worker in workers:
            found[worker.name].append(worker.ask(verb, steps) / steps)
    return found


def summary(seconds, first, flops, peak, batch=BATCH):
    """Medians of each contender, and of its ratio to the first one within each round."""
    table = {}
    for name, each in seconds.items():
        middle = statistics.median(each)
        table[name] = {
            "milliseconds_a_step": round(middle * 1000, 2),
            "images_a_second": round(batch / middle, 1),
            "times_as_fast": round(statistics.median(a / b for a, b in zip(seconds[first], each, strict=True)), 3),
            "share_of_peak": round(flops / middle / peak, 3),
        }
    return table


def sweep(config, rounds, steps):
    """Milliseconds an image of this library's training step, as one size changes at a time."""
    found = {}
    for name, changes in SWEEPS.items():
        rows = found.setdefault(name, [])
        for change in changes:
            sizes = {key: value for key, value in change.items() if key != "batch"}
            batch = change.get("batch", BATCH)
            with Worker("mixer_lib", dataclasses.replace(config, **sizes), batch) as worker:
                seconds = statistics.median(alternate([worker], "train", rounds, steps)["mixer_lib"])
            rows.append({**change, "milliseconds_an_image": round(seconds / batch * 1000, 4)})
    return found


def measure(config, python_with_torch=None, rounds=7, steps=10, with_sweep=False, batch=BATCH):
    """Run the contenders against each other; the card."""
    from models import STAGES

    from mixer_lib import multiply_adds
    from mixer_lib.runs.provenance import commit, device_name, versions

    card = {
        "device": device_name(),
        "versions": versions(),
        "commit": commit(),
        "started": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "command": "make bench",
        "rounds": rounds,
        "steps": steps,
        "batch": batch,
        "stages": STAGES,
    }
    with contextlib.ExitStack() as stack:
        workers = [stack.enter_context(Worker(stage, config, batch)) for stage in STAGES]
        if python_with_torch:
            workers.append(stack.enter_context(Worker("torch", config, batch, python_with_torch)))
        ruler = stack.enter_context(Worker("peak", config))
        before = ruler.ask("peak")
        train = alternate(workers, "train", rounds, steps)
        ends = [worker for worker in workers if worker.name in ("article", "mixer_lib", "torch")]
        predict = alternate(ends, "predict", rounds, steps)
        peak = max(before, ruler.ask("peak"))
    forward = 2 * batch * multiply_adds(config)  # a multiplication and an addition each
    card["peak_gflops"] = round(peak / 1e9, 1)
    card["train"] = summary(train, "article", 3 * forward, peak, batch)
    card["predict"] = summary(predict, "article", forward, peak, batch)
    if with_sweep:
        card["sweep"] = sweep(config, min(3, rounds), steps)
    return card


def main():
    from mixer_lib import PRESETS
    from mixer_lib.analysis import benchmarks

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=10, help="in a turn")
    torch = {"default": os.environ.get("TORCH"), "help": "a Python that has torch: plain PyTorch takes part"}
    parser.add_argument("--torch", metavar="PYTHON", **torch)
    parser.add_argument("--sweep", action="store_true", help="batch size, tokens, width and depth too")
    parser.add_argument(
        "--record", metavar="NAME", default=os.environ.get("RECORD"), help="keep the card in mixer_lib/measured/"
    )
    asked = parser.parse_args()
    if asked.record and not asked.record.replace("-", "").isalnum():
        parser.error(f"a name has letters, digits and hyphens. Received: {asked.record!r}")
    card = measure(PRESETS["article"].model, asked.torch, asked.rounds, asked.steps, asked.sweep)
    path = benchmarks.MEASURED / f"{asked.record}.json" if asked.record else ROOT / "_build" / "bench.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    for verb in ("train", "predict"):
        print(f"{verb}: {BATCH} images a step; a matrix product reaches {card['peak_gflops']:.0f} GFLOP/s here")
        print(benchmarks.table(card, verb))
    print(f"card: {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
