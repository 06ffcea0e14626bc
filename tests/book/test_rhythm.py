"""Every chapter keeps the book's rhythm, and its file holds what a published chapter holds."""

import re
import sys

import numbers_in_prose
from pages import CHAPTERS, code, each_chapter, prose, read

from tools.chapters.stamps import INSTALL_CELL, stale
from tools.paths import ROOT

sys.path.append(str(ROOT / "book" / "_ext"))

from chapter_numbers import number_of

PREDICTION = re.compile(r"\*\*Predict[^*]*\*\*")
ANSWERS = re.compile(r"^[`:]{3}\{admonition\} Each answer, and why\n(.*?)^[`:]{3}", re.M | re.S)
EXERCISE = re.compile(r"^[`:]{3}\{exercise\}([^\n]*)\n:label: (\S+)\n(.*?)^[`:]{3}", re.M | re.S)
WORDS_A_MINUTE, CELLS_A_MINUTE = 200, 1  # of prose that is read, of code that is read and run


def options(text):
    """The letters of the options in a text, in order."""
    return re.findall(r"^- \*\*([A-Z])\.?\*\*", text, re.M)


def predictions(text):
    """For each question to predict: the letters that it offers, and those that are explained."""
    found = []
    for start, end in zip(
        [match.start() for match in PREDICTION.finditer(text)],
        [match.start() for match in PREDICTION.finditer(text)][1:] + [len(text)],
        strict=True,
    ):
        part = text[start:end]
        answers = ANSWERS.search(part)
        asked = part[: answers.start()] if answers else part
        found.append((options(asked), options(answers[1]) if answers else []))
    return found


@each_chapter
def test_a_chapter_begins_with_time_needs_a_view_and_a_question(path):
    text = prose(path)
    beginning = text[: text.index("\n## ") + 1000]
    for mark in (
        r"\*\*Time:?\*\*",
        r"\*\*You need:?\*\*",
        r"\*\*You\s+will\s+see:?\*\*",
        r"\*\*The question:?\*\*|## A question",
    ):
        assert re.search(mark, beginning), mark


def minutes(path):
    """How long a chapter takes without its solutions: its words, and its cells of code."""
    words = cells = inside = 0
    for cell in read(path).cells:
        inside = inside or "{solution-start}" in cell.source
        if not inside and cell.cell_type == "code":
            cells += 1
        elif not inside:
            words += len(re.findall(r"[^\W_][\w'’.,-]*", numbers_in_prose.prose(cell.source)))
        inside = inside and "{solution-end}" not in cell.source
    return words / WORDS_A_MINUTE + cells / CELLS_A_MINUTE


@each_chapter
def test_the_time_at_the_top_is_what_words_and_cells_take(path):
    stated = int(re.search(r"\*\*Time:\*\* about (\d+) minutes, without the exercises\.", prose(path))[1])
    assert abs(stated - minutes(path)) <= 4, f"{minutes(path):.0f} minutes by words and cells"


@each_chapter
def test_the_index_gives_a_chapter_the_time_and_the_number_that_it_has(path):
    index = (ROOT / "book" / "index.md").read_text(encoding="utf-8")
    number, stated = re.search(rf"^\| \[(\w+) [^]]+\]\(\.\./notebooks/{path.name}\) \| (\d+) \|", index, re.M).groups()
    assert number == str(number_of(f"notebooks/{path.stem}"))
    assert f"**Time:** about {stated} minutes" in prose(path)


@each_chapter
def test_every_figure_is_referred_to_by_its_number(path):
    figures = [cell.metadata.get("mystnb", {}).get("figure") for cell in read(path).cells]
    names = [figure["name"] for figure in figures if figure]
    referred = re.findall(r"\{numref\}`([\w-]+)`", prose(path))
    assert set(names) == set(referred)


@each_chapter
def test_a_chapter_shows_the_librarys_source_and_names_its_file(path):
    assert "show_source(" in code(path)
    files = re.findall(r"`(mixer_lib/[\w/]+\.py)`", prose(path))
    assert files
    assert all((ROOT / file).is_file() for file in files)


@each_chapter
def test_every_prediction_explains_each_of_its_options(path):
    assert {match[0] for match in PREDICTION.finditer(prose(path))} == {"**Predict first.**"}
    found = predictions(prose(path))
    assert len(found) >= 2
    for asked, explained in found:
        assert len(asked) >= 3
        assert asked == explained


def test_an_option_without_an_explanation_is_noticed():
    text = "**Predict first.** What?\n\n- **A.** x\n- **B.** y\n\n"
    text += ":::{admonition} Each answer, and why\n\n- **A.** z\n:::\n"
    assert predictions(text) == [(["A", "B"], ["A"])]


@each_chapter
def test_a_chapter_ends_with_what_we_saw_exercises_and_reading(path):
    text = prose(path)
    places = [text.index(f"## {title}") for title in ("What we saw", "Exercises", "Further reading")]
    assert places == sorted(places)
    assert "{cite}" in text[places[-1] :]


@each_chapter
def test_exercises_go_from_warm_up_to_open_and_all_have_solutions_that_run(path):
    exercises = EXERCISE.findall(prose(path))
    assert len(exercises) >= 4
    assert "warm-up" in "".join(exercises[0]).lower()
    assert all(title.strip() for title, _, _ in exercises), "an exercise without a title"
    assert "open" in re.findall(r"\(open\)|\*Open\.\*", "".join(exercises[-1]), re.I)[0].lower()
    solved, inside = {}, None
    for cell in read(path).cells:
        start = re.search(r"\{solution-start\} (\S+)\n:class: dropdown", cell.source)
        inside = start[1] if start else inside
        if inside:
            solved[inside] = solved.get(inside, 0) + (cell.cell_type == "code")
        if "{solution-end}" in cell.source:
            inside = None
    assert list(solved) == [label for _, label, _ in exercises]
    assert all(solved.values()), "a solution without code"


@each_chapter
def test_a_chapter_leads_to_the_glossary(path):
    assert "](../book/glossary.md)" in prose(path)


@each_chapter
def test_code_fits_the_column(path):
    lines = [line for line in code(path).splitlines() if len(line) > 88]
    assert lines == []


FIRST_CELL = next(cell.source for cell in read(CHAPTERS[0]).cells if cell.get("id") == "environment")
PARAMETERS = ["profile", "dataset", "data_dir", "epochs", "seed", "run_dir"]
MORE_PARAMETERS = {"05_training": ["jit_compile", "precision", "devices"]}  # how the machine computes, where one trains


@each_chapter
def test_a_chapter_begins_with_one_short_cell_and_the_agreed_parameters(path):
    first, second, *_ = [cell for cell in read(path).cells if cell.cell_type == "code" and cell.id != INSTALL_CELL]
    assert first.source == FIRST_CELL
    assert len([line for line in first.source.splitlines() if line]) <= 5
    assert second.metadata.tags == ["parameters", "hide-input"]  # folded: the text begins on the first screen
    expected = PARAMETERS + MORE_PARAMETERS.get(path.stem, [])
    assert [line.split(" = ")[0] for line in second.source.splitlines() if " = " in line] == expected
    assert 'profile = "full"' in second.source


@each_chapter
def test_a_chapter_checks_at_least_five_outputs(path):
    cells = [cell for cell in read(path).cells if "nbval-check-output" in cell.metadata.get("tags", [])]
    assert len(cells) >= 5
    assert all(cell.outputs for cell in cells)


@each_chapter
def test_a_chapter_is_published_with_the_code_it_shows(path):
    changed = stale(read(path))
    assert not changed, f"changed since the chapter was published: {', '.join(changed)}; run make execute, make publish"


@each_chapter
def test_a_chapter_stores_no_trace_of_its_run_no_error_and_no_noise(path):
    notebook = read(path)
    assert "papermill" not in notebook.metadata
    for number, cell in enumerate(notebook.cells, 1):
        assert "papermill" not in cell.metadata
        assert "injected-parameters" not in cell.metadata.get("tags", [])
        for output in cell.get("outputs", []):
            assert output.output_type != "error", f"cell {number}"
            assert output.get("name") != "stderr", f"cell {number}: {output.text[:200]}"
