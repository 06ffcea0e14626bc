"""Trained models with their cards: the published ones by name, a run of one's own by its folder."""

import dataclasses
import math
import os

import keras

from ..classifier import build_classifier
from ..compat import first_weights, standard_settings
from ..datasets.class_names import CLASS_NAMES
from ..runs.card import RunResult
from ..runs.files import sha256_of
from ..runs.recorded import PRETRAINED
from ..validation import user_path
from .enlarge import enlarge
from .family import FAMILY

FAMILIES = tuple(type(config) for config in FAMILY.values())  # each with fields of its own; ResMLP before ViT


def load_pretrained(name: str = "article", image_size: int | None = None) -> tuple[keras.Model, RunResult]:
    """A published model, one of the files in mixer_lib/pretrained ("article", "article-digits" ...), with its card.

    Returns (model, card): a `keras.Model` that gives logits, and its `RunResult`, with the names of its classes.
    `image_size`: for larger pictures, see `models.enlarge`. Raises ValueError if there is no such model, or its weights
    don't match the card.
    """
    names = sorted(path.stem for path in PRETRAINED.glob("*.json"))
    if name not in names:
        raise ValueError(f"There is no published model {name!r}. Choose one of {', '.join(names)}.")
    card, weights = PRETRAINED / f"{name}.json", PRETRAINED / f"{name}.weights.h5"
    return _load(card, weights, image_size, "from the repository again")


def load_run(folder: str | os.PathLike, image_size: int | None = None) -> tuple[keras.Model, RunResult]:
    """The model of a finished run, with the weights of its best epoch, and its card; as `load_pretrained`.

    Raises ValueError if the folder holds no finished run, or its weights don't match the card.
    """
    folder = user_path(folder)
    if not (folder / "card.json").is_file():
        unfinished = (folder / "checkpoint.npz").is_file()
        reason = "an unfinished run: the call of `train` that began it continues it" if unfinished else "no run"
        raise ValueError(f"{folder} holds {reason}. load_run takes the run_dir of a finished `train`.")
    return _load(folder / "card.json", folder / "best.weights.h5", image_size, "from the machine that trained it again")


def load_model(name_or_folder, image_size=None):
    """A run by its folder or a published model by its name, whichever there is; a folder comes first."""
    if user_path(name_or_folder).is_dir():
        return load_run(name_or_folder, image_size)
    try:
        return load_pretrained(str(name_or_folder), image_size)
    except ValueError as error:
        if "no published model" not in str(error):
            raise
        raise ValueError(f"{name_or_folder} is neither a run folder nor a published model. {error}") from error


def _load(card_file, weights, image_size, again):
    card = RunResult.load(card_file)
    if not weights.exists() or sha256_of(weights) != card.weights_sha256:
        reason = "is missing or its SHA-256 differs from the card's: it is damaged or was replaced"
        raise ValueError(f"{weights.name} {reason}. Take it {again}.")
    try:
        config = _config_of(card)
        with standard_settings(), first_weights(0):  # as it was tested, and no global generator is drawn from
            model = build_classifier(config)
        parameters = sum(math.prod(w.shape) for w in model.trainable_weights)
        if parameters != card.parameters:
            raise ValueError(f"its config makes {parameters:,} parameters, and it says {card.parameters:,}")
        model.load_weights(weights)
    except (KeyError, OSError, TypeError, ValueError) as error:
        reason = f"don't describe one model: {error}. Take both {again}."
        raise ValueError(f"{card_file.name} and {weights.name} {reason}") from error
    if image_size is not None:
        model, _ = enlarge(model, config, image_size)
    known = CLASS_NAMES.get(card.dataset, ())
    if not card.class_names and len(known) == config.num_classes:
        card = dataclasses.replace(card, class_names=list(known))
    return model, card


def _config_of(card):
    """The config of a card, of the family that has its fields."""
    for family in FAMILIES:
        if set(card.config) <= {field.name for field in dataclasses.fields(family)}:
            return family(**card.config)
    raise ValueError(f"no kind of model has the fields {', '.join(card.config)}")
