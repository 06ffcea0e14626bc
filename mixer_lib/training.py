"""Train a Mixer: the recipe, a loop one can read, and a checkpoint from which it goes on."""

import dataclasses
import math
import time

import keras
import numpy as np

from . import devices as several
from . import seeds, worlds
from .checkpoints import Run, held, learning_rate_of
from .classifier import PRESETS, build_classifier, check_config
from .evaluation import logits_of, scores
from .finish import finish, finished_card, kept_card
from .recipes import RECIPES, check_recipe
from .run_folder import RunFolder, stopped_well

DIVERGED = 100  # times the loss of a model that knows nothing


def _reseed(model, seed, epoch):
    """Make every random draw of an epoch a function of (seed, epoch), so that a resumed run repeats it."""
    for place, generator in enumerate(seeds.seed_generators(model)):
        first = np.random.SeedSequence([seed, epoch, place]).generate_state(1)[0] % 2**31
        generator.state.assign(
            np.asarray([first, 0], np.dtype(getattr(generator.state.dtype, "name", generator.state.dtype)))
        )


def _diverged(what, value, when, recipe):
    return FloatingPointError(
        f"The {what} became {value:.4g} in {when}: training diverged. Lower the learning rate (it was "
        f"{recipe.learning_rate}), for instance to {recipe.learning_rate / 10:.4g}, and name another run_dir, since "
        f"another recipe is another run. The last finished epoch is kept."
    )


def _epoch(model, recipe, images, labels, seed, epoch, epochs, after_step):
    """Train one epoch; returns the means over its images."""
    order = np.random.default_rng([seed, epoch]).permutation(len(images))
    steps = math.ceil(len(images) / recipe.batch_size)
    _reseed(model, seed, epoch)
    sums = dict.fromkeys(("loss", "acc", "top5-acc"), 0.0)
    for step in range(steps):
        if recipe.schedule == "cosine":
            done = ((epoch - 1) * steps + step) / (epochs * steps)
            model.optimizer.learning_rate = recipe.learning_rate * (1 + math.cos(math.pi * done)) / 2
        batch = order[step * recipe.batch_size : (step + 1) * recipe.batch_size]
        found = worlds.train_on_batch(model, images[batch], labels[batch])
        if not np.isfinite(float(found["loss"])):
            raise _diverged("loss", float(found["loss"]), f"epoch {epoch}, step {step + 1}", recipe)
        for key in sums:
            sums[key] += float(found[key]) * len(batch)
        after_step()
    return {key: total / len(images) for key, total in sums.items()}


def check_request(epochs, seed):
    """Refuse epochs or a seed that can't be, by name and value."""
    if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 1:
        raise ValueError(
            f"epochs must be a whole number of at least 1 (the article asks for 100). Received: {epochs!r}."
        )
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**31:
        raise ValueError(f"seed must be a whole number from 0 to {2**31 - 1}. Received: {seed!r}.")


def _check(config, recipe, dataset, epochs, seed):
    check_request(epochs, seed)
    classes = len(dataset.class_names)
    if config.num_classes != classes:
        raise ValueError(f"The config has num_classes={config.num_classes}, but {dataset.name} has {classes} classes.")
    side = dataset.x_train.shape[1:3]
    if side != (config.image_size, config.image_size):
        raise ValueError(f"The config has image_size={config.image_size}, but {dataset.name} has pictures of {side}.")
    if 2 * recipe.shift > config.image_size:
        raise ValueError(f"The recipe has shift={recipe.shift}, but pictures of {side} move by half a side at most.")


def train(
    config,
    dataset,
    run_dir,
    epochs=100,
    seed=0,
    recipe=None,
    jit_compile=None,
    name=None,
    command="",
    precision="float32",
    devices=1,
):
    """Train a Mixer, or go on with what `run_dir` holds.

    The last tenth of the training set is the validation set; the best epoch is the one with the lowest loss on
    it. The test set is looked at once, at the end. A killed run goes on from its last finished epoch when the same
    call is made again.

    Args:
        config: a `MixerConfig`, or the name of a preset, which then takes the number of classes from the data.
        dataset: a `Dataset`.
        run_dir: folder of this run; gets card.json, history.csv, best.weights.h5 and checkpoint.npz.
        epochs: how many to train at most.
        seed: decides the first weights, the order of the images, dropout and augmentation.
        recipe: a `Recipe`; that of the preset (or else the article's) if left out.
        jit_compile: let XLA compile the step; None does so where it pays (`devices.worth_compiling`), on one device. On
            a CPU, both halves of a batch are then computed at once (`halves.py`).
        name: what to call the run on its card; the preset's name if left out, "custom" for a config.
        command: what to write on the card as the command that reproduces the run.
        precision: "float32", or "mixed_float16" or "mixed_bfloat16": layers compute in half precision; weights, loss
            and the scores on the card stay in float32.
        devices: how many devices of this machine share each batch (TensorFlow). The batch stays as large as the
            recipe says; noise is drawn by each device, so that it differs from that of one device.

    Returns:
        `RunResult`, the card.

    Raises:
        ValueError: for a value that can't be, or a run_dir that holds another run or is in use; before any work.
        OSError: if run_dir can't be written to, or no longer.
        FloatingPointError: if the loss is no longer a number, or 100 times that of a model that knows nothing.
        KeyboardInterrupt: on Ctrl-C and SIGTERM; finished epochs are kept.
    """
    from tqdm.auto import tqdm

    preset = config if isinstance(config, str) else None
    if isinstance(config, str):
        if config not in PRESETS:
            raise ValueError(f"There is no preset {config!r}. Choose one of {', '.join(PRESETS)}.")
        config = dataclasses.replace(PRESETS[config], num_classes=len(dataset.class_names))
    recipe = recipe or RECIPES.get(preset, RECIPES["article"])
    check_config(config)
    check_recipe(recipe)
    _check(config, recipe, dataset, epochs, seed)
    folder = RunFolder(run_dir)
    strategy = several.strategy_for(precision, devices, recipe.batch_size, jit_compile)
    (x_train, y_train), (x_val, y_val) = dataset.validation_split()
    steps = math.ceil(len(x_train) / recipe.batch_size)
    if jit_compile is None:
        jit_compile = several.worth_compiling(steps) and not strategy
    identity = {
        "config": dataclasses.asdict(config),
        "recipe": dataclasses.asdict(recipe),
        "dataset": dataset.name,
        "data_fingerprint": dataset.fingerprint,
        "seed": seed,
        "keras": keras.__version__,
        "backend": worlds.backend_name(),
        "xla": jit_compile,
        "precision": precision,
        "devices": devices,
    }
    if recipe.schedule == "cosine":
        identity["epochs"] = epochs  # the schedule depends on it
    state = held(folder, identity, epochs)
    card = finished_card(folder, state, epochs) if state else kept_card(folder, identity, epochs)
    if card:
        return card
    folder.try_out()

    keras.utils.set_random_seed(seed)
    with several.setting(precision, strategy):
        model = build_classifier(config, dataset.x_train, recipe.shift)
        model.compile(
            recipe.optimizer(),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["acc", keras.metrics.SparseTopKCategoricalAccuracy(5, name="top5-acc")],
            jit_compile=jit_compile,
        )
    several.prepare(model, config, dataset.x_train, precision, strategy, jit_compile)
    run = Run(model, recipe, folder, identity)
    with folder, stopped_well(run, epochs) as stop_if_asked, worlds.steady_sums():
        folder.need(4 * sum(w.nbytes for w in run.best))  # weights, the best ones, and the optimizer's two for each
        run.resume(epochs)
        with tqdm(total=epochs * steps, initial=run.saved * steps, unit="step", mininterval=1) as progress:

            def after_step():
                progress.update()
                stop_if_asked()

            while len(run.history) < epochs and not run.stopped:
                begun, epoch = time.perf_counter(), len(run.history) + 1
                if recipe.schedule == "plateau":
                    lr = learning_rate_of(model)
                else:
                    lr = recipe.learning_rate * (1 + math.cos(math.pi * (epoch - 1) / epochs)) / 2
                means = _epoch(model, recipe, x_train, y_train, seed, epoch, epochs, after_step)
                judged = scores(logits_of(several.as_loaded(model), x_val), y_val)
                if not judged["loss"] < DIVERGED * math.log(max(2, config.num_classes)):
                    raise _diverged("validation loss", judged["loss"], f"epoch {epoch}", recipe)
                row = {"loss": means["loss"], "top1": means["acc"], "top5": means["top5-acc"]}
                row |= {f"val_{key}": value for key, value in judged.items()}
                seconds = time.perf_counter() - begun
                run.end_epoch({"epoch": epoch, "seconds": round(seconds, 2), "lr": lr, **row})
                progress.set_postfix(epoch=epoch, val_top1=f"{row['val_top1']:.2%}", val_top5=f"{row['val_top5']:.2%}")
        return finish(run, name or preset or "custom", config, dataset, epochs, seed, command)
