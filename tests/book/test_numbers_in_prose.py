"""The book states no number without a record; the rule catches invented figures and leaves the rest alone."""

import dataclasses
import functools
import json

import nbformat
import pytest
from numbers_in_prose import card_numbers, claims, fact_numbers, numeric_leaves, output_numbers, unbacked
from pages import CHAPTERS, PAGES, each_chapter, read, sources

import mixer_lib
from tools.paths import ROOT


@functools.cache
def records():
    """Numbers of cards and facts, and of mixer_lib's presets and recipes: prose may name what the code fixes."""
    fixed = [dataclasses.asdict(entry) for entry in (*mixer_lib.PRESETS.values(), *mixer_lib.RECIPES.values())]
    return card_numbers(ROOT) + fact_numbers(ROOT) + numeric_leaves(fixed)


@functools.cache
def outputs(path):
    return output_numbers(read(path))


@each_chapter
def test_every_number_of_a_chapter_has_a_record(path):
    known = records() + outputs(path)
    wrong = {text[:80]: numbers for text in sources(path, "markdown") if (numbers := unbacked(text, known))}
    assert not wrong


@pytest.mark.parametrize("path", [*PAGES, ROOT / "README.md"], ids=lambda path: path.stem)
def test_every_number_of_a_page_has_a_record(path):
    known = records() + [number for chapter in CHAPTERS for number in outputs(chapter)]
    assert unbacked(path.read_text(encoding="utf-8"), known) == []


@pytest.mark.parametrize(
    "text", ["reaches 83.17 %", "an accuracy of 0.8317", "about 83 percent", "takes 17 s", "4,321 images"]
)
def test_an_invented_number_is_caught(text):
    assert unbacked(text, sources=[0.7804, 48.43, 50000.0])


@pytest.mark.parametrize(
    "text", ["reaches 78.04 %", "78 %", "0.78 of them", "50,000 images", "50000 images", "takes 15 s"]
)
def test_a_recorded_number_is_accepted(text):
    assert unbacked(text, sources=[0.7804, 50000.0, 15.0]) == []


@pytest.mark.parametrize("text", ["reaches 78.05 %", "79 %", "0.79", "50,001 images", "takes 16 s"])
def test_a_number_that_drifted_from_its_record_is_caught(text):
    assert unbacked(text, sources=[0.7804, 50000.0, 15.0])


@pytest.mark.parametrize(
    "text",
    [
        "Python 3.11 and Keras 2.15, or TensorFlow 2.15.1",
        "Python 3.10, 3.11, 3.12 or 3.13",
        "in 2021 and 2022",
        "arXiv 2105.01601",
        "a picture of 32 x 32 x 3 values",
        "32 × 32 × 3 = 3,072 values",
        "the call `f(0.5, 99.9)`",
        "```python\nx = 99.9\n```",
        "$0.125$ and $$\n99.9\n$$",
        "{card}`article:top5:.2%` and {fact}`article-top5`",
        "[text](https://example.org/99.9%)",
        "chapters 1 to 6, 64 patches of 48 values",
        "CC BY 4.0",
        "| 3.10, 3.11 | the older world |",
    ],
)
def test_what_is_no_result_needs_no_record(text):
    assert claims(text) == []


def test_a_sum_that_is_wrong_is_caught():
    assert unbacked("32 × 32 × 3 = 3,073 values", sources=[]) == ["3,073"]


@pytest.mark.parametrize("fence", ["```{note}\nIt reaches 83.17 %.\n```", ":::{tip}\nIt reaches 83.17 %.\n:::"])
def test_prose_inside_a_directive_counts(fence):
    assert unbacked(fence, sources=[]) == ["83.17 %"]


def test_an_alt_text_counts():
    assert unbacked("```{image} x.svg\n:alt: A curve that ends at 83.17 % of all images\n```", [0.5]) == ["83.17 %"]


def test_a_table_counts():
    assert unbacked("| run | top-5 |\n|---|---|\n| ours | 83.17 |", sources=[0.5]) == ["83.17"]


def test_sources_are_read_from_cards_facts_and_outputs(tmp_path):
    recorded = tmp_path / "mixer_lib" / "recorded"
    recorded.mkdir(parents=True)
    (recorded / "run.json").write_text(json.dumps({"top5": 0.7804, "config": {"dropout": 0.2}}))
    (tmp_path / "book").mkdir()
    facts = {"a": {"value": 81.07, "text": "81.07 %", "source": "x"}, "b": {"value": 12.5, "text": "12.5"}}
    (tmp_path / "book" / "facts.json").write_text(json.dumps(facts))
    output = nbformat.v4.new_output("stream", text="top-1 48.43 % of 10,000 images")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1", outputs=[output])])
    assert sorted(card_numbers(tmp_path)) == [0.2, 0.7804]
    assert set(fact_numbers(tmp_path)) == {81.07}  # the entry without a source backs nothing
    assert {48.43, 10000.0} <= set(output_numbers(notebook))
