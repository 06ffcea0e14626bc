"""Predict-first questions: each has one right option, and in a browser they are answered, kept and forgotten."""

import json
import re
import sys

import pytest
from bs4 import BeautifulSoup
from docutils.core import publish_doctree
from pages import CHAPTERS, prose

from tools.paths import ROOT
from tools.render import pdf

sys.path.append(str(ROOT / "book" / "_ext"))
import predictions

in_a_browser = pytest.mark.skipif(pdf.find_browser() is None, reason="no browser here")
AXE = (ROOT / "tests" / "axe" / "axe.min.js").read_text(encoding="utf-8")
SERIOUS = """async () => (await axe.run(document.querySelector('article'), {resultTypes: ['violations']})).violations
  .filter((found) => ['serious', 'critical'].includes(found.impact)).map((found) => [found.id, found.nodes[0].html])"""


def asked(html, stem):
    """The lists of options of a rendered chapter, each with its explanations."""
    soup = BeautifulSoup((html / "notebooks" / f"{stem}.html").read_text(encoding="utf-8"), "html.parser")
    return [(options, options.find_next(class_="predict-reasons")) for options in soup.select("ul.predict")]


def test_every_question_of_the_book_has_exactly_one_right_option(html):
    found = 0
    for path in CHAPTERS:
        questions = asked(html, path.stem)
        assert len(questions) == prose(path).count("**Predict first.**"), path.stem
        for options, reasons in questions:
            first = [[item.get_text()[0] for item in part.find_all("li")] for part in (options, reasons)]
            assert first[0] == first[1] and len(first[0]) >= 3
            assert len(reasons.select("li.predict-right")) == 1
            assert not options.find("a"), "a link within a button"
        found += len(questions)
    assert found >= 28


def test_every_page_knows_the_questions_of_all_chapters(html):
    page = (html / "book" / "index.html").read_text(encoding="utf-8")
    names = json.loads(re.search(r'id="predictions">(.*?)</script>', page)[1])
    asking = [path for path in CHAPTERS if "**Predict first.**" in prose(path)]
    assert list(names) == [f"notebooks/{path.stem}" for path in asking]
    everything = sum(names.values(), [])
    assert len(everything) == len(set(everything))
    for path in asking:
        for name, (options, _) in zip(names[f"notebooks/{path.stem}"], asked(html, path.stem), strict=True):
            assert f"predict-{name}" in options["class"]


TEXT = """
**Predict first.** What?

- **A.** x
- **B.** y

.. admonition:: Each answer, and why

   - **A** {a}
   - **B** {b}
"""


@pytest.mark.parametrize(
    ("a", "b", "right"),
    [
        ("is right, as seen.", "is partly right.", ["A"]),
        ("would be right.", "is right. So it goes.", ["B"]),
        ("Right: for this.", "This is right for that.", ["A"]),
        ("is right for that only.", "has them exchanged.", []),
        ("is right.", "is right.", ["A", "B"]),
    ],
)
def test_what_says_that_an_option_is_right(a, b, right):
    ((_, options, reasons),) = predictions.questions(publish_doctree(TEXT.format(a=a, b=b)))
    assert list(predictions.letters(options)) == ["A", "B"]
    found = predictions.letters(reasons).items()
    assert [letter for letter, item in found if predictions.RIGHT.match(item.astext())] == right


# --- in a browser ---------------------------------------------------------------------------------


@pytest.fixture
def chapter(html, page):
    """The third chapter in a browser, and its first question."""
    page.goto((html / "notebooks" / "03_mixing.html").as_uri())
    return page


def shown(page):
    return page.locator(".predict-answer").first.inner_text()


@pytest.mark.browser
@in_a_browser
def test_a_click_shows_the_reason_of_that_option_alone(chapter):
    buttons = chapter.locator("ul.predict").first.get_by_role("button")
    assert buttons.count() == 3 and shown(chapter) == ""
    buttons.nth(0).click()
    assert "You predicted A, which is not right." in shown(chapter)
    assert "A has the two exchanged" in shown(chapter) and "B is right" not in shown(chapter)
    buttons.nth(1).click()
    assert "You predicted B, which is right." in shown(chapter) and "has the two exchanged" not in shown(chapter)
    pressed = [buttons.nth(place).get_attribute("aria-pressed") for place in range(3)]
    assert pressed == ["false", "true", "false"]
    assert chapter.locator(".predict-answer").first.get_attribute("role") == "status"
    buttons.nth(1).click()  # taken back
    assert shown(chapter) == ""
    assert chapter.errors == []


@pytest.mark.browser
@in_a_browser
def test_questions_are_answered_with_the_keyboard_and_kept_in_the_browser(html, chapter):
    first = chapter.locator("ul.predict").first.get_by_role("button").nth(1)
    first.focus()
    chapter.keyboard.press("Enter")
    chapter.keyboard.press("Tab")
    chapter.keyboard.press("Space")  # the option below it
    chapter.reload()
    assert "You predicted C" in shown(chapter)
    assert "1 of 2 questions predicted" in chapter.locator(".predict-progress").inner_text()
    current = chapter.locator("nav.bd-links li.current > a")
    assert "1/2" in current.inner_text()
    chapter.goto((html / "book" / "index.html").as_uri())
    line = chapter.locator(".predict-progress")
    assert re.match(
        r"You have predicted 1 of \d+ answers: \d+\. The two mixings 1 of 2\. Forget all answers$", line.inner_text()
    )
    assert line.locator("a").get_attribute("href").endswith("notebooks/03_mixing.html")
    line.get_by_role("button").click()
    assert not line.is_visible()
    chapter.goto((html / "notebooks" / "03_mixing.html").as_uri())
    assert shown(chapter) == "" and "0 of 2" in chapter.locator(".predict-progress").inner_text()


@pytest.mark.browser
@in_a_browser
def test_a_browser_that_keeps_nothing_still_shows_the_reasons(html, page):
    page.add_init_script("Object.defineProperty(window, 'localStorage', {get() { throw Error('blocked'); }})")
    page.goto((html / "notebooks" / "03_mixing.html").as_uri())
    page.locator("ul.predict").first.get_by_role("button").nth(1).click()
    assert "You predicted B, which is right." in shown(page)
    assert [error for error in page.errors if "predict" in error] == []


@pytest.mark.browser
@in_a_browser
def test_what_others_have_kept_under_the_name_is_no_answer(html, page):
    page.add_init_script("localStorage.setItem('mixer-predictions', '[1, {')")
    page.goto((html / "notebooks" / "03_mixing.html").as_uri())
    assert shown(page) == "" and page.errors == []


@pytest.mark.browser
@in_a_browser
def test_a_print_shows_all_options_and_reasons_and_no_choice(chapter):
    question = chapter.locator("ul.predict").first
    question.get_by_role("button").nth(0).click()
    chapter.emulate_media(media="print")
    chapter.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert not chapter.locator(".predict-answer").first.is_visible()
    assert not chapter.locator(".predict-progress").is_visible()
    assert all(item.is_visible() for item in question.locator("li").all())
    assert all(item.is_visible() for item in chapter.locator(".predict-reasons").first.locator("li").all())
    assert question.get_by_role("button").first.evaluate("(button) => getComputedStyle(button).borderTopWidth") == "0px"


@pytest.mark.browser
@in_a_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_answered_questions_serve_a_screen_reader(html, page, scheme):
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.goto((html / "notebooks" / "03_mixing.html").as_uri())
    for place, question in enumerate(page.locator("ul.predict").all()):
        question.get_by_role("button").nth(place).click()
    page.evaluate(AXE)
    assert page.evaluate(SERIOUS) == []


@pytest.mark.browser
@in_a_browser
def test_without_scripts_a_question_is_read_as_it_was_written(html, chromium):
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((html / "notebooks" / "03_mixing.html").as_uri())
    assert page.locator("ul.predict button").count() == 0
    assert page.locator("ul.predict > li").first.inner_text() == "A. A row, a column, everything."
    context.close()
