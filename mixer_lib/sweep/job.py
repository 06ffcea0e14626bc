"""One run of a sweep: what `train` is asked for, and how far its folder has got."""

import csv
import dataclasses
import pathlib

from ..choices import choose, write_value
from ..runs.checkpoint import completed_card
from ..runs.folder import RunFolder
from ..runs.request import RunRequest
from ..speedups.devices import Execution


@dataclasses.dataclass(frozen=True, eq=False)
class Job:
    """One run: `group` is what it shares with those of other seeds. Without `test` the test set stays unseen."""

    group: str
    model: str
    recipe: str | None
    changes: dict
    dataset: str
    data: str
    image_size: int
    epochs: int
    seed: int
    folder: pathlib.Path
    share: float = 1.0
    test: bool = True

    def words(self):
        """The words after `python -m mixer_lib`."""
        changes = [f"--set={field}={write_value(value)}" for field, value in self.changes.items()]
        recipe = [f"--recipe={self.recipe}"] if self.recipe else []
        data = [f"--dataset={self.dataset}", *([f"--data={self.data}"] if self.data else [])]
        asked = [f"--preset={self.model}", *recipe, *changes, *data, f"--epochs={self.epochs}", f"--seed={self.seed}"]
        asked += [f"--share={self.share}"] if self.share != 1 else []
        asked += [] if self.test else ["--no-test"]
        return ["train", *asked, f"--name={self.group}", f"--run-dir={self.folder}"]

    def config_for(self, dataset):
        """(config, recipe) for a data set's number of classes."""
        config, recipe = choose(self.model, self.recipe, self.changes)
        return dataclasses.replace(config, num_classes=len(dataset.class_names)), recipe

    def card(self, dataset):
        """The card, if the run is finished; ValueError if its folder holds another run, or the data don't fit."""
        config, recipe = self.config_for(dataset)
        request = RunRequest(self.group, config, recipe, dataset, self.epochs, self.seed, "")
        execution = Execution(batch_size=recipe.batch_size, steps=request.steps, config=config)
        return completed_card(RunFolder(self.folder), request.identity(execution.identity), self.epochs)

    def rows(self):
        """The finished epochs, as history.csv has them."""
        try:
            with open(self.folder / "history.csv", newline="", encoding="utf-8") as file:
                return list(csv.DictReader(file))
        except (FileNotFoundError, NotADirectoryError):
            return []
