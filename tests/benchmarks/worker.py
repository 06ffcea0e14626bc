"""One contender of the benchmark, in a process of its own, so that no library's threads disturb another's.

    python tests/benchmarks/worker.py CONTENDER CONFIG_AS_JSON BATCH

Reads lines `train N`, `predict N` (so many steps), `idle N` and `peak`, answers each with a number: seconds for the
steps, the share of the cores' time that they leave unused, or the operations per second that a large float32 matrix
product reaches. Ends with its input.
"""

import dataclasses
import json
import os
import sys
import time
import types
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
sys.path[:0] = [str(Path(__file__).resolve().parents[2])]

import numpy as np  # noqa: E402

WARM = 3  # steps that are not timed: compilation, first touches of memory


def timed(run, steps):
    started = time.perf_counter()
    for _ in range(steps):
        run()
    return time.perf_counter() - started


def fit_steps(model, images, labels, batch, steps):
    """Seconds for `steps` steps inside `fit`, from the end of the first warm ones to the end of the last."""
    import keras

    ends = []
    watch = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: ends.append(time.perf_counter()))
    picked = np.arange(batch * (steps + WARM)) % len(images)
    model.fit(images[picked], labels[picked], batch_size=batch, verbose=0, callbacks=[watch])
    return ends[-1] - ends[WARM - 1]


def part_contender(name, config, images, labels, batch):
    """The step without a part, "without GELU", or its matrix products alone; answers `idle` too (see `idle_share`)."""
    from parts import products_step, step_without

    if name == "products":
        step = products_step(config, batch)
    else:
        _, step = step_without(name.removeprefix("without ") if name != "whole" else None, config, images)
    pictures, classes = images[:batch], labels[:batch]

    def train(steps):
        return timed_steps(lambda: step(pictures, classes), steps)

    return {"train": train, "idle": lambda steps: idle_share(train, steps)}


FAMILY_PREFIX, WITH_XLA = "family: ", ", with XLA"


def timed_steps(step, steps):
    """Seconds for the steps; their values stay on the device until the last step's loss is fetched."""
    started = time.perf_counter()
    for _ in range(steps):
        values = step()
    float(values["loss"])
    return time.perf_counter() - started


def idle_share(run, steps):
    """The share of this machine's core time that the process leaves unused during the steps."""
    used = time.process_time()
    seconds = run(steps)
    return 1 - (time.process_time() - used) / (seconds * len(os.sched_getaffinity(0)))


def torch_contender(config, images, labels, batch, compiled=False):
    from torch_mixer import torch_model

    step, predict = torch_model(config, images, compiled)
    pictures, classes = images[:batch], labels[:batch]
    return {
        "train": lambda steps: timed(lambda: step(pictures, classes), steps),
        "predict": lambda steps: timed(lambda: predict(pictures), steps),
    }


def keras_contender(stage, config, images, labels, batch):
    from models import keras_model, predicting_model, train_step

    model = keras_model(stage, config, images)
    step, plain = train_step(stage, model), predicting_model(stage, model, config, images)
    pictures, classes = images[:batch], labels[:batch]
    if stage == "article":

        def train(steps):
            return fit_steps(model, images, labels, batch, steps)
    else:

        def train(steps):
            return timed_steps(lambda: step(pictures, classes), steps)

    return {"train": train, "predict": lambda steps: timed(lambda: plain.predict_on_batch(pictures), steps)}


def jax_contender(config, images, labels, batch):
    """Training as `train` does it on JAX: several steps in one compiled call (KERAS_BACKEND=jax)."""
    from models import keras_model

    from mixer_lib.speedups import epochs
    from mixer_lib.speedups.devices import Execution

    model, together = keras_model("mixer_lib", config, images), 5
    step = Execution(jit_compile=True).train_step(model)
    train_on = epochs.steps_together(model, images, labels, step, False, together)
    rows = np.arange(batch)

    def train(steps):  # a multiple of 5, else another program would be compiled for the rest
        return timed(lambda: list(train_on([rows] * steps, [0.005] * steps, None)), 1)

    return {"train": train}


def matrix_product_peak():
    """Floating-point operations a second of a 2048 x 2048 float32 matrix product: the best of ten."""
    import tensorflow as tf

    matrix = tf.random.normal((2048, 2048))
    seconds = min(timed(lambda: tf.matmul(matrix, matrix).numpy(), 1) for _ in range(10))
    return 2 * 2048**3 / seconds


def serve(verbs, lines, answers):
    """Answer each line with what its verb gives for its number of steps."""
    for line in lines:
        verb, *count = line.split()
        print(verbs[verb](int(count[0]) if count else 1), file=answers, flush=True)


def main():
    contender, config, batch = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3])
    answers, sys.stdout = sys.stdout, sys.stderr  # what libraries print is no answer
    if contender == "peak":
        return serve({"peak": lambda _: matrix_product_peak()}, sys.stdin, answers)
    draw = np.random.default_rng(0)
    side, classes = config["image_size"], config["num_classes"]
    images = draw.integers(0, 256, (max(batch, 1024), side, side, 3), dtype=np.uint8)
    labels = draw.integers(0, classes, len(images))
    if contender.startswith("torch"):  # its Python may have neither Keras nor TensorFlow
        sizes, compiled = types.SimpleNamespace(**config), contender == "torch, compiled"
        return serve(torch_contender(sizes, images, labels, batch, compiled), sys.stdin, answers)
    from mixer_lib import MixerConfig

    if contender == "jax":
        return serve(jax_contender(MixerConfig(**config), images, labels, batch), sys.stdin, answers)

    if contender.startswith(FAMILY_PREFIX):
        from mixer_lib.models.family import FAMILY

        name = contender.removeprefix(FAMILY_PREFIX)
        config = dataclasses.replace(FAMILY[name.removesuffix(WITH_XLA)])
        if name.endswith(WITH_XLA):
            object.__setattr__(config, "convolutions", False)
        return serve(keras_contender("mixer_lib", config, images, labels, batch), sys.stdin, answers)
    of_a_part = contender in ("whole", "products") or contender.startswith("without ")
    verbs = (part_contender if of_a_part else keras_contender)(contender, MixerConfig(**config), images, labels, batch)
    return serve(verbs, sys.stdin, answers)


if __name__ == "__main__":
    main()
