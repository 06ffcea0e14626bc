"""What a training loop watches: means over an epoch, a progress bar, and whether the loss still makes sense."""

import contextlib
import importlib.util
import math

import numpy as np

DIVERGED = 100  # times the loss of a model that knows nothing
FETCH_EVERY = 32  # steps: until then values stay on the device


class EpochMeans:
    """Means of loss and metrics over an epoch's images; FloatingPointError names the step of a loss that isn't finite."""

    NAMES = {"loss": "loss", "acc": "top1", "top5-acc": "top5"}

    def __init__(self, epoch, recipe):
        self.epoch, self.recipe = epoch, recipe
        self.sums, self.images, self.steps, self.pending = dict.fromkeys(self.NAMES, 0.0), 0, 0, []

    def add(self, values, images):
        """Add the values of a step on so many images."""
        self.pending.append((values, images))
        if len(self.pending) == FETCH_EVERY:
            self._fetch()

    def result(self):
        """{"loss", "top1", "top5"}: means over all images."""
        self._fetch()
        return {name: self.sums[key] / self.images for key, name in self.NAMES.items()}

    def _fetch(self):
        for values, images in self.pending:
            self.steps += 1
            if not np.isfinite(float(values["loss"])):
                raise diverged("loss", float(values["loss"]), f"epoch {self.epoch}, step {self.steps}", self.recipe)
            for key in self.sums:
                self.sums[key] += float(values[key]) * images
            self.images += images
        self.pending = []


def diverged(what, value, when, recipe):
    """The error of a run whose loss has exploded."""
    return FloatingPointError(
        f"The {what} became {value:.4g} in {when}: training diverged. Lower the learning rate (it was "
        f"{recipe.learning_rate}), for instance to {recipe.learning_rate / 10:.4g}, and name another run_dir, since "
        f"another recipe is another run. The last finished epoch is kept."
    )


def check_validation_loss(loss, epoch, recipe, classes):
    """Raise FloatingPointError if a validation loss is NaN or `DIVERGED` times that of guessing blindly."""
    if not loss < DIVERGED * math.log(max(2, classes)):
        raise diverged("validation loss", loss, f"epoch {epoch}", recipe)


@contextlib.contextmanager
def progress_bar(epochs, steps, state, stop_if_requested):
    """One bar for the whole run; yields the function to call after each step."""
    if importlib.util.find_spec("ipywidgets"):  # a notebook's widget; without it tqdm.auto only complains
        from tqdm.auto import tqdm
    else:
        from tqdm import tqdm

    with tqdm(total=epochs * steps, initial=state.saved * steps, unit="step", mininterval=1) as bar:

        def after_step():
            bar.update()
            if bar.n % steps == 1 and state.history:
                row = state.history[-1]
                scores = {key: f"{row[key]:.2%}" for key in ("val_top1", "val_top5")}
                bar.set_postfix(epoch=row["epoch"], **scores, refresh=False)
            stop_if_requested()

        yield after_step
