"""What a reader waits for: seconds from a cold start, each in processes of its own (`make bench CLOCK=all`).

The commands of the Makefile run in a fresh clone of the last commit, whose environment they set up, and then again.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = "_build/committed/html/notebooks/05_training.html"

CARD = "from mixer_lib.runs import recorded; recorded.cards()"
FIRST_STEP = """
import keras, mixer_lib, numpy
from mixer_lib.speedups.devices import Execution
execution = Execution(jit_compile=True)
images, labels = numpy.zeros((128, 32, 32, 3), "uint8"), numpy.zeros(128, "int64")
model = execution.speed_up(mixer_lib.build_classifier("article", images))
model.compile(mixer_lib.adamw(0.005, 0.0001), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
float(execution.train_step(model)(images, labels)["loss"])
"""
PICTURE = """
from PIL import Image; from sklearn.datasets import load_sample_image
Image.fromarray(load_sample_image("flower.jpg")).save("flower.png")
"""
OPEN_PAGE = """
import sys, time; from playwright.sync_api import sync_playwright
with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=sys.argv[1])
    page = browser.new_page()
    started = time.perf_counter(); page.goto(sys.argv[2]); print(time.perf_counter() - started)
"""
EVERY_DAY = {
    "import mixer_lib": ["-c", "import mixer_lib"],
    "mixer-lib --help": ["-m", "mixer_lib", "--help"],
    "reading the recorded cards": ["-c", CARD],
    "import tensorflow, for comparison": ["-c", "import tensorflow"],
    "mixer-lib predict, one picture": ["-m", "mixer_lib", "predict", "article", "flower.png"],
    "a model and its first training step": ["-c", FIRST_STEP],
}
COMMANDS = ("make quick", "make book", "make test")


def seconds(command, folder, **more):
    """Seconds that a command takes; RuntimeError with its last words if it fails."""
    started = time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, **more)
    if done.returncode:
        raise RuntimeError(f"{command} failed:\n{(done.stdout + done.stderr)[-2000:]}")
    return time.perf_counter() - started


def every_day(python=sys.executable, times=3):
    """Seconds of what takes seconds: {what: the best of `times`}, since others use the machine's caches too."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    with tempfile.TemporaryDirectory() as folder:
        seconds([python, "-c", PICTURE], folder, env=environment)
        return {
            what: round(min(seconds([python, *given], folder, env=environment) for _ in range(times)), 2)
            for what, given in EVERY_DAY.items()
        }


def commands(python, browser):
    """Seconds of the Makefile's commands in a fresh clone, and again: {"make quick, fresh clone": ...}.

    Then those of opening a chapter of the book that was rendered, where `browser` is the path of one.
    """
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "a clone"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
        for again in ("fresh clone", "again"):
            for command in COMMANDS:
                found[f"{command}, {again}"] = round(seconds([*command.split(), f"PYTHON={python}"], clone))
        if browser:
            opened = [sys.executable, "-c", OPEN_PAGE, browser, (clone / PAGE).as_uri()]
            done = subprocess.run(opened, capture_output=True, text=True, check=True)
            found["opening the page of chapter 5"] = round(float(done.stdout), 2)
    return found
