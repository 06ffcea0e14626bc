"""A data set made by hand, checked before it is trained on."""

import numpy as np


def checked_dataset(dataset):
    """The same `Dataset`, if it is one that can be trained on; its arrays may be the reader's own.

    Raises:
        ValueError: naming the array and the rule: uint8 (N, side, side, 3) pictures, integer (N,) labels from 0 up to
            the number of class names less one, two classes and two training pictures at least.
    """
    classes = len(dataset.class_names)
    if classes < 2 or len(set(dataset.class_names)) < classes:
        raise ValueError(f"class_names must name at least 2 classes, each once. Received: {dataset.class_names!r}.")
    for part, least in (("train", 2), ("test", 1)):
        _check_pictures(f"x_{part}", getattr(dataset, f"x_{part}"), least)
        _check_labels(f"y_{part}", getattr(dataset, f"y_{part}"), len(getattr(dataset, f"x_{part}")), classes)
    if dataset.x_train.shape[1:] != dataset.x_test.shape[1:]:
        sizes = f"{dataset.x_train.shape[1:]} and {dataset.x_test.shape[1:]}"
        raise ValueError(f"x_train and x_test must hold pictures of one size. Received: {sizes}. Resize one of them.")
    return dataset


def _check_pictures(name, pictures, least):
    if not isinstance(pictures, np.ndarray) or pictures.ndim != 4 or pictures.shape[-1] != 3 or len(pictures) < least:
        shape = getattr(pictures, "shape", type(pictures).__name__)
        raise ValueError(
            f"{name} must be a NumPy array (N, height, width, 3) of at least {least} pictures in colour. Received: "
            f"{shape}. Grey pictures: np.repeat(pictures[..., None], 3, axis=-1)."
        )
    if pictures.shape[1] != pictures.shape[2]:
        raise ValueError(f"{name} must hold square pictures. Received: {pictures.shape}. Cut or resize them.")
    if pictures.dtype != np.uint8:
        raise ValueError(
            f"{name} must be uint8, with values from 0 to 255. Received: {pictures.dtype}, from {pictures.min():.4g} "
            f"to {pictures.max():.4g}. Values from 0 to 1: (pictures * 255).round().astype('uint8')."
        )


def _check_labels(name, labels, count, classes):
    if not isinstance(labels, np.ndarray) or labels.shape != (count,) or labels.dtype.kind not in "iu":
        found = f"{labels.dtype} {labels.shape}" if isinstance(labels, np.ndarray) else type(labels).__name__
        raise ValueError(
            f"{name} must be a NumPy array of whole numbers, one for each of the {count} pictures. Received: {found}. "
            f"One-hot labels: labels.argmax(axis=1)."
        )
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        raise ValueError(
            f"{name} must be from 0 to {classes - 1}, the places in class_names. Received: {labels[wrong[0]]} for "
            f"picture {wrong[0]}. Number the classes from 0, or add the missing name."
        )
