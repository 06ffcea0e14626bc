"""Drawings of what a trained Mixer has learned, of what disturbs it, and of what models cost."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import PercentFormatter

from .style import BLUE, GREEN, GREY, INK, ORANGE, WIDTH, bare, picture


def weight_maps(groups, columns=8, rows=3):
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
            bare(ax)
    return figure


def filter_grid(filters, columns=16):
    """Filters (N, P, P, 3) as small pictures, each on its own scale with grey for zero."""
    rows = -(-len(filters) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(WIDTH, WIDTH / columns * rows * 1.02), squeeze=False)
    for ax in axes.flat[len(filters) :]:
        ax.set_axis_off()
    for ax, values in zip(axes.flat, filters, strict=False):
        ax.imshow(0.5 + values / (2 * np.abs(values).max()))
        bare(ax)
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
    ax.set(xlabel="top-1", xlim=(0, max(*found.values(), chance) * 1.18), ylim=(-0.6, len(found) - 0.1))
    ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    return figure


def occlusion_map(image, fall, title):
    """A picture, and how much a probability falls (rows, columns) when a patch of it is covered."""
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 3.4))
    picture(axes[0], image, title)
    top, (height, width) = max(np.abs(fall).max(), 0.01), image.shape[:2]
    axes[1].imshow(image.mean(axis=2), cmap="gray")
    drawn = axes[1].imshow(
        fall, cmap="PuOr", vmin=-top, vmax=top, alpha=0.75, extent=(-0.5, width - 0.5, height - 0.5, -0.5)
    )
    axes[1].set_title("covered patch")
    bare(axes[1])
    figure.colorbar(drawn, ax=axes[1], label="fall of the probability", format=PercentFormatter(1))
    return figure


def disturbance_curves(left, right, chance):
    """Top-1 against two kinds of disturbance: each (label of the axis, {name of the model: {amount: fraction}})."""
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 3.5), sharey=True)
    looks = ((BLUE, "o", "-"), (ORANGE, "s", "--"), (GREEN, "^", "-."))
    for ax, (label, curves) in zip(axes, (left, right), strict=True):
        for (name, found), (colour, marker, line) in zip(curves.items(), looks, strict=False):
            ax.plot(list(found), list(found.values()), color=colour, marker=marker, linestyle=line, label=name)
        ax.axhline(chance, color=GREY, linestyle=":", linewidth=1.5)
        ax.set_xlabel(label)
        ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes[0].set(ylabel="top-1", ylim=(0, None))
    axes[0].text(0, chance, "blind guessing", color=GREY, va="bottom")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, labelcolor=INK)
    return figure


def reach_maps(maps):
    """How far a change reaches, {title: (rows, columns) parts}: all on one scale of powers of ten, grey for nothing."""
    columns = min(3, len(maps))
    rows = -(-len(maps) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(WIDTH, rows * (5.5 / columns + 0.45)), squeeze=False)
    smallest = min(values[values > 0].min() for values in maps.values())
    for ax in axes.flat[len(maps) :]:
        ax.set_axis_off()
    for ax, (title, values) in zip(axes.flat, maps.items(), strict=False):
        powers = np.log10(np.where(values > 0, values, np.nan))
        drawn = ax.imshow(powers, vmin=np.floor(np.log10(smallest)), vmax=0)
        ax.set_facecolor(GREY)
        ax.set_title(title)
        bare(ax)
    bar = figure.colorbar(drawn, ax=axes, shrink=0.85)
    ticks = np.arange(np.floor(np.log10(smallest)), 1).astype(int)
    bar.set_ticks(ticks, labels=[f"$10^{{{tick}}}$" for tick in ticks])
    return figure


def cost_growth(rows_of, sizes):
    """Time and memory of a training step for one image: {model: rows of `analysis.costs.measure`}, logarithmic axes."""
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 3.7))
    panels = (("training_seconds", 1e3, "milliseconds an image"), ("training_bytes", 2**-20, "MiB an image"))
    for ax, (key, scale, label) in zip(axes, panels, strict=True):
        lowest = min(max(rows[0][key], 1e-9) for rows in rows_of.values()) * scale
        growth = np.asarray(sizes, float) / sizes[0]
        for power, line in ((1, ":"), (2, "--")):  # guides: in proportion to the size, and to its square
            ax.plot(sizes, 0.8 * lowest * growth**power, line, color=GREY, linewidth=1.3, zorder=1)
        for (model, rows), (colour, marker) in zip(
            rows_of.items(), ((BLUE, "o"), (GREEN, "^"), (ORANGE, "s")), strict=False
        ):
            ax.plot(sizes, [row[key] * scale for row in rows], color=colour, marker=marker, label=model)
        ax.set(xscale="log", yscale="log", xlabel="patches", ylabel=label)
        ax.set_xticks(sizes, [f"{size:,}" for size in sizes], rotation=35)
        ax.minorticks_off()
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3, labelcolor=INK)
    return figure
