"""The rendered book in a browser: pages load from disk without errors, without network, fit a phone, and can be
used with a keyboard and a screen reader."""

import re
from pathlib import Path

import pdf
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
# what is folded away is a part of the page, too
UNFOLD = """
document.querySelectorAll('details').forEach(part => { part.open = true; });
document.querySelectorAll('button.toggle-button-hidden').forEach(part => part.click());
"""
FOLDED = "document.querySelectorAll('.toggle-hidden').length"
# one kind of word in the code has one colour: to look at three of each is enough
FEW_WORDS = """
const words = {};
document.querySelectorAll('.highlight span[class]').forEach(word => {
  words[word.className] = (words[word.className] ?? 0) + 1;
  if (words[word.className] > 3) word.replaceWith(...word.childNodes);
});
"""
# axe-core, an accessibility checker, in light colours by all of its rules, and then the contrasts of the dark ones
AXE = (ROOT / "tests" / "axe" / "axe.min.js").read_text(encoding="utf-8")
CHECK = """(async () => {
  const settled = () => {
    document.getAnimations().forEach(animation => animation.finish());
    return new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
  };
  const serious = found => found.violations.filter(v => ['serious', 'critical'].includes(v.impact))
    .map(v => [v.id, v.nodes.length, v.nodes[0].html.slice(0, 200)]);
  await settled();
  const light = serious(await axe.run(document, {resultTypes: ['violations']}));
  document.documentElement.dataset.theme = 'dark';
  await settled();
  const onlyContrast = {resultTypes: ['violations'], runOnly: ['color-contrast']};
  const dark = serious(await axe.run(document, onlyContrast));
  return {light, dark};
})()"""
# pictures whose height does not follow their width
SQUEEZED = """[...document.querySelectorAll('article img')].filter(i => i.height && i.naturalHeight &&
  Math.abs(i.width / i.height / (i.naturalWidth / i.naturalHeight) - 1) > 0.05).map(i => [i.src, i.width, i.height])"""
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
def test_a_page_loads_from_disk_within_a_second_without_errors_and_without_the_network(html, browser, page):
    seen = browser.visit((html / f"{page}.html").as_uri(), script=BROKEN_PICTURES)
    assert seen["errors"] == []
    assert seen["seconds"] < 1
    assert [url for url in seen["requests"] if not url.startswith(("file:", "data:", "blob:", "about:"))] == []
    assert seen["result"] == []


@each_page
def test_a_page_and_its_pictures_fit_a_phone(html, browser, page):
    seen = browser.visit(
        (html / f"{page}.html").as_uri(), width=390, height=844, script=f"{UNFOLD}[{OVERFLOW}, {SQUEEZED}, {FOLDED}]"
    )
    assert seen["result"] == [[], [], 0]


@each_page
def test_a_page_serves_keyboard_and_screen_reader_in_light_and_dark(html, browser, page):
    seen = browser.visit((html / f"{page}.html").as_uri(), script=UNFOLD + FEW_WORDS + AXE + ";" + CHECK, seconds=300)
    assert seen["result"] == {"light": [], "dark": []}


def test_the_accessibility_check_notices_what_is_wrong(tmp_path, browser):
    page = tmp_path / "bad.html"
    page.write_text(
        "<!doctype html><html lang='en'><title>bad</title><style>[data-theme=dark] p { color: #222; background: #000 }"
        "</style><main><h1>Bad</h1><p>dark on dark</p><button></button></main>"
    )
    found = browser.visit(page.as_uri(), script=f"{AXE};{CHECK}")["result"]
    assert [name for name, *_ in found["light"]] == ["button-name"]
    assert [name for name, *_ in found["dark"]] == ["color-contrast"]


@pytest.mark.parametrize("dark", [False, True])
def test_the_book_takes_the_colours_that_the_system_asks_for(html, browser, dark):
    script = "[document.documentElement.dataset.theme, getComputedStyle(document.body).backgroundColor]"
    theme, ground = browser.visit((html / "book/index.html").as_uri(), script=script, dark=dark)["result"]
    assert theme == ("dark" if dark else "light")
    assert (sum(map(int, ground.removeprefix("rgb(").removesuffix(")").split(","))) < 200) == dark


def test_formulas_are_typeset_without_the_network(html, browser):
    pages = [p for p in PAGES if 'class="math' in (html / f"{p}.html").read_text(encoding="utf-8")]
    assert pages, "no page holds a formula"
    script = "document.querySelectorAll('mjx-container svg').length"
    assert browser.visit((html / f"{pages[0]}.html").as_uri(), script=script)["result"] > 0


def test_the_search_finds_pages_without_the_network(html, browser):
    script = """(async () => {
      for (let i = 0; i < 100 && !document.querySelector('#search-results li a'); i++)
        await new Promise(done => setTimeout(done, 100));
      return [...document.querySelectorAll('#search-results li a')].map(link => link.getAttribute('href'));
    })()"""
    seen = browser.visit((html / "search.html").as_uri() + "?q=transpose", script=script)
    assert any("03_mixing.html" in link or "02_patches.html" in link for link in seen["result"])
    assert [url for url in seen["requests"] if url.startswith("http")] == []


def test_a_page_is_printed(tmp_path):
    page, printed = tmp_path / "page with space.html", tmp_path / "book.pdf"
    page.write_text("<!doctype html><title>x</title><style>p { break-after: page }</style><p>one<p>two<p>three")
    done = pdf.print_page(find_browser(), page, printed)
    assert done.returncode == 0, done.stdout
    content = printed.read_bytes()
    assert content.startswith(b"%PDF-")
    assert len(re.findall(rb"/Type\s*/Page\b", content)) >= 3


def test_the_driver_notices_errors_and_requests(tmp_path, browser):
    page = tmp_path / "bad.html"
    page.write_text(
        "<img src='http://127.0.0.1:9/x.png'><script>throw Error('boom')</script><div style='width:900px'>wide</div>"
    )
    seen = browser.visit(page.as_uri(), width=390, script="document.documentElement.scrollWidth")
    assert any("boom" in error for error in seen["errors"])
    assert "http://127.0.0.1:9/x.png" in seen["requests"]
    assert seen["result"] > 390


def test_the_driver_notices_a_slow_page(tmp_path, browser):
    page = tmp_path / "slow.html"
    page.write_text("<script>for (const end = performance.now() + 2000; performance.now() < end; );</script>")
    assert browser.visit(page.as_uri())["seconds"] > 0.5
