"""What a run asks for: checked before any work, compared when it continues, written on its card."""

import dataclasses
import json
import math
import numbers

import keras

from ..checks.split import check_split
from ..compat import backend_name

MAX_EPOCHS, MAX_SEED = 2**63 - 1, 2**31 - 1


def check_epochs(epochs, hint="The article has 100."):
    """`epochs` as an int; ValueError unless it is a whole number of at least 1."""
    if isinstance(epochs, bool) or not isinstance(epochs, numbers.Integral) or not 1 <= epochs <= MAX_EPOCHS:
        raise ValueError(f"epochs must be a whole number of at least 1. Received: {epochs!r}. {hint}")
    return int(epochs)


def check_seed(seed, hint="The published run has 0."):
    """`seed` as an int; ValueError unless it is a whole number that every random generator takes."""
    if isinstance(seed, bool) or not isinstance(seed, numbers.Integral) or not 0 <= seed <= MAX_SEED:
        raise ValueError(f"seed must be a whole number from 0 to {MAX_SEED}. Received: {seed!r}. {hint}")
    return int(seed)


@dataclasses.dataclass(frozen=True)
class RunRequest:
    """A model, a recipe, data and a seed; ValueError, naming the value, unless they go together."""

    name: str
    config: object
    recipe: object
    dataset: object
    epochs: int
    seed: int
    command: str

    def __post_init__(self):
        object.__setattr__(self, "epochs", check_epochs(self.epochs))
        object.__setattr__(self, "seed", check_seed(self.seed))
        for name, value in (("name", self.name), ("command", self.command)):
            if not isinstance(value, str):  # or the card couldn't be read back
                raise ValueError(f"{name} must be text. Received: {value!r}. Put it in quotes, or leave it out.")
        config, data = self.config, self.dataset
        classes, side = len(data.class_names), data.x_train.shape[1:3]
        if config.num_classes != classes:
            raise ValueError(f"The config has num_classes={config.num_classes}, but {data.name} has {classes} classes.")
        if side != (config.image_size, config.image_size):
            raise ValueError(f"The config has image_size={config.image_size}, but {data.name} has pictures of {side}.")
        if 2 * self.recipe.shift > config.image_size:
            shift = f"shift={self.recipe.shift}"
            raise ValueError(f"The recipe has {shift}, but pictures of {side} move by half a side at most.")
        self.recipe.check_keras()
        check_split(data)

    @property
    def steps(self):
        """Steps in an epoch."""
        return math.ceil(len(self.dataset.validation_split()[0][0]) / self.recipe.batch_size)

    def identity(self, execution):
        """What makes a run this one; `execution` is the part that says how a step is computed."""
        identity = {
            "config": as_json(self.config),
            "recipe": as_json(self.recipe),
            "dataset": self.dataset.name,
            "data_fingerprint": self.dataset.fingerprint,
            "seed": self.seed,
            "keras": keras.__version__,
            "backend": backend_name(),
            **execution,
        }
        if self.recipe.schedule == "cosine":
            identity["epochs"] = self.epochs  # the schedule depends on it
        return identity

    def card_fields(self):
        """The fields of the card that are known before training."""
        return {
            "preset": self.name,
            "config": as_json(self.config),
            "recipe": as_json(self.recipe),
            "dataset": self.dataset.name,
            "data_fingerprint": self.dataset.fingerprint,
            "seed": self.seed,
            "epochs_asked": self.epochs,
            "command": self.command,
            "class_names": [str(name) for name in self.dataset.class_names],
        }


def as_json(settings):
    """The fields of a dataclass as a JSON file gives them back: a tuple becomes a list."""
    return json.loads(json.dumps(dataclasses.asdict(settings)))
