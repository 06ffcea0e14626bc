"""Drawings of a training and of a test: curves, confusions, classes, predictions."""

import matplotlib.pyplot as plt
import numpy as np

from .style import AMBER, BLUE, GREEN, GREY, INK, ORANGE, PURPLE, SKY, WIDTH, bare

TRAINING, VALIDATION, OTHER, CUT = BLUE, ORANGE, GREEN, GREY
DASHES = (0, (4, 3))  # two curves of one panel differ in their dashes too, not in colour alone


def learning_rate_drops(history):
    """Epochs that begin with a halved learning rate: none unless the schedule halves and does nothing else."""
    ratio = history["lr"][1:] / history["lr"][:-1]
    halved = (ratio > 0.4) & (ratio < 0.7)  # some histories hold rounded rates: 0.0003 -> 0.0002
    plateau = (halved | (ratio == 1)).all() and not halved[:1].any()  # a cosine changes the rate at once
    return history["epoch"][1:][halved & plateau].astype(int)


def learning_curves(history):
    """Loss and accuracy against the epoch, with the halvings of the learning rate and the best epoch marked.

    `history` is as `runs.recorded.read_history` gives it, with accuracies as fractions.
    """
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 4.4))
    epochs, mark = history["epoch"], "o" if len(history) < 10 else None
    curves = (
        (0, 1, "loss", "-", TRAINING, "training"),
        (0, 1, "val_loss", DASHES, VALIDATION, "validation"),
        (1, 100, "top1", "-", TRAINING, "training top-1"),
        (1, 100, "val_top1", DASHES, VALIDATION, "validation top-1"),
        (1, 100, "val_top5", "-.", INK, "validation top-5"),
    )
    for panel, unit, column, line, color, label in curves:
        axes[panel].plot(epochs, unit * history[column], marker=mark, linestyle=line, color=color, label=label)
    axes[0].set(ylabel="loss (nats)", xlabel="epoch")
    axes[1].set(ylabel="accuracy (%)", xlabel="epoch", ylim=(0, 102))
    best = int(epochs[np.argmin(history["val_loss"])])
    for axis in axes:
        for number, epoch in enumerate(learning_rate_drops(history)):
            label = "learning rate halved" if number == 0 else None
            axis.axvline(epoch, color=CUT, linestyle=":", linewidth=1, label=label)
        # wide and pale, since the learning rate may be halved at the same epoch
        axis.axvline(best, color=OTHER, linewidth=5, alpha=0.4, zorder=0, label=f"best epoch ({best})")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return figure


def stacked_bars(parts, totals):
    """Bars that split totals, named `totals`, into the same parts: {name of a part: a number for each total}."""
    figure, axis = plt.subplots(figsize=(WIDTH, 0.7 * len(totals) + 1.6))
    looks = ((SKY, ""), (BLUE, "//"), (AMBER, ""), (ORANGE, "\\\\"), (GREEN, ""), (PURPLE, ".."), (GREY, ""))
    sums, left = np.sum(list(parts.values()), axis=0), np.zeros(len(totals))
    for (name, values), (color, hatch) in zip(parts.items(), looks, strict=False):
        width = 100 * np.asarray(values) / sums
        axis.barh(totals, width, left=left, label=name, color=color, hatch=hatch, edgecolor="white")
        left += width
    axis.invert_yaxis()
    axis.set(xlabel="share (%)", xlim=(0, 100))
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def confusion_map(counts, names):
    """A confusion matrix (G, G), rows true, in percent of each row. More than ten are numbered along the columns."""
    figure, axis = plt.subplots(figsize=(WIDTH, 1.9 + 0.2 * len(names)))
    percent = 100 * counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    # the diagonal would drown the rest: colours end somewhat above the largest confusion
    largest = np.max(percent - np.diag(np.diag(percent)))
    drawn = axis.imshow(percent, cmap="viridis", vmax=max(1.0, 1.25 * largest))
    if len(names) > 10:
        axis.set_xticks(range(len(names)), range(1, len(names) + 1), rotation=90)
        axis.set_yticks(range(len(names)), [f"{name}  {number}" for number, name in enumerate(names, 1)])
    else:
        axis.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
        axis.set_yticks(range(len(names)), names)
    axis.set(xlabel="guessed", ylabel="true")
    figure.colorbar(drawn, ax=axis, label="% of the row", location="top", shrink=0.8)
    return figure


def class_accuracy(accuracy, names, ends=10):
    """Accuracy (K,) of the best and the worst `ends` classes (all, if there are few), sorted, and the mean of all."""
    order = np.argsort(-accuracy, kind="stable")
    shown = order if len(order) <= 2 * ends else np.concatenate([order[:ends], order[-ends:]])
    figure, axis = plt.subplots(figsize=(WIDTH, 1.4 + 0.24 * len(shown)))
    places = np.arange(len(shown)) + (np.arange(len(shown)) >= ends) * (len(shown) < len(order))  # a gap between
    values = 100 * accuracy[shown]
    axis.hlines(places, 0, values, color=TRAINING, linewidth=2)
    axis.plot(values, places, "o", color=TRAINING)
    axis.axvline(100 * accuracy.mean(), color=VALIDATION, linestyle=DASHES, label="mean of all classes")
    axis.set_yticks(places, [names[c] for c in shown])
    axis.invert_yaxis()
    axis.set(xlabel="top-1 of the class (%)", xlim=(0, 102))
    axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return figure


def top_k_bars(image, best):
    """An image (H, W, 3), 0-255, beside its best guesses, pairs (name, probability), as bars."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 2.6), width_ratios=(1, 2))
    left.imshow(np.asarray(image, "uint8"))
    left.axis("off")
    names, probabilities = zip(*best, strict=True)
    bars = right.barh(range(len(names)), [100 * probability for probability in probabilities], color=TRAINING)
    right.bar_label(bars, fmt="%.0f%%", padding=3)
    right.set_yticks(range(len(names)), [str(name) for name in names])
    right.invert_yaxis()
    right.set(xlabel="probability (%)", xlim=(0, 115))
    return figure


def forward_pass(image, tables, logits):
    """An image, its tables {name: (S, C)} on the way through the model, and the logits (K,) at the end."""
    count = len(tables)
    figure, axes = plt.subplots(1, count + 2, figsize=(WIDTH, 2.8), width_ratios=[1] + [1.25] * count + [0.8])
    axes[0].imshow(np.asarray(image, "uint8"))
    axes[0].set_title("image", fontsize=11.5)
    axes[0].axis("off")
    for axis, (name, table) in zip(axes[1:-1], tables.items(), strict=True):
        reach = np.abs(table).max()
        axis.imshow(table, cmap="PuOr", vmin=-reach, vmax=reach, aspect="auto")
        axis.set_title(f"{name}\n{table.shape[0]} x {table.shape[1]}", fontsize=11.5)
        bare(axis)
        axis.set_xlabel("values" if name == "patches" else "channels")
    axes[1].set_ylabel("patches")
    axes[-1].barh(range(len(logits)), logits, color=TRAINING, height=1.0)
    axes[-1].invert_yaxis()
    axes[-1].set_title(f"logits\n{len(logits)}", fontsize=11.5)
    axes[-1].set(xticks=[0], yticks=[])  # more ticks would run into one another
    return figure
