"""The landing page's drawing: it moves, pauses and steps by keyboard; in print and without scripts it is still."""

import pytest

from tools.render import pdf

pytestmark = [pytest.mark.browser, pytest.mark.skipif(pdf.find_browser() is None, reason="no browser here")]
STEPS = 8
STILL = "[...document.querySelectorAll('img.way-still')].filter(picture => picture.checkVisibility()).length"
MOVES = "document.querySelector('.way').checkVisibility()"


@pytest.fixture
def landing(html, page):
    """The page, with a clock that the test turns."""
    page.clock.install()
    page.goto((html / "book/index.html").as_uri())
    page.locator(".way").scroll_into_view_if_needed()
    page.wait_for_function("document.querySelector('.way').dataset.step")
    return page


def step(page):
    return page.locator(".way").get_attribute("data-step")


def drawing(page):
    return page.locator(".way svg").first.inner_html()


def test_the_drawing_moves_by_itself_through_all_steps_and_begins_again(landing):
    assert landing.evaluate(f"[{MOVES}, {STILL}]") == [True, 0]
    seen = []
    for _ in range(100):
        landing.clock.run_for(1000)
        if step(landing) not in seen[-1:]:
            seen.append(step(landing))
    assert seen[: STEPS + 1] == [str(number + 1) for number in range(STEPS)] + ["1"]
    assert landing.errors == []


def test_it_pauses_steps_and_goes_on_by_keyboard(landing):
    landing.clock.run_for(16_000)
    assert step(landing) == "3"
    landing.get_by_role("button", name="Pause").focus()
    landing.keyboard.press("Space")
    before = drawing(landing)
    landing.clock.run_for(30_000)
    assert drawing(landing) == before
    landing.keyboard.press("Tab")
    landing.keyboard.press("Enter")
    assert step(landing) == "4" and drawing(landing) != before
    assert landing.locator(".way li[aria-current=step]").inner_text().startswith("Token mixing.")
    landing.get_by_role("button", name="Back").press("Enter")
    assert step(landing) == "3"
    landing.get_by_role("button", name="Play").press("Enter")
    landing.clock.run_for(3000)
    assert step(landing) == "4"


def test_a_screen_reader_finds_every_step_in_words_and_no_picture_without_a_name(landing):
    said = landing.locator(".way").aria_snapshot()
    assert said.count("listitem") == STEPS
    assert "img" not in said


def test_who_asks_for_less_motion_gets_the_still_drawing_at_once(landing):
    landing.emulate_media(reduced_motion="reduce")
    landing.locator(".way").wait_for(state="hidden")
    assert landing.evaluate(f"[{MOVES}, {STILL}]") == [False, 1]
    before = drawing(landing)
    landing.clock.run_for(10_000)
    assert drawing(landing) == before
    landing.emulate_media(reduced_motion="no-preference")
    landing.locator(".way").wait_for(state="visible")
    assert landing.evaluate(f"[{MOVES}, {STILL}]") == [True, 0]


def test_print_has_the_still_drawing(landing):
    landing.emulate_media(media="print")
    assert landing.evaluate(f"[{MOVES}, {STILL}]") == [False, 1]


def test_without_scripts_the_still_drawing_is_there(html, chromium):
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((html / "book/index.html").as_uri())
    assert page.locator(".way").is_hidden()
    assert page.locator("img.way-still").first.is_visible()
    context.close()
