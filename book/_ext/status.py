"""Directives of the status page: what stands here is read from records when the book is built.

- ``{chapters-table}``: one row for each chapter: the profile and data of its stored outputs, the environment that made
  them, and how long that took.
- ``{environments-table}``: the exact versions in requirements.txt, for each Python that the book supports.
"""

import json
import re
from pathlib import Path

from cards_table import MISSING, table_node
from chapter_numbers import number_of
from docutils import nodes
from packaging.requirements import Requirement
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
    printed = [text for cell in notebook["cells"] if cell["cell_type"] == "code" and (text := texts(cell))]
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


def versions(requirements, python):
    """{package: exact version} that requirements.txt, given as text, has for a Python on Linux."""
    machine = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux"}
    machine |= {"platform_system": "Linux", "platform_machine": "x86_64", "os_name": "posix"}
    machine |= {"platform_python_implementation": "CPython", "implementation_name": "cpython"}
    found = [Requirement(line) for line in re.findall(r"^[\w.,[\]-]+ ?==[^\\\n]+", requirements, re.M)]
    held = [one for one in found if one.marker is None or one.marker.evaluate(machine)]
    return {one.name: str(one.specifier).removeprefix("==") for one in held}


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
        folder = Path(self.env.srcdir) / "notebooks"
        found = {path: number_of(f"notebooks/{path.stem}") for path in folder.glob("*.ipynb")}
        paths = sorted(path for path, number in found.items() if number is not None)
        for path in paths:
            self.env.note_dependency(str(path))
        rows = [chapter_row(json.loads(path.read_text(encoding="utf-8"))) for path in paths]
        named = zip(paths, rows, strict=True)
        return chapters_nodes([(f"{found[path]} {title}", *rest) for path, (title, *rest) in named])


class EnvironmentsTable(SphinxDirective):
    def run(self):
        path = Path(self.env.srcdir) / "requirements.txt"
        if not path.is_file():
            raise ExtensionError("environments-table: no requirements.txt beside _config.yml")
        self.env.note_dependency(str(path))
        text = path.read_text(encoding="utf-8")
        rows = [[python, *(versions(text, python).get(name, MISSING) for name in PACKAGES)] for python in PYTHONS]
        return [table(("Python", *PACKAGES), rows, "environments-table")]


def setup(app):
    app.add_directive("chapters-table", ChaptersTable)
    app.add_directive("environments-table", EnvironmentsTable)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
