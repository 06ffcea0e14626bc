"""Figures on the book's dark pages: what is drawn is seen, and pictures stay as they are."""

import sys
from itertools import combinations

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from mixer_lib.figures import style
from tools.paths import ROOT
from tools.render import pdf

sys.path.append(str(ROOT / "book" / "_ext"))
import dark_figures

COLOURS = {name: getattr(style, name) for name in ["INK", "BLUE", "ORANGE", "GREEN", "PURPLE", "SKY", "AMBER", "GREY"]}


def rgb(colour):
    return np.round(255 * np.array(matplotlib.colors.to_rgb(colour))).astype("uint8")


def contrast(one, other):
    """The ratio of WCAG 2."""
    lighter, darker = sorted((dark_figures.to_linear([one, other]) @ (0.2126, 0.7152, 0.0722)) + 0.05, reverse=True)
    return lighter / darker


def dark(colour):
    return dark_figures.darkened(rgb(colour)[None])[0]


def test_white_becomes_the_ground_and_ink_is_read_on_it():
    assert tuple(dark("white")) == dark_figures.GROUND
    assert contrast(dark(style.INK), dark_figures.GROUND) > 12
    assert contrast(dark(style.GREY), dark_figures.GROUND) > 4.5


@pytest.mark.parametrize("name", COLOURS)
def test_a_colour_of_the_palette_is_seen_on_the_dark_ground_and_keeps_its_hue(name):
    shown = dark(COLOURS[name])
    assert contrast(shown, dark_figures.GROUND) >= 3
    before, after = dark_figures.to_oklab([rgb(COLOURS[name]), shown])
    if np.hypot(*before[1:]) > 0.05:
        angle = np.angle(complex(*after[1:]) / complex(*before[1:]), deg=True)
        assert abs(angle) < 10 and np.hypot(*after[1:]) > 0.07


def test_colours_that_differ_in_light_differ_in_dark():
    for one, other in combinations(COLOURS.values(), 2):
        assert np.linalg.norm(np.subtract(*dark_figures.to_oklab([dark(one), dark(other)]))) > 0.07, (one, other)


def test_an_edge_between_a_line_and_the_ground_stays_smooth():
    shares = np.linspace(0, 1, 20)[:, None]
    for colour in COLOURS.values():
        steps = dark_figures.darkened(np.round(255 - shares * (255.0 - rgb(colour))).astype("uint8"))
        lightness = dark_figures.to_oklab(steps)[:, 0]
        assert (np.diff(lightness) > -0.005).all(), colour


@pytest.fixture
def drawn(tmp_path):
    """A figure of a picture and a curve, as a chapter stores it: its path."""
    with matplotlib.rc_context():
        style.use_style()
        figure = Figure(figsize=(4, 2), layout="constrained")
        left, right = figure.subplots(1, 2)
        style.picture(left, np.full((8, 8, 3), (0, 200, 0), "uint8"), "a picture")
        right.plot([0, 1], [1, 0], color=style.ORANGE)
        figure.savefig(tmp_path / "a b.png", dpi=100, **style.png_options(figure))
    return tmp_path / "a b.png"


def test_a_picture_stays_and_the_rest_turns_dark(drawn):
    light = np.asarray(Image.open(drawn).convert("RGB")).astype(int)
    assert dark_figures.write_dark(drawn)
    after = np.asarray(Image.open(drawn.with_name("a b-dark.png"))).astype(int)
    assert after.shape == light.shape
    green = (light == (0, 200, 0)).all(axis=2)
    inside = green & np.roll(green, 1, 0) & np.roll(green, -1, 0) & np.roll(green, 1, 1) & np.roll(green, -1, 1)
    assert inside.sum() > 5000 and (after[inside] == (0, 200, 0)).all()
    white = (light == 255).all(axis=2)
    assert (after[white] == dark_figures.GROUND).all()  # up to the picture's edge


def test_an_image_that_says_nothing_of_pictures_has_no_dark_variant(tmp_path):
    plain = tmp_path / "plain.png"
    Image.new("RGB", (4, 4)).save(plain)
    assert not dark_figures.write_dark(plain)
    assert [path.name for path in tmp_path.iterdir()] == ["plain.png"]


def test_a_page_shows_both_variants_under_one_caption():
    image = '<img alt="A curve." class="x" src="../_images/a%20b.png" style="width: 4px; height: 3px;" />'
    page = f"<figure>{image}<figcaption>F"
    both = dark_figures.with_variants(page, {"a b.png"})
    assert both.count("<img") == 2 and both.count("figcaption") == 1 and both.count('alt="A curve."') == 2
    assert 'class="only-light"' in both and 'class="only-dark"' in both and "a%20b-dark.png" in both
    assert both.count("aspect-ratio: auto 4 / 3;") == 2  # the one that is not loaded yet keeps its place
    assert dark_figures.with_variants(both, {"a b.png"}) == both
    assert dark_figures.with_variants(page, {"other.png"}) == page


def test_a_figure_leads_to_the_image_that_is_shown():
    image = '<img alt="A curve." src="_images/a.png" />'
    linked = f'<a class="image-reference" href="_images/a.png">{image}\n</a>'  # as Sphinx writes it
    both = dark_figures.with_variants(linked, {"a.png"})
    assert both.index('<a class="only-light image-reference" href="_images/a.png">') < both.index('src="_images/a.png"')
    assert '<a class="only-dark image-reference" href="_images/a-dark.png"><img class="only-dark"' in both
    assert both.count("</a>") == 2 and dark_figures.with_variants(both, {"a.png"}) == both
    elsewhere = dark_figures.with_variants(f'<a href="b.html">{image}</a>', {"a.png"})
    assert elsewhere.count("<a ") == elsewhere.count("</a>") == 1 and "a-dark.png" in elsewhere


@pytest.mark.browser
@pytest.mark.skipif(pdf.find_browser() is None, reason="no browser here")
def test_the_variants_are_shown_on_the_ground_that_they_are_made_for(html, page, drawn):
    source = (html / "book" / "glossary.html").read_text(encoding="utf-8")
    figure = f'<div class="cell_output"><figure><img alt="A curve." src="{drawn.as_uri()}"><figcaption>Told'
    figure = dark_figures.with_variants(figure.replace(drawn.parent.as_uri(), "_images"), {"a b.png"})
    changed = html / "book" / "with-figure.html"
    start = source.index("<article")
    end = source.index(">", start) + 1
    changed.write_text(source[:end] + figure + "</figcaption></figure></div>" + source[end:], encoding="utf-8")
    look = """[getComputedStyle(document.querySelector('.bd-main')).backgroundColor, getComputedStyle(document.body)
      .backgroundColor, ...['.only-light', '.only-dark', 'figcaption'].map(
      (name) => getComputedStyle(document.querySelector(`article ${name}`)).display !== 'none')]"""
    seen = {}
    try:
        for scheme, media in (("light", "screen"), ("dark", "screen"), ("dark", "print")):
            page.emulate_media(color_scheme=scheme, media=media)
            page.goto(changed.as_uri())
            seen[scheme, media] = page.evaluate(look)
    finally:
        changed.unlink()
    assert seen["light", "screen"][2:] == [True, False, True]
    assert seen["dark", "screen"][2:] == [False, True, True]
    assert seen["dark", "print"][2:] == [True, False, True]
    transparent = "rgba(0, 0, 0, 0)"
    grounds = [colour for colour in seen["dark", "screen"][:2] if colour != transparent]
    assert grounds and set(grounds) == {"rgb({}, {}, {})".format(*dark_figures.GROUND)}
