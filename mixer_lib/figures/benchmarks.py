"""Drawings of recorded benchmarks: where a training step's time went, and learning curves beside it."""

import matplotlib.pyplot as plt

from ..analysis.benchmarks import savings, title
from .style import AMBER, BLUE, GREEN, GREY, INK, ORANGE, WIDTH

LABELS = {"plain": "the article's way", "fast": "this library's"}  # of the recorded learning curves


def step_waterfall(cards):
    """From the article's step to this library's: one bar for each change, in milliseconds, for each recorded card."""
    rows = [_bars(card) for card in cards.values()]
    heights = [len(bars) for bars in rows]
    size = (WIDTH, 0.36 * sum(heights) + 0.9 * len(rows))
    figure, axes = plt.subplots(len(rows), 1, figsize=size, squeeze=False, height_ratios=heights)
    for ax, bars, card in zip(axes[:, 0], rows, cards.values(), strict=True):
        longest = max(start + width for _, start, width, _, _ in bars)
        for place, (_, start, width, colour, text) in enumerate(bars):
            ax.barh(place, width, left=start, color=colour, height=0.7)
            ax.text(start + width + 0.01 * longest, place, text, va="center", color=INK, fontsize=11.5)
        ax.set_yticks(range(len(bars)), [label for label, *_ in bars])
        ax.invert_yaxis()
        ax.set(xlim=(0, 1.12 * longest), xlabel=f"milliseconds for a step of {card['batch']} images")
        ax.set_title(title(card), fontsize=11.5, wrap=True)
    return figure


def seed_bands(found):
    """`analysis.benchmarks.learning_curves` of both ways: the mean over seeds, in a band from lowest to highest."""
    panels = {"loss": ("training loss", 1), "val_top1": ("validation top-1 (%)", 100)}
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 3.6))
    for ax, (column, (heading, unit)) in zip(axes, panels.items(), strict=True):
        # the second curve is drawn within the first, which is wider: where they agree, both are seen
        for (path, label), colour, width in zip(LABELS.items(), (AMBER, BLUE), (6, 1.6), strict=True):
            values = unit * found[path][column]  # (seeds, epochs)
            epochs = found[path]["epoch"][0]
            ax.fill_between(epochs, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.2, linewidth=0)
            ax.plot(epochs, values.mean(axis=0), color=colour, linewidth=width, label=f"{label}, {len(values)} seeds")
        ax.set(title=heading, xlabel="epoch")
        ax.xaxis.get_major_locator().set_params(integer=True)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, labelcolor=INK)
    return figure


def _bars(card):
    """(label, start, width, colour, text) of each bar: whole steps from zero, savings where the step shrank."""
    stages, train = list(card["stages"]), card["train"]
    times = {name: row["milliseconds_a_step"] for name, row in train.items()}
    first, last = times[stages[0]], times[stages[-1]]
    bars = [(card["stages"][stages[0]], 0, first, GREY, f"{first:.0f}")]
    for stage, saved in savings(card).items():
        start, colour = min(times[stage], times[stage] + saved), GREEN if saved >= 0 else ORANGE
        bars.append((card["stages"][stage], start, abs(saved), colour, f"{-saved:+.0f}"))
    bars.append(("a step of this library", 0, last, BLUE, f"{last:.0f}"))
    others = [name for name in train if name not in stages]
    bars += [(f"to compare: {name}", 0, times[name], GREY, f"{times[name]:.0f}") for name in others]
    return bars
