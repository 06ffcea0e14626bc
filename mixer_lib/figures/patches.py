"""Drawings of the table of patches and of the two mixings."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.patches import FancyBboxPatch, Rectangle

from .style import BLUE, GREEN, GREY, INK, ORANGE, SKY, WIDTH, picture

TOKENS, CHANNELS = ORANGE, BLUE  # the two mixings, as on the cover


def image_to_table(image, table, patch_size, lit):
    """An image, the same cut apart, and its table (S, P*P*3) with one row for a patch; one patch is lit."""
    size, per_side = len(image), len(image) // patch_size
    figure, axes = plt.subplots(1, 3, figsize=(WIDTH, 3.3), width_ratios=(1, 1.15, 0.85))
    picture(axes[0], image, "image")
    for cut in range(patch_size, size, patch_size):
        axes[0].axhline(cut - 0.5, color="white", linewidth=1)
        axes[0].axvline(cut - 0.5, color="white", linewidth=1)
    cuts = np.arange(patch_size, size, patch_size)
    picture(axes[1], np.insert(np.insert(image, cuts, 215, axis=0), cuts, 215, axis=1), "patches")
    axes[1].set_axis_off()
    axes[2].imshow(table.reshape(len(table), -1, 3).astype("uint8"), aspect="auto")
    axes[2].set(title="table", xlabel="pixel of the patch", ylabel="patch")
    axes[2].set_xticks([0, patch_size**2 - 1], [1, patch_size**2])
    axes[2].set_yticks([0, lit, len(table) - 1])
    row, column = divmod(lit, per_side)
    frame = {"fill": False, "edgecolor": ORANGE, "linewidth": 3, "zorder": 3}
    for ax, step in zip(axes, (patch_size, patch_size + 1), strict=False):
        ax.add_patch(Rectangle((column * step - 0.5, row * step - 0.5), patch_size, patch_size, **frame))
    axes[2].plot(patch_size**2 + 0.1, lit, "<", color=ORANGE, markersize=10, clip_on=False)
    axes[2].set_xlim(-0.5, patch_size**2 - 0.5)
    axes[2].get_yticklabels()[1].set_color(ORANGE)
    return figure


def unrolled_patch(patch):
    """A patch (P, P, 3) with its pixels numbered, above the row of numbers that it becomes."""
    size = len(patch)
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(WIDTH, 4.2), height_ratios=(2.6, 1))
    picture(top, patch, f"one patch: {size} x {size} pixels")
    for number, pixel in enumerate(patch.reshape(-1, 3)):
        dark = pixel.astype("float64").mean() < 128
        row, column = divmod(number, size)
        top.text(column, row, number + 1, ha="center", va="center", color="white" if dark else "black")
    planes = np.zeros((1, patch.size, 3), "uint8")
    for place, value in enumerate(patch.reshape(-1)):
        planes[0, place, place % 3] = value
    bottom.imshow(planes, aspect="auto")
    for cut in range(3, patch.size, 3):
        bottom.axvline(cut - 0.5, color="white", linewidth=2)
    bottom.set_xticks(np.arange(1, patch.size, 3 * 4), np.arange(1, size * size + 1, 4))
    title = "its row of the table: red, green, blue of pixel 1, then of pixel 2 ..."
    bottom.set(title=title, xlabel="pixel", yticks=[])
    return figure


def cost_by_patches(patches, mixer, attention):
    """Multiply-adds against the number of patches, for the mixing of a Mixer and of attention."""
    figure, ax = plt.subplots(figsize=(WIDTH, 3.2))
    ax.plot(patches, attention / 1e6, "--s", markevery=4, color=ORANGE, label="attention: every patch with every patch")
    ax.plot(patches, mixer / 1e6, "-o", markevery=4, color=BLUE, label="token mixing, hidden width fixed")
    ax.set(xlabel="number of patches S", ylabel="multiply-adds, millions", ylim=(0, None))
    ax.legend()
    return figure


def column_and_row(table, column, row):
    """A table (S, C) twice: lit are a column, as token mixing reads, and a row, as channel mixing reads."""
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 3.4))
    limit = np.abs(table).max()
    for ax in axes:
        ax.imshow(table, cmap="Greys", vmin=-limit, vmax=limit, aspect="auto", alpha=0.6)
        ax.set(xlabel="channel", ylabel="patch")
    axes[0].set_title("token mixing reads a column")
    axes[0].add_patch(Rectangle((column - 0.5, -0.5), 1, len(table), color=TOKENS))
    axes[1].set_title("channel mixing reads a row")
    axes[1].add_patch(Rectangle((-0.5, row - 0.5), table.shape[1], 1, color=CHANNELS))
    return figure


def layer_norm_effect(before, after):
    """Mean and standard deviation of each row of a table (S, C), before and after LayerNorm."""
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 2.9), sharey=True)
    for ax, table, title in zip(axes, (before, after), ("before LayerNorm", "after LayerNorm"), strict=True):
        patch = np.arange(len(table))
        mean, deviation = table.mean(axis=1), table.std(axis=1)
        ax.fill_between(patch, mean - deviation, mean + deviation, color=SKY, alpha=0.5, label="mean ± deviation")
        ax.plot(patch, mean, color=BLUE, label="mean of the row")
        ax.set(title=title, xlabel="patch")
    axes[0].set_ylim(-1.9, 1.3)
    axes[0].legend(loc="lower left")
    return figure


def gelu_curves(x, exact, tanh):
    """GELU beside ReLU, and below it the distance between GELU's exact form and its tanh form."""
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 2.9))
    axes[0].plot(x, np.maximum(x, 0), ":", color=GREY, label="ReLU")
    axes[0].plot(x, exact, color=BLUE, label="GELU")
    axes[0].set(title="the curve", xlabel="input")
    axes[0].legend()
    axes[1].plot(x, tanh - exact, color=ORANGE)
    axes[1].set(title="tanh form minus exact", xlabel="input")
    axes[1].ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
    return figure


def block_diagram(patches, channels, tokens_dim, channels_dim):
    """One Mixer block as boxes and arrows, the shape of the table after each step (batch axis left out)."""
    table, turned = (patches, channels), (channels, patches)
    tokens = [("LayerNorm", table, GREY), ("transpose", turned, GREY)]
    tokens += [(f"Dense({tokens_dim}), GELU", (channels, tokens_dim), TOKENS), (f"Dense({patches})", turned, TOKENS)]
    tokens += [("transpose back", table, GREY), ("+ input", table, GREEN)]
    rows = [("LayerNorm", table, GREY), (f"Dense({channels_dim}), GELU", (patches, channels_dim), CHANNELS)]
    steps = [*tokens, *rows, (f"Dense({channels})", table, CHANNELS), ("+ input", table, GREEN)]
    figure, ax = plt.subplots(figsize=(WIDTH, 6.8))
    ax.set(xlim=(1.2, 10.8), ylim=(-len(steps) - 0.6, 0.6))
    ax.set_axis_off()
    ax.text(4.5, 0.1, f"table {patches} x {channels}", ha="center", va="center", weight="bold")
    arrow = {"arrowstyle": "-|>", "color": INK, "linewidth": 1.5, "shrinkA": 0, "shrinkB": 0}
    for place, (text, shape, colour) in enumerate(steps, 1):
        ax.annotate("", (4.5, -place + 0.3), (4.5, -place + 0.72), arrowprops=arrow)
        look = {"boxstyle": "round,pad=0.04", "fc": colour, "ec": "none", "alpha": 0.3}
        ax.add_patch(FancyBboxPatch((2.7, -place - 0.26), 3.6, 0.52, **look))
        ax.text(4.5, -place, text, ha="center", va="center")
        ax.text(6.6, -place, f"{shape[0]} x {shape[1]}", va="center", family="DejaVu Sans Mono")
    for start, end in ((-0.35, -6), (-6.5, -10)):  # the skip connections, around the left
        ax.plot([4.5, 2.1, 2.1], [start, start, end], color=GREEN)
        ax.annotate("", (2.66, end), (2.08, end), arrowprops={**arrow, "color": GREEN})
    mixings = ((-3, "token mixing\nalong the patches", TOKENS), (-8.2, "channel mixing\nalong the channels", CHANNELS))
    for place, text, colour in mixings:
        ax.text(1.9, place, "skip", rotation=90, va="center", ha="right", color=GREEN)
        ax.text(9.4, place, text, va="center", ha="center", color=colour)
    return figure


def changed_cells(changes):
    """Which cells of the table (S, C) have changed, one panel for each {title: array of booleans}."""
    figure, axes = plt.subplots(1, len(changes), figsize=(WIDTH, 3.2), sharey=True)
    for ax, (title, changed) in zip(axes, changes.items(), strict=True):
        ax.imshow(changed, cmap=ListedColormap(["#EEEEEE", BLUE]), vmin=0, vmax=1, aspect="auto")
        ax.set(title=title, xlabel="channel")
    axes[0].set_ylabel("patch")
    return figure
