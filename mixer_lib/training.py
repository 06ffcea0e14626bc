"""Train a Mixer: the recipe, a loop one can read, and a checkpoint from which it goes on."""

import csv
import dataclasses
import datetime
import io
import json
import math
import pathlib
import time

import keras
import numpy as np

from . import results, worlds
from .classifier import PRESETS, build_classifier, multiply_adds
from .evaluation import logits_of, scores
from .optimizers import adamw, check_rates, keras_adamw

HISTORY = ("epoch", "seconds", "lr", "loss", "top1", "top5", "val_loss", "val_top1", "val_top5")
STEPS_WORTH_COMPILING = 1000


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a model is trained; the defaults are the article's.

    Attributes:
        learning_rate: the first one; `schedule` changes it.
        weight_decay: part of each weight that a step takes away.
        decay_follows_lr: multiply the decay by the learning rate, as Keras does and tensorflow-addons doesn't.
        batch_size: images in a step; the last step of an epoch takes what is left.
        schedule: "plateau" halves the learning rate after `lr_patience` epochs without a better validation loss;
            "cosine" takes it from its first value to 0 along half a cosine.
        lr_patience: see schedule.
        stop_patience: stop after so many epochs without a better validation loss; None never stops early.
    """

    learning_rate: float = 0.005
    weight_decay: float = 0.0001
    decay_follows_lr: bool = False
    batch_size: int = 128
    schedule: str = "plateau"
    lr_patience: int = 5
    stop_patience: int | None = 10

    def __post_init__(self):
        if self.schedule not in ("plateau", "cosine"):
            raise ValueError(f'schedule must be "plateau" or "cosine". Received: {self.schedule!r}.')
        check_rates(self.learning_rate, self.weight_decay, self.decay_follows_lr)
        for name in ("batch_size", "lr_patience", "stop_patience"):
            value = getattr(self, name)
            if name == "stop_patience" and value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a whole number of at least 1. Received: {value!r}.")

    def optimizer(self):
        """The optimizer that this recipe asks for."""
        make = keras_adamw if self.decay_follows_lr else adamw
        return make(self.learning_rate, self.weight_decay)


RECIPES = {"article": Recipe()}


class _Run:
    """One run in its folder: model, callbacks and history, and how they are put on disk and taken up again."""

    def __init__(self, model, recipe, run_dir, identity):
        self.model, self.recipe, self.identity = model, recipe, identity
        self.file = run_dir / "checkpoint.npz"
        self.run_dir = run_dir
        self.history, self.best_loss, self.best_epoch = [], math.inf, 0
        self.stopped, self.started = False, datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        self.best = [np.asarray(w) for w in model.get_weights()]
        self.callbacks = []
        if recipe.schedule == "plateau":
            self.callbacks.append(keras.callbacks.ReduceLROnPlateau("val_loss", factor=0.5, patience=recipe.lr_patience))
        if recipe.stop_patience:
            self.callbacks.append(keras.callbacks.EarlyStopping("val_loss", patience=recipe.stop_patience))
        for callback in self.callbacks:
            callback.set_model(model)
            callback.on_train_begin()
        model.stop_training = False

    def end_epoch(self, row):
        self.history.append(row)
        if row["val_loss"] < self.best_loss:
            self.best_loss, self.best_epoch = row["val_loss"], row["epoch"]
            self.best = [np.asarray(w) for w in self.model.get_weights()]
        for callback in self.callbacks:
            callback.on_epoch_end(row["epoch"] - 1, {"val_loss": row["val_loss"]})
        self.stopped = bool(self.model.stop_training)
        self.save()

    def save(self):
        counters = [
            {key: float(vars(callback)[key]) for key in ("wait", "best", "cooldown_counter") if key in vars(callback)}
            for callback in self.callbacks
        ]
        state = {
            "identity": self.identity,
            "history": self.history,
            "best": [self.best_loss, self.best_epoch],
            "counters": counters,
            "lr": _learning_rate(self.model),
            "stopped": self.stopped,
            "started": self.started,
        }
        arrays = {f"weights_{i}": np.asarray(w) for i, w in enumerate(self.model.get_weights())}
        arrays |= {f"best_{i}": w for i, w in enumerate(self.best)}
        arrays |= {f"optimizer_{i}": np.asarray(v) for i, v in enumerate(worlds.optimizer_variables(self.model))}
        packed = io.BytesIO()
        np.savez(packed, state=json.dumps(state), **arrays)
        results.write_atomically(self.file, packed.getvalue())
        self.write_history()

    def write_history(self):
        lines = io.StringIO()
        table = csv.DictWriter(lines, HISTORY, lineterminator="\n")
        table.writeheader()
        table.writerows(self.history)
        results.write_atomically(self.run_dir / "history.csv", lines.getvalue())

    def resume(self):
        """Go back to the last finished epoch, if the folder holds one of the same run."""
        if not self.file.exists():
            return
        with np.load(self.file, allow_pickle=False) as arrays:
            state = json.loads(str(arrays["state"]))
            for key, asked in self.identity.items():
                held = state["identity"].get(key)
                if held != asked:
                    raise ValueError(
                        f"{self.run_dir} holds a run with {key} = {held!r}, and {asked!r} was asked for. Name another "
                        f"run_dir, or remove this one."
                    )
            count = len(self.best)
            self.model.set_weights([arrays[f"weights_{i}"] for i in range(count)])
            self.best = [arrays[f"best_{i}"] for i in range(count)]
            for i, variable in enumerate(worlds.optimizer_variables(self.model)):
                variable.assign(arrays[f"optimizer_{i}"])
        self.model.optimizer.learning_rate = state["lr"]
        self.history, (self.best_loss, self.best_epoch) = state["history"], state["best"]
        self.stopped, self.started = state["stopped"], state["started"]
        for callback, counters in zip(self.callbacks, state["counters"], strict=True):
            vars(callback).update(counters)
        self.write_history()  # the run may have been killed between the checkpoint and this file


def _learning_rate(model):
    return float(np.asarray(model.optimizer.learning_rate))


def _reseed(model, seed, epoch):
    """Make every random draw of an epoch a function of (seed, epoch), so that a resumed run repeats it."""
    for place, generator in enumerate(worlds.seed_generators(model)):
        first = np.random.SeedSequence([seed, epoch, place]).generate_state(1)[0] % 2**31
        generator.state.assign(np.asarray([first, 0], np.dtype(getattr(generator.state.dtype, "name", generator.state.dtype))))


def _diverged(what, value, when, recipe):
    return FloatingPointError(
        f"The {what} became {value} in {when}: training diverged. Lower the learning rate (it was "
        f"{recipe.learning_rate}). The last finished epoch is kept."
    )


def _epoch(model, recipe, images, labels, seed, epoch, epochs, progress):
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
        progress.update()
    return {key: total / len(images) for key, total in sums.items()}


def check_request(epochs, seed):
    """Refuse epochs or a seed that can't be, by name and value."""
    if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 1:
        raise ValueError(f"epochs must be a whole number of at least 1 (the article asks for 100). Received: {epochs!r}.")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**31:
        raise ValueError(f"seed must be a whole number from 0 to {2**31 - 1}. Received: {seed!r}.")


def _check(config, dataset, epochs, seed):
    check_request(epochs, seed)
    classes = len(dataset.class_names)
    if config.num_classes != classes:
        raise ValueError(f"The config has num_classes={config.num_classes}, but {dataset.name} has {classes} classes.")
    side = dataset.x_train.shape[1:3]
    if side != (config.image_size, config.image_size):
        raise ValueError(f"The config has image_size={config.image_size}, but {dataset.name} has pictures of {side}.")


def train(config, dataset, run_dir, epochs=100, seed=0, recipe=None, jit_compile=None, command=""):
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
        jit_compile: let XLA compile the step; None does so when there are enough steps to pay for compiling.
        command: what to write on the card as the command that reproduces the run.

    Returns:
        `RunResult`, the card.

    Raises:
        ValueError: for a value that can't be, or a run_dir that holds another run; before any work is done.
        FloatingPointError: if the loss is no longer a number.
    """
    from tqdm.auto import tqdm

    preset = config if isinstance(config, str) else "custom"
    if isinstance(config, str):
        if config not in PRESETS:
            raise ValueError(f"There is no preset {config!r}. Choose one of {', '.join(PRESETS)}.")
        config = dataclasses.replace(PRESETS[config], num_classes=len(dataset.class_names))
    recipe = recipe or RECIPES.get(preset, RECIPES["article"])
    _check(config, dataset, epochs, seed)
    run_dir = pathlib.Path(run_dir)
    (x_train, y_train), (x_val, y_val) = dataset.validation_split()
    steps = math.ceil(len(x_train) / recipe.batch_size)
    if jit_compile is None:
        jit_compile = epochs * steps >= STEPS_WORTH_COMPILING
    identity = {
        "config": dataclasses.asdict(config),
        "recipe": dataclasses.asdict(recipe),
        "dataset": dataset.name,
        "data_fingerprint": dataset.fingerprint,
        "seed": seed,
        "keras": keras.__version__,
        "backend": worlds.backend_name(),
        "xla": jit_compile,
    }
    if recipe.schedule == "cosine":
        identity["epochs"] = epochs  # the schedule depends on it

    keras.utils.set_random_seed(seed)
    model = build_classifier(config, adapt_to=dataset.x_train)
    model.compile(
        recipe.optimizer(),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["acc", keras.metrics.SparseTopKCategoricalAccuracy(5, name="top5-acc")],
        jit_compile=jit_compile,
    )
    run = _Run(model, recipe, run_dir, identity)
    run.resume()
    with tqdm(total=epochs * steps, initial=len(run.history) * steps, unit="step", mininterval=1) as progress:
        while len(run.history) < epochs and not run.stopped:
            begun, epoch = time.perf_counter(), len(run.history) + 1
            if recipe.schedule == "plateau":
                lr = _learning_rate(model)
            else:
                lr = recipe.learning_rate * (1 + math.cos(math.pi * (epoch - 1) / epochs)) / 2
            means = _epoch(model, recipe, x_train, y_train, seed, epoch, epochs, progress)
            judged = scores(logits_of(model, x_val), y_val)
            row = {"loss": means["loss"], "top1": means["acc"], "top5": means["top5-acc"]}
            row |= {f"val_{key}": value for key, value in judged.items()}
            if not np.isfinite(row["val_loss"]):
                raise _diverged("validation loss", row["val_loss"], f"epoch {epoch}", recipe)
            seconds = time.perf_counter() - begun
            run.end_epoch({"epoch": epoch, "seconds": round(seconds, 2), "lr": lr, **row})
            progress.set_postfix(epoch=epoch, val_top1=f"{row['val_top1']:.2%}", val_top5=f"{row['val_top5']:.2%}")
    return _finish(run, preset, config, dataset, epochs, seed, command)


def _finish(run, preset, config, dataset, epochs, seed, command):
    """Test the last and the best weights, write best.weights.h5 and the card."""
    model, history = run.model, run.history
    last = scores(logits_of(model, dataset.x_test), dataset.y_test)
    model.set_weights(run.best)
    best = scores(logits_of(model, dataset.x_test), dataset.y_test)
    part = run.run_dir / ".best.weights.h5"
    model.save_weights(part)
    weights = part.replace(run.run_dir / "best.weights.h5")
    seconds = [row["seconds"] for row in history]
    card = results.RunResult(
        preset=preset,
        config=dataclasses.asdict(config),
        recipe=dataclasses.asdict(run.recipe),
        dataset=dataset.name,
        data_fingerprint=dataset.fingerprint,
        seed=seed,
        epochs_asked=epochs,
        epochs_run=len(history),
        best_epoch=run.best_epoch,
        val_top1=history[run.best_epoch - 1]["val_top1"],
        val_top5=history[run.best_epoch - 1]["val_top5"],
        top1=best["top1"],
        top5=best["top5"],
        top1_last=last["top1"],
        top5_last=last["top5"],
        parameters=sum(math.prod(w.shape) for w in model.trainable_weights),
        macs=multiply_adds(config),
        seconds_total=round(sum(seconds), 1),
        seconds_per_epoch=round(float(np.median(seconds)), 2),
        device=results.device_name(),
        versions={**results.versions(), "xla": run.identity["xla"]},
        command=command,
        commit=results.commit(),
        started=run.started,
        weights_sha256=results.sha256_of(weights),
    )
    card.save(run.run_dir / "card.json")
    return card

