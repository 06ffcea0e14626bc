"""The one figure style of the book, and the drawings of the chapter on data.

Chapters import this module; no other room of the library does.
"""

import inspect
import textwrap

import matplotlib.pyplot as plt
import numpy as np

# Okabe and Ito's palette: told apart with every common form of colour blindness.
INK = "#222222"
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
SKY, AMBER, YELLOW, GREY = "#56B4E9", "#E69F00", "#F0E442", "#8A8A8A"
CYCLE = (BLUE, ORANGE, GREEN, PURPLE, SKY, AMBER, INK)
WIDTH = 7.0  # inches: the width of the book's text column


def style():
    """Set the book's figure style for everything that matplotlib draws from here on.

    A white ground that is never transparent (the book has dark pages too), letters that a phone can show,
    twice the pixels that a plain screen needs, and Okabe and Ito's colours.
    """
    plt.rcParams.update(
        {
            "figure.figsize": (WIDTH, 3.4),
            "figure.dpi": 100,
            "figure.facecolor": "white",
            "figure.constrained_layout.use": True,
            "savefig.dpi": 160,
            "savefig.facecolor": "white",
            "savefig.transparent": False,
            "axes.facecolor": "white",
            "axes.edgecolor": INK,
            "axes.labelcolor": INK,
            "axes.titlesize": 13,
            "axes.labelsize": 12,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.prop_cycle": plt.cycler(color=CYCLE),
            "text.color": INK,
            "xtick.color": INK,
            "ytick.color": INK,
            "xtick.labelsize": 11,
            "ytick.labelsize": 11,
            "font.size": 12,
            "font.family": "DejaVu Sans",
            "legend.frameon": False,
            "legend.fontsize": 11,
            "lines.linewidth": 2,
            "image.interpolation": "nearest",
            "image.cmap": "viridis",
        }
    )
    from matplotlib_inline.backend_inline import set_matplotlib_formats

    set_matplotlib_formats("retina")


def show_source(*pieces):
    """The library's own source of functions, methods or classes, as a block of code in the page."""
    from IPython.display import Markdown

    code = "\n".join(textwrap.dedent(inspect.getsource(piece)) for piece in pieces)
    return Markdown(f"```python\n{code}```")


def picture(ax, image, title="", colour=INK):
    """One image (H, W, 3), 0-255 or 0-1, without axes."""
    image = np.asarray(image)
    ax.imshow(np.clip(image, 0, 255).astype("uint8") if image.max() > 1 else image)
    ax.set_title(title, color=colour)
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set(visible=True, color=GREY)


def pictures(images, titles, columns=4):
    """A grid of images (N, H, W, 3), each with a title."""
    rows = -(-len(images) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(WIDTH, (WIDTH / columns + 0.3) * rows), squeeze=False)
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


def families(dataset, names):
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
            label = dataset.class_names[dataset.y_train[place]].replace("_", " ")
            picture(ax, dataset.x_train[place])
            ax.set_xlabel(label)
        row[0].set_title(name.replace("_", " "), loc="left", color=BLUE)
    return figure


def split_bar(parts):
    """The data as one bar, cut into named parts: {name: number of images}."""
    figure, ax = plt.subplots(figsize=(WIDTH, 1.3))
    left = 0
    for colour, (name, size) in zip((BLUE, AMBER, GREEN), parts.items(), strict=True):
        ax.barh(0, size, left=left, color=colour, edgecolor="white", linewidth=3)
        ax.text(left + size / 2, 0.55, f"{name}\n{size:,}", ha="center", va="bottom", color=INK)
        left += size
    ax.set_ylim(-0.5, 1.4)
    ax.set_axis_off()
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
        ax.set_title(title)
        ax.set_xlabel("value")
        ax.set_yticks([])
    axes[0].set_ylabel("how often")
    axes[0].legend()
    return figure


def zoom_steps(image, rows_zoomed, both_zoomed, matrix):
    """An image, its zoom as a matrix (H, H), the image after the rows and after rows and columns."""
    figure, axes = plt.subplots(1, 4, figsize=(WIDTH, 2.3))
    picture(axes[0], image, "before")
    axes[1].imshow(matrix, cmap="Blues")
    axes[1].set_title("the matrix")
    axes[1].set_xlabel("old row")
    axes[1].set_ylabel("new row")
    axes[1].set_xticks([])
    axes[1].set_yticks([])
    picture(axes[2], rows_zoomed, "rows zoomed")
    picture(axes[3], both_zoomed, "both zoomed")
    return figure
