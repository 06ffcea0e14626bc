"""The rendered book in a browser: pages load from disk without errors, without network, and fit a phone."""

from pathlib import Path

import pytest
from browser import Browser, find_browser

from book import stage_book, strict_build

ROOT = Path(__file__).resolve().parent.parent
PAGES = [f"book/{path.stem}" for path in sorted((ROOT / "book").glob("*.md"))]
PAGES += [f"notebooks/{path.stem}" for path in sorted((ROOT / "notebooks").glob("*.ipynb"))]

pytestmark = [pytest.mark.browser, pytest.mark.skipif(find_browser() is None, reason="no browser here")]
each_page = pytest.mark.parametrize("page", PAGES)

# what sticks out of the page to the right, unless something around it scrolls by itself
OVERFLOW = """(() => {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width + 1) return [];
  return [...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > width + 1)
    .slice(0, 5).map(e => e.outerHTML.slice(0, 120));
})()"""
BROKEN_PICTURES = "[...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src)"


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    stage = tmp_path_factory.mktemp("book") / "stage"
    stage_book(stage)
    done = strict_build(stage)
    assert done.returncode == 0, done.stdout[-5000:]
    return stage / "_build" / "html"


@pytest.fixture(scope="module")
def browser():
    with Browser(find_browser()) as running:
        yield running


@each_page
def test_a_page_loads_from_disk_without_errors_and_without_the_network(html, browser, page):
    seen = browser.visit((html / f"{page}.html").as_uri(), script=BROKEN_PICTURES)
    assert seen["errors"] == []
    assert [url for url in seen["requests"] if not url.startswith(("file:", "data:", "blob:", "about:"))] == []
    assert seen["result"] == []


@each_page
def test_a_page_fits_a_phone(html, browser, page):
    seen = browser.visit((html / f"{page}.html").as_uri(), width=390, height=844, script=OVERFLOW)
    assert seen["result"] == []


def test_formulas_are_typeset_without_the_network(html, browser):
    pages = [p for p in PAGES if 'class="math' in (html / f"{p}.html").read_text(encoding="utf-8")]
    assert pages, "no page holds a formula"
    script = "document.querySelectorAll('mjx-container svg').length"
    assert browser.visit((html / f"{pages[0]}.html").as_uri(), script=script)["result"] > 0


def test_the_driver_notices_errors_and_requests(tmp_path, browser):
    page = tmp_path / "bad.html"
    page.write_text(
        "<img src='http://127.0.0.1:9/x.png'><script>throw Error('boom')</script><div style='width:900px'>wide</div>"
    )
    seen = browser.visit(page.as_uri(), width=390, script="document.documentElement.scrollWidth")
    assert any("boom" in error for error in seen["errors"])
    assert "http://127.0.0.1:9/x.png" in seen["requests"]
    assert seen["result"] > 390
