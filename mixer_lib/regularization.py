"""Mixup, CutMix, random erasing and label smoothing: a batch as NumPy arrays, before it reaches the device."""

import numpy as np

ERASED_AREA, ERASED_ASPECT = (0.02, 0.33), (0.3, 3.3)  # of a box, as in Zhong et al. 2020


def _boxes(size, areas, aspects, draw):
    """(B, H, W) booleans: for each image a box of that share of its area and that ratio of height to width."""
    height, width = size
    tall, wide = height * np.sqrt(areas * aspects), width * np.sqrt(areas / aspects)
    inside = []
    for length, side in ((tall, height), (wide, width)):
        center = draw.uniform(0, side, len(areas))
        pixel = np.arange(side) + 0.5
        inside.append(np.abs(pixel - center[:, None]) < length[:, None] / 2)  # cut off at the picture's edges
    return inside[0][:, :, None] & inside[1][:, None, :]


def erase(images, share, draw):
    """Images of which a `share` has a box of random pixels: uint8 (B, H, W, 3)."""
    count = len(images)
    aspects = np.exp(draw.uniform(*np.log(ERASED_ASPECT), count))
    box = _boxes(images.shape[1:3], draw.uniform(*ERASED_AREA, count), aspects, draw)
    box &= (draw.random(count) < share)[:, None, None]
    return np.where(box[..., None], draw.integers(0, 256, images.shape, "uint8"), images)


def mix(images, targets, mixup, cutmix, draw):
    """Blend a share `mixup` of the images with another of the batch, and give a share `cutmix` a box of another.

    Both have a weight uniform in [0, 1], as in the papers' experiments on CIFAR. Targets (B, num_classes) are mixed by
    the same weights, for CutMix by the area that the box covers within the picture. Returns uint8 images and targets.
    """
    count, size = len(images), images.shape[1:3]
    other, which, weight = draw.permutation(count), draw.random(count), draw.random(count)
    box = _boxes(size, np.where(which < cutmix, weight, 0.0), np.ones(count), draw)
    share = np.where(which < cutmix, 0.0, np.where(which < cutmix + mixup, weight, 0.0))  # that comes from the other
    share = np.where(box, 1.0, share[:, None, None]).astype("float32")  # (B, H, W)
    mixed = images + share[..., None] * (images[other].astype("float32") - images)
    share = share.mean(axis=(1, 2))[:, None]
    return np.rint(mixed).astype("uint8"), (1 - share) * targets + share * targets[other]


def make_batch(recipe, classes, draw):
    """A function (images, labels) -> what a training step gets; labels stay class numbers if nothing mixes them."""

    def batch(images, labels):
        if recipe.soft_labels:
            labels = np.eye(classes, dtype="float32")[labels]
        if recipe.mixup or recipe.cutmix:
            images, labels = mix(images, labels, recipe.mixup, recipe.cutmix, draw)
        if recipe.label_smoothing:
            labels = (1 - recipe.label_smoothing) * labels + np.float32(recipe.label_smoothing / classes)
        if recipe.erasing:
            images = erase(images, recipe.erasing, draw)
        return images, labels

    return batch
