"""Evaluate a model and predict with it: loss, top-1, top-5, and the best guesses for any picture."""

import numbers
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .checks.evaluated import check_model, check_outputs, class_numbers, names_of_classes
from .compat import refresh_normalization
from .pictures.read import to_images

if TYPE_CHECKING:
    import keras

BATCH, USUAL_K = 500, 5


def compute_logits(model, images, batch_size=BATCH):
    """(N, num_classes) float32 logits, which the batch size changes by about 1e-5 of the largest.

    The last batch is padded, so that one compiled shape serves all.
    """
    refresh_normalization(model)
    parts = []
    for start in range(0, len(images), batch_size):
        batch = images[start : start + batch_size]
        missing = batch_size - len(batch) if len(images) > batch_size else 0
        if missing:
            batch = np.concatenate([batch, np.repeat(batch[-1:], missing, axis=0)])
        logits = np.asarray(model.predict_on_batch(batch), "float32")
        parts.append(logits[: len(logits) - missing])
    return np.concatenate(parts)


def rank_of_right(logits, labels):
    """(N,) how many classes are ahead of the right one, 0 for a hit, from (N, num_classes) logits and (N,) labels.

    A tie is no hit: a class of the same logit is ahead of the right one. With a logit that is not finite, all are.
    """
    logits = np.asarray(logits)
    right = logits[np.arange(len(labels)), labels]
    rank = (logits >= right[:, None]).sum(axis=1) - 1  # the right class itself is among them
    return np.where(np.isfinite(logits).all(axis=1), rank, logits.shape[1])


def score_logits(logits, labels):
    """Mean cross-entropy, top-1 and top-5 of (N, num_classes) logits against (N,) labels; see `rank_of_right`."""
    logits = np.asarray(logits, "float64")
    right = logits[np.arange(len(labels)), labels]
    largest = logits.max(axis=1)
    with np.errstate(invalid="ignore"):  # logits that are NaN give a loss that is NaN
        loss = largest + np.log(np.exp(logits - largest[:, None]).sum(axis=1)) - right
    rank = rank_of_right(logits, labels)
    return {
        "loss": float(loss.mean()),
        "top1": float((rank < 1).mean()),
        "top5": float((rank < min(5, logits.shape[1])).mean()),
    }


def evaluate(model: "keras.Model", images: Any, labels: Any) -> dict[str, float]:
    """Loss, top-1 and top-5 of a model.

    Args:
        model: a classifier that gives logits.
        images: (N, H, W, 3), 0-255; or what `predict` takes.
        labels: (N,) class numbers, also as whole floats, a column or one-hot rows.

    Returns {"loss": mean cross-entropy in nats, "top1": fraction, "top5": fraction}; a tie is no hit. Raises
    ValueError if there are no images, or not one label for each, or a label that the model has no class for. Warns
    unless values are 0-255.
    """
    check_model(model)
    images, _ = to_images(images, model.input_shape[1])
    labels = class_numbers(labels, len(images), model.output_shape[-1])
    return score_logits(check_outputs(compute_logits(model, images)), labels)


def softmax(logits):
    """Probabilities from logits, along the last axis."""
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


class Prediction(list):
    """The (class, probability) pairs of one picture, and the `file` it was read from, None for an array."""

    file = None


def predict(
    model: "keras.Model", images: Any, k: int = USUAL_K, class_names: Sequence | None = None
) -> list[Prediction]:
    """The k most probable classes for each picture.

    Args:
        model: a classifier that gives logits.
        images: (N, H, W, 3) or (H, W, 3), 0-255; or a picture file or PIL image, a list of them, or a folder. These are
            cropped to their central square and resized.
        k: how many classes to give; the usual 5 means all where a model has fewer.
        class_names: names to give instead of class numbers.

    Returns for each picture a list of k pairs (class, probability), most probable first, whose `file` is where the
    picture was read from. Raises ValueError if k is not from 1 to the number of classes, a picture can't be read or
    holds NaN or infinity; warns of values that are not 0-255, and of what in a folder is no picture.
    """
    check_model(model)
    classes = model.output_shape[-1]
    k = min(k, classes) if type(k) is int and k == USUAL_K else k
    if isinstance(k, bool) or not isinstance(k, numbers.Integral) or not 1 <= k <= classes:
        raise ValueError(f"k must be a whole number from 1 to {classes}, the number of classes. Received: {k!r}.")
    names = range(classes) if class_names is None else names_of_classes(class_names, classes)
    images, files = to_images(images, model.input_shape[1])
    probabilities = softmax(check_outputs(compute_logits(model, images), finite=True))
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    found = [
        Prediction((names[c], float(row[c])) for c in order) for order, row in zip(best, probabilities, strict=True)
    ]
    for prediction, file in zip(found, files, strict=True):
        prediction.file = file
    return found
