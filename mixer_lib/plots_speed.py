"""Drawing of where a training step's time went.

Chapters import this module; no other room of the library does.
"""

import matplotlib.pyplot as plt

from .plots import BLUE, GREEN, GREY, INK, ORANGE, WIDTH
from .speed import savings, title


def waterfall(cards):
    """From the article's step down to this library's: one bar for each thing that was changed, in milliseconds.

    Args:
        cards: benchmarks by name, as `speed.recorded` gives them, one below the other.
    """
    rows = [_bars(card) for card in cards.values()]
    heights = [len(bars) for bars in rows]
    size = (WIDTH, 0.36 * sum(heights) + 0.9 * len(rows))
    figure, axes = plt.subplots(len(rows), 1, figsize=size, squeeze=False, height_ratios=heights)
    for ax, bars, card in zip(axes[:, 0], rows, cards.values(), strict=True):
        longest = max(start + width for _, start, width, _, _ in bars)
        for place, (_, start, width, colour, text) in enumerate(bars):
            ax.barh(place, width, left=start, color=colour, height=0.7)
            ax.text(start + width + 0.01 * longest, place, text, va="center", color=INK, fontsize=10)
        ax.set_yticks(range(len(bars)), [label for label, *_ in bars])
        ax.invert_yaxis()
        ax.set_xlim(0, 1.12 * longest)
        ax.set_xlabel(f"milliseconds for a step of {card['batch']} images")
        ax.set_title(title(card), fontsize=10)
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
    bars += [(f"beside it: {name}", 0, times[name], GREY, f"{times[name]:.0f}") for name in train if name not in stages]
    return bars
