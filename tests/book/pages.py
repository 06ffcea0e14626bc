"""The book's sources, read once: its pages, its chapters, and what is prose and what is code in them."""

import functools

import nbformat
import pytest

from tools.chapters.notebooks import chapter_paths
from tools.paths import ROOT

PAGES = sorted((ROOT / "book").glob("*.md"))
CHAPTERS = chapter_paths()

each_chapter = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)


@functools.cache
def read(path):
    """A chapter. All tests share it: whoever changes it takes a copy."""
    return nbformat.read(path, 4)


def sources(path, kind):
    """The sources of a chapter's cells of a kind, "markdown" or "code"."""
    return [cell.source for cell in read(path).cells if cell.cell_type == kind]


def prose(path):
    """The text of a page, or of a chapter's markdown cells."""
    return "\n\n".join(sources(path, "markdown")) if path.suffix == ".ipynb" else path.read_text(encoding="utf-8")


def code(path):
    """The code of a chapter."""
    return "\n".join(sources(path, "code"))
