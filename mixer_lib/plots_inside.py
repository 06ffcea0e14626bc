"""Drawings of what a trained Mixer learned and of what disturbs it.

Chapters import this module; no other room of the library does.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import PercentFormatter

from .plots import BLUE, GREY, INK, ORANGE, WIDTH


def _bare(ax):
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set(visible=True, color=GREY, linewidth=0.6)


def map_rows(groups, columns=8, rows=3):
    """Maps (N, rows, columns) of several groups, {title: maps}: each group its title and its first rows x columns maps.

    Each map has its own scale, white at zero, blue below and red above.
    """
    figure = plt.figure(figsize=(WIDTH, len(groups) * (rows * WIDTH / columns * 0.96 + 0.45)))
    parts = figure.subfigures(len(groups), 1)
    for part, (title, maps) in zip(np.atleast_1d(parts), groups.items(), strict=True):
        part.suptitle(title, color=INK, fontsize=13)
        axes = part.subplots(rows, columns, squeeze=False)
        for ax in axes.flat[len(maps) :]:
            ax.set_axis_off()
        for ax, values in zip(axes.flat, maps, strict=False):
            top = np.abs(values).max()
            ax.imshow(values, cmap="RdBu_r", vmin=-top, vmax=top)
            _bare(ax)
    return figure


def filter_grid(filters, columns=16):
    """Filters (N, P, P, 3) as small pictures, each on its own scale with grey for zero."""
    rows = -(-len(filters) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(WIDTH, WIDTH / columns * rows * 1.02), squeeze=False)
    for ax in axes.flat[len(filters) :]:
        ax.set_axis_off()
    for ax, values in zip(axes.flat, filters, strict=False):
        ax.imshow(0.5 + values / (2 * np.abs(values).max()))
        _bare(ax)
    return figure


def accuracy_bars(found, chance):
    """Top-1 under several conditions, {name: fraction}, with a dashed line for blind guessing."""
    figure, ax = plt.subplots(figsize=(WIDTH, 0.5 * len(found) + 0.9))
    places = np.arange(len(found))[::-1]
    ax.barh(places, list(found.values()), color=BLUE, height=0.62)
    for place, value in zip(places, found.values(), strict=True):
        ax.text(value, place, f" {value:.1%}", va="center", color=INK)
    ax.axvline(chance, color=ORANGE, linestyle="--")
    ax.text(chance, len(found) - 0.45, " blind guessing", color=ORANGE, va="bottom")
    ax.set_yticks(places, list(found))
    ax.set_ylim(-0.6, len(found) - 0.1)
    ax.set_xlim(0, max(*found.values(), chance) * 1.18)
    ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.set_xlabel("top-1")
    return figure


def two_curves(left, right, chance):
    """Top-1 against two kinds of disturbance: each a tuple (label of the axis, {amount: fraction})."""
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 3.2), sharey=True)
    for ax, (label, found), colour, marker in zip(axes, (left, right), (BLUE, ORANGE), "os", strict=True):
        ax.plot(list(found), list(found.values()), color=colour, marker=marker)
        ax.axhline(chance, color=GREY, linestyle="--", linewidth=1.5)
        ax.set_xlabel(label)
        ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes[0].set_ylim(0, None)
    axes[0].set_ylabel("top-1")
    axes[0].text(min(left[1]), chance, "blind guessing", color=GREY, va="bottom")
    return figure


def reach_maps(maps):
    """How far a change reaches, {title: (rows, columns) parts}: all on one scale of powers of ten."""
    figure, axes = plt.subplots(1, len(maps), figsize=(WIDTH, 3.3))
    smallest = min(values[values > 0].min() for values in maps.values())
    for ax, (title, values) in zip(np.atleast_1d(axes), maps.items(), strict=True):
        powers = np.log10(np.maximum(values, smallest))
        drawn = ax.imshow(powers, vmin=np.floor(np.log10(smallest)), vmax=0)
        ax.set_title(title)
        _bare(ax)
    bar = figure.colorbar(drawn, ax=axes, shrink=0.85)
    ticks = np.arange(np.floor(np.log10(smallest)), 1).astype(int)
    bar.set_ticks(ticks, labels=[f"$10^{{{tick}}}$" for tick in ticks])
    return figure
