"""Every chapter runs on small data, and says what it checks."""

import copy
import os
import subprocess
import sys
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
    """Run a notebook under nbval in the fast profile; the finished process."""
    values = {**os.environ, "MIXER_PROFILE": "fast", "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    values.pop("PYTEST_XDIST_WORKER", None)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--nbval-lax",
        "--nbval-cell-timeout=300",
        "-q",
        "-p",
        "no:cacheprovider",
    ]
    command += ["--rootdir", str(folder), "-c", os.devnull, "--nbval-current-env", str(path)]
    return subprocess.run(command, cwd=folder, env=values, capture_output=True, text=True)


def checked_cells(notebook):
    return [cell for cell in notebook.cells if CHECKED in cell.metadata.get("tags", [])]


@each_chapter
def test_a_chapter_runs_on_small_data_and_gives_its_checked_outputs(path, tmp_path):
    copied = tmp_path / path.name
    copied.write_bytes(path.read_bytes())
    done = nbval(copied, tmp_path)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def alter(notebook):
    """The notebook up to its first checked cell, with that cell's stored output altered."""
    notebook = copy.deepcopy(notebook)
    last = next(i for i, cell in enumerate(notebook.cells) if CHECKED in cell.metadata.get("tags", []))
    del notebook.cells[last + 1 :]
    output = notebook.cells[last].outputs[0]
    if output.output_type == "stream":
        output.text = "altered: " + output.text
    else:
        output.data["text/plain"] = "altered: " + output.data["text/plain"]
    return notebook


@each_chapter
def test_an_altered_output_is_noticed(path, tmp_path):
    nbformat.write(alter(nbformat.read(path, 4)), tmp_path / path.name)
    done = nbval(tmp_path / path.name, tmp_path)
    assert done.returncode == 1, done.stdout[-3000:]
    assert "1 failed" in done.stdout, done.stdout[-3000:]


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
