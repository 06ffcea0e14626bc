"""Run the code of book/own_pictures.md and draw its figures again.

With the environment's Python, in the repository's root: python -m tools.maintain.own_pictures
"""

import contextlib
import os
import re
import tempfile
from pathlib import Path

from tools.paths import ROOT
from tools.verbs import run

PAGE = ROOT / "book" / "own_pictures.md"
SHOW = "## Train on them"  # where the code begins that needs no pictures of the reader's
PARTS = re.compile(r"^```python\n(.*?)^```|^```\{figure\} (figures/\S+)", re.S | re.M)


def steps(text):
    """(code, the figure that it draws or None) for each step of the page, in order."""
    found = []
    for code, figure in PARTS.findall(text[text.index(SHOW) :]):
        if code:
            found.append([code, None])
        else:
            found[-1][1] = figure
    return found


def run_page(text, folder, save):
    """Run the page's code in `folder`; `save(name, figure)` gets each figure that is shown in the page."""
    names = {}
    with contextlib.chdir(folder) if hasattr(contextlib, "chdir") else _chdir(folder):
        for code, figure in steps(text):
            names.pop("figure", None)
            exec(compile(code, str(PAGE), "exec"), names)
            if figure:
                save(figure, names["figure"])
    return names


@contextlib.contextmanager
def _chdir(folder):  # Python 3.10
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def main():
    from mixer_lib.figures.style import png_options

    def save(name, figure):
        target = ROOT / "book" / name
        figure.savefig(target, dpi=110, **png_options(figure))
        print(f"{name}: {Path(target).stat().st_size:,} bytes")

    with tempfile.TemporaryDirectory() as folder:
        run_page(PAGE.read_text(encoding="utf-8"), folder, save)


if __name__ == "__main__":
    run(main)
