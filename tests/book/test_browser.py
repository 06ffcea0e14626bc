"""The rendered book in a browser: pages load from disk without errors, without network, fit a phone, and can be
used with a keyboard and a screen reader."""

import re

import pytest

from tools.paths import ROOT
from tools.render import pdf

PAGES = [f"book/{path.stem}" for path in sorted((ROOT / "book").glob("*.md"))]
PAGES += [f"notebooks/{path.stem}" for path in sorted((ROOT / "notebooks").glob("*.ipynb"))]

pytestmark = [pytest.mark.browser, pytest.mark.skipif(pdf.find_browser() is None, reason="no browser here")]
each_page = pytest.mark.parametrize("name", PAGES)

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
# axe-core, an accessibility checker: by all of its rules in light colours, then by those of what the dark ones change
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
  const whatDiffers = {resultTypes: ['violations'], runOnly: ['color-contrast', 'link-name', 'image-alt']};
  const dark = serious(await axe.run(document, whatDiffers));
  return {light, dark};
})()"""
# pictures whose height does not follow their width
SQUEEZED = """[...document.querySelectorAll('article img')].filter(i => i.height && i.naturalHeight &&
  Math.abs(i.width / i.height / (i.naturalWidth / i.naturalHeight) - 1) > 0.05).map(i => [i.src, i.width, i.height])"""
BROKEN_PICTURES = "[...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src)"


def visit(page, address):
    """Load a page and wait for MathJax, which begins after the load event; seconds of its own thread until that event.

    Those are what the page itself computed: other work on the machine does not count.
    """
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.goto(address)
    metrics = session.send("Performance.getMetrics")["metrics"]
    page.evaluate("Promise.race([window.MathJax?.startup?.promise, new Promise(done => setTimeout(done, 5000))])")
    return next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration")


def from_the_network(requests):
    return [url for url in requests if not url.startswith(("file:", "data:", "blob:", "about:"))]


@each_page
def test_a_page_loads_from_disk_within_a_second_without_errors_and_network_and_fits_a_phone(html, page, name):
    seconds = visit(page, (html / f"{name}.html").as_uri())
    page.wait_for_timeout(300)
    assert page.errors == []
    assert seconds < 1
    assert from_the_network(page.requests) == []
    assert page.evaluate(BROKEN_PICTURES) == []
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate(f"{UNFOLD}[{OVERFLOW}, {SQUEEZED}, {FOLDED}]") == [[], [], 0]


@each_page
def test_a_page_serves_keyboard_and_screen_reader_in_light_and_dark(html, page, name):
    visit(page, (html / f"{name}.html").as_uri())
    assert page.evaluate(UNFOLD + FEW_WORDS + AXE + ";" + CHECK) == {"light": [], "dark": []}


def test_the_accessibility_check_notices_what_is_wrong(tmp_path, page):
    bad = tmp_path / "bad.html"
    bad.write_text(
        "<!doctype html><html lang='en'><title>bad</title><style>[data-theme=dark] p { color: #222; background: #000 }"
        "</style><main><h1>Bad</h1><p>dark on dark</p><button></button></main>"
    )
    page.goto(bad.as_uri())
    found = page.evaluate(f"{AXE};{CHECK}")
    assert [name for name, *_ in found["light"]] == ["button-name"]
    assert [name for name, *_ in found["dark"]] == ["color-contrast"]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_book_takes_the_colours_that_the_system_asks_for(html, page, theme):
    page.emulate_media(color_scheme=theme)
    page.goto((html / "book/index.html").as_uri())
    chosen, ground = page.evaluate(
        "[document.documentElement.dataset.theme, getComputedStyle(document.body).backgroundColor]"
    )
    assert chosen == theme
    assert (sum(map(int, ground.removeprefix("rgb(").removesuffix(")").split(","))) < 200) == (theme == "dark")


def test_formulas_are_typeset_without_the_network(html, page):
    pages = [name for name in PAGES if 'class="math' in (html / f"{name}.html").read_text(encoding="utf-8")]
    assert pages, "no page holds a formula"
    page.goto((html / f"{pages[0]}.html").as_uri())
    page.locator("mjx-container svg").first.wait_for(state="attached")


def test_the_search_finds_pages_without_the_network(html, page):
    page.goto((html / "search.html").as_uri() + "?q=transpose")
    found = page.locator("#search-results li a")
    found.first.wait_for()
    links = [link.get_attribute("href") for link in found.all()]
    assert any("03_mixing.html" in link or "02_patches.html" in link for link in links)
    assert from_the_network(page.requests) == []


def test_a_page_is_printed(tmp_path):
    page, printed = tmp_path / "page with space.html", tmp_path / "book.pdf"
    page.write_text("<!doctype html><title>x</title><style>p { break-after: page }</style><p>one<p>two<p>three")
    done = pdf.print_page(pdf.find_browser(), page, printed)
    assert done.returncode == 0, done.stdout
    content = printed.read_bytes()
    assert content.startswith(b"%PDF-")
    assert len(re.findall(rb"/Type\s*/Page\b", content)) >= 3


def test_errors_requests_and_slow_pages_are_noticed(tmp_path, page):
    bad = tmp_path / "bad.html"
    bad.write_text(
        "<img src='http://127.0.0.1:9/x.png'><div style='width:900px'>wide</div>"
        "<script>for (const end = performance.now() + 2000; performance.now() < end; );</script>"
        "<script>throw Error('boom')</script>"
    )
    page.set_viewport_size({"width": 390, "height": 844})
    assert visit(page, bad.as_uri()) > 0.5
    assert any("boom" in error for error in page.errors)
    assert from_the_network(page.requests) == ["http://127.0.0.1:9/x.png"]
    assert page.evaluate("document.documentElement.scrollWidth") > 390
