"""The notebooks that a rendered book offers for download, one on each chapter's page.

They run wherever Keras does, in a clone or out of it, since they carry mixer_lib; their outputs are left out, as what
they print is on the page. A book without solutions offers notebooks for students: each solution is one empty cell.
"""

import copy
import json
import tempfile
import zipfile
from pathlib import Path

import nbformat

from tools.hosting.address import repository_url
from tools.hosting.carrier import carrier_cell, for_host, slim_library

TO_FILL_IN = "# Your solution"


def without_solutions(notebook, filled_with=()):
    """The notebook, given and returned as a dict, with other cells in place of each solution: none, or a copy of these.

    A solution goes from the cell that starts it to the one that ends it.
    """
    kept, inside, count = [], False, 0
    for cell in notebook["cells"]:
        text = "".join(cell["source"])
        if not inside and "{solution-start}" in text:
            inside, count = True, count + 1
            kept += [{**copy.deepcopy(new), "id": f"{new['id']}-{count}"} for new in filled_with]
        if not inside:
            kept.append(cell)
        if "{solution-end}" in text:
            inside = False
    return {**notebook, "cells": kept}


def for_students(notebook):
    """A copy of a chapter (nbformat) with an empty cell in place of each solution."""
    empty = nbformat.v4.new_code_cell(TO_FILL_IN, id="your-solution")
    return nbformat.from_dict(without_solutions(copy.deepcopy(notebook), [empty]))


def pack_library(target):
    """mixer_lib, slim, as a zip file that `carrier_cell` takes."""
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(target, "w") as packed:
        slim_library(folder)
        for path in sorted(Path(folder).rglob("*")):
            if path.is_file():
                packed.write(path, path.relative_to(folder).as_posix())
    return target


def download(chapter, library, solutions=True, address=""):
    """The notebook to download for a chapter (nbformat). It carries what its solutions need, too."""
    offered = chapter if solutions else for_students(chapter)
    return for_host(offered, carrier_cell(chapter, library), address)


def write_downloads(html, chapters, solutions=True):
    """Write the notebooks for these chapters (paths) where the pages of `html` link to; their paths."""
    folder, written = Path(html) / "_sources" / "notebooks", []
    if not chapters:
        return written
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        library = pack_library(Path(temporary) / "mixer_lib.zip")
        for path in chapters:
            offered = download(nbformat.read(path, 4), library, solutions, repository_url())
            written.append(folder / Path(path).name)
            written[-1].write_text(json.dumps(offered, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return written
