"""Drawings of the models of chapter 9: their blocks side by side, what they reach for their work."""

import matplotlib.pyplot as plt
from matplotlib.patches import FancyBboxPatch

from .patches import CHANNELS, TOKENS
from .runs import COLOURS
from .style import GREEN, GREY, INK, PURPLE, WIDTH

PATCHES, ROWS, BOTH, EACH = "mixes patches", "mixes channels", "mixes both", "each number, or row, by itself"
KINDS = {PATCHES: TOKENS, ROWS: CHANNELS, BOTH: PURPLE, EACH: GREY}
ADD, TIMES = "+ input", "× first half"  # what begins before the steps above it
BLOCKS = {
    "Mixer": [
        ("norm", EACH), ("MLP along patches", PATCHES), (ADD, ""),
        ("norm", EACH), ("MLP along channels", ROWS), (ADD, ""),
    ],
    "gMLP": [
        ("norm", EACH), ("widen, GELU", ROWS), ("second half: norm", EACH), ("layer along patches", PATCHES),
        (TIMES, ""), ("back to C", ROWS), (ADD, ""),
    ],
    "ResMLP": [
        ("scale, offset", EACH), ("layer along patches", PATCHES), (ADD, ""),
        ("scale, offset", EACH), ("MLP along channels", ROWS), (ADD, ""),
    ],
    "ViT": [
        ("norm", EACH), ("attention", PATCHES), (ADD, ""),
        ("norm", EACH), ("MLP along channels", ROWS), (ADD, ""),
    ],
    "ConvMixer": [
        ("depthwise 5 x 5", PATCHES), ("GELU, batch norm", EACH), (ADD, ""),
        ("1 x 1", ROWS), ("GELU, batch norm", EACH),
    ],
    "residual CNN": [
        ("3 x 3", BOTH), ("batch norm, ReLU", EACH), ("3 x 3", BOTH), ("batch norm", EACH), (ADD, ""), ("ReLU", EACH),
    ],
}  # fmt: skip


def block_family():
    """The block of each model from top to bottom, coloured by what a step combines."""
    figure, axes = plt.subplots(2, 3, figsize=(WIDTH, 7.0))
    for ax, (name, steps) in zip(axes.flat, BLOCKS.items(), strict=True):
        ax.set(xlim=(-0.62, 1.08), ylim=(-7.6, 0.5), title=name)
        ax.set_axis_off()
        _column(ax, steps)
    handles = [plt.Line2D([], [], color=colour, marker="s", linestyle="none") for colour in KINDS.values()]
    figure.legend(handles, list(KINDS), loc="outside lower center", ncols=2, labelcolor=INK)
    return figure


def _column(ax, steps):
    begins, left = {ADD: 0.3, TIMES: 0.3}, {ADD: -0.6, TIMES: -0.54}  # where the way around the steps leaves and runs
    ax.plot([0.25, 0.25], [0.5, -len(steps) - 0.6], color=INK, linewidth=1.2, zorder=0)
    for place, (text, kind) in enumerate(steps, 1):
        look = {"boxstyle": "round,pad=0.03", "fc": KINDS.get(kind, GREEN), "ec": "none", "alpha": 0.3}
        ax.add_patch(
            FancyBboxPatch((-0.46, -place - 0.26), 1.44, 0.52, fc="white", boxstyle=look["boxstyle"], ec="none")
        )
        ax.add_patch(FancyBboxPatch((-0.46, -place - 0.26), 1.44, 0.52, **look))
        ax.text(0.25, -place, text, ha="center", va="center", fontsize=11)
        if text in begins:
            start = begins[text]
            ax.plot([0.25, left[text], left[text], -0.46], [start, start, -place, -place], color=GREEN, zorder=0)
        begins |= {ADD: -place - 0.5} if text == ADD else {TIMES: -place - 0.5} if text == "widen, GELU" else {}


def accuracy_against_work(models):
    """Top-1 of each run against the multiply-adds for a picture: {name: (multiply-adds, a fraction for each run)}."""
    figure, ax = plt.subplots(figsize=(WIDTH, 3.8))
    for (name, (work, runs)), colour, marker in zip(models.items(), COLOURS, "osD^vP", strict=False):
        ax.plot([work / 1e6] * len(runs), [100 * top1 for top1 in runs], marker, color=colour, alpha=0.8, label=name)
    ax.set(xlabel="multiply-adds for a picture (millions)", ylabel="top-1 (%)", xlim=(0, None))
    ax.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=3, labelcolor=INK)
    return figure
