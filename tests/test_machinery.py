"""The verbs' machinery: options, interpreters, running and publishing chapters, stamps, pins, figures."""

import copy
import json
import os
import re
import shutil
import subprocess
import sys
import types
from pathlib import Path

import chapters
import conftest
import execute
import interpreters
import lock
import nbformat
import options
import pdf
import publish
import pytest
import stamps

import book

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "book" / "_ext"))
import mixer_book  # noqa: E402

PARAMETERS = 'profile = "full"\nseed = 0'


def notebook(*sources):
    """A chapter in small: a parameters cell, then these code cells."""
    cells = [nbformat.v4.new_markdown_cell("# A chapter")]
    cells += [nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})]
    cells += [nbformat.v4.new_code_cell(source) for source in sources]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}})


@pytest.fixture
def chapter(tmp_path):
    """Writes a small chapter and returns its path."""

    def write(*sources, name="01_small.ipynb"):
        path = tmp_path / name
        nbformat.write(notebook(*sources), path)
        return path

    return write


# options and interpreters


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATASET", "imagenet"),
        ("DATA", "/no/such/folder"),
        ("EPOCHS", "0"),
        ("EPOCHS", "ten"),
        ("SEED", "-1"),
        ("SEED", "1.5"),
        ("SOLUTIONS", "false"),
    ],
)
def test_a_wrong_option_is_refused_with_its_name_and_value(name, value):
    with pytest.raises(ValueError, match=re.escape(f"{name}={value}")):
        options.read_options({name: value})


def test_right_options_are_read(tmp_path):
    given = {"DATASET": "digits", "DATA": str(tmp_path), "EPOCHS": "2", "SEED": "0", "SOLUTIONS": "no"}
    assert options.read_options(given) == {
        "dataset": "digits",
        "data_dir": str(tmp_path),
        "epochs": 2,
        "seed": 0,
        "solutions": False,
    }
    assert set(options.read_options({}).values()) == {None}


@pytest.mark.parametrize("value", ["2.7", "3.9", "3.99", "/no/such/python", "no-such-command"])
def test_a_python_that_will_not_do_is_refused(value):
    with pytest.raises(ValueError, match=re.escape(f"PYTHON={value}")):
        interpreters.choose(value)


def test_a_python_is_chosen_by_version_and_by_path():
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert interpreters.version_of(interpreters.choose(version)) == sys.version_info[:2]
    assert interpreters.choose(sys.executable) == sys.executable


def test_an_interpreter_that_is_there_and_does_not_run_is_noticed(tmp_path):
    shim = tmp_path / "python3.13"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    assert interpreters.version_of(str(shim)) is None


def make(*arguments):
    values = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    return subprocess.run(["make", *arguments], cwd=ROOT, env=values, capture_output=True, text=True, timeout=120)


needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="no make here")


@needs_make
@pytest.mark.parametrize("option", ["EPOCHS=x", "DATASET=x", "DATA=/no/such", "SEED=x", "SOLUTIONS=x", "PYTHON=2.7"])
@pytest.mark.parametrize("verb", ["quick", "execute", "book"])
def test_a_verb_refuses_a_wrong_option_in_one_line(verb, option):
    done = make(verb, option)
    assert done.returncode != 0
    lines = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert len(lines) == 1
    assert option in lines[0]


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


@needs_make
def test_make_alone_lists_every_verb():
    done = make()
    assert done.returncode == 0
    for verb in [
        "quick",
        "execute",
        "book",
        "pdf",
        "test",
        "check",
        "kaggle",
        "lint",
        "publish",
        "address",
        "lock",
        "clean",
    ]:
        assert f"make {verb} " in done.stdout


# running chapters


def test_a_chapter_takes_its_place_when_it_ran(chapter, tmp_path):
    path = chapter("print(profile, seed)")
    done = chapters.run_chapter(path, "fast", {"profile": "fast"}, build=tmp_path / "build")
    assert done == tmp_path / "build" / "fast" / "executed" / path.name
    assert "fast 0" in str(nbformat.read(done, 4).cells)
    assert nbformat.read(path, 4).cells[-1].outputs == []  # the source is left alone


def test_a_failing_chapter_shows_its_cell_and_takes_no_place(chapter, tmp_path):
    path = chapter("print('before')", "divisor = 0\n1 / divisor", "print('after')")
    with pytest.raises(chapters.ChapterFailed) as caught:
        chapters.run_chapter(path, "fast", {}, build=tmp_path / "build")
    assert "1 / divisor" in str(caught.value)
    assert "ZeroDivisionError" in str(caught.value)
    assert "01_small failed" in str(caught.value)
    assert list((tmp_path / "build" / "fast" / "executed").iterdir()) == []


def test_a_chapter_whose_kernel_dies_has_failed(chapter, tmp_path):
    path = chapter("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "print('after')")
    with pytest.raises(chapters.ChapterFailed, match="01_small failed"):
        chapters.run_chapter(path, "fast", {}, build=tmp_path / "build")
    assert list((tmp_path / "build" / "fast" / "executed").iterdir()) == []


def test_an_unknown_parameter_is_refused_before_anything_runs(chapter, tmp_path):
    path = chapter("open('ran', 'w')")
    with pytest.raises(chapters.ChapterFailed, match="unknown parameter sed.*profile, seed"):
        chapters.run_chapter(path, "fast", {"sed": 1}, build=tmp_path / "build")
    assert not (tmp_path / "build").exists()


def test_a_chapter_finds_mixer_lib_from_anywhere(chapter, tmp_path):
    path = chapter("import mixer_lib\nprint(mixer_lib.__file__)")
    done = chapters.run_chapter(path, "fast", {}, build=tmp_path / "build")
    assert str(ROOT / "mixer_lib") in str(nbformat.read(done, 4).cells)


# publishing and stamps


def executed(current, *outputs, root=ROOT):
    """`current` as a run on the library in `root` would have left it, with these outputs in its last cell."""
    done = copy.deepcopy(current)
    injected = nbformat.v4.new_code_cell('profile = "full"', metadata={"tags": ["injected-parameters"]})
    done.cells.insert(2, injected)
    for count, cell in enumerate((c for c in done.cells if c.cell_type == "code"), 1):
        cell.execution_count = count
        cell.metadata["papermill"] = {"duration": 1.5}
        cell.metadata["execution"] = {"iopub.status.busy": "now"}
    done.cells[-1].outputs = list(outputs)
    done.metadata["papermill"] = {"input_path": "/home/someone/x.ipynb"}
    done.metadata[stamps.KEY] = {"library": stamps.library_hash(root)}
    return done


def stream(text, name="stdout"):
    return nbformat.v4.new_output("stream", name=name, text=text)


def test_a_published_chapter_holds_outputs_and_no_trace_of_the_run():
    current = notebook("print(1)")
    done = executed(current, stream("1\n"), stream("noise\n", "stderr"), stream("2\n"))
    published = publish.publishable(current, done)
    assert [cell.source for cell in published.cells] == [cell.source for cell in current.cells]
    assert [output.text for output in published.cells[-1].outputs] == ["1\n2\n"]
    assert "papermill" not in json.dumps(published)
    assert [c.execution_count for c in published.cells if c.cell_type == "code"] == [1, 2]
    nbformat.validate(published)


def test_a_published_chapter_keeps_how_long_it_ran():
    current = notebook("print(1)")
    done = executed(current, stream("1\n"))
    assert "seconds" not in publish.publishable(current, done).metadata["mixer"]
    done.metadata["papermill"]["duration"] = 61.7
    published = publish.publishable(current, done)
    assert published.metadata["mixer"]["seconds"] == 62
    assert "papermill" not in published.metadata


def test_prose_may_change_after_the_run_and_code_may_not():
    current = notebook("print(1)")
    done = executed(current, stream("1\n"))
    current.cells[0].source = "# Another title"
    assert publish.publishable(current, done).cells[0].source == "# Another title"
    current.cells[-1].source = "print(2)"
    with pytest.raises(chapters.ChapterFailed, match="code has changed"):
        publish.publishable(current, done)


def test_a_run_on_another_library_than_the_one_here_is_never_published(chapter, tmp_path, monkeypatch):
    path = chapter("print(1)")
    done = nbformat.read(chapters.run_chapter(path, "fast", {}, build=tmp_path / "build"), 4)
    publish.publishable(nbformat.read(path, 4), done)
    monkeypatch.setattr(publish, "library_hash", lambda: "that of a library with a change")
    with pytest.raises(chapters.ChapterFailed, match="mixer_lib has changed since it was run"):
        publish.publishable(nbformat.read(path, 4), done)


def test_a_run_with_other_settings_than_the_page_shows_is_never_published():
    current = notebook("print(1)")
    done = executed(current, stream("1\n"))
    done.metadata["papermill"]["parameters"] = {"profile": "full", "seed": 0, "run_dir": "/somewhere"}
    publish.publishable(current, done)
    done.metadata["papermill"]["parameters"]["profile"] = "fast"
    with pytest.raises(chapters.ChapterFailed, match="profile = 'fast'"):
        publish.publishable(current, done)


def test_an_error_is_never_published():
    current = notebook("1 / 0")
    error = nbformat.v4.new_output("error", ename="ZeroDivisionError", evalue="division by zero", traceback=[])
    with pytest.raises(chapters.ChapterFailed, match="failed"):
        publish.publishable(current, executed(current, error))


def test_a_cell_that_never_ran_is_never_published():
    current = notebook("print(1)")
    done = executed(current, stream("1\n"))
    done.cells[-1].execution_count = None
    with pytest.raises(chapters.ChapterFailed, match="did not run"):
        publish.publishable(current, done)


def test_paths_below_the_repository_become_relative_and_others_are_refused():
    current = notebook("print(1)")
    published = publish.publishable(current, executed(current, stream(f"wrote {ROOT}/runs/x/card.json\n")))
    assert published.cells[-1].outputs[0].text == "wrote runs/x/card.json\n"
    with pytest.raises(chapters.ChapterFailed, match="path of this machine"):
        publish.publishable(current, executed(current, stream("wrote /home/someone/secret.txt\n")))


def test_a_stamp_goes_stale_with_code_and_with_the_library_and_not_with_prose(tmp_path):
    library = tmp_path / "mixer_lib"
    library.mkdir()
    (library / "data.py").write_text("x = 1\n")
    chapter = notebook("print(1)")
    stamps.stamp(chapter, tmp_path)
    assert stamps.stale(chapter, tmp_path) == []
    chapter.cells[0].source = "# Prose"
    assert stamps.stale(chapter, tmp_path) == []
    chapter.cells[-1].source = "print(2)"
    assert stamps.stale(chapter, tmp_path) == ["its code cells"]
    (library / "data.py").write_text("x = 2\n")
    assert stamps.stale(chapter, tmp_path) == ["its code cells", "mixer_lib"]


def test_a_chapter_that_was_never_published_is_stale():
    assert stamps.stale(notebook("print(1)")) == ["its code cells", "mixer_lib"]


# the closing table of make execute


def test_the_closing_table_puts_article_published_and_trained_here_side_by_side(tmp_path):
    card = {"top1": 0.4843, "top5": 0.7804, "epochs_run": 57, "seconds_total": 3650.4}
    published = tmp_path / "article.json"
    published.write_text(json.dumps({**card, "top5": 0.79}))
    lines = execute.table(card, published, with_article=True).splitlines()
    assert [line.split("  ")[0] for line in lines[1:]] == ["article", "published", "trained here"]
    assert "81.07 %" in lines[1]
    assert "79.00 %" in lines[2]
    assert all(text in lines[3] for text in ("48.43 %", "78.04 %", "57", "3,650"))


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
    assert book.repository_url() == url


@pytest.mark.parametrize("url", ["https://github.com/someone/a-book", ""])
def test_launch_buttons_are_there_exactly_when_there_is_a_repository(tmp_path, monkeypatch, url):
    """A book of one page and one chapter: the Colab and Kaggle addresses name the chapter's own file."""
    monkeypatch.setattr(book, "repository_url", lambda: url)
    stage = tmp_path / "tr y ü" / "stage"
    (stage / "book").mkdir(parents=True)
    (stage / "notebooks").mkdir()
    for folder in ("_ext", "_static", "_extra"):
        shutil.copytree(ROOT / "book" / folder, stage / "book" / folder)
    (stage / "book" / "index.md").write_text("# A book\n\n$x$\n")
    (stage / "book" / "references.bib").write_text("")
    nbformat.write(notebook("1"), stage / "notebooks" / "01_data.ipynb")
    shutil.copy(ROOT / "_config.yml", stage / "_config.yml")
    contents = "format: jb-book\nroot: book/index\nchapters:\n  - file: notebooks/01_data\n"
    (stage / "_toc.yml").write_text(contents)
    book.configure(stage, url)
    done = book.strict_build(stage)
    assert done.returncode == 0, done.stdout[-3000:]
    page = (stage / "_build" / "html" / "notebooks" / "01_data.html").read_text(encoding="utf-8")
    addresses = ["colab.research.google.com/github/someone/a-book/blob/main/notebooks/01_data.ipynb"]
    addresses += [
        "kaggle.com/kernels/welcome?src=https%3A%2F%2Fgithub.com%2Fsomeone%2Fa-book%2Fblob%2Fmain%2Fnotebooks"
    ]
    assert [address in page for address in addresses] == [bool(url)] * 2
    assert "THEBE_JS_URL" not in page
    assert "../_sources/notebooks/01_data.ipynb" in page  # the plain download, with and without a repository
    assert (stage / "_build" / "html" / "_sources" / "notebooks" / "01_data.ipynb").is_file()


# pins and skips


def test_markers_name_exactly_the_pythons_that_a_pin_is_for():
    assert lock.marker({10, 11, 12, 13}) == ""
    assert lock.marker({10, 11}) == '; python_version < "3.12"'
    assert lock.marker({12, 13}) == '; python_version >= "3.12"'
    assert lock.marker({12}) == '; python_version >= "3.12" and python_version < "3.13"'
    assert lock.marker({10, 12}) == '; python_version == "3.10" or python_version == "3.12"'


def test_every_direct_dependency_has_exact_pins():
    pins = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in pins if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+(; .+)?", line) for line in pins)
    asked = [
        line for line in (ROOT / "requirements.in").read_text(encoding="utf-8").splitlines() if line and line[0] != "#"
    ]
    names = {line.split("==")[0] for line in pins}
    assert {re.split(r"[=<>;\s]", line)[0] for line in asked} <= names


def test_what_is_installed_fits_together():
    done = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_only_skips_that_are_on_the_list_are_expected():
    patterns = conftest.expected_reasons()
    assert conftest.unexpected_skips(["no browser here", "no GPU here"], patterns) == []
    assert conftest.unexpected_skips(["did not feel like it"], patterns) == ["did not feel like it"]


def test_what_takes_long_begins_first_when_tests_run_side_by_side(tmp_path):
    def test_of(file, characters, chapter=None):
        path = tmp_path / file
        path.write_text(characters * "#")
        params = {"path": Path(chapter)} if chapter else {}
        return types.SimpleNamespace(path=path, callspec=types.SimpleNamespace(params=params), chapter=chapter)

    chapters_first_to_last = [test_of("test_notebooks.py", 9, f"{name}.ipynb") for name in ("01_data", "05_training")]
    small, large = test_of("test_a.py", 10), test_of("test_z.py", 20)
    found = sorted([*chapters_first_to_last, small, large], key=conftest.begins_early)
    assert [item.chapter or item.path.name for item in found] == [
        "05_training.ipynb",
        "test_z.py",
        "test_a.py",
        "01_data.ipynb",
    ]


TELLS = """
import os, pytest
@pytest.mark.parametrize("number", range(8))
def test_it(number):
    with open("ran", "a") as file:
        print(__name__, os.environ["PYTEST_XDIST_WORKER"], file=file)
"""


def small_run(folder, *options, **environment):
    """Run the tests in a folder with this project's plugin; the finished process."""
    shutil.copy(ROOT / "tests" / "conftest.py", folder)
    shutil.copy(conftest.EXPECTED_SKIPS, folder)
    values = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")} | environment
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", ".", "."]
    return subprocess.run([*command, *options], cwd=folder, env=values, capture_output=True, text=True)


def test_the_tests_of_a_file_stay_on_one_worker(tmp_path):
    for name in ("test_one.py", "test_two.py"):
        (tmp_path / name).write_text(TELLS)
    done = small_run(tmp_path, "-n", "2", "--dist", "loadscope", "--no-loadscope-reorder")
    assert done.returncode == 0, done.stdout
    ran = (tmp_path / "ran").read_text().splitlines()
    assert len(ran) == 16 and len(set(ran)) == 2  # two files, each with one worker


def test_the_tests_of_a_chapter_stay_together_and_chapters_may_part():
    first, other = (f"tests/test_notebooks.py::test_{name}[01_data]" for name in ("one", "other"))
    assert conftest.scope_of(first) == conftest.scope_of(other)
    assert conftest.scope_of(first) != conftest.scope_of(first.replace("01_data", "02_patches"))
    assert conftest.scope_of("tests/test_a.py::test_one[x]") == conftest.scope_of("tests/test_a.py::test_other[y]")


def test_an_unexpected_skip_fails_a_strict_run(tmp_path):
    """The plugin itself, in a run of its own."""
    (tmp_path / "test_it.py").write_text("import pytest\ndef test_it():\n    pytest.skip('just so')\n")
    for strict, status in (("", 0), ("1", 1)):
        done = small_run(tmp_path, MIXER_STRICT_SKIPS=strict)
        assert done.returncode == status, done.stdout
