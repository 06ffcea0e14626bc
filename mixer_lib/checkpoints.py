"""A run on disk: one file, written whole at the end of each epoch, from which the same call goes on."""

import csv
import datetime
import io
import json
import math
import warnings

import keras
import numpy as np

from . import results, worlds
from .checkpoint_files import held, read, sum_of
from .halves import HalvesStep

HISTORY = ("epoch", "seconds", "lr", "loss", "top1", "top5", "val_loss", "val_top1", "val_top5")


def learning_rate_of(model):
    """The learning rate that the next step will use."""
    return float(np.asarray(model.optimizer.learning_rate))


def history_text(history):
    """history.csv, one row an epoch."""
    lines = io.StringIO()
    table = csv.DictWriter(lines, HISTORY, lineterminator="\n")
    table.writeheader()
    table.writerows(history)
    return lines.getvalue()


class Run:
    """One run in its folder: model, callbacks and history, and how they are put on disk and taken up again."""

    def __init__(self, model, recipe, folder, identity):
        self.model, self.recipe, self.folder, self.identity = model, recipe, folder, identity
        self.halves = isinstance(getattr(model, "shared_step", None), HalvesStep)
        self.environment = {**results.versions(), "device": results.device_name(), "halves": self.halves}
        self.begun_with = {}  # what of it was another when the run began
        self.saved = 0  # epochs on disk
        self.history, self.best_loss, self.best_epoch = [], math.inf, 0
        self.started = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        self.stopped = False
        self.best = [np.asarray(w) for w in model.get_weights()]
        self.callbacks = []
        if recipe.schedule == "plateau":
            self.callbacks.append(
                keras.callbacks.ReduceLROnPlateau("val_loss", factor=0.5, patience=recipe.lr_patience)
            )
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
            "lr": learning_rate_of(self.model),
            "stopped": self.stopped,
            "started": self.started,
            "environment": {**self.environment, **self.begun_with},
        }
        arrays = {f"weights_{i}": np.asarray(w) for i, w in enumerate(self.model.get_weights())}
        arrays |= {f"best_{i}": w for i, w in enumerate(self.best)}
        arrays |= {f"optimizer_{i}": np.asarray(v) for i, v in enumerate(worlds.optimizer_variables(self.model))}
        state["sums"] = {name: sum_of(array) for name, array in arrays.items()}
        packed = io.BytesIO()
        np.savez(packed, state=json.dumps(state), **arrays)
        self.folder.write("checkpoint.npz", packed.getvalue())
        self.saved = len(self.history)
        self.write_history()

    def write_history(self):
        self.folder.write("history.csv", history_text(self.history))

    def resume(self, epochs):
        """Go back to the last finished epoch, if the folder holds one of the same run."""
        state = held(self.folder, self.identity, epochs)
        if state is None:
            return
        file = self.folder.path / "checkpoint.npz"
        state, arrays = read(file)
        memory = worlds.optimizer_variables(self.model)
        shapes = {f"weights_{i}": w.shape for i, w in enumerate(self.best)}
        shapes |= {f"best_{i}": w.shape for i, w in enumerate(self.best)}
        shapes |= {f"optimizer_{i}": tuple(v.shape) for i, v in enumerate(memory)}
        if {name: array.shape for name, array in arrays.items()} != shapes:
            raise ValueError(f"{file} does not fit the model: it is not a checkpoint of this run. Move it away.")
        self.model.set_weights([arrays[f"weights_{i}"] for i in range(len(self.best))])
        self.best = [arrays[f"best_{i}"] for i in range(len(self.best))]
        for i, variable in enumerate(memory):
            variable.assign(arrays[f"optimizer_{i}"])
        self.model.optimizer.learning_rate = state["lr"]
        self.history, (self.best_loss, self.best_epoch) = state["history"], state["best"]
        self.stopped, self.started = state["stopped"], state["started"]
        self.saved = len(self.history)
        for callback, counters in zip(self.callbacks, state["counters"], strict=True):
            vars(callback).update(counters)
        self._compare_environment(state.get("environment", {}))
        self.write_history()  # the run may have been killed between the checkpoint and this file

    def _compare_environment(self, first):
        self.begun_with = {key: value for key, value in first.items() if self.environment.get(key) != value}
        if self.begun_with:
            now = {key: self.environment.get(key) for key in self.begun_with}
            warnings.warn(
                f"{self.folder.path} was begun with {self.begun_with} and goes on with {now}: its figures may differ "
                f"in the last digits from those of a run in one piece. The card will say so.",
                stacklevel=4,
            )
