"""What a model costs as the number of patches grows: time and memory of a forward pass and of a training step.

    python -m mixer_lib.analysis.costs '[{"model": "vit", "patches": 64, "batch": 64}]'

Each row is measured in a process of its own, so that one model's memory isn't counted for another's.
"""

import dataclasses
import json
import os
import pathlib
import statistics
import subprocess
import sys
import timeit

import numpy as np

from ..classifier import PRESETS, build_classifier, multiply_adds
from ..compat import train_step
from ..models.vit import VitConfig
from ..recipe import Recipe
from ..speedups.devices import has_xla

PATCH_SIZE = 4


def config_for(model, patches):
    """The config of one of three models of width 128 and four blocks, for a number of patches, which is a square.

    `model` is "mixer", the article's with its token-mixing width kept at 64; "mixer, width = patches", where that width
    grows with the patches, as in the article's code; or "vit". ValueError for any other, or another number.
    """
    side = round(patches**0.5)
    if side**2 != patches:
        raise ValueError(f"patches must be a square, such as 16, 64 or 256. Received: {patches!r}.")
    article, size = PRESETS["article"].model, {"image_size": side * PATCH_SIZE, "dropout": 0.0}
    if model == "vit":
        return VitConfig(**size)
    widths = {"mixer": article.tokens_mlp_dim, "mixer, width = patches": patches}
    if model not in widths:
        raise ValueError(f"model must be one of {', '.join(map(repr, [*widths, 'vit']))}. Received: {model!r}.")
    return dataclasses.replace(article, tokens_mlp_dim=widths[model], **size)


def measure(jobs, python=sys.executable):
    """Measure models, {"model", "patches", "batch"} each, one after the other, each in a process of its own.

    Returns a row for each job: the job, `multiply_adds`, and for "forward" and "training" the seconds
    (`forward_seconds` ...) and the bytes of memory (`forward_bytes` ...) for one image.

    ValueError for an invalid job, before anything is measured; RuntimeError if a process fails, for lack of memory say.
    """
    for job in jobs:
        config_for(job["model"], job["patches"])
    library = str(pathlib.Path(__file__).resolve().parents[2])  # a notebook may have found mixer_lib anywhere
    paths = os.pathsep.join(path for path in (library, os.environ.get("PYTHONPATH")) if path)
    environment = {**os.environ, "PYTHONPATH": paths, "TF_CPP_MIN_LOG_LEVEL": "3"}
    rows = []
    for job in jobs:
        command = [python, "-m", "mixer_lib.analysis.costs", json.dumps(job)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        if done.returncode:
            raise RuntimeError(f"Measuring {job} failed ({done.returncode}): {done.stderr.strip()[-400:]}")
        rows.append(json.loads(done.stdout.splitlines()[-1]))
    return rows


def _peak_bytes():
    import resource  # not on Windows, where the book runs under WSL

    status = pathlib.Path("/proc/self/status")  # Linux, where the other one starts at the parent's peak
    if status.exists():
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _seconds_per_call(call):
    call()
    once = timeit.timeit(call, number=1)
    return statistics.median([once, *timeit.repeat(call, number=1, repeat=min(29, max(2, int(1 / once))))])


def _measure_here(job):
    import keras

    config, batch = config_for(job["model"], job["patches"]), job["batch"]
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (batch, config.image_size, config.image_size, 3), dtype=np.uint8)
    labels = draw.integers(0, config.num_classes, batch)
    model = build_classifier(config)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(Recipe().make_optimizer(), loss, metrics=["acc"], jit_compile=has_xla())
    step = train_step(model)
    row = {**job, "multiply_adds": multiply_adds(config)}
    # the forward pass first: memory is counted by its peak, and training needs more
    calls = {"forward": lambda: np.asarray(model.predict_on_batch(images))}
    calls["training"] = lambda: float(step(images, labels)["loss"])
    for kind, call in calls.items():
        before = _peak_bytes()
        row[f"{kind}_seconds"] = _seconds_per_call(call) / batch
        # Linux counts pages thread by thread, so that a peak read later may come out a little lower
        row[f"{kind}_bytes"] = max(0, _peak_bytes() - before) / batch
    return row


def fitted_exponent(sizes, costs):
    """The power of the size by which a cost grows: the slope of a straight line through both logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


def crossing(sizes, first, second):
    """The size at which two cost curves cross, interpolated linearly in logarithms; None if they don't."""
    gap = np.log(np.asarray(first) / np.asarray(second))
    for i in range(len(gap) - 1):
        if gap[i] * gap[i + 1] < 0:
            part = gap[i] / (gap[i] - gap[i + 1])
            return float(np.exp((1 - part) * np.log(sizes[i]) + part * np.log(sizes[i + 1])))
    return None


if __name__ == "__main__":
    print(json.dumps(_measure_here(json.loads(sys.argv[1]))))
