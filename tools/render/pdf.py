"""Print the book to one PDF (`make pdf`; SOLUTIONS=no leaves the solutions out).

The rendered pages are put one after another into a single page, in the order of the contents, and a Chromium prints it.
So the PDF looks like the book that everybody reads, formulas and figures included, and needs no LaTeX.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

import yaml
from bs4 import BeautifulSoup

from tools.paths import BUILD, ROOT
from tools.render.html import render
from tools.setup.options import read_options
from tools.verbs import exclusive, run

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
STYLE = """
@page { size: A4; margin: 18mm 16mm; }
html { font-size: 13px; }
body, html[data-theme] body { background: white; padding: 0 !important; }
html, body, main { display: block !important; overflow: visible !important; }
article { display: block !important; break-before: page; padding: 0 !important; max-width: none !important; }
article.cover { break-before: auto; }
div.highlight pre, .cell_output pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: 11px; }
figure, img, table, mjx-container { break-inside: avoid; }
h1, h2, h3 { break-after: avoid; }
article h1 { display: block !important; }
.headerlink, .only-dark, .copybtn, .toggle-button { display: none !important; }
"""


def find_browser():
    """Path of a Chromium or Chrome, or None."""
    return next((path for path in map(shutil.which, BROWSERS) if path), None)


def contents(toc):
    """Names of the pages in reading order, from the text of _toc.yml."""
    entries = yaml.safe_load(toc)
    chapters = [chapter for part in entries.get("parts", [entries]) for chapter in part.get("chapters", [])]
    return [entries["root"], *(chapter["file"] for chapter in chapters)]


def address(here, link, pages):
    """Where a link or source of page `here` leads in the whole: an anchor, a file beside it, or elsewhere."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return link
    path = (Path("/") / here).parent / unquote(parts.path) if parts.path else Path("/") / f"{here}.html"
    name = Path(*(part for part in _flat(path).parts if part != "/"))
    page = str(name.with_suffix("")) if name.suffix == ".html" else ""
    if page in pages:
        return f"#{anchor(page, unquote(parts.fragment))}"
    return str(name) + (f"#{parts.fragment}" if parts.fragment else "")


def _flat(path):
    """The path without its `..`."""
    flat = []
    for part in path.parts:
        flat = flat[:-1] if part == ".." else [*flat, part]
    return Path(*flat)


def anchor(page, fragment):
    """The name, in the whole, of a place in a page: pages may use the same names."""
    return re.sub(r"\W+", "-", page) + (f"--{fragment}" if fragment else "")


def whole(html, pages):
    """One page out of all: the head of the first, and the articles of all, with their names and links made one."""
    first = BeautifulSoup((html / f"{pages[0]}.html").read_text(encoding="utf-8"), "html.parser")
    head = first.head
    for script in head.find_all("script"):
        if "mathjax" not in str(script).lower():
            script.decompose()
    for tag, attribute in ((tag, a) for a in ("src", "href") for tag in head.find_all(attrs={a: True})):
        tag[attribute] = address(pages[0], tag[attribute], ())
    head.append(BeautifulSoup(f"<style>{STYLE}</style>", "html.parser"))
    articles = []
    for page in pages:
        soup = BeautifulSoup((html / f"{page}.html").read_text(encoding="utf-8"), "html.parser")
        article = soup.find("article", class_="bd-article")
        article["class"] = [*article["class"], *([] if articles else ["cover"])]
        for tag in [*article.find_all(["script", "button"]), *article.find_all("img", class_="only-dark")]:
            tag.decompose()
        for tag in article.find_all(id=True):
            tag["id"] = anchor(page, tag["id"])
        for tag, attribute in ((tag, a) for a in ("src", "href") for tag in article.find_all(attrs={a: True})):
            tag[attribute] = address(page, tag[attribute], pages)
        for tag in article.select(".tag_hide-input details"):  # the set-up: nothing to read, and it cannot be unfolded
            tag.decompose()
        for tag in article.find_all("details"):
            tag["open"] = ""
        article["id"] = anchor(page, "")
        articles.append(str(article))
    body = f"<body><main>{''.join(articles)}</main></body>"
    return f'<!doctype html><html lang="en" data-theme="light" data-mode="light">{head}{body}</html>'


def print_page(browser, page, pdf):
    """Let the browser print a page of this disk; the finished process."""
    with tempfile.TemporaryDirectory() as profile:
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
        options += ["--disable-background-networking", "--allow-file-access-from-files", f"--user-data-dir={profile}"]
        options += ["--no-pdf-header-footer", "--generate-pdf-document-outline", "--virtual-time-budget=60000"]
        command = [browser, *options, f"--print-to-pdf={pdf}", page.as_uri()]
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900)


@exclusive(BUILD / "committed")
def main():
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    browser = find_browser()
    if browser is None:
        sys.exit(
            "make pdf prints with Chromium or Chrome, and finds neither: install one (Debian: apt install chromium)"
        )
    solutions = read_options()["solutions"] is not False
    html = render("committed" if solutions else "without-solutions", solutions=solutions)
    page, pdf = html / "whole.html", html.parent / "mlp-mixer.pdf"
    pages = contents((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    page.write_text(whole(html, pages), encoding="utf-8")
    pdf.unlink(missing_ok=True)
    done = print_page(browser, page, pdf)
    page.unlink()
    if not pdf.is_file():
        sys.exit(f"{browser} printed nothing:\n{done.stdout[-2000:]}")
    print(f"the book to print: {pdf.relative_to(ROOT)} ({pdf.stat().st_size / 1e6:.1f} MB)")


if __name__ == "__main__":
    run(main)
