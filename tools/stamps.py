"""Hashes that tie a published chapter to the code it was run with."""

import hashlib
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KEY = "mixer"


def digest(parts):
    """One SHA-256 over texts; line endings do not count."""
    total = hashlib.sha256()
    for part in parts:
        text = "\n".join(part.splitlines()).strip()
        total.update(len(text.encode()).to_bytes(8, "big") + text.encode())
    return total.hexdigest()


def cells_hash(notebook):
    """Hash of a notebook's code cells: their sources, in order. Prose may change without a new run.

    So may the repository's address: where mixer_lib is installed from decides no output.
    """
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return digest(re.sub(r'^REPOSITORY = ".*?"', 'REPOSITORY = ""', source, flags=re.M) for source in sources)


def library_hash(root=ROOT):
    """Hash of mixer_lib's sources: chapters show them and run on them."""
    files = sorted((Path(root) / "mixer_lib").rglob("*.py"))
    return digest(text for path in files for text in (path.name, path.read_text(encoding="utf-8")))


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
