"""Drawings of several recorded runs in one panel.

Chapters import this module; no other room of the library does.
"""

import matplotlib.pyplot as plt

from .plots import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, SKY, WIDTH

# colour, dashes: curves differ in both
LOOKS = (
    (BLUE, "-"),
    (ORANGE, (0, (4, 2))),
    (GREEN, "-."),
    (PURPLE, (0, (1, 1))),
    (SKY, "-"),
    (INK, (0, (6, 2, 1, 2))),
)


def epochs(histories, columns, smallest=0):
    """Accuracies of runs against the epoch, one panel for each column of their histories.

    Args:
        histories: {name of the run: history, as `records.history` gives it}.
        columns: {name of a column, such as "val_top1": what to write above its panel}.
        smallest: lower end of the axis, in percent.
    """
    if len(histories) > len(LOOKS):
        raise ValueError(f"One figure shows {len(LOOKS)} runs at most. Received: {', '.join(histories)}.")
    figure, axes = plt.subplots(1, len(columns), figsize=(WIDTH, 3.6), sharey=True, squeeze=False)
    for ax, (column, title) in zip(axes[0], columns.items(), strict=True):
        for (name, history), (colour, line) in zip(histories.items(), LOOKS, strict=False):
            mark = "o" if len(history) < 10 else None
            ax.plot(history["epoch"], 100 * history[column], color=colour, linestyle=line, marker=mark, label=name)
        ax.set(title=title, xlabel="epoch")
        ax.xaxis.get_major_locator().set_params(integer=True)
    axes[0, 0].set_ylabel("accuracy (%)")
    axes[0, 0].set_ylim(smallest, None)
    handles = axes[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=min(3, len(histories)), labelcolor=INK)
    return figure


def dots(runs, columns, line=None):
    """One accuracy of several runs: a row for each run, in it a point for each column of their cards.

    Args:
        runs: {what to write before the row: card, as `records.cards` gives it}, from the top.
        columns: {key of a card, such as "val_top5": name}, two at most.
        line: (accuracy, name) of a dashed line to compare with.
    """
    figure, ax = plt.subplots(figsize=(WIDTH, 0.42 * len(runs) + 1.3))
    places = range(len(runs))
    looks = ({"color": ORANGE, "fillstyle": "none", "marker": "D"}, {"color": BLUE, "marker": "o"})
    for (key, name), look in zip(columns.items(), looks, strict=False):
        ax.plot([100 * card[key] for card in runs.values()], places, linestyle="none", markersize=8, label=name, **look)
    if line:
        ax.axvline(100 * line[0], color=INK, linestyle=(0, (4, 3)), linewidth=1, label=line[1])
    ax.set_yticks(places, list(runs))
    ax.set_ylim(len(runs) - 0.5, -0.5)
    ax.set_xlabel("accuracy (%)")
    ax.grid(axis="x", alpha=0.3)
    figure.legend(loc="outside lower center", ncols=3, labelcolor=INK)
    return figure


def lines(x, curves, xlabel, ylabel, marks=None, dots=None, lowest=0):
    """Curves over one axis.

    Args:
        x: places along the axis.
        curves: {name: a value for each place}.
        marks: {place: label}, drawn as dotted lines; those without a label share the first one's.
        dots: {name: (places, values)}, drawn as points.
        lowest: lower end of the other axis; None fits it.
    """
    figure, ax = plt.subplots(figsize=(WIDTH, 3.6))
    for (name, values), (colour, line) in zip(curves.items(), LOOKS, strict=False):
        ax.plot(x, values, color=colour, linestyle=line, label=name)
    for name, (places, values) in (dots or {}).items():
        ax.plot(places, values, "o", color=INK, markersize=4, label=name, zorder=3)
    for place, label in (marks or {}).items():
        ax.axvline(place, color=GREY, linestyle=":", label=label)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.set_ylim(lowest, None)
    ax.xaxis.set_major_formatter("{x:,.0f}")
    figure.legend(loc="outside lower center", ncols=2)
    return figure
