"""The machinery when it is stopped, killed, doubled or put in odd places: the same verb works afterwards."""

import contextlib
import errno
import fcntl
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from ordinary import without_root_rights
from small_notebooks import executed, notebook, stream

from tools import verbs
from tools.chapters import notebooks, publish
from tools.paths import ROOT
from tools.render import html as render
from tools.setup import environment

VERB = """
from tools.chapters.runner import run_chapters
from tools.paths import BUILD
from tools.verbs import exclusive, run


@exclusive(BUILD / "fast")
def main():
    run_chapters("fast", {"seed": 1}, jobs=1)
    print("done")


if __name__ == "__main__":
    run(main)
"""
WAITS = """
import os, time
from pathlib import Path
here = Path.cwd().parents[2]
(here / "kernel").write_text(str(os.getpid()))
while not (here / "go").exists():
    time.sleep(0.1)
"""


@pytest.fixture
def clone(tmp_path):
    """A small project: two chapters, the tools, one verb, no packages; in a folder with special letters in its name."""
    folder = tmp_path / "-tr y {ü} %s #1 'a' \"c\" $d & e"
    shutil.copytree(ROOT / "tools", folder / "tools", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "notebooks").mkdir()
    shutil.copy(ROOT / "Makefile", folder)
    for name in ("requirements.txt", "requirements-dev.txt"):
        (folder / name).write_text("")
    (folder / "tools" / "chapters" / "quick.py").write_text(VERB, encoding="utf-8")
    nbformat.write(notebook(WAITS), folder / "notebooks" / "01_waits.ipynb")
    nbformat.write(notebook("open('second', 'w')"), folder / "notebooks" / "02_second.ipynb")
    return folder


def alive(pid):
    try:
        os.kill(pid, 0)
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False


def until(condition, seconds=300):
    """Wait for something to become true; fail when it doesn't."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def start(command, folder, **options):
    options = {"cwd": folder, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
    return subprocess.Popen(list(map(str, command)), start_new_session=True, **options)


QUICK = [sys.executable, "-m", "tools.chapters.quick"]


def values_of(clone):
    """The environment of a verb in the clone, which finds the clone's tools."""
    return {**os.environ, "PYTHONPATH": str(clone)}


@contextlib.contextmanager
def at_work(clone):
    """The verb, in the middle of its first chapter; also the kernel's process."""
    (clone / "kernel").unlink(missing_ok=True)
    process = start(QUICK, clone, env=values_of(clone))
    until(lambda: (clone / "kernel").exists() and (clone / "kernel").read_text())
    kernel = int((clone / "kernel").read_text())
    try:
        yield process, kernel
    finally:
        for end in (lambda: os.killpg(process.pid, signal.SIGKILL), lambda: os.kill(kernel, signal.SIGKILL)):
            with contextlib.suppress(ProcessLookupError):
                end()
        process.communicate()


def run_quick(clone):
    return subprocess.run(QUICK, cwd=clone, env=values_of(clone), capture_output=True, text=True, timeout=300)


# Chapters


def test_a_verb_that_is_doubled_or_killed_or_stopped_leaves_nothing_behind_and_works_again(clone):
    executed_ones = clone / "_build" / "fast" / "executed"
    with at_work(clone) as (process, kernel):
        second = run_quick(clone)
        assert second.returncode == 1
        assert second.stderr == "another make is at work in _build/fast/: wait until it ends, or stop it\n"
        assert process.poll() is None
        process.kill()
        process.wait()
        until(lambda: not alive(kernel))  # its workers end with it
        assert list(executed_ones.iterdir()) == []
    with at_work(clone) as (process, kernel):
        os.killpg(process.pid, signal.SIGINT)
        _, told = process.communicate(timeout=300)
        assert process.returncode == 130
        assert told.strip().splitlines()[-1] == "stopped: the same command starts again, from what is finished"
        assert "Traceback" not in told
        until(lambda: not alive(kernel))
        assert list(executed_ones.iterdir()) == []
        assert not (clone / "_build" / "fast" / "work" / "second").exists()  # the waiting chapter was not begun
    (clone / "go").touch()
    done = run_quick(clone)
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["done"]), done.stderr
    assert sorted(path.name for path in executed_ones.iterdir()) == ["01_waits.ipynb", "02_second.ipynb"]


@pytest.mark.parametrize(("name", "folder"), [("quick", "fast"), ("execute", "full")])
def test_every_verb_that_runs_chapters_keeps_others_out_of_its_folder(name, folder):
    code = (ROOT / "tools" / "chapters" / f"{name}.py").read_text(encoding="utf-8")
    assert f'@exclusive(BUILD / "{folder}")\ndef main():' in code


# The environment


def without_packages():
    """The environment of a set-up that installs nothing: no GPU packages, no index."""
    return {**os.environ, "PIP_NO_INDEX": "1", "PYTHON": sys.executable}


@pytest.fixture
def no_gpu(clone, monkeypatch):
    fake = clone / "bin" / "nvidia-smi"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(fake.parent), prepend=os.pathsep)


def test_a_set_up_killed_half_way_is_made_anew(clone, no_gpu):
    command = [sys.executable, "-m", "tools.setup.environment", "-c", "import sys; print(sys.prefix)"]
    process = start(command, clone, env=without_packages())
    folder = clone / ".venv" / f"py3.{sys.version_info[1]}"
    until(lambda: (folder / "bin" / "python").exists())
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (folder / "stamp").exists()
    again = subprocess.run(command, cwd=clone, env=without_packages(), capture_output=True, text=True, timeout=300)
    assert again.returncode == 0, again.stderr
    assert again.stdout.splitlines()[-1] == str(folder)
    assert (folder / "stamp").exists() and not (folder / "stamp-dev").exists()
    command[3:3] = ["--dev"]  # what tests need comes on top
    for said in (["Adding what tests and linters need to .venv/" + folder.name + ", once."], []):
        again = subprocess.run(command, cwd=clone, env=without_packages(), capture_output=True, text=True, timeout=300)
        assert again.stdout.splitlines() == [*said, str(folder)], again.stderr


HOLDS = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tools.setup import environment
child = "import os, pathlib, sys, time; pathlib.Path(sys.argv[1]).write_text(str(os.getpid())); time.sleep(600)"
with environment.one_at_a_time(Path("lock")):
    environment.step([sys.executable, "-c", child, "pid"], Path("log"))
"""


def test_a_set_up_waits_for_an_installation_that_outlived_its_verb(tmp_path):
    process = start([sys.executable, "-c", HOLDS, ROOT], tmp_path)
    until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    process.kill()
    process.wait()
    installing = int((tmp_path / "pid").read_text())
    with open(tmp_path / "lock", "w") as lock:
        with pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.kill(installing, signal.SIGKILL)
        until(lambda: not alive(installing))
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    process.communicate()


def test_a_read_only_clone_is_told_in_one_line(clone):
    for folder in (clone / "tools", clone / "notebooks", clone):
        folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        command = ["sh", "tools/setup/in_env.sh", "-m", "tools.chapters.quick"]
        done = subprocess.run(command, cwd=clone, capture_output=True, text=True, preexec_fn=without_root_rights)
    finally:
        clone.chmod(stat.S_IRWXU)
        for folder in (clone / "tools", clone / "notebooks"):
            folder.chmod(stat.S_IRWXU)
    assert done.returncode != 0
    assert done.stdout == ""
    told = f"mixer: {clone} cannot be written, and the commands build .venv/ and _build/ in it: "
    told += "copy it to a folder of yours"
    assert done.stderr == told + "\n"


def test_an_environment_that_cannot_be_made_is_told_in_one_line(clone, no_gpu):
    (clone / ".venv").write_text("a file in its place")
    command = [sys.executable, "-m", "tools.setup.environment"]
    done = subprocess.run(command, cwd=clone, env=without_packages(), capture_output=True, text=True)
    assert done.returncode != 0
    assert done.stderr.startswith("mixer: setting up the environment failed: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("letter", [":", "[", "*", "?", "\n", os.fsdecode(b"\xff")])
def test_a_folder_that_a_program_below_could_not_read_is_refused_in_one_line(tmp_path, letter):
    folder = tmp_path / f"a{letter}b"
    shutil.copytree(ROOT / "tools", folder / "tools", ignore=shutil.ignore_patterns("__pycache__"))
    command = ["sh", "tools/setup/in_env.sh", "-m", "tools.chapters.quick"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("mixer: rename the folder ") and done.stderr.count("\n") == 1
    assert sorted(path.name for path in folder.iterdir()) == ["tools"]


@pytest.mark.skipif(shutil.which("make") is None, reason="no make here")
def test_make_works_in_a_folder_whose_name_has_special_letters(clone):
    assert "make quick " in subprocess.run(["make"], cwd=clone, capture_output=True, text=True).stdout
    done = subprocess.run(["make", "quick", "EPOCHS=x"], cwd=clone, capture_output=True, text=True)
    assert "EPOCHS=x is not right" in done.stderr
    for name in ("junk", "lab"):
        (clone / "_build" / name).mkdir(parents=True)
    subprocess.run(["make", "clean"], cwd=clone, check=True)
    assert [path.name for path in (clone / "_build").iterdir()] == ["lab"]  # a reader's own work is no cache


# The book and the published chapters


def small_repository(folder, monkeypatch):
    """Enough of a repository to stage a book."""
    for name in ("book", "notebooks", "mixer_lib/pretrained"):
        (folder / name).mkdir(parents=True)
    (folder / "_config.yml").write_text("sphinx:\n  config: {}\n")
    (folder / "_toc.yml").write_text("root: book/index\n")
    (folder / "requirements.txt").write_text("keras==3.15.0\n")
    monkeypatch.setattr(render, "ROOT", folder)


def test_what_an_interrupted_staging_left_is_not_taken_into_the_book(tmp_path, monkeypatch):
    small_repository(tmp_path, monkeypatch)
    stage = tmp_path / "_build" / "fast" / "stage"
    (stage / "book").mkdir(parents=True)
    (stage / "book" / "old.md").write_text("half a pa")
    render.stage_book(stage)
    names = sorted(str(path.relative_to(stage)) for path in stage.rglob("*"))
    kept = ["_config.yml", "_toc.yml", "book", "mixer_lib", "mixer_lib/pretrained", "notebooks", "requirements.txt"]
    assert [name for name in names if "_extra" not in name] == kept  # the live page's files are built


@pytest.mark.parametrize("failure", ["warnings", "Ctrl-C"])
def test_the_last_book_stays_until_the_next_one_is_rendered_whole(tmp_path, monkeypatch, capsys, failure):
    small_repository(tmp_path, monkeypatch)
    html = tmp_path / "_build" / "fast" / "html"
    html.mkdir(parents=True)
    (html / "index.html").write_text("the last one")

    def build(stage):
        new = stage / "_build" / "html"
        new.mkdir(parents=True)
        (new / "index.html").write_text("half of the ne")
        if failure == "Ctrl-C":
            raise KeyboardInterrupt
        return subprocess.CompletedProcess([], 1, stdout="WARNING: a link leads nowhere")

    monkeypatch.setattr(render, "strict_build", build)
    with pytest.raises((SystemExit, KeyboardInterrupt)):
        render.render("fast", build=tmp_path / "_build")
    assert failure == "Ctrl-C" or "a link leads nowhere" in capsys.readouterr().err
    assert (html / "index.html").read_text() == "the last one"

    def whole(stage):
        (stage / "_build" / "html").mkdir(parents=True)
        (stage / "_build" / "html" / "index.html").write_text("the new one")
        return subprocess.CompletedProcess([], 0)

    monkeypatch.setattr(render, "strict_build", whole)
    assert render.render("fast", build=tmp_path / "_build") == html
    assert (html / "index.html").read_text() == "the new one"


@pytest.fixture
def a_run_in_full(tmp_path, monkeypatch):
    """Three chapters, run in full; returns the folder of the committed ones."""
    folder, done = tmp_path / "notebooks", tmp_path / "_build" / "full" / "executed"
    folder.mkdir()
    done.mkdir(parents=True)
    for number in (1, 2, 3):
        current = notebook(f"print({number})")
        nbformat.write(current, folder / f"0{number}_small.ipynb")
        nbformat.write(executed(current, stream(f"{number}\n")), done / f"0{number}_small.ipynb")
    monkeypatch.setattr(publish, "BUILD", tmp_path / "_build")
    monkeypatch.setattr(publish, "chapter_paths", lambda: notebooks.chapter_paths(folder))
    return folder


def has_outputs(path):
    return bool(nbformat.read(path, 4).cells[-1].outputs)


def test_a_publication_killed_half_way_leaves_whole_chapters_and_can_be_repeated(a_run_in_full, monkeypatch, capsys):
    replace, count = os.replace, []

    def killed_at_the_second(source, target):
        count.append(target)
        if len(count) == 2:
            raise SystemExit("killed")
        replace(source, target)

    monkeypatch.setattr(verbs.os, "replace", killed_at_the_second)
    with pytest.raises(SystemExit):
        publish.main()
    monkeypatch.setattr(verbs.os, "replace", replace)
    assert [has_outputs(path) for path in notebooks.chapter_paths(a_run_in_full)] == [True, False, False]
    publish.main()
    assert [has_outputs(path) for path in notebooks.chapter_paths(a_run_in_full)] == [True, True, True]
    assert sorted(path.name for path in a_run_in_full.iterdir()) == [f"0{number}_small.ipynb" for number in (1, 2, 3)]
    assert "published 3 chapters" in capsys.readouterr().out


def test_a_chapter_that_failed_keeps_the_whole_book_from_being_published(a_run_in_full, tmp_path, capsys):
    (tmp_path / "_build" / "full" / "executed" / "02_small.ipynb").unlink()
    with pytest.raises(SystemExit):
        publish.main()
    assert "nothing was published\n02_small: not run in full yet" in capsys.readouterr().err
    assert not any(has_outputs(path) for path in notebooks.chapter_paths(a_run_in_full))


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "requirements.txt"
    verbs.atomic_write_text(path, "old\n")

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        with pytest.raises(OSError, match="No space"):
            verbs.atomic_write_text(path, "new\n")
    assert path.read_text() == "old\n"
    verbs.atomic_write_text(path, "new\n")
    assert [(found.name, found.read_text()) for found in tmp_path.iterdir()] == [("requirements.txt", "new\n")]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_refuses_ends_a_verb_with_what_to_do(number):
    def main():
        raise OSError(number, os.strerror(number), "_build/fast")

    with pytest.raises(SystemExit) as end:
        verbs.run(main)
    assert os.strerror(number) in end.value.code
    assert "'_build/fast'" in end.value.code
    assert "then give the same command again" in end.value.code


# Killed for good, at any moment

SLOW = """
import importlib, os, sys, time
replace = os.replace
def slow(*places):  # when a file is written, and not yet in its place
    print("writing", flush=True)
    time.sleep(0.1)
    replace(*places)
    print("written", flush=True)
    time.sleep(0.1)
os.replace = slow
from tools import verbs
verbs.run(importlib.import_module(sys.argv[1]).main)
"""


def kill_after(lines, verb, clone, env=None):
    """Start a verb and kill it with all that it started, a moment after so many lines of its output."""
    values = {**values_of(clone), **(env or {})}
    with start([sys.executable, "-u", "-c", SLOW, verb], clone, env=values) as process:
        seen = [process.stdout.readline() for _ in range(lines)]
        time.sleep(random.uniform(0, 0.1))
        os.killpg(process.pid, signal.SIGKILL)
    assert all(seen), seen
    assert process.returncode in (-signal.SIGKILL, 0)  # a kill after the last line may find it gone


def done_by(verb, clone, env=None):
    """The last line of a verb that is left alone."""
    values = {**values_of(clone), **(env or {})}
    command = [sys.executable, "-m", verb]
    done = subprocess.run(command, cwd=clone, env=values, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()[-1]


def test_make_publish_killed_at_any_moment_leaves_whole_chapters_and_works_afterwards(clone):
    (clone / "mixer_lib").mkdir()
    run = clone / "_build" / "full" / "executed"
    run.mkdir(parents=True)
    paths = [clone / "notebooks" / "01_waits.ipynb", clone / "notebooks" / "02_second.ipynb"]
    for path in paths:
        nbformat.write(notebook("print(1)"), path)
        nbformat.write(executed(nbformat.read(path, 4), stream("1\n"), root=clone), run / path.name)
    for lines in (1, 3, 4):
        kill_after(lines, "tools.chapters.publish", clone)
        first, second = map(has_outputs, paths)  # each can be read, and is the old one or the new one
        assert (first, second) != (False, True)
    assert (first, second) == (True, True)
    assert done_by("tools.chapters.publish", clone) == "published 2 chapters to notebooks/"
    assert [path.name for path in sorted((clone / "notebooks").iterdir())] == [path.name for path in paths]


def test_make_address_killed_at_any_moment_leaves_whole_files_and_works_afterwards(clone):
    (clone / "README.md").write_text("<!-- launch -->\nold\n<!-- /launch -->\n")
    values = {"MIXER_REPOSITORY": "https://github.com/someone/mixer"}
    for lines in (1, 3, 5):  # the README first, then the chapters
        kill_after(lines, "tools.hosting.address", clone, values)
        assert (clone / "README.md").read_text().endswith("\n<!-- /launch -->\n")
        for path in (clone / "notebooks").glob("*.ipynb"):
            nbformat.read(path, 4)
    done_by("tools.hosting.address", clone, values)
    texts = [path.read_text() for path in (clone / "notebooks").iterdir()]
    assert ["someone/mixer" in text for text in texts] == [True, True]


RENDERS = """
title: Small
only_build_toc_files: true
execute: {execute_notebooks: 'off'}
sphinx: {local_extensions: {waits: book}}
"""
WAITS_TO_RENDER = """
import os, time
from pathlib import Path
def setup(app):
    here = Path(__file__).parents[4]
    (here / "renderer").write_text(str(os.getpid()))
    while not (here / "go").exists():
        time.sleep(0.1)
"""


def test_make_book_killed_while_it_renders_takes_its_renderer_along_and_works_afterwards(clone):
    (clone / "book").mkdir()
    (clone / "book" / "index.md").write_text("# A small book\n\nGrüße.\n", encoding="utf-8")
    (clone / "book" / "waits.py").write_text(WAITS_TO_RENDER)
    (clone / "mixer_lib" / "pretrained").mkdir(parents=True)
    (clone / "_config.yml").write_text(RENDERS)
    (clone / "_toc.yml").write_text("format: jb-book\nroot: book/index\n")
    page = clone / "_build" / "committed" / "html" / "book" / "index.html"
    page.parent.mkdir(parents=True)
    page.write_text("the last one")
    with start([sys.executable, "-m", "tools.render.html"], clone, env=values_of(clone)) as process:
        until(lambda: (clone / "renderer").exists() and (clone / "renderer").read_text() or process.poll() is not None)
        process.kill()
    renderer = int((clone / "renderer").read_text())
    try:
        until(lambda: not alive(renderer), seconds=60)
    finally:
        (clone / "go").touch()  # a renderer that was not taken along ends, too
    assert page.read_text() == "the last one"
    assert done_by("tools.render.html", clone) == "the book: _build/committed/html/index.html"
    assert "Grüße" in page.read_text(encoding="utf-8")
    assert [path.name for path in page.parents[2].glob("html*")] == ["html"]


# Nothing outside

CHAPTER = """
import tempfile
from mixer_lib import MixerConfig, Recipe, load_dataset, load_pretrained, predict, train
model, card = load_pretrained("article-digits")
digits = load_dataset("digits")
print(predict(model, digits.x_test[:2], k=1))
small = MixerConfig(32, 16, 1, 2, 2, 2, num_classes=10)
train(small, digits, "run", epochs=1, recipe=Recipe(batch_size=512))
"""


def files_below(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


def test_chapters_write_nothing_outside_build_and_need_no_network(clone, tmp_path):
    """Also behind a proxy that cannot be reached."""
    (clone / "mixer_lib").symlink_to(ROOT / "mixer_lib")
    (clone / "notebooks" / "02_second.ipynb").unlink()
    nbformat.write(notebook(CHAPTER), clone / "notebooks" / "01_waits.ipynb")
    home, temporary = tmp_path / "home", tmp_path / "tmp"
    home.mkdir()
    temporary.mkdir()
    before = files_below(clone)
    values = environment.environment_of(sys.executable)
    values = {name: value for name, value in values.items() if not name.startswith(("XDG_", "KERAS_", "MPL"))}
    values |= {"HOME": str(home), "TMPDIR": str(temporary), "PYTHONPATH": str(clone)}
    values |= dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9")
    done = subprocess.run(QUICK, cwd=clone, env=values, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(name.startswith("_build/fast/") for name in files_below(clone) - before)
    assert files_below(home) == set()
    assert files_below(temporary) == set()
