"""Staging, rendering and printing the book."""

import shutil
import sys

import nbformat
import pytest
from docutils import nodes
from docutils.core import publish_doctree
from small_notebooks import notebook

from tools.hosting import address
from tools.paths import ROOT
from tools.render import html as render
from tools.render import pdf

sys.path.append(str(ROOT / "book" / "_ext"))
import mixer_book
import other_data


def test_without_a_browser_the_book_is_not_printed_and_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setattr(pdf.shutil, "which", lambda name: None)
    monkeypatch.setattr(sys, "argv", ["pdf.py"])
    with pytest.raises(SystemExit) as ended:
        pdf.main.__wrapped__()  # without its lock: nothing is built
    assert "install one (Debian: apt install chromium)" in str(ended.value)
    assert "\n" not in str(ended.value)


@pytest.mark.parametrize(
    ("link", "leads"),
    [
        ("02_patches.html", "#notebooks-02_patches"),
        ("02_patches.html#saw", "#notebooks-02_patches--saw"),
        ("#saw", "#notebooks-01_data--saw"),
        ("../book/index.html", "#book-index"),
        ("../_images/a.png", "_images/a.png"),
        ("https://example.org/x.html", "https://example.org/x.html"),
    ],
)
def test_links_lead_to_places_of_the_printed_whole(link, leads):
    pages = ["book/index", "notebooks/01_data", "notebooks/02_patches"]
    assert pdf.address("notebooks/01_data", link, pages) == leads


# figures in prose


CARDS = {"article": {"top5": 0.7804, "config": {"dropout": 0.2}, "val_top1": None}}


@pytest.mark.parametrize(
    ("text", "shown"),
    [("article:top5:.2%", "78.04%"), ("article:config.dropout", "0.2"), ("article:top5:.1%", "78.0%")],
)
def test_a_card_role_prints_the_recorded_figure(text, shown):
    assert mixer_book.card_text(CARDS, text) == shown


@pytest.mark.parametrize("text", ["nosuch:top5", "article:top9", "article:config", "article:val_top1:.2%", "article"])
def test_a_card_role_refuses_what_is_not_recorded(text):
    with pytest.raises(ValueError, match="card"):
        mixer_book.card_text(CARDS, text)


def test_the_figure_of_all_seeds_is_their_mean_and_spread_and_of_one_run_says_so():
    cards = {"a": {"top1": 0.5}, "a-seed1": {"top1": 0.52}, "a-seed12": {"top1": 0.54}, "a-plus": {"top1": 0.9}}
    assert mixer_book.seeds_text(cards, "a:top1") == "52.00 ± 2.00% (3 seeds)"
    assert mixer_book.seeds_text(cards, "a-plus:top1") == "90.00% (one seed)"
    with pytest.raises(ValueError, match="no run 'b'"):
        mixer_book.seeds_text(cards, "b:top1")


@pytest.mark.parametrize(("data", "noted"), [("scikit-learn's embedded digits", True), ("CIFAR-100", False)])
def test_a_chapter_on_other_data_than_its_text_is_about_says_so_at_its_top(data, noted):
    page = publish_doctree(
        f"Title\n=====\n\nText.\n\n::\n\n    This page shows the fast profile, on {data}.\n    1,797 pictures\n"
    )
    other_data.add_note(None, page)
    notes = [*page.findall(nodes.note)]
    assert len(notes) == noted
    if noted:
        assert f"on {data}.".replace("'", "’") in notes[0].astext() and notes[0].parent.index(notes[0]) == 1


# staging


@pytest.mark.parametrize(
    ("origin", "url"),
    [
        ("https://github.com/someone/a-book.git", "https://github.com/someone/a-book"),
        ("git@github.com:someone/a-book.git", "https://github.com/someone/a-book"),
        ("/somewhere/on/disk", ""),
        ("https://example.org/someone/a-book", ""),
    ],
)
def test_the_repository_is_known_only_when_it_is_on_github(monkeypatch, origin, url):
    monkeypatch.setenv("MIXER_REPOSITORY", origin)
    assert address.repository_url() == url


def test_with_a_repository_there_are_launch_buttons(tmp_path):
    """A book of one page and one chapter: the Colab and Kaggle addresses name the chapter's own file."""
    stage = tmp_path / "tr y ü" / "stage"
    (stage / "book").mkdir(parents=True)
    (stage / "notebooks").mkdir()
    for folder in ("_ext", "_static", "_extra"):
        shutil.copytree(ROOT / "book" / folder, stage / "book" / folder)
    (stage / "book" / "index.md").write_text("# A book\n\n$x$\n")
    (stage / "book" / "references.bib").write_text("")
    url = "https://github.com/someone/a-book"
    chapter = address.with_first_cell(notebook("1"), address.install_cell(url))
    nbformat.write(chapter, stage / "notebooks" / "01_data.ipynb")
    shutil.copy(ROOT / "_config.yml", stage / "_config.yml")
    (stage / "_toc.yml").write_text("format: jb-book\nroot: book/index\nchapters:\n  - file: notebooks/01_data\n")
    render.configure(stage, url)
    done = render.strict_build(stage)
    assert done.returncode == 0, done.stdout[-3000:]
    page = (stage / "_build" / "html" / "notebooks" / "01_data.html").read_text(encoding="utf-8")
    assert "colab.research.google.com/github/someone/a-book/blob/main/notebooks/01_data.ipynb" in page
    kaggle = "https%3A%2F%2Fgithub.com%2Fsomeone%2Fa-book%2Fblob%2Fmain%2Fnotebooks%2F01_data.ipynb"
    assert f"kaggle.com/kernels/welcome?src={kaggle}" in page
    assert "THEBE_JS_URL" not in page
    assert "pip install" not in page  # the cell that installs mixer_lib on a host is not shown
    assert "../_sources/notebooks/01_data.ipynb" in page  # the plain download
    assert (stage / "_build" / "html" / "_sources" / "notebooks" / "01_data.ipynb").is_file()


def test_without_a_repository_there_is_none(html):
    page = (html / "notebooks" / "01_data.html").read_text(encoding="utf-8")
    linked = bool(address.repository_url())
    assert [host in page for host in ("colab.research.google.com", "kaggle.com/kernels")] == [linked, linked]
    assert "../_sources/notebooks/01_data.ipynb" in page
