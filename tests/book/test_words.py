"""Code that prose names exists, words of our own stay out, and the book's extensions say what the records say."""

import ast
import functools
import importlib
import io
import json
import re
import sys
import tokenize

import pytest
from pages import CHAPTERS, PAGES, code, each_chapter, prose

from tools.paths import ROOT
from tools.render import html as render

sys.path.append(str(ROOT / "book" / "_ext"))

import first_uses
import status

TEXTS = [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md", *CHAPTERS]
FOLDERS = ("mixer_lib", "tools", "book/_ext", "tests")
# names of other libraries and messages of theirs that prose mentions and our code never writes
FOREIGN = {"keras.src.engine", "KERAS_BACKEND", "HTTPS_PROXY"}

# words that only we used, or that meant two things: the field's terms stand in their place
OURS = re.compile(
    r"\brooms?\b|(?<!random )(?<!\.)\bwalk(?:s|ed|ing)?\b(?!-)|\bverbs?\b(?! import)|\bworlds?\b|\bgraphics cards?\b"
    r"|\bwhoever\b|\bto be had\b|\bso and so many\b|\bsomething bent\b|\bnaked\b|\bby heart\b|\bdear to do\b"
    r"|\blinear model\b",
    re.I,
)


def of_our_own(text):
    """The words of our own in a text; code between backticks is not looked at."""
    return sorted({match[0].lower() for match in OURS.finditer(re.sub(r"`[^`\n]*`", "", text))})


def strings_and_comments(path):
    """What a file of code says to people: its strings, docstrings among them, and its comments."""
    source = path.read_text(encoding="utf-8")
    comments = [
        token.string
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    ]
    strings = [node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)]
    return "\n".join([*comments, *(text for text in strings if isinstance(text, str))])


def spans(text):
    """What stands between single backticks outside of blocks of code, but for the texts of roles."""
    text = re.sub(r"^```(?:bash|python|json|yaml)?\n.*?^```", "", text, flags=re.M | re.S)
    return re.findall(r"(?<![`}\w])`([^`\n]+)`(?!`)", text)


@functools.cache
def everything():
    """All code of the repository in one text."""
    files = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    files += [ROOT / "Makefile", ROOT / "tools" / "setup" / "in_env.sh", ROOT / "_config.yml", ROOT / "pyproject.toml"]
    files += (ROOT / "mixer_lib" / "pretrained").glob("*.json")
    return "\n".join([*(path.read_text(encoding="utf-8") for path in files), *map(code, CHAPTERS)])


def unknown(span, known):
    """Why a code span names something that is not there, or None. Only what looks like a name of ours is judged."""
    if span in FOREIGN:
        return None
    if match := re.match(r"make ([a-z]+)\b", span):
        return None if re.search(rf"^{match[1]}:", known, re.M) else "no such verb"
    if match := re.match(r"mixer_lib((?:\.\w+)+)", span):
        found = importlib.import_module("mixer_lib")
        for name in match[1].split(".")[1:]:
            if not hasattr(found, name):
                return f"mixer_lib has no {name}"
            found = getattr(found, name)
        return None
    if match := re.match(r"python -m (tools[.\w]+)", span):
        return None if (ROOT / (match[1].replace(".", "/") + ".py")).is_file() else "no such module"
    if re.fullmatch(r"[\w/]+\.py", span):
        there = [ROOT / folder / span for folder in ("", *FOLDERS)]
        return None if any(path.is_file() for path in there) else "no such file"
    match = re.match(r"([A-Za-z_]\w*)(?=\(|$|=)", span)
    if match and re.search(r"_|[a-z][A-Z]", match[1]):
        return None if re.search(rf"\b{match[1]}\b", known) else "no code has this name"
    return None


@pytest.mark.parametrize(
    ("span", "right"),
    [
        ("make quick", True),
        ("make coffee", False),
        ("mixer_lib.train", True),
        ("mixer_lib.nothing()", False),
        ("layers.py", True),
        ("mixer_lib/nothing.py", False),
        ("python -m tools.maintain.ablations gmlp", True),
        ("python -m tools.nothing", False),
        ("build_classifier(config)", True),
        ("no_such_function", False),
        ("MixerBlok", False),
    ],
)
def test_a_name_without_code_is_noticed(span, right):
    known = re.sub(r"no_such_function|MixerBlok", "", everything())  # this file is code, too
    assert (unknown(span, known) is None) == right


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_code_named_in_prose_exists(path):
    wrong = {span: reason for span in spans(prose(path)) if (reason := unknown(span, everything()))}
    assert not wrong


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_prose_has_no_words_of_our_own(path):
    assert of_our_own(prose(path)) == []


@pytest.mark.parametrize("folder", ["mixer_lib", "tools", "book/_ext"])
def test_docstrings_messages_and_comments_have_no_words_of_our_own(folder):
    files = sorted((ROOT / folder).rglob("*.py"))
    found = {path.name: words for path in files if (words := of_our_own(strings_and_comments(path)))}
    assert found == {}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The walk through two rooms", ["rooms", "walk"]),
        ("a random walk; `make walk`; the run walk-0-article", []),
        ("A graphics card, and the card of a run", ["graphics card"]),
        ("Whoever gives a verb", ["verb", "whoever"]),
    ],
)
def test_a_word_of_our_own_is_noticed(text, found):
    assert of_our_own(text) == found


def test_messages_on_the_page_about_trouble_are_those_that_the_code_gives():
    text = (ROOT / "book" / "trouble.md").read_text(encoding="utf-8")
    messages = [span for span in re.findall(r"^`([^`]+)`\n:", text, re.M) if not span.startswith("No module named")]
    assert len(messages) >= 5
    assert [message for message in messages if message not in everything()] == []


# what the book's own directives read


def chapter(printed="This page shows the full profile, on CIFAR-100.\n", **metadata):
    """A published chapter, as its file holds it."""

    def cell(text):
        return {"cell_type": "code", "source": ["x"], "outputs": [{"name": "stdout", "text": [text]}]}

    title = {"cell_type": "markdown", "source": ["# A title\n", "\n", "text"]}
    return {"cells": [title, cell("python 3.13.0\n"), cell(printed)], "metadata": metadata}


def test_the_status_of_a_chapter_is_what_its_notebook_records():
    row = status.chapter_row(chapter(mixer={"seconds": 190}))
    assert row == ("A title", "full, CIFAR-100", "3 min", "python 3.13.0")


def test_a_chapter_without_a_recorded_time_has_a_dash():
    assert status.chapter_row(chapter())[2] == status.MISSING


def test_an_environment_that_made_all_chapters_is_told_once():
    one, other = ("A", "full", "3 min", "python 3.13.0"), ("B", "full", "1 s", "python 3.11.9")
    alike, told = status.chapters_nodes([one, one])
    assert "3.13.0" in told.astext() and "3.13.0" not in alike.astext()
    (both,) = status.chapters_nodes([one, other])
    assert "3.13.0" in both.astext() and "3.11.9" in both.astext()


def test_the_environments_are_those_of_the_exact_requirements():
    text = "keras==2.15.0 ; python_full_version < '3.12' \\\n    --hash=sha256:0\n"
    text += (
        "keras==3.15.0 ; python_full_version >= '3.12' \\\n    --hash=sha256:1\nnumpy==1.26.4 \\\n    --hash=sha256:2\n"
    )
    assert status.versions(text, "3.10") == {"keras": "2.15.0", "numpy": "1.26.4"}
    assert status.versions(text, "3.12") == {"keras": "3.15.0", "numpy": "1.26.4"}
    between = "aiohttp==3.14 ; python_full_version == '3.12.*'\n"
    assert [bool(status.versions(between, python)) for python in status.PYTHONS] == [False, False, True, False]


def test_the_glossarys_words_are_read_from_its_page():
    words = first_uses.terms((ROOT / "book" / "glossary.md").read_text(encoding="utf-8"))
    assert {"token mixing", "GELU", "skip connection"} <= set(words)
    assert set(words) >= first_uses.EVERYDAY
    assert all(not word.startswith(" ") for word in words)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("two skip connections", "skip connection"),
        ("A Token mixing", "Token mixing"),
        ("pre-batch or batching", None),
        ("the embedding's", "embedding"),
    ],
)
def test_a_word_of_the_glossary_is_found_in_a_sentence(text, found):
    match = first_uses.pattern(["skip connection", "token mixing", "token", "batch", "embedding"]).search(text)
    assert (match[1] if match else None) == found


def test_a_word_is_linked_once_and_not_within_a_longer_one():
    words = {"token mixing", "token"}
    left, find = set(words), first_uses.pattern(words)
    text = "Token mixing, then token mixing's weights, then tokens."
    cut = first_uses.at_first_uses(text, find, left)
    assert [pair for pair in cut if pair[1]] == [("Token mixing", "token mixing"), ("tokens", "token")]
    assert "".join(piece for piece, _ in cut) == text
    assert left == set()


# a book without solutions


@each_chapter
def test_without_solutions_a_chapter_keeps_its_exercises_and_all_else(path):
    whole = json.loads(path.read_text(encoding="utf-8"))
    unsolved = render.without_solutions(whole)
    text = json.dumps(unsolved)
    assert "{solution" not in text
    assert text.count("{exercise}") == json.dumps(whole).count("{exercise}")
    assert "Further reading" in text
    dropped = [cell for cell in whole["cells"] if cell not in unsolved["cells"]]
    starts = sum("{solution-start}" in "".join(cell["source"]) for cell in dropped)
    assert starts >= 4
    assert not [cell for cell in dropped if re.search(r"\{exercise\}|^## ", "".join(cell["source"]), re.M)]


def test_a_staged_book_without_solutions_has_none(tmp_path):
    render.stage_book(tmp_path / "stage", solutions=False)
    texts = [path.read_text(encoding="utf-8") for path in sorted((tmp_path / "stage" / "notebooks").glob("*.ipynb"))]
    assert len(texts) == len(CHAPTERS)
    assert not any("{solution-start}" in text for text in texts)
