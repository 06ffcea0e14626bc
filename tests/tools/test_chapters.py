"""Running chapters, opening copies of them, publishing and stamps."""

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request

import nbformat
import pytest
from small_notebooks import executed, notebook, stream

from tools.chapters import execute, lab, notebooks, publish, runner, stamps, sweep
from tools.hosting import address
from tools.paths import ROOT


@pytest.fixture
def chapter(tmp_path):
    """Writes a small chapter and returns its path."""

    def write(*sources, name="01_small.ipynb"):
        path = tmp_path / name
        nbformat.write(notebook(*sources), path)
        return path

    return write


# running chapters


def test_a_chapter_finds_mixer_lib_and_takes_its_place_when_it_ran(chapter, tmp_path):
    path = chapter("import importlib.util\nprint(profile, seed, importlib.util.find_spec('mixer_lib').origin)")
    done = runner.run_chapter(path, "fast", {"profile": "fast"}, build=tmp_path / "build")
    assert done == tmp_path / "build" / "fast" / "executed" / path.name
    assert f"fast 0 {ROOT / 'mixer_lib'}" in str(nbformat.read(done, 4).cells)
    assert nbformat.read(path, 4).cells[-1].outputs == []  # the source is left alone
    assert nbformat.read(done, 4).metadata[stamps.KEY]["library"] == stamps.library_hash()


@pytest.mark.parametrize(("dataset", "alt"), [("cifar100", "a cow in a meadow"), ("digits", "one small picture")])
def test_a_chapter_on_other_data_has_their_captions_and_alt_texts(chapter, tmp_path, dataset, alt):
    path = chapter("1 + 1")
    written = nbformat.read(path, 4)
    next(cell for cell in written.cells if "profile" in cell.source).source += "\ndataset = None"
    written.cells[-1].metadata = nbformat.from_dict(
        {
            "mystnb": {"image": {"alt": "a cow in a meadow"}},
            "mixer": {"on_other_data": {"alt": "one small picture"}},
        }
    )
    nbformat.write(written, path)
    done = runner.run_chapter(path, "fast", {"dataset": dataset}, build=tmp_path / "build")
    assert nbformat.read(done, 4).cells[-1].metadata.mystnb.image.alt == alt


def test_a_failing_chapter_shows_its_cell_and_takes_no_place(chapter, tmp_path):
    path = chapter("print('before')", "divisor = 0\n1 / divisor", "print('after')")
    with pytest.raises(notebooks.ChapterFailed) as caught:
        runner.run_chapter(path, "fast", {}, build=tmp_path / "build")
    assert "1 / divisor" in str(caught.value)
    assert "ZeroDivisionError" in str(caught.value)
    assert "01_small failed" in str(caught.value)
    assert list((tmp_path / "build" / "fast" / "executed").iterdir()) == []


def test_a_chapter_whose_kernel_dies_has_failed(chapter, tmp_path):
    path = chapter("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "print('after')")
    with pytest.raises(notebooks.ChapterFailed, match="01_small failed"):
        runner.run_chapter(path, "fast", {}, build=tmp_path / "build")
    assert list((tmp_path / "build" / "fast" / "executed").iterdir()) == []


def test_an_unknown_parameter_is_refused_before_anything_runs(chapter, tmp_path):
    path = chapter("open('ran', 'w')")
    with pytest.raises(notebooks.ChapterFailed, match="unknown parameter sed.*profile, seed"):
        runner.run_chapter(path, "fast", {"sed": 1}, build=tmp_path / "build")
    assert not (tmp_path / "build").exists()


WITHOUT_WIDGETS = """
import importlib.util, sys
sys.modules["ipywidgets"] = None  # as if it were not installed
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name == "ipywidgets" else find(name, package)
from mixer_lib.runs.progress import progress_bar
with progress_bar(1, 2, type("", (), {"saved": 0, "history": []}), lambda: None) as after_step:
    after_step()
"""


def test_a_notebook_without_widgets_shows_a_plain_bar_and_no_complaint(chapter, tmp_path):
    done = runner.run_chapter(chapter(WITHOUT_WIDGETS), "fast", {}, build=tmp_path / "build")
    said = str(nbformat.read(done, 4).cells[-1].outputs)
    assert "1/2" in said and "Warning" not in said and "IProgress" not in said


# publishing and stamps


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
    with pytest.raises(notebooks.ChapterFailed, match="code has changed"):
        publish.publishable(current, done)


def test_a_run_on_another_library_than_the_one_here_is_never_published(monkeypatch):
    current = notebook("print(1)")
    done = executed(current, stream("1\n"))
    publish.publishable(current, done)
    monkeypatch.setattr(publish, "library_hash", lambda: "that of a library with a change")
    with pytest.raises(notebooks.ChapterFailed, match="mixer_lib has changed since it was run"):
        publish.publishable(current, done)


def test_a_run_with_other_settings_than_the_page_shows_is_never_published():
    current = notebook("print(1)")
    done = executed(current, stream("1\n"))
    done.metadata["papermill"]["parameters"] = {"profile": "full", "seed": 0, "run_dir": "/somewhere"}
    publish.publishable(current, done)
    done.metadata["papermill"]["parameters"]["profile"] = "fast"
    with pytest.raises(notebooks.ChapterFailed, match="profile = 'fast'"):
        publish.publishable(current, done)


def test_an_error_is_never_published():
    current = notebook("1 / 0")
    error = nbformat.v4.new_output("error", ename="ZeroDivisionError", evalue="division by zero", traceback=[])
    with pytest.raises(notebooks.ChapterFailed, match="failed"):
        publish.publishable(current, executed(current, error))


def test_a_cell_that_never_ran_is_never_published():
    current = notebook("print(1)")
    done = executed(current, stream("1\n"))
    done.cells[-1].execution_count = None
    with pytest.raises(notebooks.ChapterFailed, match="did not run"):
        publish.publishable(current, done)


def test_paths_below_the_repository_become_relative_and_others_are_refused():
    current = notebook("print(1)")
    published = publish.publishable(current, executed(current, stream(f"wrote {ROOT}/runs/x/card.json\n")))
    assert published.cells[-1].outputs[0].text == "wrote runs/x/card.json\n"
    with pytest.raises(notebooks.ChapterFailed, match="path of this machine"):
        publish.publishable(current, executed(current, stream("wrote /home/someone/secret.txt\n")))


def test_a_stamp_goes_stale_with_code_and_with_the_library_and_not_with_prose(tmp_path):
    part = tmp_path / "mixer_lib" / "runs" / "card.py"
    part.parent.mkdir(parents=True)
    part.write_text("x = 1\n")
    chapter = notebook("print(1)")
    stamps.stamp(chapter, tmp_path)
    assert stamps.stale(chapter, tmp_path) == []
    chapter.cells[0].source = "# Prose"
    assert stamps.stale(chapter, tmp_path) == []
    chapter.cells[-1].source = "print(2)"
    assert stamps.stale(chapter, tmp_path) == ["its code cells"]
    part.write_text("x = 2\n")
    assert stamps.stale(chapter, tmp_path) == ["its code cells", "mixer_lib"]


def test_the_library_s_hash_knows_where_each_file_lies(tmp_path):
    """Two packages have files of one name: to exchange their contents, or to move one, is a change."""
    found = set()
    for places in (("runs/a.py", "figures/a.py"), ("figures/a.py", "runs/a.py"), ("runs/a.py", "a.py")):
        root = tmp_path / str(len(found))
        for place, text in zip(places, ("x = 1\n", "y = 1\n"), strict=True):
            path = root / "mixer_lib" / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        found.add(stamps.library_hash(root))
    assert len(found) == 3


def test_the_cell_that_installs_the_library_on_a_host_is_no_part_of_stamp_and_outputs():
    current = notebook("print(1)")
    done = executed(current, stream("1\n"))
    before = stamps.cells_hash(current)
    current = address.with_first_cell(current, address.install_cell("https://github.com/someone/a-book"))
    assert stamps.cells_hash(current) == before
    published = publish.publishable(current, done)
    assert [len(cell.outputs) for cell in published.cells if cell.cell_type == "code"] == [0, 0, 1]
    assert [cell.execution_count for cell in published.cells if cell.cell_type == "code"] == [None, 1, 2]


def test_chapters_that_train_or_measure_are_named_and_exist():
    stems = {path.stem for path in notebooks.chapter_paths()}
    assert {notebooks.TRAINS, *notebooks.MEASURES} <= stems
    assert sorted(["03_mixing", "08_cost", "01_data", "05_training"], key=notebooks.priority) == [
        "05_training",
        "08_cost",
        "01_data",
        "03_mixing",
    ]


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


# make lab


def test_a_reader_s_copies_are_never_overwritten(tmp_path):
    assert lab.copy_chapters(tmp_path) == []
    names = [path.name for path in notebooks.chapter_paths()]
    assert sorted(path.name for path in (tmp_path / "notebooks").iterdir()) == names
    (tmp_path / "notebooks" / names[0]).write_text("changed")
    (tmp_path / "notebooks" / names[1]).unlink()
    assert lab.copy_chapters(tmp_path) == [names[0], *names[2:]]
    assert (tmp_path / "notebooks" / names[0]).read_text() == "changed"
    assert (tmp_path / "notebooks" / names[1]).is_file()


def test_links_of_the_copies_lead_to_pages_that_are_there(tmp_path):
    lab.copy_chapters(tmp_path)
    for path in (tmp_path / "notebooks").iterdir():
        for link in re.findall(r"\]\((\.\./[^)#\s]+)", path.read_text(encoding="utf-8")):
            assert (path.parent / link).is_file(), f"{path.name}: {link}"


def test_options_reach_the_chapters_in_their_environment():
    given = {"dataset": "digits", "data_dir": None, "epochs": 2, "seed": 0, "devices": None}
    given |= {"solutions": None, "port": None}
    found = lab.chapter_environment(given, {"HOME": "/home/someone"})
    wanted = {"MIXER_DATASET": "digits", "MIXER_EPOCHS": "2", "MIXER_SEED": "0", "PYTHONPATH": str(ROOT)}
    assert found == {"HOME": "/home/someone", **wanted}


def free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def test_make_lab_serves_the_copies(tmp_path):
    """JupyterLab itself, without a browser: its API lists the chapters and knows the kernel."""
    port = free_port()
    code = f"from pathlib import Path\nfrom tools.chapters import lab\nlab.main(Path({str(tmp_path / 'lab')!r}))"
    values = {**os.environ, "PYTHONPATH": str(ROOT), "PORT": str(port), "JUPYTER_TOKEN": "known"}
    command = [sys.executable, "-c", code, "--no-browser"]
    with open(tmp_path / "log", "wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=values, stdout=log, stderr=log)

    def ask(path):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/{path}?token=known", timeout=30) as answer:
            return json.load(answer)

    try:
        for _ in range(300):
            assert process.poll() is None, (tmp_path / "log").read_text()
            try:
                ask("status")
                break
            except OSError:
                time.sleep(0.1)
        served = [entry["name"] for entry in ask("contents/notebooks")["content"]]
        assert sorted(served) == [path.name for path in notebooks.chapter_paths()]
        assert "python3" in ask("kernelspecs")["kernelspecs"]
    finally:
        process.terminate()
        process.wait(timeout=30)


# --- make sweep -----------------------------------------------------------------------------------


def test_make_sweep_runs_the_file_that_is_named_and_refuses_what_is_none(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr("mixer_lib.__main__.main", seen.append)
    (tmp_path / "many.toml").write_text("")
    monkeypatch.setenv("DATA", str(tmp_path))
    for file, message in (("", "FILE= is no file"), ("none.toml", "FILE=none.toml is no file")):
        monkeypatch.setenv("FILE", file)
        with pytest.raises(SystemExit, match=f"^mixer: {message}: .*FILE=sweeps/small.toml$"):
            sweep.main()
    monkeypatch.setenv("FILE", str(tmp_path / "many.toml"))
    sweep.main()
    assert seen == [["sweep", str(tmp_path / "many.toml"), f"--data={tmp_path}"]]
