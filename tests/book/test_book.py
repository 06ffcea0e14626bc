"""The book builds strictly, reads offline and describes its pictures."""

import re
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup
from pages import CHAPTERS, PAGES, each_chapter, read
from PIL import Image

from tools.paths import ROOT
from tools.render import pdf

sys.path.append(str(ROOT / "book" / "_ext"))

import chapter_numbers


@pytest.fixture(scope="module")
def soups(html):
    """Every page of the rendered book, parsed: {path: soup}."""
    pages = [path for path in html.rglob("*.html") if "_static" not in path.parts]
    return {path: BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser") for path in pages}


def test_every_page_of_the_contents_is_rendered(html):
    for path in PAGES:
        assert (html / "book" / f"{path.stem}.html").is_file()
    for path in CHAPTERS:
        assert (html / "notebooks" / f"{path.stem}.html").is_file()


def test_a_chapter_has_the_number_of_its_file_and_so_have_its_figures(soups, html):
    for path in CHAPTERS:
        number = chapter_numbers.number_of(f"notebooks/{path.stem}")
        soup = soups[html / "notebooks" / f"{path.stem}.html"]
        assert soup.select_one("h1 .section-number").text.strip() == f"{number}."
        captions = [tag.text.split()[1] for tag in soup.select("figcaption .caption-number")]
        assert captions == [f"{number}.{count}" for count in range(1, len(captions) + 1)]
        beside = soups[html / "book" / "index.html"].find("a", href=f"../notebooks/{path.stem}.html", class_="internal")
        assert beside.text.strip().startswith(f"{number}. ")


def test_a_page_that_is_no_chapter_has_no_number():
    numbers = [chapter_numbers.number_of(f"notebooks/{name}") for name in ("00_thirty_lines", "10_paper", "a_decay")]
    assert numbers == [0, 10, "A"]
    assert chapter_numbers.number_of("book/results") is None


def external(address):
    return urlsplit(address).scheme in ("http", "https") or address.startswith("//")


def test_reading_needs_nothing_from_the_network(soups):
    """Scripts, styles, pictures, fonts: all lie beside the book."""
    for path, soup in soups.items():
        needed = [tag.get("src") for tag in soup.find_all(["script", "img", "iframe", "source", "video", "audio"])]
        links = [tag for tag in soup.find_all("link") if {"stylesheet", "preload", "icon"} & set(tag.get("rel", []))]
        needed += [tag.get("href") for tag in links]
        assert [address for address in needed if address and external(address)] == [], path.name


def test_scripts_styles_and_pictures_are_there(html, soups):
    for path, soup in soups.items():
        tags = [(tag, "src") for tag in soup.find_all(["script", "img"])] + [
            (tag, "href") for tag in soup.find_all("link")
        ]
        for tag, attribute in tags:
            address = tag.get(attribute, "")
            if not address or external(address) or address.startswith("data:"):
                continue
            target = path.parent / unquote(urlsplit(address).path)
            assert target.exists(), f"{path.name}: {address}"


def test_a_link_to_the_book_is_shown_with_its_own_picture(html, soups):
    for path, soup in soups.items():
        if path.parent.name in ("book", "notebooks"):
            found = {tag["property"]: tag["content"] for tag in soup.find_all("meta", property=True)}
            assert Path(found["og:image"]).name == "social.png", path.name
            assert describes(found["og:image:alt"])
            assert found["og:title"] and len(found["og:description"].split()) > 5, path.name
    with Image.open(html / "social.png") as picture:
        assert picture.size == (1200, 630)


def test_mathjax_comes_with_its_licence(html):
    assert (html / "mathjax" / "tex-svg.js").is_file()
    assert "Apache License" in (html / "mathjax" / "LICENSE").read_text(encoding="utf-8")


def test_internal_links_lead_somewhere(soups):
    anchors = {path.resolve(): {tag["id"] for tag in soup.find_all(id=True)} for path, soup in soups.items()}
    for path, soup in soups.items():
        for link in soup.find_all("a", href=True):
            parts = urlsplit(link["href"])
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path.resolve()
            assert target.exists(), f"{path.name}: {link['href']}"
            if parts.fragment and target in anchors:
                assert unquote(parts.fragment) in anchors[target], f"{path.name}: {link['href']}"


def test_first_uses_of_words_lead_to_the_glossary(soups):
    """In each chapter, and each word once; code and headings are left alone."""
    for path, soup in soups.items():
        if path.parent.name != "notebooks":
            continue
        links = [link for link in soup.find("article").find_all("a") if link.find(class_="std-term")]
        assert len(links) >= 3, path.name
        words = [link["href"] for link in links]
        assert all("glossary.html#term-" in word for word in words)
        assert len(words) == len(set(words)), path.name
        assert not [link for link in links if link.find_parent(["h1", "h2", "h3", "pre", "code", "figcaption"])]


def test_prose_has_one_kind_of_apostrophe(html):
    for path in [*html.glob("book/*.html"), *html.glob("notebooks/*.html")]:
        article = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser").find("article")
        for tag in article.find_all(["pre", "code", "script", "style", "svg"]):
            tag.decompose()
        assert re.findall(r".{0,30}'.{0,30}", article.get_text()) == [], path.name


def test_the_book_to_print_is_one_page_whose_names_are_single_and_whose_links_lead_somewhere(html):
    pages = pdf.contents((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    assert sorted(pages) == sorted(f"{path.parent.name}/{path.stem}" for path in [*PAGES, *CHAPTERS])
    whole = BeautifulSoup(pdf.whole(html, pages), "html.parser")
    names = [tag["id"] for tag in whole.find_all(id=True)]
    assert len(names) == len(set(names))
    assert [article["id"] for article in whole.find_all("article")] == [pdf.anchor(page, "") for page in pages]
    for link in whole.find_all("a", href=True):
        parts = urlsplit(link["href"])
        if not parts.scheme:
            there = html / unquote(parts.path) if parts.path else None
            assert there.exists() if there else unquote(parts.fragment) in names, link["href"]
    for image in whole.find_all("img"):
        assert image["src"].startswith("data:") or (html / unquote(image["src"])).is_file(), image["src"]
    assert not whole.select(".tag_hide-input details")
    assert all(part.has_attr("open") for part in whole.find_all("details"))


def describes(alt):
    """Whether an alt text says something: some words, and no file name."""
    return (
        alt is not None
        and len(alt.split()) >= 3
        and not re.search(r"\.(png|svg|jpe?g|gif|webp)$|_images/", alt.strip())
    )


@pytest.mark.parametrize("alt", [None, "", "x.png", "../_images/0a1b.png", "a figure"])
def test_an_alt_text_without_content_is_noticed(alt):
    assert not describes(alt)


def test_every_picture_has_an_alt_text(soups):
    for path, soup in soups.items():
        article = soup.find("article") or soup
        for image in article.find_all("img"):
            assert describes(image.get("alt")), f"{path.name}: {image.get('src')} has alt {image.get('alt')!r}"


@each_chapter
def test_pictures_in_outputs_are_described_in_their_cell(path):
    for number, cell in enumerate(read(path).cells, 1):
        kinds = {kind for output in cell.get("outputs", []) for kind in output.get("data", {})}
        if any(kind.startswith("image/") for kind in kinds):
            alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt")
            assert describes(alt), f"cell {number}: metadata mystnb.image.alt is {alt!r}"
