"""Train a Mixer: the loop, and what a run needs around it."""

import dataclasses
import math
import os
import time
from typing import Any

import numpy as np

from .checks.split import class_names_of
from .classifier import PRESETS, build_classifier, get_config, multiply_adds
from .compat import averaged_weights, first_weights, reseed, standard_settings
from .data import Dataset
from .evaluation import compute_logits, evaluate, rank_of_right, score_logits
from .recipe import RECIPES, Recipe
from .regularization import make_batch
from .runs.card import RunResult
from .runs.checkpoint import completed_card
from .runs.interrupts import graceful_interrupt
from .runs.progress import EpochMeans, check_validation_loss, progress_bar
from .runs.request import RunRequest
from .runs.state import TrainingState, validation_callbacks
from .speedups.devices import Execution


def one_by_one(model, step, images, labels):
    """A function that trains `model` on batches one after the other: `step` on each."""

    def train_on(batches, rates, mixed):
        for rows, rate in zip(batches, rates, strict=True):
            model.optimizer.learning_rate = rate
            yield step(*mixed(images[rows], labels[rows]))  # loss and metrics

    return train_on


def fit(train_on, model, plain, recipe, dataset, state, epochs, seed, after_step):
    """The loop: `train_on` trains `model` on batches; `plain`, given its weights, is evaluated after each epoch."""
    (images, _), validation = dataset.validation_split()
    size, steps = recipe.batch_size, math.ceil(len(images) / recipe.batch_size)
    while len(state.history) < epochs and not state.stopped:
        started, epoch = time.perf_counter(), len(state.history) + 1
        order = np.random.default_rng([seed, epoch]).permutation(len(images))  # shuffle
        batches = [order[start : start + size] for start in range(0, len(order), size)]
        rates = [state.learning_rate] * steps
        if recipe.schedule == "cosine":
            rates = [recipe.cosine(step / (epochs * steps)) for step in range((epoch - 1) * steps, epoch * steps)]
        reseed(model, seed, epoch)  # dropout and augmentation
        mixed = make_batch(
            recipe, plain.output_shape[-1], np.random.default_rng([seed, epoch, 1])
        )  # mixup and the like
        means = EpochMeans(epoch, recipe)
        for rows, found in zip(batches, train_on(batches, rates, mixed), strict=True):
            means.add(found, len(rows))
            after_step()
        plain.set_weights(weights := averaged_weights(model))
        scores = {f"val_{name}": value for name, value in evaluate(plain, *validation).items()}
        check_validation_loss(scores["val_loss"], epoch, recipe, plain.output_shape[-1])
        seconds = round(time.perf_counter() - started, 2)
        row = {"epoch": epoch, "seconds": seconds, "lr": rates[0], **means.result(), **scores}
        state.end_epoch(row, weights)  # and a checkpoint


def train(
    config: Any,
    dataset: Dataset,
    run_dir: str | os.PathLike,
    epochs: int = 100,
    seed: int = 0,
    recipe: Recipe | None = None,
    jit_compile: bool | None = None,
    name: str | None = None,
    command: str = "",
    precision: str = "float32",
    devices: int = 1,
) -> RunResult:
    """Train a Mixer, or continue the run in `run_dir`: the same call continues a killed run from its last epoch.

    Args:
        config: a `MixerConfig`, or a preset or its name, which takes the number of classes from the data.
        dataset: a `Dataset`; the last tenth of its training set is the validation set.
        run_dir: folder of this run; gets card.json, history.csv, best.weights.h5 and checkpoint.npz.
        epochs: how many to train at most.
        seed: decides the first weights, the order of the images, dropout and augmentation.
        recipe: a `Recipe`; if left out, that of the preset, or the article's.
        name, command: what the card says of the run; by default the preset's name or "custom", and nothing.
        jit_compile, precision, devices: how a step is computed, see `speedups.devices.Execution`.

    Returns `RunResult`, the card: the best epoch has the lowest validation loss; the test set is used once, at the end.
    ValueError for an invalid value, or a run_dir of another run or in use, before any work; OSError if it can't be
    written to; FloatingPointError if training diverges; KeyboardInterrupt on Ctrl-C, which keeps finished epochs.
    """
    config, recipe, name = _resolve(config, recipe, dataset, name)
    request = RunRequest(name, config, recipe, dataset, epochs, seed, command)
    execution = Execution(precision, devices, jit_compile, recipe.batch_size, request.steps, config)
    identity = request.identity(execution.identity)
    with execution.run_folder(run_dir, identity, request.epochs) as folder:
        if card := completed_card(folder, identity, request.epochs):
            return card
        folder.check_writable()
        return _run(request, execution, folder, identity)


@standard_settings()
def _run(request, execution, folder, identity):
    config, recipe, dataset, epochs = request.config, request.recipe, request.dataset, request.epochs
    with first_weights(request.seed), execution.scope():
        model = execution.speed_up(build_classifier(config, dataset.x_train, recipe.make_augmentation()))
        loss, metrics = recipe.make_loss(config.num_classes)
        model.compile(recipe.make_optimizer(), loss, metrics=metrics, jit_compile=execution.jit_compile)
    images, labels = dataset.validation_split()[0]
    train_on = execution.many_steps(model, recipe, images, labels)
    train_on = train_on or one_by_one(model, execution.train_step(model), images, labels)
    plain = first_weights(request.seed)(build_classifier)(config, dataset.x_train)
    state = TrainingState(model, validation_callbacks(recipe), folder, identity)
    with folder, graceful_interrupt(state, epochs) as stop_if_requested, execution.exact_sums():
        folder.check_free_space(state.size)
        state.resume(epochs)
        with progress_bar(epochs, request.steps, state, stop_if_requested) as after_step:
            fit(train_on, model, plain, recipe, dataset, state, epochs, request.seed, after_step)
        plain.set_weights(averaged_weights(model))
        last = evaluate(plain, dataset.x_test, dataset.y_test)
        plain.set_weights(state.best_weights)
        logits = compute_logits(plain, dataset.x_test)
        best, ranks = score_logits(logits, dataset.y_test), rank_of_right(logits, dataset.y_test)
        return state.finish(plain, best, last, ranks, macs=multiply_adds(config), **request.card_fields())


def _resolve(config, recipe, dataset, name):
    config, names = get_config(config), class_names_of(dataset)
    preset = next((key for key, value in PRESETS.items() if value == config), None)
    config = dataclasses.replace(config, num_classes=len(names)) if preset else config
    recipe = recipe or RECIPES.get(getattr(config, "recipe", "article"))
    if not isinstance(recipe, Recipe):
        raise ValueError(f"recipe must be a Recipe, such as RECIPES['article'], or left out. Received: {recipe!r}.")
    return getattr(config, "model", config), recipe, name or preset or "custom"
