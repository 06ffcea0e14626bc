"""The state of a run: what an epoch changes, written to disk at its end and read back when the run continues."""

import datetime
import math
import warnings

import keras
import numpy as np

from ..compat import optimizer_variables
from ..version import VERSION
from .card import RunResult
from .checkpoint import history_text, pack_checkpoint, read_checkpoint, saved_state
from .files import sha256_of
from .ranks import pack_ranks
from .provenance import commit, device_name, versions


class TrainingState:
    """Model, callbacks and history of one run in its folder; `identity` is what makes it this run (`RunRequest`)."""

    def __init__(self, model, callbacks, folder, identity):
        self.model, self.callbacks, self.folder, self.identity = model, callbacks, folder, identity
        self.device = device_name(identity.get("devices", 1), identity.get("hosts", 1))
        self.environment = {**versions(), "device": self.device}
        self.started_with = {}  # what of the environment was different when the run started
        self.saved = 0  # epochs on disk
        self.history, self.best_loss, self.best_epoch = [], math.inf, 0
        self.started = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        self.stopped = False
        self.best_weights = [np.asarray(w) for w in model.get_weights()]
        for callback in callbacks:
            callback.set_model(model)
            callback.on_train_begin()
        model.stop_training = False

    @property
    def learning_rate(self):
        """The learning rate of the next step."""
        return float(np.asarray(self.model.optimizer.learning_rate))

    @property
    def size(self):
        """About how many bytes a checkpoint has: weights, the best ones, and the optimizer's two for each."""
        return 4 * sum(w.nbytes for w in self.best_weights)

    def end_epoch(self, row, weights):
        """Record an epoch: a row of the history, the best weights so far, the callbacks, a checkpoint."""
        row = self.folder.agree(row)
        self.history.append(row)
        if row["val_loss"] < self.best_loss:
            self.best_loss, self.best_epoch = row["val_loss"], row["epoch"]
            self.best_weights = [np.asarray(w) for w in weights]
        for callback in self.callbacks:
            callback.on_epoch_end(row["epoch"] - 1, {"val_loss": row["val_loss"]})
        self.stopped = bool(self.model.stop_training)
        self.save()

    def save(self):
        """Write checkpoint.npz and history.csv."""
        counters = [
            {key: float(vars(callback)[key]) for key in ("wait", "best", "cooldown_counter") if key in vars(callback)}
            for callback in self.callbacks
        ]
        state = {
            "identity": self.identity,
            "history": self.history,
            "best": [self.best_loss, self.best_epoch],
            "counters": counters,
            "lr": self.learning_rate,
            "stopped": self.stopped,
            "started": self.started,
            "environment": {**self.environment, **self.started_with},
        }
        arrays = {f"weights_{i}": np.asarray(w) for i, w in enumerate(self.model.get_weights())}
        arrays |= {f"best_{i}": w for i, w in enumerate(self.best_weights)}
        arrays |= {f"optimizer_{i}": np.asarray(v) for i, v in enumerate(optimizer_variables(self.model))}
        self.folder.write("checkpoint.npz", pack_checkpoint(state, arrays))
        self.saved = len(self.history)
        self.folder.write("history.csv", history_text(self.history))

    def resume(self, epochs):
        """Return to the last finished epoch, if the folder holds one of the same run."""
        if saved_state(self.folder, self.identity, epochs) is None:
            return
        file = self.folder.path / "checkpoint.npz"
        state, arrays = read_checkpoint(file)
        variables, count = optimizer_variables(self.model), len(self.best_weights)
        shapes = {f"{kind}_{i}": w.shape for kind in ("weights", "best") for i, w in enumerate(self.best_weights)}
        shapes |= {f"optimizer_{i}": tuple(v.shape) for i, v in enumerate(variables)}
        if {name: array.shape for name, array in arrays.items()} != shapes:
            raise ValueError(f"{file} does not match the model: it is not a checkpoint of this run. Move it away.")
        self.model.set_weights([arrays[f"weights_{i}"] for i in range(count)])
        self.best_weights = [arrays[f"best_{i}"] for i in range(count)]
        for i, variable in enumerate(variables):
            variable.assign(arrays[f"optimizer_{i}"])
        self.model.optimizer.learning_rate = state["lr"]
        self.history, (self.best_loss, self.best_epoch) = state["history"], state["best"]
        self.stopped, self.started, self.saved = state["stopped"], state["started"], len(state["history"])
        for callback, counters in zip(self.callbacks, state["counters"], strict=True):
            vars(callback).update(counters)
        self._compare_environment(state.get("environment", {}))
        self.folder.write("history.csv", history_text(self.history))  # a kill may have come before it was written

    def _compare_environment(self, first):
        first = {key: value for key, value in first.items() if key != "halves"}  # early checkpoints have it
        self.started_with = {key: value for key, value in first.items() if self.environment.get(key) != value}
        if self.started_with:
            now = {key: self.environment.get(key) for key in self.started_with}
            warnings.warn(
                f"{self.folder.path} was started with {self.started_with} and continues with {now}: its figures may "
                f"differ in the last digits from those of an uninterrupted run. The card will say so.",
                stacklevel=4,
            )

    def finish(self, model, best, last, ranks, **fields):
        """Write best.weights.h5, the weights of `model`, ranks.npy and card.json; returns the card.

        `best` and `last` are the scores of the best and the last weights on the test set, `ranks` (N,) how many classes
        the best preferred to the right one on each test picture, `fields` the card's others.
        """
        with self.folder.writing("best.weights.h5") as part:
            part.write_bytes(bytes(2 * sum(w.nbytes for w in self.best_weights) + 2**20))  # HDF5 crashes on a full disk
            model.save_weights(part)
        self.folder.write("ranks.npy", pack_ranks(ranks))
        seconds, found = [row["seconds"] for row in self.history], self.history[self.best_epoch - 1]
        execution = {key: self.identity[key] for key in ("xla", "precision", "devices", "hosts") if key in self.identity}
        recorded = {**versions(), "mixer_lib": VERSION, **execution}
        card = RunResult(
            **fields,
            epochs_run=len(self.history),
            best_epoch=self.best_epoch,
            val_top1=found["val_top1"],
            val_top5=found["val_top5"],
            top1=best["top1"],
            top5=best["top5"],
            top1_last=last["top1"],
            top5_last=last["top5"],
            parameters=sum(math.prod(w.shape) for w in model.trainable_weights),
            seconds_total=round(sum(seconds), 1),
            seconds_per_epoch=round(float(np.median(seconds)), 2),
            device=self.device,
            versions=recorded | ({"started_with": self.started_with} if self.started_with else {}),
            commit=commit(),
            started=self.started,
            weights_sha256=sha256_of(self.folder.path / "best.weights.h5"),
        )
        self.folder.write("card.json", card.as_json())
        return card


def validation_callbacks(recipe):
    """Keras's callbacks that a recipe's `schedule`, `lr_patience` and `stop_patience` stand for."""
    callbacks = []
    if recipe.schedule == "plateau":
        callbacks.append(keras.callbacks.ReduceLROnPlateau("val_loss", factor=0.5, patience=recipe.lr_patience))
    if recipe.stop_patience:
        callbacks.append(keras.callbacks.EarlyStopping("val_loss", patience=recipe.stop_patience))
    return callbacks
