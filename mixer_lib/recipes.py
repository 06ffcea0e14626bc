"""Recipes: how a model is trained, as values."""

import dataclasses

from .checks import pixels, positive_integer, yes_or_no
from .optimizers import adamw, check_rates, keras_adamw


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
        shift: pixels by which training moves each picture at most, along each axis, besides mirror and zoom.
    """

    learning_rate: float = 0.005
    weight_decay: float = 0.0001
    decay_follows_lr: bool = False
    batch_size: int = 128
    schedule: str = "plateau"
    lr_patience: int = 5
    stop_patience: int | None = 10
    shift: float = 0.0

    def __post_init__(self):
        if self.schedule not in ("plateau", "cosine"):
            raise ValueError(f'schedule must be "plateau" or "cosine". Received: {self.schedule!r}.')
        yes_or_no("decay_follows_lr", self.decay_follows_lr, " The article has False.")
        check_rates(self.learning_rate, self.weight_decay, self.decay_follows_lr)
        for name in ("learning_rate", "weight_decay"):
            object.__setattr__(self, name, float(getattr(self, name)))  # a plain number, which a card can hold
        object.__setattr__(self, "shift", pixels("shift", self.shift, " The article has 0."))
        for name, article in (("batch_size", 128), ("lr_patience", 5), ("stop_patience", 10)):
            value = getattr(self, name)
            if name != "stop_patience" or value is not None:
                object.__setattr__(self, name, positive_integer(name, value, f" The article has {article}."))

    def optimizer(self):
        """The optimizer that this recipe asks for."""
        make = keras_adamw if self.decay_follows_lr else adamw
        return make(self.learning_rate, self.weight_decay)


def check_recipe(recipe):
    """Refuse what is no `Recipe`."""
    if not isinstance(recipe, Recipe):
        raise ValueError(f"recipe must be a Recipe, such as RECIPES['article'], or left out. Received: {recipe!r}.")


RECIPES = {
    "article": Recipe(),
    # What closes the gap to the article's claim: pictures that move, a decay that shrinks with the learning rate (as
    # strong as the article's at first), and a learning rate that ends at zero. With half the dropout: PRESETS.
    "article-plus": Recipe(
        weight_decay=0.0001 / 0.005, decay_follows_lr=True, schedule="cosine", stop_patience=None, shift=4
    ),
}
