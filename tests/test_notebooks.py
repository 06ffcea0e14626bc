"""Every chapter runs on small data, and says what it checks."""

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
from chapters import chapter_paths
from stamps import stale

ROOT = Path(__file__).resolve().parent.parent
CHAPTERS = chapter_paths()
CHECKED = "nbval-check-output"
PARAMETERS = ["profile", "dataset", "data_dir", "epochs", "seed", "run_dir"]
MORE_PARAMETERS = {"05_training": ["jit_compile", "precision"]}  # how the machine computes, where one trains

each_chapter = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)


def nbval(path, folder):
    """Run a notebook under nbval in the fast profile; what it said, and the places of the code cells that failed."""
    values = {**os.environ, "MIXER_PROFILE": "fast", "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    values.pop("PYTEST_XDIST_WORKER", None)
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "--nbval-cell-timeout=300", "--nbval-current-env"]
    command += ["-q", "-p", "no:cacheprovider", "--rootdir", str(folder), "-c", os.devnull, str(path)]
    done = subprocess.run(command, cwd=folder, env=values, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stdout[-3000:] + done.stderr[-3000:]  # all passed, or some failed
    assert re.search(r"^\d+ (passed|failed)", done.stdout, re.M), done.stdout[-3000:]
    failed = re.findall(r"^(?:FAILED|ERROR) .*::Cell (\d+)", done.stdout, re.M)
    return done.stdout[-6000:] + done.stderr[-2000:], {int(number) for number in failed}


def checked_cells(notebook):
    return [cell for cell in notebook.cells if CHECKED in cell.metadata.get("tags", [])]


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


@functools.lru_cache(None)
def run_once(path):
    """A chapter's run with an altered copy of a cell in it: one kernel for both tests. (what was said, failed, copy)"""
    with tempfile.TemporaryDirectory() as folder:
        notebook, place = with_an_altered_copy(nbformat.read(path, 4))
        nbformat.write(notebook, Path(folder) / path.name)
        return *nbval(Path(folder) / path.name, folder), place


@each_chapter
def test_a_chapter_runs_on_small_data_and_gives_its_checked_outputs(path):
    said, failed, altered = run_once(path)
    assert failed <= {altered}, said


@each_chapter
def test_an_altered_output_is_noticed(path):
    said, failed, altered = run_once(path)
    assert altered in failed, said


@each_chapter
def test_a_chapter_checks_at_least_five_outputs(path):
    cells = checked_cells(nbformat.read(path, 4))
    assert len(cells) >= 5
    assert all(cell.outputs for cell in cells)


@each_chapter
def test_a_chapter_has_the_agreed_parameters(path):
    tagged = [c for c in nbformat.read(path, 4).cells if "parameters" in c.metadata.get("tags", [])]
    assert len(tagged) == 1
    expected = PARAMETERS + MORE_PARAMETERS.get(path.stem, [])
    assert [line.split(" = ")[0] for line in tagged[0].source.splitlines() if " = " in line] == expected
    assert 'profile = "full"' in tagged[0].source


@each_chapter
def test_a_chapter_is_published_with_the_code_it_shows(path):
    changed = stale(nbformat.read(path, 4))
    assert not changed, f"changed since the chapter was published: {', '.join(changed)}; run make execute, make publish"


@each_chapter
def test_a_chapter_stores_no_trace_of_its_run(path):
    notebook = nbformat.read(path, 4)
    assert "papermill" not in notebook.metadata
    for cell in notebook.cells:
        assert "papermill" not in cell.metadata
        assert "injected-parameters" not in cell.metadata.get("tags", [])
