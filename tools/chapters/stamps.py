"""Hashes that tie a published chapter to the code it was run with."""

import hashlib
from pathlib import Path

from tools.paths import ROOT

KEY = "mixer"
INSTALL_CELL = "install"  # id of the cell that installs mixer_lib on a host (tools/hosting/address.py)


def digest(parts):
    """One SHA-256 over texts; line endings do not count."""
    total = hashlib.sha256()
    for part in parts:
        text = "\n".join(part.splitlines()).strip()
        total.update(len(text.encode()).to_bytes(8, "big") + text.encode())
    return total.hexdigest()


def cells_hash(notebook):
    """Hash of a notebook's code cells: their sources, in order.

    Prose may change without a new run, and so may the cell that installs mixer_lib: it decides no output.
    """
    cells = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.get("id") != INSTALL_CELL]
    return digest(cell.source for cell in cells)


def library_hash(root=ROOT):
    """Hash of mixer_lib's sources and where each lies: chapters show them and run on them."""
    library = Path(root) / "mixer_lib"
    files = {path.relative_to(library).as_posix(): path for path in library.rglob("*.py")}
    return digest(text for name in sorted(files) for text in (name, files[name].read_text(encoding="utf-8")))


def stamp(notebook, root=ROOT):
    """Write both hashes into the notebook's metadata."""
    notebook.metadata[KEY] = {"cells": cells_hash(notebook), "library": library_hash(root)}


def stale(notebook, root=ROOT):
    """What has changed since the notebook was published: a list of words, empty when nothing has."""
    stored = notebook.metadata.get(KEY, {})
    current = {
        "its code cells": ("cells", cells_hash(notebook)),
        "mixer_lib": ("library", library_hash(root)),
    }
    return [what for what, (key, value) in current.items() if stored.get(key) != value]
