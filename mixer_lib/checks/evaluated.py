"""What is evaluated: a model, labels for its classes, their names, what it gives; with advice that fits."""

import warnings

import numpy as np

from .arrays import LOAD


def check_model(model):
    """ValueError unless it is a classifier: one table of logits from images."""
    if isinstance(model, tuple) and model and hasattr(model[0], "predict_on_batch"):
        raise ValueError("model must be a model alone. Received: a tuple. Take its first: `model[0]`.")
    shape = getattr(model, "output_shape", None)
    if not hasattr(model, "predict_on_batch") or not isinstance(shape, tuple) or len(shape) != 2:
        given = f"a model of output {shape}" if hasattr(model, "predict_on_batch") else repr(model)
        hint = "Take one from load_pretrained, load_run or build_classifier"
        raise ValueError(f"model must be a classifier, with logits (N, classes). Received: {given}. {hint}.")


def names_of_classes(class_names, classes):
    """A list of one name for each class; ValueError for another number, a name twice, one text, or no order."""
    if isinstance(class_names, (str, set, frozenset, dict)):
        hint = "Give a list, in the order of the class numbers"
        raise ValueError(f"class_names must name all {classes} classes. Received: {class_names!r}. {hint}.")
    names = list(class_names)
    if len(names) != classes:
        raise ValueError(f"class_names must name all {classes} classes. Received: {len(names)} names.")
    if len(set(map(str, names))) < classes:
        twice = next(name for name in names if list(map(str, names)).count(str(name)) > 1)
        raise ValueError(f"class_names must name each class once. Received: {twice!r} twice.")
    return names


def class_numbers(labels, count, classes):
    """(count,) int64 class numbers from labels that may be whole floats, a column or one-hot rows.

    ValueError if there is not one label for each of `count` images, or it is no whole number from 0 to classes - 1.
    """
    array = np.asarray(labels)
    rule = f"Labels must be whole numbers from 0 to {classes - 1}, or one-hot rows of {classes}"
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{rule}. Received: {_kind(labels, array)}. {_conversion(array)}")
    if array.shape == (count, classes) and classes > 1:
        if not (np.isin(array, (0, 1)).all() and (array.sum(axis=1) == 1).all()):
            raise ValueError(
                f"{rule}: one 1 in each, all else 0. Received rows that are not. If the largest number of each is the "
                "class: `labels.argmax(axis=1)`."
            )
        array = array.argmax(axis=1)
    fits = array.shape in ((count,), (count, 1)) or (array.ndim == 0 and count == 1)
    if count == 0 or not fits:
        shape = f"{len(array)} labels" if array.ndim == 1 else f"labels {array.shape}"
        raise ValueError(f"One label for each image is needed. Received: {count} images and {shape}.")
    array = array.reshape(-1)
    if array.dtype.kind == "b" and classes > 2:
        raise ValueError(f"{rule}. Received: bool. If they mean classes 0 and 1: `labels.astype('int64')`.")
    wrong = array[~(np.isfinite(array) & (array == np.floor(array)))] if array.dtype.kind == "f" else ()
    if len(wrong):
        raise ValueError(f"{rule}. Received: {wrong[0]}.")
    low, high = array.min(), array.max()
    if (low, high) == (1, classes):
        raise ValueError(f"{rule}. Received labels from 1 to {classes}, counted from 1: `labels - 1`.")
    if low < 0 or high >= classes:
        raise ValueError(
            f"Labels must be from 0 to {classes - 1} for this model of {classes} classes. Received labels from {low} "
            f"to {high}: is this the data set the model was made for?"
        )
    return array.astype("int64")


def _kind(labels, array):
    """What was received, in words."""
    return type(labels).__name__ if array.dtype == object and array.ndim == 0 else str(array.dtype)


def _conversion(array):
    """What to do with labels that are no numbers."""
    if array.ndim == 0:
        return LOAD if array.dtype.kind in "US" else "Give one class number for each image."
    if array.dtype == object and all(isinstance(label, (int, np.integer)) for label in array.flat):
        return "Use `labels.astype('int64')`."
    if all(isinstance(label, (str, bytes)) for label in array.flat):
        return "Use the place of each name: `np.array([list(class_names).index(label) for label in labels])`."
    return "Give one class number for each image."


def check_outputs(outputs, finite=False):
    """The (N, classes) outputs; a warning if they are probabilities, with `finite` ValueError for NaN and infinity."""
    broken = np.flatnonzero(~np.isfinite(outputs).all(axis=1))
    if finite and len(broken):
        raise ValueError(
            f"The model's logits for picture {broken[0]} are NaN or infinite: its weights are damaged, or its training "
            "diverged. Load it again, or train with a lower learning rate."
        )
    if outputs.min() >= 0 and np.allclose(outputs.sum(axis=1), 1, atol=1e-3) and len(np.unique(outputs)) > 1:
        warnings.warn(
            "The model seems to give probabilities, and logits are expected: loss and probabilities are wrong. Leave "
            "its softmax out.",
            stacklevel=3,
        )
    return outputs
