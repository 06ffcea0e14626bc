"""What a model costs as the number of patches grows: time and memory of a forward pass and of a training step.

    python -m mixer_lib.costs '[{"model": "vit", "patches": 64, "batch": 64}]'

Each row is measured in a process of its own, so that one model's memory isn't counted for another's.
"""

import dataclasses
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

import numpy as np

from .baselines import VitConfig
from .classifier import PRESETS, build_classifier, multiply_adds

PATCH_SIZE = 4
FORWARD, TRAINING = "forward", "training"


def config_for(model, patches):
    """The config of one of three models of width 128 and four blocks, for a number of patches.

    Args:
        model: "mixer", the article's with its token-mixing width kept at 64; "mixer, width = patches", where that
            width grows with the patches, as the article's code would have it; or "vit".
        patches: S, a square: the images are 4 sqrt(S) pixels wide.

    Raises:
        ValueError: for another model, or a number of patches that is no square.
    """
    side = round(patches**0.5)
    if side**2 != patches:
        raise ValueError(f"patches must be a square, such as 16, 64 or 256. Received: {patches!r}.")
    size = {"image_size": side * PATCH_SIZE, "dropout": 0.0}
    if model == "vit":
        return VitConfig(**size)
    widths = {"mixer": PRESETS["article"].tokens_mlp_dim, "mixer, width = patches": patches}
    if model not in widths:
        raise ValueError(f"model must be one of {', '.join(map(repr, [*widths, 'vit']))}. Received: {model!r}.")
    return dataclasses.replace(PRESETS["article"], tokens_mlp_dim=widths[model], **size)


def measure(jobs, python=sys.executable):
    """Measure models one after the other, each in a process of its own.

    Args:
        jobs: a list of {"model", "patches", "batch"}.

    Returns:
        A row for each job: the job, `multiply_adds`, and for "forward" and "training" the seconds
        (`forward_seconds` ...) and the bytes of memory (`forward_bytes` ...) for one image.

    Raises:
        ValueError: for a model or a number of patches that can't be, before anything is measured.
        RuntimeError: if a process breaks off, for want of memory for instance.
    """
    for job in jobs:
        config_for(job["model"], job["patches"])
    rows = []
    for job in jobs:
        here = str(pathlib.Path(__file__).resolve().parents[1])  # a notebook may have found mixer_lib anywhere
        paths = os.pathsep.join(path for path in (here, os.environ.get("PYTHONPATH")) if path)
        quiet = {**os.environ, "PYTHONPATH": paths, "TF_CPP_MIN_LOG_LEVEL": "3"}
        command = [python, "-m", "mixer_lib.costs", json.dumps(job)]
        done = subprocess.run(command, capture_output=True, text=True, env=quiet)
        if done.returncode:
            raise RuntimeError(f"Measuring {job} broke off ({done.returncode}): {done.stderr.strip()[-400:]}")
        rows.append(json.loads(done.stdout.splitlines()[-1]))
    return rows


def _peak_bytes():
    import resource  # not on Windows, where the book runs under WSL

    status = pathlib.Path("/proc/self/status")  # Linux; there the other one begins with the peak of who started us
    if status.exists():
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _seconds_a_call(call):
    call()
    each, begun = [], time.perf_counter()
    while len(each) < 3 or (time.perf_counter() - begun < 1 and len(each) < 30):
        start = time.perf_counter()
        call()
        each.append(time.perf_counter() - start)
    return statistics.median(each)


def _measure_here(job):
    import keras

    from . import worlds
    from .devices import has_xla
    from .recipes import RECIPES

    config, batch = config_for(job["model"], job["patches"]), job["batch"]
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (batch, config.image_size, config.image_size, 3), dtype=np.uint8)
    labels = draw.integers(0, config.num_classes, batch)
    model = build_classifier(config)
    model.compile(
        RECIPES["article"].optimizer(),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["acc"],
        jit_compile=has_xla(),
    )
    row = {**job, "multiply_adds": multiply_adds(config)}
    # the forward pass first: memory is counted by its peak, and training needs more
    for kind, call in (
        (FORWARD, lambda: np.asarray(model.predict_on_batch(images))),
        (TRAINING, lambda: worlds.train_on_batch(model, images, labels)),
    ):
        before = _peak_bytes()
        row[f"{kind}_seconds"] = _seconds_a_call(call) / batch
        row[f"{kind}_bytes"] = (_peak_bytes() - before) / batch
    return row


def fitted_exponent(sizes, costs):
    """The power of the size by which a cost grows: the slope of a straight line through both logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


def crossing(sizes, first, second):
    """The size at which two cost curves cross, between measured sizes along straight lines of logarithms.

    Returns None where one of them is the cheaper one throughout.
    """
    gap = np.log(np.asarray(first) / np.asarray(second))
    for i in range(len(gap) - 1):
        if gap[i] * gap[i + 1] < 0:
            part = gap[i] / (gap[i] - gap[i + 1])
            return float(np.exp((1 - part) * np.log(sizes[i]) + part * np.log(sizes[i + 1])))
    return None


if __name__ == "__main__":
    print(json.dumps(_measure_here(json.loads(sys.argv[1]))))
