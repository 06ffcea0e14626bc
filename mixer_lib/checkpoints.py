"""A run on disk: one file, written whole at the end of each epoch, from which the same call goes on."""

import csv
import datetime
import io
import json
import math

import keras
import numpy as np

from . import results, worlds

ONCE_UNSAID = {"precision": "float32", "devices": 1}  # what a checkpoint means that does not say it
HISTORY = ("epoch", "seconds", "lr", "loss", "top1", "top5", "val_loss", "val_top1", "val_top5")


def learning_rate_of(model):
    """The learning rate that the next step will use."""
    return float(np.asarray(model.optimizer.learning_rate))


class Run:
    """One run in its folder: model, callbacks and history, and how they are put on disk and taken up again."""

    def __init__(self, model, recipe, run_dir, identity):
        self.model, self.recipe, self.identity = model, recipe, identity
        self.file = run_dir / "checkpoint.npz"
        self.run_dir = run_dir
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
        }
        arrays = {f"weights_{i}": np.asarray(w) for i, w in enumerate(self.model.get_weights())}
        arrays |= {f"best_{i}": w for i, w in enumerate(self.best)}
        arrays |= {f"optimizer_{i}": np.asarray(v) for i, v in enumerate(worlds.optimizer_variables(self.model))}
        packed = io.BytesIO()
        np.savez(packed, state=json.dumps(state), **arrays)
        results.write_atomically(self.file, packed.getvalue())
        self.write_history()

    def write_history(self):
        """Write history.csv, one row an epoch."""
        lines = io.StringIO()
        table = csv.DictWriter(lines, HISTORY, lineterminator="\n")
        table.writeheader()
        table.writerows(self.history)
        results.write_atomically(self.run_dir / "history.csv", lines.getvalue())

    def finished(self, epochs):
        """Whether nothing is left to do: all epochs run (or stopped early), and the card of just that written."""
        if not (self.stopped or len(self.history) >= epochs) or not (self.run_dir / "card.json").exists():
            return False
        card = results.RunResult.load(self.run_dir / "card.json")
        return card.epochs_run == len(self.history) and card.epochs_asked == epochs

    def resume(self):
        """Go back to the last finished epoch, if the folder holds one of the same run."""
        if not self.file.exists():
            return
        with np.load(self.file, allow_pickle=False) as arrays:
            state = json.loads(str(arrays["state"]))
            for key, asked in self.identity.items():
                held = state["identity"].get(key, ONCE_UNSAID.get(key))
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
