"""Directives of the status page: what stands here is read from records when the book is built.

- ``{chapters-table}``: one row for each chapter: the profile and data of its stored outputs, the environment that made
  them, and how long that took.
- ``{environments-table}``: the exact versions in requirements.txt, for each Python that the book supports.
"""

import json
import re
from pathlib import Path

from cards_table import MISSING, table_node
from docutils import nodes
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

PYTHONS = ("3.10", "3.11", "3.12", "3.13")
PACKAGES = ("tensorflow", "keras", "tensorflow-addons", "numpy", "jupyter-book")


def texts(cell):
    """What a code cell printed."""
    outputs = [output for output in cell.get("outputs", []) if output.get("name") == "stdout"]
    return "".join("".join(output["text"]) for output in outputs).strip()


def duration(seconds):
    """Seconds as text: ``48 s``, ``3 min``; a dash where there is no record."""
    if seconds is None:
        return MISSING
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def chapter_row(notebook):
    """(title, profile and data, run time, environment) of a published chapter, as its notebook records them."""
    title = next(line for cell in notebook["cells"] for line in "".join(cell["source"]).splitlines() if line)
    printed = [texts(cell) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    caption = next(
        (re.search(r"This page shows the (.+?)\.$", text, re.M) for text in printed if "shows the" in text), None
    )
    seconds = notebook["metadata"].get("mixer", {}).get("seconds")
    return (
        title.removeprefix("# "),
        caption[1].replace(" profile, on ", ", ") if caption else MISSING,
        duration(seconds),
        printed[0] if printed else MISSING,
    )


def holds(marker, python):
    """Whether a requirement's marker, ``python_version >= "3.12" and ...`` or empty, is true for a Python."""
    order = {"<": lambda a, b: a < b, ">=": lambda a, b: a >= b}
    conditions = re.findall(r'python_version (<|>=) "(\d+)\.(\d+)"', marker)
    have = tuple(map(int, python.split(".")))
    return all(order[sign](have, (int(major), int(minor))) for sign, major, minor in conditions)


def versions(requirements, python):
    """{package: exact version} that requirements.txt, given as text, has for a Python."""
    found = re.findall(r"^([\w.-]+)==([^\s;]+)(?:; (.*))?$", requirements, re.M)
    return {name: version for name, version, marker in found if holds(marker, python)}


def table(head, rows, name):
    """A docutils table of text cells with one header row."""
    return table_node([(cells, False) for cells in rows], head, name)


def chapters_nodes(rows):
    """The table of the chapters; an environment that made all of them is told once, below it."""
    head = ("Chapter", "Shows", "Ran for", "Made with")
    made_with = {row[-1] for row in rows}
    if len(made_with) > 1:
        return [table(head, rows, "chapters-table")]
    told = nodes.paragraph(text=f"All of them were made with {', '.join(made_with) or MISSING}.")
    return [table(head[:-1], [row[:-1] for row in rows], "chapters-table"), told]


class ChaptersTable(SphinxDirective):
    def run(self):
        paths = sorted((Path(self.env.srcdir) / "notebooks").glob("[0-9][0-9]_*.ipynb"))
        for path in paths:
            self.env.note_dependency(str(path))
        rows = [chapter_row(json.loads(path.read_text(encoding="utf-8"))) for path in paths]
        numbers = [int(path.stem[:2]) for path in paths]
        return chapters_nodes([(f"{n} {title}", *rest) for n, (title, *rest) in zip(numbers, rows, strict=True)])


class EnvironmentsTable(SphinxDirective):
    def run(self):
        path = Path(self.env.srcdir) / "requirements.txt"
        if not path.is_file():
            raise ExtensionError("environments-table: no requirements.txt beside _config.yml; tools/book.py copies it")
        self.env.note_dependency(str(path))
        text = path.read_text(encoding="utf-8")
        rows = [[python, *(versions(text, python).get(name, MISSING) for name in PACKAGES)] for python in PYTHONS]
        return [table(("Python", *PACKAGES), rows, "environments-table")]


def setup(app):
    app.add_directive("chapters-table", ChaptersTable)
    app.add_directive("environments-table", EnvironmentsTable)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
