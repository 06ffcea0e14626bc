"""The figure style of the book: colours, sizes, fonts, and what a figure's PNG says of itself."""

import json
import pathlib
import sys

import matplotlib.pyplot as plt
import numpy as np

# Okabe and Ito's palette: told apart with every common form of colour blindness.
INK = "#222222"
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
SKY, AMBER, GREY = "#56B4E9", "#E69F00", "#767676"
ONLY_FILES = ("agg", "cairo", "pdf", "pgf", "ps", "svg", "template")  # matplotlib's backends that show nothing
PICTURES = "mixer:pictures"  # the text in a PNG that says where pictures lie; the book's dark pages leave those alone
WIDTH = 6.5  # inches: at most 12 letters an inch of it, so that they are large enough on a phone, too


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
        _show_with_boxes(shell)


def _show_with_boxes(shell):
    """Let a notebook store a figure's PNG with its boxes: see `png_options`."""
    from IPython.core.pylabtools import retina_figure
    from matplotlib.figure import Figure

    def shown(figure):
        return retina_figure(figure, base64=True, **png_options(figure))

    shell.display_formatter.formatters["image/png"].for_type(Figure, shown)


def png_options(figure):
    """Options of `savefig` for a PNG that is cut to what is drawn and says where its pictures lie.

    The boxes are JSON, [[left, top, right, bottom], ...], in parts of the width and height: the axes that show an
    image, be it a photograph or a map of values, and the bars that explain a map's colours.
    """
    figure.draw_without_rendering()  # which lays it out
    inches = figure.dpi_scale_trans.inverted()
    cut = figure.get_tightbbox().padded(plt.rcParams["savefig.pad_inches"])
    boxes = []
    for ax in figure.findobj(plt.Axes):
        if ax.images or getattr(ax, "_colorbar", None):
            box = ax.get_window_extent().transformed(inches)
            sides = ((box.x0 - cut.x0) / cut.width, (cut.y1 - box.y1) / cut.height)
            sides += ((box.x1 - cut.x0) / cut.width, (cut.y1 - box.y0) / cut.height)
            boxes.append([round(side, 4) for side in sides])
    return {"bbox_inches": cut, "metadata": {PICTURES: json.dumps(boxes)}}


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
