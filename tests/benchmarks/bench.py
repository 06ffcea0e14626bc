"""How fast a training step is, and why (`make bench`).

    make bench [TORCH=PYTHON] [JAX=PYTHON] [CLOCK=all] [RECORD=NAME]
    python tests/benchmarks/bench.py [--rounds 7] [--steps 10] [--torch PYTHON] [--jax PYTHON] [--clock] [--record NAME]

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

import clock  # noqa: E402

BATCH = 128
STEPS_IN_AN_EPOCH = 352  # of CIFAR-100's 45,000 training pictures
SIZES = {  # once, twice and four times the article's; an image of 48 pixels has 2.25 times as many patches
    "image_size": (32, 48, 64),
    "hidden_dim": (128, 256, 512),
    "num_blocks": (4, 8, 16),
    "batch": (128, 256, 512),
}


class Worker:
    """A contender in its own process; `ask("train", 10)` gives the seconds for ten steps."""

    def __init__(self, contender, config, batch=BATCH, python=sys.executable):
        command = [python, str(HERE / "worker.py"), contender, json.dumps(dataclasses.asdict(config)), str(batch)]
        self.name = contender
        environment = {**os.environ, **({"KERAS_BACKEND": "jax"} if contender == "jax" else {})}
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
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


def parts_of_a_step(config, rounds, steps, batch=BATCH):
    """Milliseconds of the library's step, of its matrix products alone, and what each part adds to it."""
    from parts import PARTS

    with contextlib.ExitStack() as stack:
        names = ["whole", "products", *(f"without {part}" for part in PARTS)]
        workers = [stack.enter_context(Worker(name, config, batch)) for name in names]
        seconds = alternate(workers, "train", rounds, steps)
        idle = workers[0].ask("idle", steps * rounds)
    whole = seconds["whole"]
    added = {part: [a - b for a, b in zip(whole, seconds[f"without {part}"], strict=True)] for part in PARTS}
    return {
        "step": _milliseconds(whole),
        "matrix products": _milliseconds(seconds["products"]),
        "parts": {part: _milliseconds(each) for part, each in added.items()},
        "cores idle": round(idle, 3),
    }


def _milliseconds(seconds):
    return round(statistics.median(seconds) * 1000, 2)


def cost_of_size(config, rounds, steps):
    """Milliseconds of this library's training step, and the step's multiply-adds, as one size at a time grows."""
    from mixer_lib import multiply_adds

    found = {}
    for size, values in SIZES.items():
        batches = [value if size == "batch" else BATCH for value in values]
        configs = [config if size == "batch" else dataclasses.replace(config, **{size: value}) for value in values]
        with contextlib.ExitStack() as stack:
            pairs = zip(configs, batches, strict=True)
            workers = [stack.enter_context(Worker("mixer_lib", one, batch)) for one, batch in pairs]
            for worker, value in zip(workers, values, strict=True):
                worker.name = value
            seconds = alternate(workers, "train", rounds, steps)
        found[size] = [
            {
                "value": value,
                "milliseconds_a_step": _milliseconds(seconds[value]),
                "multiply_adds": 3 * batch * multiply_adds(one),
            }
            for value, one, batch in zip(values, configs, batches, strict=True)
        ]
    return found


def cost_of_family(config, rounds, steps):
    """Milliseconds of a training step of each model of chapter 9, as `train` trains it, and its multiply-adds.

    Those that `train` doesn't let XLA compile are measured with it, too.
    """
    from worker import FAMILY_PREFIX, WITH_XLA

    from mixer_lib import multiply_adds
    from mixer_lib.models.family import FAMILY

    with contextlib.ExitStack() as stack:
        compiled = [name + WITH_XLA for name, one in FAMILY.items() if getattr(one, "convolutions", False)]
        workers = [stack.enter_context(Worker(FAMILY_PREFIX + name, config)) for name in [*FAMILY, *compiled]]
        seconds = alternate(workers, "train", rounds, steps)
    times = {name.removeprefix(FAMILY_PREFIX): _milliseconds(each) for name, each in seconds.items()}
    rows = {name: {"milliseconds_a_step": times[name]} for name in FAMILY}
    for name, one in FAMILY.items():
        rows[name]["multiply_adds"] = 3 * BATCH * multiply_adds(one)
        if name + WITH_XLA in times:
            rows[name]["milliseconds_with_xla"] = times[name + WITH_XLA]
    return rows


def measure(config, python_with_torch=None, python_with_jax=None, rounds=7, steps=10, batch=BATCH):
    """Run the contenders against each other; the card."""
    from models import STAGES

    from mixer_lib import multiply_adds
    from mixer_lib.compat import KERAS_3
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
            for name in ("torch", "torch, compiled"):
                workers.append(stack.enter_context(Worker(name, config, batch, python_with_torch)))
        if python_with_jax:
            workers.append(stack.enter_context(Worker("jax", config, batch, python_with_jax)))
        ruler = stack.enter_context(Worker("peak", config))
        before = ruler.ask("peak")
        train = alternate(workers, "train", rounds, steps)
        ends = [worker for worker in workers if worker.name in ("article", "mixer_lib", "torch", "torch, compiled")]
        predict = alternate(ends, "predict", rounds, steps)
        peak = max(before, ruler.ask("peak"))
        epoch = workers[list(STAGES).index("mixer_lib")].ask("train", STEPS_IN_AN_EPOCH)
    forward = 2 * batch * multiply_adds(config)  # a multiplication and an addition each
    card["peak_gflops"] = round(peak / 1e9, 1)
    card["train"] = summary(train, "article", 3 * forward, peak, batch)
    card["predict"] = summary(predict, "article", forward, peak, batch)
    card["clock"] = {**clock.every_day(), f"{STEPS_IN_AN_EPOCH} training steps, an epoch": round(epoch, 1)}
    if KERAS_3:  # elsewhere `train` uses the plain layers
        card["parts"] = parts_of_a_step(config, rounds, steps, batch)
    card["sizes"] = cost_of_size(config, min(3, rounds), steps)
    card["family"] = cost_of_family(config, rounds, steps)
    return card


def main():
    from mixer_lib import PRESETS
    from mixer_lib.analysis import benchmarks

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=10, help="in a turn")
    torch = {"default": os.environ.get("TORCH"), "help": "a Python that has torch: plain PyTorch takes part"}
    parser.add_argument("--torch", metavar="PYTHON", **torch)
    jax = {"default": os.environ.get("JAX"), "help": "a Python that has jax and keras: this library on JAX takes part"}
    parser.add_argument("--jax", metavar="PYTHON", **jax)
    with_commands = {"default": os.environ.get("CLOCK") == "all", "help": "time the Makefile's commands too"}
    parser.add_argument("--clock", action="store_true", **with_commands)
    parser.add_argument(
        "--record", metavar="NAME", default=os.environ.get("RECORD"), help="keep the card in mixer_lib/measured/"
    )
    asked = parser.parse_args()
    if asked.record and not asked.record.replace("-", "").isalnum():
        parser.error(f"a name has letters, digits and hyphens. Received: {asked.record!r}")
    card = measure(PRESETS["article"].model, asked.torch, asked.jax, asked.rounds, asked.steps)
    path = benchmarks.MEASURED / f"{asked.record}.json" if asked.record else ROOT / "_build" / "bench.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    if asked.clock:  # a command that fails loses nothing of what is measured
        from tools.render.pdf import find_browser

        card["clock"] |= clock.commands(".".join(map(str, sys.version_info[:2])), find_browser())
        path.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    for verb in ("train", "predict"):
        print(f"{verb}: {BATCH} images a step; a matrix product reaches {card['peak_gflops']:.0f} GFLOP/s here")
        print(benchmarks.table(card, verb))
    for title, table in benchmarks.tables(card).items():
        print(f"{title}\n{table}")
    print(f"card: {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
