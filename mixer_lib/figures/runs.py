"""Drawings of several recorded runs in one panel."""

import matplotlib.pyplot as plt

from .style import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, SKY, WIDTH

COLOURS = (BLUE, ORANGE, GREEN, PURPLE, SKY, INK)
DASHES = ("-", (0, (4, 2)), "-.", (0, (1, 1)), (0, (3, 1, 1, 1, 1, 1)), (0, (6, 2, 1, 2)))
LOOKS = tuple(zip(COLOURS, DASHES, strict=True))


def compare_histories(histories, columns, smallest=0, minus=None):
    """Accuracies of runs, {name: history}, against the epoch: a panel for each of the columns, {name: title}.

    `smallest` is the lower end of the axis, in percent. `minus` names one of the runs: panels below show how far the
    others are above it, which tells curves apart that run close together.
    """
    if len(histories) > len(LOOKS):
        raise ValueError(f"One figure shows {len(LOOKS)} runs at most. Received: {', '.join(histories)}.")
    rows = 2 if minus else 1
    size = (WIDTH, 1 + 2.6 * rows)
    figure, axes = plt.subplots(rows, len(columns), figsize=size, sharex=True, sharey="row", squeeze=False)
    for panels, (column, title) in zip(axes.T, columns.items(), strict=True):
        for (name, history), (colour, line) in zip(histories.items(), LOOKS, strict=False):
            look = {"color": colour, "linestyle": line, "marker": "o" if len(history) < 10 else None}
            panels[0].plot(history["epoch"], 100 * history[column], label=name, **look)
            if minus:
                shared = min(len(history), len(histories[minus]))
                above = 100 * (history[column][:shared] - histories[minus][column][:shared])
                panels[1].plot(history["epoch"][:shared], above, **look)
        panels[0].set(title=title)
        panels[-1].set(xlabel="epoch")
        panels[-1].xaxis.get_major_locator().set_params(integer=True)
    axes[0, 0].set(ylabel="accuracy (%)", ylim=(smallest, None))
    if minus:
        axes[1, 0].set(ylabel=f"points above\n{minus}")
    handles = axes[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=3 if len(histories) == 3 else 2, labelcolor=INK)
    return figure


def trial_curves(epochs, best, column="val_top1"):
    """Validation accuracy of a search's trials, {trial: history}: those in `best` coloured, the others grey."""
    figure, ax = plt.subplots(figsize=(WIDTH, 3.8))
    for history in [history for trial, history in epochs.items() if trial not in best]:
        ax.plot(history["epoch"], 100 * history[column], color=GREY, linewidth=1.2, alpha=0.7)
        ax.plot(history["epoch"][-1], 100 * history[column][-1], "x", color=GREY)
    for trial, (colour, line) in zip(best, LOOKS, strict=False):
        history = epochs[trial]
        ax.plot(history["epoch"], 100 * history[column], color=colour, linestyle=line, label=trial)
    ax.set(xlabel="epoch", ylabel="validation top-1 (%)")
    ax.xaxis.get_major_locator().set_params(integer=True)
    figure.legend(loc="outside lower center", ncols=3, labelcolor=INK)
    return figure


def run_accuracies(runs, columns, line=None):
    """Accuracies of several runs: a row for each of {label: cards}, a point for each card and column, {key: name}.

    `line` is (accuracy, name) of a dashed line to compare with.
    """
    if len(columns) > 2:
        raise ValueError(f"One figure shows two accuracies at most. Received: {', '.join(columns)}.")
    figure, ax = plt.subplots(figsize=(WIDTH, 0.42 * len(runs) + 1.3))
    cards = [(place, card) for place, group in enumerate(runs.values()) for card in group]
    looks = ({"color": ORANGE, "fillstyle": "none", "marker": "D"}, {"color": BLUE, "marker": "o"})
    for (key, name), look in zip(columns.items(), looks, strict=False):
        values = [100 * card[key] for _, card in cards]
        ax.plot(values, [place for place, _ in cards], linestyle="none", markersize=8, label=name, **look)
    if line:
        ax.axvline(100 * line[0], color=INK, linestyle=(0, (4, 3)), linewidth=1, label=line[1])
    ax.set_yticks(range(len(runs)), list(runs))
    ax.set(xlabel="accuracy (%)", ylim=(len(runs) - 0.5, -0.5))
    ax.grid(axis="x", alpha=0.3)
    figure.legend(loc="outside lower center", ncols=3, labelcolor=INK)
    return figure


def line_plot(x, curves, xlabel, ylabel, marks=None, dots=None, lowest=0):
    """Curves, {name: a value for each place of x}, over one axis.

    `marks`, {place: label}, are dotted lines, `dots`, {name: (places, values)}, points; `lowest` is the lower end.
    """
    figure, ax = plt.subplots(figsize=(WIDTH, 3.6))
    for (name, values), (colour, line) in zip(curves.items(), LOOKS, strict=False):
        ax.plot(x, values, color=colour, linestyle=line, label=name)
    for name, (places, values) in (dots or {}).items():
        ax.plot(places, values, "o", color=INK, markersize=4, label=name, zorder=3)
    for place, label in (marks or {}).items():
        ax.axvline(place, color=GREY, linestyle=":", label=label)
    ax.set(xlabel=xlabel, ylabel=ylabel, ylim=(lowest, None))
    ax.xaxis.set_major_formatter("{x:,.0f}")
    figure.legend(loc="outside lower center", ncols=2)
    return figure
