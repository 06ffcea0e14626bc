"""Whether training and validation see every class: a data set sorted by label loses one without a word."""

import numbers

import numpy as np

FEW, RARELY = 20, 1e-6


def class_names_of(dataset):
    """The class names of a `Dataset`; ValueError for anything else, such as a name or a pair of arrays."""
    if not hasattr(dataset, "validation_split"):
        hint = "Use load_dataset, dataset_from_folder, or Dataset(name, x_train, y_train, x_test, y_test, class_names)"
        raise ValueError(f"dataset must be a Dataset. Received: {type(dataset).__name__}. {hint}.")
    return dataset.class_names


def check_parts(dataset):
    """ValueError unless a `Dataset` has as many superclasses as images, and fewer validation images than images."""
    held, count = dataset.validation_count, len(dataset.x_train)
    if isinstance(held, bool) or not isinstance(held, numbers.Integral) or not 0 <= held < count:
        rule = f"a whole number from 0 (for a tenth) to {count - 1}"
        raise ValueError(f"validation_count must be {rule}, fewer than the training images. Received: {held!r}.")
    for name, labels, images in (
        ("coarse_train", dataset.coarse_train, dataset.x_train),
        ("coarse_test", dataset.coarse_test, dataset.x_test),
    ):
        names, shape = dataset.coarse_names, (len(images),)
        fits = labels is None or (
            names is not None and np.shape(labels) == shape and np.asarray(labels).dtype.kind in "iu"
        )
        if not fits or (labels is not None and not 0 <= np.min(labels) <= np.max(labels) < len(names)):
            rule = f"integer labels {shape} of coarse_names, one for each image, or None"
            raise ValueError(f"{name} must be {rule}. Received: {np.shape(labels)} and {names!r}.")


def check_split(dataset):
    """ValueError, with advice, if a class is tested or validated and never trained, or labels are in order."""
    (images, labels), (_, validation) = dataset.validation_split()
    names = dataset.class_names
    if not len(images):
        count = len(dataset.x_train)
        raise ValueError(f"{dataset.name} has {count} image to train on, and a tenth is to validate. Add images.")
    untrained = sorted(set(np.unique(dataset.y_test)) - set(np.unique(dataset.y_train)))
    if untrained:
        raise ValueError(
            f"{dataset.name} has test images of {_list(untrained, names)} and none to train on. Add images of it "
            "to x_train, or take its images out of x_test."
        )
    lost = sorted(set(np.unique(validation)) - set(np.unique(labels)))
    if lost:
        reason = f"all images of {_list(lost, names)} would be for validation, and none to train on"
    elif not getattr(dataset, "validation_count", 0) and (missing := _missing_by_order(dataset.y_train, validation)):
        reason = f"the images are in the order of their classes, and none of {_list(missing, names)} would be validated"
    else:
        return
    raise ValueError(
        f"{dataset.name}: the last tenth of the training images is the validation set; {reason}. Shuffle images and "
        f"labels together: `order = np.random.default_rng(0).permutation(len(x_train))`, then `x_train[order]` and "
        f"`y_train[order]`. A class of one or two images needs more of them."
    )


def _missing_by_order(labels, validation):
    """Classes that a shuffled validation set would almost surely hold, and this one doesn't."""
    classes, counts = np.unique(labels, return_counts=True)
    chance = (1 - counts / len(labels)) ** len(validation)
    sorted_by_class = np.count_nonzero(np.diff(labels)) == len(classes) - 1 and len(labels) >= FEW
    missing = ~np.isin(classes, validation) & (sorted_by_class | (chance < RARELY))
    return classes[missing].tolist()


def _list(labels, names):
    shown = ", ".join(repr(names[label]) for label in labels[:3])
    return ("class " if len(labels) == 1 else f"{len(labels)} classes, such as ") + shown
