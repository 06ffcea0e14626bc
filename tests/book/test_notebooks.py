"""Every chapter runs on small data, and nbval finds the outputs that its file has; an altered one is noticed."""

import ast
import copy
import functools
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
import pytest
from pages import CHAPTERS, each_chapter, read
from small_notebooks import notebook

from tools.chapters.notebooks import takes_long
from tools.paths import ROOT

CHECKED = "nbval-check-output"


def nbval(folder):
    """Run a folder's notebooks under nbval in the fast profile, in one kernel: (what it said, the cells that failed).

    A cell that failed is the pair of its notebook's name and its place among the code cells.
    """
    values = {**os.environ, "MIXER_PROFILE": "fast", "TF_CPP_MIN_LOG_LEVEL": "3"}
    values["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(Path(__file__).parent)])
    values.pop("PYTEST_XDIST_WORKER", None)
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "--nbval-cell-timeout=300", "--nbval-current-env"]
    command += ["-q", "-p", "no:cacheprovider", "-p", "one_kernel", "--rootdir", str(folder), "-c", os.devnull]
    done = subprocess.run([*command, str(folder)], cwd=folder, env=values, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stdout[-3000:] + done.stderr[-3000:]  # all passed, or some failed
    assert re.search(r"^\d+ (passed|failed)", done.stdout, re.M), done.stdout[-3000:]
    failed = re.findall(r"^(?:FAILED|ERROR) (\S+)::Cell (\d+)", done.stdout, re.M)
    return done.stdout[-6000:] + done.stderr[-2000:], {(Path(name).stem, int(cell)) for name, cell in failed}


def with_an_altered_copy(notebook):
    """The notebook with its first checked cell twice, the copy's stored output altered; also the copy's place."""
    notebook = copy.deepcopy(notebook)
    first = next(i for i, cell in enumerate(notebook.cells) if CHECKED in cell.metadata.get("tags", []))
    copied = copy.deepcopy(notebook.cells[first])
    copied.id = "altered"
    output = copied.outputs[0]
    if output.output_type == "stream":
        output.text = "altered: " + output.text
    else:
        output.data["text/plain"] = "altered: " + output.data["text/plain"]
    notebook.cells.insert(first + 1, copied)
    return notebook, sum(cell.cell_type == "code" for cell in notebook.cells[: first + 1])


def test_a_magic_that_fails_is_a_failure_though_nbval_by_itself_takes_it_for_none(tmp_path):
    nbformat.write(notebook("%nothing\nraise TypeError", "x = 1"), tmp_path / "01_x.ipynb")
    assert nbval(tmp_path)[1] == {("01_x", 1)}


@each_chapter
def test_a_chapter_holds_python_alone_and_no_command_of_a_shell_whose_failure_nobody_notices(path):
    for cell in read(path).cells:
        if cell.cell_type == "code":
            ast.parse(cell.source)


@each_chapter
def test_what_is_checked_is_text_since_nbval_compares_no_pictures(path):
    for cell in read(path).cells:
        if CHECKED in cell.metadata.get("tags", []):
            kinds = {kind for output in cell.outputs for kind in output.get("data", {"text/plain": ""})}
            assert "text/plain" in kinds and not any(kind.startswith("image/") for kind in kinds), cell.id


@functools.cache
def run_together(paths):
    """Chapters run with an altered copy of a cell in each: {path: (what was said, places that failed, the copy's)}."""
    with tempfile.TemporaryDirectory() as folder:
        altered = {}
        for path in paths:
            notebook, altered[path] = with_an_altered_copy(read(path))
            nbformat.write(notebook, Path(folder) / path.name)
        said, failed = nbval(Path(folder))
    places = {path: {place for stem, place in failed if stem == path.stem} for path in paths}
    return {path: (said, places[path], altered[path]) for path in paths}


@pytest.fixture
def run(path, request):
    """A chapter's run, together with the others of its kind that are asked for."""
    items = [item for item in request.session.items if item.path == request.path and hasattr(item, "callspec")]
    asked = {item.callspec.params.get("path") for item in items}
    alike = tuple(other for other in CHAPTERS if other in asked and takes_long(other.stem) == takes_long(path.stem))
    return run_together(alike)[path]


@each_chapter
def test_a_chapter_runs_on_small_data_and_gives_its_checked_outputs(run):
    said, failed, altered = run
    assert failed <= {altered}, said


@each_chapter
def test_an_altered_output_is_noticed(run):
    said, failed, altered = run
    assert altered in failed, said
