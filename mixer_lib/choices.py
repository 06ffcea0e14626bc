"""What the commands are asked for by name: a model, a recipe, some of their fields set, a data set."""

import ast
import contextlib
import dataclasses
import math

import numpy as np

from .classifier import PRESETS
from .data import LOADERS, SIDE, Dataset, dataset_from_folder, load_dataset
from .datasets.naming import folder_named
from .models.family import FAMILY
from .recipe import RECIPES
from .validation import fraction

MODELS = {**PRESETS, **FAMILY}  # presets, which name their recipe, and the models of chapter 9
OF_DATA = "num_classes"  # no field to set: the data decide
WORDS = {"true": True, "false": False, "none": None}


def choose(model, recipe=None, changes=None):
    """(config, recipe) of a model's and a recipe's names, with fields of either set to other values.

    Args:
        model: a preset, or a model of chapter 9.
        recipe: a name of `RECIPES`; if left out, the preset's, or the article's.
        changes: {field of the model or of the recipe: value}.

    ValueError for an unknown name or field, or for a value that a field does not take.
    """
    for kind, name, known in (("model", model, MODELS), ("recipe", recipe or "article", RECIPES)):
        if name not in known:
            raise ValueError(f"There is no {kind} {name!r}. Choose one of {', '.join(known)}.")
    config, changes = MODELS[model], changes or {}
    recipe = RECIPES[recipe or getattr(config, "recipe", "article")]
    config = getattr(config, "model", config)
    of_model, of_recipe = (
        [field.name for field in dataclasses.fields(part) if field.name != OF_DATA] for part in (config, recipe)
    )
    for name in changes:
        if name not in (*of_model, *of_recipe):
            raise ValueError(
                f"There is no field {name!r} to set. A recipe has {', '.join(of_recipe)}; the model {model} has "
                f"{', '.join(of_model)}."
            )
    parts = [{name: value for name, value in changes.items() if name in known} for known in (of_model, of_recipe)]
    return _replace(config, parts[0]), _replace(recipe, parts[1])


def _replace(part: object, changes) -> object:
    """A config or `Recipe` with other values, which it checks; a field of text takes nothing else."""
    for field in dataclasses.fields(part):
        if field.type is str and not isinstance(changes.get(field.name, ""), str):
            raise ValueError(f"{field.name} must be text. Received: {changes[field.name]!r}.")
    return dataclasses.replace(part, **changes)


def read_value(text):
    """The value that a word stands for: true, false, none, a number, else the word itself."""
    if text.lower() in WORDS:
        return WORDS[text.lower()]
    with contextlib.suppress(ValueError, SyntaxError):
        value = ast.literal_eval(text)
        return value if isinstance(value, (int, float)) else text
    return text


def read_changes(pairs):
    """{field: value} of words FIELD=VALUE; ValueError for a word without =."""
    changes = {}
    for pair in pairs:
        field, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"--set takes FIELD=VALUE, such as learning_rate=0.002. Received: {pair!r}.")
        changes[field] = read_value(value)
    return changes


def write_value(value):
    """The word that `read_value` reads as this value."""
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def label(model, recipe=None, changes=None, share=1):
    """A name for what is asked for, such as article-learning_rate=0.002."""
    changed = {**(changes or {}), **({} if share == 1 else {"share": share})}
    changed = [f"{field}={write_value(value)}" for field, value in changed.items()]
    return "-".join([model, *filter(None, [recipe]), *changed])


def load_data(name, data_dir, image_size, what):
    """A `Dataset` by its name, or of a folder of pictures by class; ValueError where `what` is for another size."""
    if folder := folder_named(name, LOADERS):
        return dataset_from_folder(folder, image_size)
    if name in LOADERS and image_size != SIDE:
        raise ValueError(
            f"{what} has image_size={image_size}, and every data set has pictures of {SIDE}x{SIDE}. "
            "Use --preset article, or give mixer_lib.train a MixerConfig of your own."
        )
    return load_dataset(name, data_dir)


def with_share(dataset: Dataset, share: float) -> Dataset:
    """The data with a random share of the images to train on, always the same; those to validate and test stay.

    ValueError unless `share` is a fraction that leaves an image.
    """
    if share == 1:
        return dataset
    (images, _), (held, _) = dataset.validation_split()
    count, kept = len(images), math.floor(fraction("share", share) * len(images))
    if not kept:
        raise ValueError(f"share={share!r} of {count:,} images leaves none to train on. A tenth is 0.1.")
    drawn = np.sort(np.random.default_rng(0).permutation(count)[:kept])
    chosen = np.concatenate([drawn, np.arange(count, len(dataset.x_train))])
    parts = {name: getattr(dataset, name) for name in ("x_train", "y_train", "coarse_train")}
    parts = {name: None if part is None else part[chosen] for name, part in parts.items()}
    return dataclasses.replace(dataset, **parts, validation_count=len(held), fingerprint="")


def without_test(dataset: Dataset) -> Dataset:
    """The data for a search: the validation images stand in for the test set, which stays unseen."""
    images, labels = dataset.validation_split()[1]
    name, unseen = f"{dataset.name}-validation", {"coarse_test": None, "fingerprint": ""}
    return dataclasses.replace(dataset, name=name, x_test=images, y_test=labels, **unseen)
