"""Judge a model: loss, top-1 and top-5 on labelled images, and the best guesses for any picture."""

import numbers
import pathlib

import numpy as np

from .pictures import PICTURE_SUFFIXES, read_picture

BATCH = 500


def logits_of(model, images, batch_size=BATCH):
    """(N, num_classes) float32 logits; the last batch is filled up, so that one compiled shape serves all.

    Another batch size, or a picture by itself, gives the same to about 1e-5 of the largest logit: sums are taken in
    another order.
    """
    parts = []
    for start in range(0, len(images), batch_size):
        batch = images[start : start + batch_size]
        missing = batch_size - len(batch) if len(images) > batch_size else 0
        if missing:
            batch = np.concatenate([batch, np.repeat(batch[-1:], missing, axis=0)])
        logits = np.asarray(model.predict_on_batch(batch), "float32")
        parts.append(logits[: len(logits) - missing])
    return np.concatenate(parts)


def scores(logits, labels):
    """Mean cross-entropy, top-1 and top-5 of (N, num_classes) logits against (N,) labels."""
    logits = np.asarray(logits, "float64")
    right = logits[np.arange(len(labels)), labels]
    largest = logits.max(axis=1)
    with np.errstate(invalid="ignore"):  # logits that are no numbers give a loss that is none
        loss = largest + np.log(np.exp(logits - largest[:, None]).sum(axis=1)) - right
    better = (logits > right[:, None]).sum(axis=1)  # how many classes were preferred to the right one
    finite = np.isfinite(logits).all(axis=1)  # NaN compares as false: it must not count as a hit
    return {
        "loss": float(loss.mean()),
        "top1": float(((better < 1) & finite).mean()),
        "top5": float(((better < 5) & finite).mean()),
    }


def evaluate(model, images, labels):
    """Loss, top-1 and top-5 of a model.

    Args:
        model: a classifier that gives logits.
        images: (N, H, W, 3), 0-255.
        labels: (N,) class numbers.

    Returns:
        {"loss": mean cross-entropy in nats, "top1": fraction, "top5": fraction}.

    Raises:
        ValueError: if there are no images, or not one label for each.
    """
    labels = np.asarray(labels).reshape(-1)
    if len(images) == 0 or len(images) != len(labels):
        raise ValueError(
            f"evaluate needs images and one label for each. Received: {len(images)} images and {len(labels)} labels."
        )
    classes = model.output_shape[-1]
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(
            f"Labels must be from 0 to {classes - 1} for this model of {classes} classes. "
            f"Received labels from {labels.min()} to {labels.max()}: is this the data set the model was made for?"
        )
    return scores(logits_of(model, images), labels)


def probabilities(logits):
    """Softmax along the last axis."""
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def _as_images(images, side):
    """An array (N, H, W, 3) and a name for each picture."""
    if isinstance(images, (str, pathlib.Path)):
        path = pathlib.Path(images)
        if path.is_dir():
            images = sorted(p for p in path.iterdir() if p.suffix.lower() in PICTURE_SUFFIXES)
            if not images:
                raise ValueError(f"{path} holds no pictures: {', '.join(sorted(PICTURE_SUFFIXES))} are read.")
        else:
            images = [path]
    if isinstance(images, (list, tuple)) and images and isinstance(images[0], (str, pathlib.Path)):
        return np.stack([read_picture(path, side) for path in images])
    array = np.asarray(images)
    if array.ndim == 3:
        array = array[None]
    if array.ndim != 4 or array.shape[1:] != (side, side, 3) or len(array) == 0:
        raise ValueError(
            f"predict takes pictures as an array (N, {side}, {side}, 3) with values 0-255, a file, a list of files, or "
            f"a folder of them. Received: an array of shape {array.shape}."
        )
    return array


def predict(model, images, k=5, class_names=None):
    """The k most probable classes for each picture.

    Args:
        model: a classifier that gives logits.
        images: (N, H, W, 3) or (H, W, 3), 0-255; or a picture file, a list of them, or a folder. Files are cut to
            their central square and resized.
        k: how many classes to give.
        class_names: names to give instead of class numbers.

    Returns:
        For each picture a list of k pairs (class, probability), most probable first.

    Raises:
        ValueError: if k is not from 1 to the number of classes, or a picture can't be read.
    """
    classes = model.output_shape[-1]
    if isinstance(k, bool) or not isinstance(k, numbers.Integral) or not 1 <= k <= classes:
        raise ValueError(f"k must be a whole number from 1 to {classes}, the number of classes. Received: {k!r}.")
    names = range(classes) if class_names is None else class_names
    if len(names) != classes:
        raise ValueError(f"class_names must name all {classes} classes. Received: {len(names)} names.")
    chances = probabilities(logits_of(model, _as_images(images, model.input_shape[1])))
    best = np.argsort(-chances, axis=1, kind="stable")[:, :k]
    return [[(names[c], float(row[c])) for c in order] for order, row in zip(best, chances, strict=True)]
