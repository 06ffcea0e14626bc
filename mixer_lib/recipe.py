"""How a model is trained, as values: optimizer, schedule, augmentation, regularization."""

import dataclasses
import math
import warnings

import keras

from . import optimizers
from .augmentation import Augment
from .compat import KERAS_3
from .validation import check_fields, check_rates, fraction, one_of, pixels

SCHEDULES, OPTIMIZERS = ("plateau", "cosine"), ("adamw", "muon")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a model is trained; the defaults are the article's. ValueError for an invalid field, naming it.

    Attributes:
        learning_rate: the first one; `schedule` changes it.
        weight_decay: fraction of each weight that a step removes.
        decay_follows_lr: multiply the decay by the learning rate, as Keras does and tensorflow-addons doesn't.
        batch_size: images in a step; the last step of an epoch takes the remainder.
        schedule: "plateau" halves the learning rate after `lr_patience` epochs without a better validation loss;
            "cosine" takes it from its first value to 0 along half a cosine.
        lr_patience, stop_patience: see schedule; training stops after `stop_patience` such epochs, or never if None.
        mirror, zoom, shift: the augmentation, see `Augment`.
        optimizer: "adamw", or "muon", whose decay always follows the learning rate (see `optimizers.muon`).
        warmup: fraction of the training in which the learning rate rises linearly from 0 ("cosine" only).
        label_smoothing: probability that a target spreads evenly over all classes (Szegedy et al. 2016).
        mixup: fraction of the images that are blended with another (Zhang et al. 2018).
        cutmix: fraction of the images that get a box of another (Yun et al. 2019).
        erasing: fraction of the images that get a box of noise (Zhong et al. 2020).
        ema: momentum of a moving average of the weights, evaluated and saved in place of them; 0 for none.
    """

    learning_rate: float = 0.005
    weight_decay: float = 0.0001
    decay_follows_lr: bool = False
    batch_size: int = 128
    schedule: str = "plateau"
    lr_patience: int = 5
    stop_patience: int | None = 10
    mirror: bool = True
    zoom: float = 0.2
    shift: float = 0.0
    optimizer: str = "adamw"
    warmup: float = 0.0
    label_smoothing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    erasing: float = 0.0
    ema: float = 0.0

    def __post_init__(self):
        one_of("schedule", self.schedule, SCHEDULES)
        one_of("optimizer", self.optimizer, OPTIMIZERS)
        check_rates(self.learning_rate, self.weight_decay, self.decay_follows_lr)
        rates = dict.fromkeys(("learning_rate", "weight_decay"), lambda name, value, hint: float(value))
        shares = dict.fromkeys(("mixup", "cutmix", "erasing"), fraction)
        check_fields(self, dataclasses.fields(self), shift=pixels, **rates, **shares)
        if self.mixup + self.cutmix > 1:
            raise ValueError(
                f"mixup + cutmix must be at most 1: an image gets one. Received: {self.mixup, self.cutmix}."
            )
        if self.schedule == "plateau" and self.stop_patience and self.stop_patience <= self.lr_patience:
            patience = f"stop_patience={self.stop_patience} and lr_patience={self.lr_patience}"
            never = "training stops before the learning rate can fall. Let stop_patience be the larger one."
            warnings.warn(f"With {patience}, {never}", stacklevel=3)
        if self.warmup and self.schedule != "cosine":
            raise ValueError(f'warmup needs schedule="cosine". Received: {self.warmup} with {self.schedule!r}.')
        if self.optimizer == "muon" and not self.decay_follows_lr:
            raise ValueError('optimizer="muon" needs decay_follows_lr=True: Keras\'s Muon decays no other way.')

    def check_keras(self):
        """ValueError if this Keras can't train by it."""
        if not KERAS_3 and (self.optimizer == "muon" or self.ema):
            raise ValueError(f"Muon and ema need Keras 3 (Python 3.12 or newer); this is Keras {keras.__version__}.")

    def make_optimizer(self) -> keras.optimizers.Optimizer:
        self.check_keras()
        kinds = {"adamw": optimizers.keras_adamw if self.decay_follows_lr else optimizers.adamw}
        optimizer = {**kinds, "muon": optimizers.muon}[self.optimizer](self.learning_rate, self.weight_decay)
        if self.ema:
            optimizer.use_ema, optimizer.ema_momentum = True, self.ema
        return optimizer

    def make_augmentation(self) -> Augment:
        return Augment(self.zoom, self.shift, self.mirror, name="augment", dtype="float32")

    @property
    def soft_labels(self) -> bool:
        """Whether targets are probabilities (B, num_classes) and not class numbers (B,)."""
        return any((self.label_smoothing, self.mixup, self.cutmix))

    def make_loss(self, num_classes: int = 5) -> tuple[keras.losses.Loss, list]:
        """The cross-entropy, and top-1 and top-5 (of fewer classes, all) under the names "acc" and "top5-acc"."""
        losses, metrics, k = keras.losses, keras.metrics, min(5, num_classes)
        if self.soft_labels:
            top5 = metrics.TopKCategoricalAccuracy(k, name="top5-acc")
            return losses.CategoricalCrossentropy(from_logits=True), ["acc", top5]
        top5 = metrics.SparseTopKCategoricalAccuracy(k, name="top5-acc")
        return losses.SparseCategoricalCrossentropy(from_logits=True), ["acc", top5]

    def cosine(self, done: float) -> float:
        """The learning rate of the cosine schedule when a fraction `done` of the training is over."""
        if done < self.warmup:
            return self.learning_rate * done / self.warmup
        return self.learning_rate * (1 + math.cos(math.pi * (done - self.warmup) / (1 - self.warmup))) / 2


RECIPES = {
    "article": Recipe(),
    # shifts, a decay that shrinks with the learning rate (as strong as the article's at first), a rate that ends at 0
    "article-plus": Recipe(
        0.005, 0.0001 / 0.005, decay_follows_lr=True, schedule="cosine", stop_patience=None, shift=4
    ),
    # Muon, and against the overfitting that it brings: mixed pictures, smoothed labels (sweeps/best.toml)
    "article-best": Recipe(
        0.02, 0.05, decay_follows_lr=True, schedule="cosine", stop_patience=None, zoom=0.1, shift=4, optimizer="muon",
        warmup=0.05, label_smoothing=0.1, mixup=0.2, cutmix=0.3, ema=0.995,
    ),
}  # fmt: skip
