"""Every chapter keeps the book's rhythm."""

import re
from pathlib import Path

import nbformat
import pytest
from chapters import chapter_paths

ROOT = Path(__file__).resolve().parent.parent
CHAPTERS = chapter_paths()
each_chapter = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)

PREDICTION = re.compile(r"\*\*Predict[^*]*\*\*")
ANSWERS = re.compile(
    r"^[`:]{3}\{admonition\} (?:Each answer, and why|What happens, option by option)\n(.*?)^[`:]{3}", re.M | re.S
)
EXERCISE = re.compile(r"^[`:]{3}\{exercise\}([^\n]*)\n:label: (\S+)\n(.*?)^[`:]{3}", re.M | re.S)


def prose(notebook):
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def code(notebook):
    return "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")


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
    text = prose(nbformat.read(path, 4))
    beginning = text[: text.index("\n## ") + 1000]
    for mark in (
        r"\*\*Time:?\*\*",
        r"\*\*You need:?\*\*",
        r"\*\*You\s+will\s+see:?\*\*",
        r"\*\*The question:?\*\*|## A question",
    ):
        assert re.search(mark, beginning), mark


@each_chapter
def test_a_chapter_shows_the_librarys_source_and_names_its_room(path):
    notebook = nbformat.read(path, 4)
    assert re.search(r"show_source\(|getsource\(", code(notebook))
    rooms = re.findall(r"`mixer_lib/(\w+\.py)`", prose(notebook))
    assert rooms
    assert all((ROOT / "mixer_lib" / room).is_file() for room in rooms)


@each_chapter
def test_every_prediction_explains_each_of_its_options(path):
    found = predictions(prose(nbformat.read(path, 4)))
    assert len(found) >= 2
    for asked, explained in found:
        assert len(asked) >= 3
        assert asked == explained


def test_an_option_without_an_explanation_is_noticed():
    text = "**Predict first.** What?\n\n- **A.** x\n- **B.** y\n\n"
    text += ":::{admonition} What happens, option by option\n\n- **A.** z\n:::\n"
    assert predictions(text) == [(["A", "B"], ["A"])]


@each_chapter
def test_a_chapter_ends_with_what_we_saw_exercises_and_reading(path):
    text = prose(nbformat.read(path, 4))
    places = [text.index(f"## {title}") for title in ("What we saw", "Exercises", "Further reading")]
    assert places == sorted(places)
    assert "{cite}" in text[places[-1] :]


@each_chapter
def test_exercises_go_from_warm_up_to_open_and_all_have_solutions_that_run(path):
    notebook = nbformat.read(path, 4)
    exercises = EXERCISE.findall(prose(notebook))
    assert len(exercises) >= 4
    assert "warm-up" in "".join(exercises[0]).lower()
    assert "open" in re.findall(r"\(open\)|\*Open\.\*", "".join(exercises[-1]), re.I)[0].lower()
    solved, inside = {}, None
    for cell in notebook.cells:
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
    assert "](../book/glossary.md)" in prose(nbformat.read(path, 4))


@each_chapter
def test_code_fits_the_column(path):
    lines = [line for line in code(nbformat.read(path, 4)).splitlines() if len(line) > 88]
    assert lines == []
