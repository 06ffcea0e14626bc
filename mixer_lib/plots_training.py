"""Drawings of a training and of a test: curves, confusions, classes, mistakes.

Each function returns a matplotlib `Figure`; a notebook shows it by itself at the end of the cell. The look is
that of `plots.style()`, called once in a chapter.
"""

import matplotlib.pyplot as plt
import numpy as np

from .plots import AMBER, BLUE, GREEN, GREY, INK, ORANGE, PURPLE, SKY, WIDTH

TRAINING, VALIDATION, OTHER, CUT = BLUE, ORANGE, GREEN, GREY
DASHES = (0, (4, 3))  # two curves of one panel differ in their dashes too, not in colour alone


def cuts(history):
    """Numbers of the epochs that begin with a learning rate cut to about half of the one before."""
    lr = history["lr"]
    return history["epoch"][1:][lr[1:] < 0.75 * lr[:-1]].astype(int)


def _finish_curves(axes, history, best):
    for axis in axes:
        for number, epoch in enumerate(cuts(history)):
            label = "learning rate halved" if number == 0 else None
            axis.axvline(epoch, color=CUT, linestyle=":", linewidth=1, label=label)
        axis.axvline(best, color=OTHER, linewidth=1, label=f"best epoch ({best})")
        axis.set_xlabel("epoch")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.legend(fontsize="small", loc="lower center", bbox_to_anchor=(0.5, 1.0))


def learning_curves(history):
    """Loss and accuracy against the epoch, with the cuts of the learning rate and the best epoch marked.

    Args:
        history: as `records.read_history` gives it; accuracies as fractions.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 4.4))
    epochs = history["epoch"]
    mark = "o" if len(epochs) < 10 else None
    best = int(epochs[np.argmin(history["val_loss"])])
    left.plot(epochs, history["loss"], marker=mark, linestyle="-", color=TRAINING, label="training")
    left.plot(epochs, history["val_loss"], marker=mark, linestyle=DASHES, color=VALIDATION, label="validation")
    left.set_ylabel("loss (nats)")
    right.plot(epochs, 100 * history["top1"], marker=mark, linestyle="-", color=TRAINING, label="training top-1")
    right.plot(
        epochs, 100 * history["val_top1"], marker=mark, linestyle=DASHES, color=VALIDATION, label="validation top-1"
    )
    right.plot(epochs, 100 * history["val_top5"], marker=mark, linestyle="-.", color=INK, label="validation top-5")
    right.set_ylabel("accuracy (%)")
    right.set_ylim(0, 102)
    _finish_curves((left, right), history, best)
    return figure


def shares(parts, totals):
    """Bars that split several totals into the same parts.

    Args:
        parts: {name of a part: one number for each total}.
        totals: names of the totals, one bar each.
    """
    figure, axis = plt.subplots(figsize=(WIDTH, 0.7 * len(totals) + 1.6))
    colors = (SKY, BLUE, AMBER, ORANGE, GREEN, PURPLE, GREY)
    hatches = ("", "//", "", "\\\\", "", "..", "")
    sums = np.sum(list(parts.values()), axis=0)
    left = np.zeros(len(totals))
    for place, (name, values) in enumerate(parts.items()):
        width = 100 * np.asarray(values) / sums
        axis.barh(
            totals,
            width,
            left=left,
            label=name,
            color=colors[place % 7],
            hatch=hatches[place % 7],
            edgecolor="white",
        )
        left += width
    axis.invert_yaxis()
    axis.set_xlabel("share (%)")
    axis.set_xlim(0, 100)
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def confusion_matrix(truth, guesses, groups):
    """(groups, groups) counts: a row for the true group, a column for the guessed one."""
    counts = np.zeros((groups, groups), int)
    np.add.at(counts, (truth, guesses), 1)
    return counts


def confusion(counts, names):
    """A confusion matrix in percent of each row. Groups are numbered; their names stand at the rows alone.

    Args:
        counts: (G, G), rows true, columns guessed.
        names: (G,) names of the groups.
    """
    figure, axis = plt.subplots(figsize=(WIDTH, 1.9 + 0.2 * len(names)))
    percent = 100 * counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    # the diagonal would drown the rest: colours end at the largest confusion worth telling apart
    drawn = axis.imshow(percent, cmap="viridis", vmax=max(1.0, np.max(percent - np.diag(np.diag(percent)))))
    numbers = range(1, len(names) + 1)
    axis.set_xticks(range(len(names)), numbers, rotation=90 if len(names) > 10 else 0)
    axis.set_yticks(range(len(names)), [f"{name}  {number}" for number, name in zip(numbers, names, strict=True)])
    axis.set_xlabel("guessed")
    axis.set_ylabel("true")
    axis.grid(False)
    figure.colorbar(drawn, ax=axis, label="% of the true group", extend="max", location="top", shrink=0.8)
    return figure


def class_accuracy(accuracy, names, ends=10):
    """Accuracy of the best and the worst classes, sorted, and the mean of all.

    Args:
        accuracy: (K,) fractions.
        names: (K,) names of the classes.
        ends: how many classes at either end to show; all, if there are no more than twice as many.
    """
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
    axis.set_xlim(0, 102)
    axis.set_xlabel("top-1 of the class (%)")
    axis.grid(False, axis="y")
    axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), fontsize="small")
    return figure


def picture_grid(images, titles, columns=4):
    """Pictures in rows, each with a title of one or more lines.

    Args:
        images: (N, H, W, 3), 0-255.
        titles: (N,) texts.
    """
    rows = -(-len(images) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(WIDTH, 2.4 * rows), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, image, title in zip(axes.flat, images, titles, strict=False):
        axis.imshow(np.asarray(image, "uint8"))
        axis.set_title(title, fontsize=12)
    return figure


def guesses(image, best):
    """One picture beside its best guesses as bars.

    Args:
        image: (H, W, 3), 0-255.
        best: pairs (name, probability), as one entry of `mixer_lib.predict`'s answer.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 2.6), width_ratios=(1, 2))
    left.imshow(np.asarray(image, "uint8"))
    left.axis("off")
    names, chances = zip(*best, strict=True)
    bars = right.barh(range(len(names)), [100 * chance for chance in chances], color=TRAINING)
    right.bar_label(bars, fmt="%.0f %%", padding=3)
    right.set_yticks(range(len(names)), [str(name) for name in names])
    right.invert_yaxis()
    right.set_xlim(0, 115)
    right.set_xlabel("probability (%)")
    right.grid(False)
    return figure


def walk(image, tables, logits):
    """A picture, its tables of patches on the way through the model, and the logits at the end.

    Args:
        image: (H, W, 3), 0-255.
        tables: {name: (S, C) table}.
        logits: (K,) array.
    """
    count = len(tables)
    figure, axes = plt.subplots(1, count + 2, figsize=(WIDTH, 2.8), width_ratios=[1] + [1.25] * count + [0.8])
    axes[0].imshow(np.asarray(image, "uint8"))
    axes[0].set_title("image", fontsize="small")
    axes[0].axis("off")
    for axis, (name, table) in zip(axes[1:-1], tables.items(), strict=True):
        reach = np.abs(table).max()
        axis.imshow(table, cmap="PuOr", vmin=-reach, vmax=reach, aspect="auto", interpolation="nearest")
        axis.set_title(f"{name}\n{table.shape[0]} x {table.shape[1]}", fontsize="small")
        axis.set_xticks([])
        axis.set_yticks([])
        axis.set_xlabel("channels")
    axes[1].set_ylabel("patches")
    axes[-1].barh(range(len(logits)), logits, color=TRAINING, height=1.0)
    axes[-1].invert_yaxis()
    axes[-1].set_title(f"logits\n{len(logits)}", fontsize="small")
    axes[-1].set_yticks([])
    axes[-1].set_xticks([0])  # more would run into one another
    axes[-1].grid(False)
    return figure


def decay_left(steps_per_epoch, epochs, halved_after, curves):
    """What decay alone leaves of a weight, epoch by epoch.

    Args:
        curves: {name: (steps_per_epoch * epochs + 1,) what is left of the weight after each step}.
        halved_after: the epoch after which the learning rate is halved.
    """
    figure, axis = plt.subplots(figsize=(WIDTH, 3.4))
    time = np.arange(steps_per_epoch * epochs + 1) / steps_per_epoch
    looks = zip(curves.items(), (TRAINING, VALIDATION), ("-", DASHES), strict=True)
    for (name, left), color, line in looks:
        axis.plot(time, left, color=color, linestyle=line, label=name)
    axis.axvline(halved_after, color=CUT, linestyle=":", label="learning rate halved")
    axis.set_xlabel("epochs without a gradient")
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.set_ylabel("what is left of a weight")
    axis.set_ylim(0, 1.03)
    axis.legend(fontsize="small")
    return figure
