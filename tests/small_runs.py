"""Runs of a few seconds, and what tests look at in a run folder."""

import csv
import itertools
import json
import os
import pathlib
import subprocess
import sys

from mixer_lib import Dataset, MixerConfig, Recipe, build_classifier, load_dataset
from mixer_lib.runs.folder import LOCK
from mixer_lib.speedups.devices import Execution

TESTS = pathlib.Path(__file__).resolve().parent
TINY = MixerConfig(
    image_size=8, patch_size=4, num_blocks=1, hidden_dim=8, tokens_mlp_dim=4, channels_mlp_dim=8, num_classes=10
)
QUICK = Recipe(batch_size=16)
REQUESTED = {"epochs": 2, "seed": 4, "recipe": QUICK}
NO_PROGRESS = {"loss": 1.0, "acc": 0.0, "top5-acc": 0.0}  # what a step returns that trains nothing
TIMES = ("seconds_total", "seconds_per_epoch", "started", "commit")  # what differs between two equal runs' cards


def small_digits(train_count=60, test_count=30):
    """Digits of 8x8 pixels: 54 of the 60 to train on (the last of four steps has 6), 6 to validate."""
    digits = load_dataset("digits")
    return Dataset(
        name="digits",
        x_train=digits.x_train[:train_count, ::4, ::4],
        y_train=digits.y_train[:train_count],
        x_test=digits.x_test[:test_count, ::4, ::4],
        y_test=digits.y_test[:test_count],
        class_names=digits.class_names,
    )


def history_of(run_dir):
    with open(run_dir / "history.csv", newline="") as file:
        return list(csv.DictReader(file))


def without_seconds(run_dir):
    return [{key: value for key, value in row.items() if key != "seconds"} for row in history_of(run_dir)]


def weights_of(run_dir):
    """The weights in best.weights.h5, as the plain model reads them."""
    model = build_classifier(TINY)
    model.load_weights(run_dir / "best.weights.h5")
    return model.get_weights()


def contents(run_dir):
    """What a folder holds, by name, but for the empty file that is locked."""
    return {path.name: path.read_bytes() for path in pathlib.Path(run_dir).iterdir() if path.name != LOCK}


def outcome(run_dir):
    """What two equal runs have in common to the last bit: history, weights and card, without times."""
    card = json.loads((run_dir / "card.json").read_text(encoding="utf-8"))
    card = {key: value for key, value in card.items() if key not in TIMES}
    return without_seconds(run_dir), (run_dir / "best.weights.h5").read_bytes(), card


def replace_step(patch, make_step):
    """Train with `make_step(model, step)` in place of the function `step` that trains a model on a batch."""
    usual = Execution.train_step
    patch.setattr(Execution, "train_step", lambda self, model: make_step(model, usual(self, model)))


def before_step(patch, number, act):
    """Call `act` before a step, counted from 0 over all runs from now on."""
    count = itertools.count()

    def watched(step):
        def call(images, labels):
            if next(count) == number:
                act()
            return step(images, labels)

        return call

    replace_step(patch, lambda model, step: watched(step))


def train_nothing(patch):
    """Let steps do nothing: for what doesn't depend on them."""
    replace_step(patch, lambda model, step: lambda images, labels: NO_PROGRESS)


def forbid_steps(patch):
    def forbidden(images, labels):
        raise AssertionError("a step was trained")

    replace_step(patch, lambda model, step: forbidden)


def python_environment(**values):
    """The environment of a Python process that imports what this one imports."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), **values}


def run_script(script, folder):
    """What a Python process prints last, as JSON."""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, env=python_environment(), cwd=folder)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])
