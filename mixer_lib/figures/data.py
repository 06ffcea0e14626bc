"""Drawings of pictures and of what augmentation does to them."""

import matplotlib.pyplot as plt
import numpy as np

from .style import AMBER, BLUE, GREEN, INK, ORANGE, SKY, WIDTH, picture

PARTS = (SKY, AMBER, GREEN)  # of the data: to train on, to validate, to test; numbers are read on them


def picture_grid(images, titles, columns=4):
    """A grid of images (N, H, W, 3), each with a title of one or more lines."""
    rows, lines = -(-len(images) // columns), max(1 + title.count("\n") for title in titles)
    figure, axes = plt.subplots(rows, columns, figsize=(WIDTH, (WIDTH / columns + 0.3 * lines) * rows), squeeze=False)
    for ax in axes.flat[len(images) :]:
        ax.set_axis_off()
    for ax, image, title in zip(axes.flat, images, titles, strict=False):
        picture(ax, image, title)
    return figure


def colour_planes(image):
    """An image (H, W, 3) and its three planes of numbers, each drawn in its own colour."""
    figure, axes = plt.subplots(1, 4, figsize=(WIDTH, 2.3))
    picture(axes[0], image, "the image")
    for channel, name in enumerate(("red", "green", "blue")):
        plane = np.zeros_like(image)
        plane[..., channel] = image[..., channel]
        picture(axes[channel + 1], plane, f"[:, :, {channel}] {name}")
    return figure


def class_examples(dataset, names):
    """A row of five pictures for each name: one for each class of a superclass, or five of the one class.

    `names` are superclasses where the data have them, else classes.
    """
    figure, axes = plt.subplots(len(names), 5, figsize=(WIDTH, 1.75 * len(names)))
    for row, name in zip(axes, names, strict=True):
        if dataset.coarse_names is None:
            places = np.flatnonzero(dataset.y_train == dataset.class_names.index(name))[:5]
        else:
            members = dataset.coarse_train == dataset.coarse_names.index(name)
            classes = np.unique(dataset.y_train[members])
            places = [np.flatnonzero(dataset.y_train == label)[0] for label in classes]
        for ax, place in zip(row, places, strict=True):
            picture(ax, dataset.x_train[place])
            ax.set_xlabel(dataset.class_names[dataset.y_train[place]].replace("_", " "))
        row[0].set_title(name.replace("_", " "), loc="left", color=BLUE)
    return figure


def split_bar(parts):
    """The data as one bar, cut into named parts: {name: number of images}."""
    figure, ax = plt.subplots(figsize=(WIDTH, 1.3))
    left = 0
    for colour, (name, size) in zip(PARTS, parts.items(), strict=True):
        ax.barh(0, size, left=left, color=colour, edgecolor="white", linewidth=3)
        ax.text(left + size / 2, 0.55, f"{name}\n{size:,}", ha="center", va="bottom", color=INK)
        left += size
    ax.set_ylim(-0.5, 1.4)
    ax.set_axis_off()
    return figure


def split_by_class(dataset):
    """A bar for each class: how many of its pictures are to train on, to validate on and to test on."""
    (_, train), (_, validation) = dataset.validation_split()
    parts = {"training": train, "validation": validation, "test": dataset.y_test}
    names = [str(name).replace("_", " ") for name in dataset.class_names]
    figure, ax = plt.subplots(figsize=(WIDTH, 1.4 + 0.3 * len(names)))
    left = np.zeros(len(names), int)
    for colour, (part, labels) in zip(PARTS, parts.items(), strict=True):
        counts = np.bincount(labels, minlength=len(names))
        bars = ax.barh(range(len(names)), counts, left=left, color=colour, edgecolor="white", label=part)
        ax.bar_label(bars, label_type="center", color=INK)
        left += counts
    ax.set_yticks(range(len(names)), names)
    ax.invert_yaxis()
    ax.set_xlabel("pictures")
    figure.legend(loc="outside upper center", ncols=3, labelcolor=INK)
    return figure


def channel_histograms(counts, mean, deviation):
    """How often each value occurs in the three colours, before and after normalization: counts (3, 256)."""
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 2.8), sharey=True)
    shares = counts.reshape(3, 32, 8).sum(axis=2) / counts.sum(axis=1, keepdims=True)
    centers = np.arange(32) * 8 + 3.5
    for channel, (name, colour, line) in enumerate((("red", ORANGE, "-"), ("green", GREEN, "--"), ("blue", BLUE, ":"))):
        axes[0].plot(centers, shares[channel], line, color=colour, label=name)
        axes[1].plot((centers - mean[channel]) / deviation[channel], shares[channel], line, color=colour)
    for ax, title in zip(axes, ("as stored", "normalized"), strict=True):
        ax.set(title=title, xlabel="value", yticks=[])
    axes[0].set_ylabel("how often")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, labelcolor=INK)
    return figure


def zoom_steps(image, rows_zoomed, both_zoomed, matrix):
    """An image, its zoom as a matrix (H, H), the image after the rows and after rows and columns."""
    figure, axes = plt.subplots(1, 4, figsize=(WIDTH, 2.3))
    picture(axes[0], image, "before")
    axes[1].imshow(matrix, cmap="Blues")
    axes[1].set(title="the matrix", xlabel="old row", ylabel="new row", xticks=[], yticks=[])
    picture(axes[2], rows_zoomed, "rows zoomed")
    picture(axes[3], both_zoomed, "both zoomed")
    return figure
