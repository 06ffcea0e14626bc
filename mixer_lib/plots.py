"""Drawings for the chapters on data, patches and mixing, and the one figure style of the book.

Chapters import this module; no other room of the library does.
"""

import matplotlib.pyplot as plt

# Okabe and Ito's palette: told apart with every common form of colour blindness.
INK = "#222222"
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
SKY, AMBER, YELLOW, GREY = "#56B4E9", "#E69F00", "#F0E442", "#8A8A8A"
CYCLE = (BLUE, ORANGE, GREEN, PURPLE, SKY, AMBER, INK)
WIDTH = 7.0  # inches: the width of the book's text column


def style():
    """Set the book's figure style for everything that matplotlib draws from here on.

    A white ground that is never transparent (the book has dark pages too), letters that a phone can show,
    twice the pixels that a plain screen needs, and Okabe and Ito's colours.
    """
    plt.rcParams.update(
        {
            "figure.figsize": (WIDTH, 3.4),
            "figure.dpi": 100,
            "figure.facecolor": "white",
            "figure.constrained_layout.use": True,
            "savefig.dpi": 160,
            "savefig.facecolor": "white",
            "savefig.transparent": False,
            "axes.facecolor": "white",
            "axes.edgecolor": INK,
            "axes.labelcolor": INK,
            "axes.titlesize": 13,
            "axes.labelsize": 12,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.prop_cycle": plt.cycler(color=CYCLE),
            "text.color": INK,
            "xtick.color": INK,
            "ytick.color": INK,
            "xtick.labelsize": 11,
            "ytick.labelsize": 11,
            "font.size": 12,
            "font.family": "DejaVu Sans",
            "legend.frameon": False,
            "legend.fontsize": 11,
            "lines.linewidth": 2,
            "image.interpolation": "nearest",
            "image.cmap": "viridis",
        }
    )
    from matplotlib_inline.backend_inline import set_matplotlib_formats

    set_matplotlib_formats("retina")
