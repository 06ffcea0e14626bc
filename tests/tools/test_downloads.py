"""The notebooks that the book's pages offer: they carry mixer_lib, and those for students have empty solutions."""

import json
import re
import subprocess
import sys

import nbformat
import pytest
from small_runs import python_environment

from tools.chapters.notebooks import chapter_paths
from tools.hosting.carrier import LARGEST_NOTEBOOK
from tools.render import downloads, pdf

CHAPTERS = chapter_paths()


@pytest.fixture(scope="module")
def written(built_once):
    """The notebooks for download, with solutions and for students: {"solved" or "students": {stem: notebook}}."""

    def build(folder):
        downloads.write_downloads(folder / "solved", CHAPTERS)
        downloads.write_downloads(folder / "students", CHAPTERS, solutions=False)

    folder = built_once("downloads", build)
    return {
        kind: {path.stem: nbformat.read(path, 4) for path in (folder / kind / "_sources" / "notebooks").glob("*.ipynb")}
        for kind in ("solved", "students")
    }


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_student_s_notebook_has_one_empty_cell_for_each_exercise_and_all_else(written, path):
    solved, student = (written[kind][path.stem] for kind in ("solved", "students"))
    nbformat.validate(student)
    exercises = sum(cell.source.count("{exercise}") for cell in solved.cells)
    empty = [place for place, cell in enumerate(student.cells) if cell.source == downloads.TO_FILL_IN]
    assert len(empty) == exercises >= 4
    for place in empty:  # the exercise stands right above it
        assert "{exercise}" in student.cells[place - 1].source and not student.cells[place].outputs
    assert "{solution" not in nbformat.writes(student)
    kept = downloads.without_solutions(solved)["cells"]
    left = [cell.id for cell in student.cells if cell.source != downloads.TO_FILL_IN]
    assert left == [cell["id"] for cell in kept]


@pytest.mark.parametrize("kind", ["solved", "students"])
def test_a_notebook_for_download_carries_the_library_and_no_outputs_and_hosts_take_it(written, kind):
    assert sorted(written[kind]) == [path.stem for path in CHAPTERS]
    for notebook in written[kind].values():
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        assert code[0].id == "carried" and not any(cell.outputs for cell in code)
        assert len(nbformat.writes(notebook).encode()) < LARGEST_NOTEBOOK
        assert not re.search(r"\]\(\.\./", "".join(cell.source for cell in notebook.cells if cell.cell_type != "code"))


def test_a_student_s_notebook_finds_the_library_and_its_model_anywhere(written, tmp_path):
    """Outside of a clone: what the notebook carries is all there is of mixer_lib."""
    cells = [cell.source for cell in written["students"]["06_testing"].cells if cell.cell_type == "code"]
    check = "import mixer_lib\nprint(mixer_lib.__file__)\nprint(mixer_lib.load_pretrained('article-digits')[1].preset)"
    script = tmp_path / "script.py"
    script.write_text("\n".join([cells[0], cells[1], check]))
    values = python_environment(PYTHONPATH="")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, env=values, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    *_, place, preset = done.stdout.splitlines()
    assert "mixer_lib-" in place and preset == "article"


@pytest.mark.browser
@pytest.mark.skipif(pdf.find_browser() is None, reason="no browser here")
def test_a_chapter_s_page_saves_its_notebook_without_the_network(html, page):
    page.goto((html / "notebooks" / "01_data.html").as_uri())
    link = page.locator("a.btn-download-source-button")
    assert link.get_attribute("target") is None
    assert "notebook" in link.get_attribute("data-bs-original-title")  # where the theme's script moves a title
    page.get_by_role("button", name="Download this page").click()
    with page.expect_download() as saved:
        link.click()
    assert saved.value.suggested_filename == "01_data.ipynb"
    assert json.loads(saved.value.path().read_text(encoding="utf-8"))["nbformat"] == 4
