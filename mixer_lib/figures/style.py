"""The figure style of the book: colours, sizes, fonts."""

import pathlib
import sys

import matplotlib.pyplot as plt
import numpy as np

# Okabe and Ito's palette: told apart with every common form of colour blindness.
INK = "#222222"
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
SKY, AMBER, GREY = "#56B4E9", "#E69F00", "#8A8A8A"
ONLY_FILES = ("agg", "cairo", "pdf", "pgf", "ps", "svg", "template")  # matplotlib's backends that show nothing
WIDTH = 7.0  # inches: the width of the book's text column


def use_style():
    """Set the book's figure style, `book.mplstyle`, and twice the pixels of a plain screen.

    A reader's matplotlibrc has no say, and in a notebook figures are shown, whatever MPLBACKEND is. This sets
    matplotlib's rcParams for the whole process; within `with matplotlib.rc_context():` they come back at its end.
    """
    plt.style.use(["default", pathlib.Path(__file__).with_name("book.mplstyle")])
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if hasattr(shell, "kernel"):  # in a notebook; elsewhere, asking IPython for its settings would start one
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        if plt.get_backend().lower() in ONLY_FILES:
            shell.run_line_magic("matplotlib", "inline")
        set_matplotlib_formats("retina")


def bare(ax):
    """Axes without ticks, in a thin frame."""
    ax.set(xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set(visible=True, color=GREY, linewidth=0.6)


def picture(ax, image, title="", colour=INK):
    """One image (H, W, 3), 0-255 or 0-1, without axes."""
    image = np.asarray(image)
    ax.imshow(np.clip(image, 0, 255).astype("uint8") if image.max() > 1 else image)
    ax.set_title(title, color=colour)
    bare(ax)
