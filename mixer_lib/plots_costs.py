"""Drawings of what models cost.

Chapters import this module; no other room of the library does.
"""

import matplotlib.pyplot as plt
import numpy as np

from .plots import BLUE, GREEN, GREY, INK, ORANGE, WIDTH

LOOKS = ((BLUE, "o"), (GREEN, "^"), (ORANGE, "s"))


def _slopes(ax, sizes, start):
    """Two guides from one point: a cost in proportion to the size, and one to its square."""
    sizes = np.asarray(sizes, float)
    for power, line in ((1, ":"), (2, "--")):
        ax.plot(sizes, start * (sizes / sizes[0]) ** power, line, color=GREY, linewidth=1.3, zorder=1)


def growth(rows_of, sizes):
    """Time and memory of a training step for one image, {model: rows of `costs.measure`}, on logarithmic axes."""
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 3.7))
    for ax, key, scale, label in (
        (axes[0], "training_seconds", 1e3, "milliseconds an image"),
        (axes[1], "training_bytes", 2**-20, "MiB an image"),
    ):
        lowest = min(max(rows[0][key], 1e-9) for rows in rows_of.values()) * scale
        _slopes(ax, sizes, lowest * 0.8)
        for (model, rows), (colour, marker) in zip(rows_of.items(), LOOKS, strict=False):
            ax.plot(sizes, [row[key] * scale for row in rows], color=colour, marker=marker, label=model)
        ax.set(xscale="log", yscale="log", xlabel="patches", ylabel=label)
        ax.set_xticks(sizes, [f"{size:,}" for size in sizes], rotation=35)
        ax.minorticks_off()
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3, labelcolor=INK)
    return figure
