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

import chapters
import environment
import nbformat
import publish
import pytest
import verbs
from ordinary import without_root_rights
from test_machinery import executed, notebook, stream

import book

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ("environment", "interpreters", "options", "chapters", "stamps", "verbs")

VERB = """
from chapters import BUILD, run_chapters
from verbs import alone, run


@alone(BUILD / "fast")
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
    """A small project in a folder with a space and an umlaut: two chapters, the machinery, one verb, no packages."""
    folder = tmp_path / "tr y ü"
    (folder / "tools").mkdir(parents=True)
    (folder / "notebooks").mkdir()
    for name in TOOLS:
        shutil.copy(ROOT / "tools" / f"{name}.py", folder / "tools")
    shutil.copy(ROOT / "tools" / "in_env.sh", folder / "tools")
    shutil.copy(ROOT / "Makefile", folder)
    (folder / "requirements.txt").write_text("")
    (folder / "tools" / "quick.py").write_text(VERB, encoding="utf-8")
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


@pytest.fixture
def at_work(clone):
    """The verb, in the middle of its first chapter; also the kernel's process."""
    process = start([sys.executable, "tools/quick.py"], clone)
    until(lambda: (clone / "kernel").exists() and (clone / "kernel").read_text())
    kernel = int((clone / "kernel").read_text())
    yield process, kernel
    for end in (lambda: os.killpg(process.pid, signal.SIGKILL), lambda: os.kill(kernel, signal.SIGKILL)):
        with contextlib.suppress(ProcessLookupError):
            end()
    process.communicate()


def the_same_verb_works(clone):
    (clone / "go").touch()
    done = subprocess.run([sys.executable, "tools/quick.py"], cwd=clone, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["done"]), done.stderr
    places = sorted(path.name for path in (clone / "_build" / "fast" / "executed").iterdir())
    assert places == ["01_waits.ipynb", "02_second.ipynb"]


# Chapters


def test_ctrl_c_ends_chapters_with_one_line_and_the_same_verb_works(clone, at_work):
    process, kernel = at_work
    os.killpg(process.pid, signal.SIGINT)
    output, told = process.communicate(timeout=300)
    assert process.returncode == 130
    assert told.strip().splitlines()[-1] == "stopped: the same command starts again, from what is finished"
    assert "Traceback" not in told
    until(lambda: not alive(kernel))
    assert list((clone / "_build" / "fast" / "executed").iterdir()) == []
    assert not (clone / "_build" / "fast" / "work" / "second").exists()  # the waiting chapter was not begun
    the_same_verb_works(clone)


def test_a_killed_verb_takes_its_workers_along_and_the_same_verb_works(clone, at_work):
    process, kernel = at_work
    process.kill()
    process.wait()
    until(lambda: not alive(kernel))
    assert list((clone / "_build" / "fast" / "executed").iterdir()) == []
    the_same_verb_works(clone)


def test_a_second_verb_in_the_same_folder_is_refused(clone, at_work):
    second = subprocess.run([sys.executable, "tools/quick.py"], cwd=clone, capture_output=True, text=True, timeout=300)
    assert second.returncode == 1
    assert second.stderr == "another make is at work in _build/fast/: wait until it ends, or stop it\n"
    assert at_work[0].poll() is None


@pytest.mark.parametrize(
    "name", ["quick", "execute", "book", "pdf", "verify", "lint", "publish", "lock", "kaggle", "address"]
)
def test_every_verb_ends_with_one_line_when_it_is_stopped(name):
    assert (ROOT / "tools" / f"{name}.py").read_text(encoding="utf-8").endswith("    run(main)\n")


@pytest.mark.parametrize("name", ["quick", "execute", "book"])
def test_every_verb_that_builds_works_alone_in_its_folder(name):
    code = (ROOT / "tools" / f"{name}.py").read_text(encoding="utf-8")
    folder = {"quick": "fast", "execute": "full", "book": "committed"}[name]
    assert f'@alone(BUILD / "{folder}")\ndef main():' in code


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
    (clone / "tools" / "hello.py").write_text("import sys\nprint(sys.prefix)\n")
    command = [sys.executable, "tools/environment.py", "tools/hello.py"]
    process = start(command, clone, env=without_packages())
    folder = clone / ".venv" / f"py3.{sys.version_info[1]}"
    until(lambda: (folder / "bin" / "python").exists())
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (folder / "stamp").exists()
    again = subprocess.run(command, cwd=clone, env=without_packages(), capture_output=True, text=True, timeout=300)
    assert again.returncode == 0, again.stderr
    assert again.stdout.splitlines()[-1] == str(folder)
    assert (folder / "stamp").exists()


HOLDS = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import environment
child = "import os, pathlib, sys, time; pathlib.Path(sys.argv[1]).write_text(str(os.getpid())); time.sleep(600)"
with environment.one_at_a_time(Path("lock")):
    environment.step([sys.executable, "-c", child, "pid"], Path("log"))
"""


def test_a_set_up_waits_for_an_installation_that_outlived_its_verb(tmp_path):
    process = start([sys.executable, "-c", HOLDS, ROOT / "tools"], tmp_path)
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
        command = ["sh", "tools/in_env.sh", "tools/quick.py"]
        done = subprocess.run(command, cwd=clone, capture_output=True, text=True, preexec_fn=without_root_rights)
    finally:
        clone.chmod(stat.S_IRWXU)
        for folder in (clone / "tools", clone / "notebooks"):
            folder.chmod(stat.S_IRWXU)
    assert done.returncode != 0
    assert done.stdout == ""
    told = (
        f"mixer: {clone} cannot be written, and the verbs build .venv/ and _build/ in it: copy it to a folder of yours"
    )
    assert done.stderr == told + "\n"


def test_an_environment_that_cannot_be_made_is_told_in_one_line(clone, no_gpu):
    (clone / ".venv").write_text("a file in its place")
    command = [sys.executable, "tools/environment.py"]
    done = subprocess.run(command, cwd=clone, env=without_packages(), capture_output=True, text=True)
    assert done.returncode != 0
    assert done.stderr.startswith("mixer: setting up the environment failed: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.skipif(shutil.which("make") is None, reason="no make here")
def test_make_works_in_a_folder_with_a_space_and_an_umlaut(clone):
    assert "make quick " in subprocess.run(["make"], cwd=clone, capture_output=True, text=True).stdout
    done = subprocess.run(["make", "quick", "EPOCHS=x"], cwd=clone, capture_output=True, text=True)
    assert "EPOCHS=x is not right" in done.stderr
    (clone / "_build" / "junk").mkdir(parents=True)
    subprocess.run(["make", "clean"], cwd=clone, check=True)
    assert not (clone / "_build").exists()


# The book and the published chapters


def small_repository(folder, monkeypatch):
    """Enough of a repository to stage a book."""
    for name in ("book", "notebooks", "mixer_lib/pretrained"):
        (folder / name).mkdir(parents=True)
    (folder / "_config.yml").write_text("sphinx:\n  config: {}\n")
    (folder / "_toc.yml").write_text("root: book/index\n")
    (folder / "requirements.txt").write_text("keras==3.15.0\n")
    monkeypatch.setattr(book, "ROOT", folder)


def test_what_an_interrupted_staging_left_is_not_taken_into_the_book(tmp_path, monkeypatch):
    small_repository(tmp_path, monkeypatch)
    stage = tmp_path / "_build" / "fast" / "stage"
    (stage / "book").mkdir(parents=True)
    (stage / "book" / "old.md").write_text("half a pa")
    book.stage_book(stage)
    names = sorted(str(path.relative_to(stage)) for path in stage.rglob("*"))
    kept = ["_config.yml", "_toc.yml", "book", "mixer_lib", "mixer_lib/pretrained", "notebooks", "requirements.txt"]
    assert names == kept


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

    monkeypatch.setattr(book, "strict_build", build)
    with pytest.raises((SystemExit, KeyboardInterrupt)):
        book.render("fast", build=tmp_path / "_build")
    assert failure == "Ctrl-C" or "a link leads nowhere" in capsys.readouterr().err
    assert (html / "index.html").read_text() == "the last one"

    def whole(stage):
        (stage / "_build" / "html").mkdir(parents=True)
        (stage / "_build" / "html" / "index.html").write_text("the new one")
        return subprocess.CompletedProcess([], 0)

    monkeypatch.setattr(book, "strict_build", whole)
    assert book.render("fast", build=tmp_path / "_build") == html
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
    monkeypatch.setattr(publish, "chapter_paths", lambda: chapters.chapter_paths(folder))
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
    assert [has_outputs(path) for path in chapters.chapter_paths(a_run_in_full)] == [True, False, False]
    publish.main()
    assert [has_outputs(path) for path in chapters.chapter_paths(a_run_in_full)] == [True, True, True]
    assert sorted(path.name for path in a_run_in_full.iterdir()) == [f"0{number}_small.ipynb" for number in (1, 2, 3)]
    assert "published 3 chapters" in capsys.readouterr().out


def test_a_chapter_that_failed_keeps_the_whole_book_from_being_published(a_run_in_full, tmp_path, capsys):
    (tmp_path / "_build" / "full" / "executed" / "02_small.ipynb").unlink()
    with pytest.raises(SystemExit):
        publish.main()
    assert "nothing was published\n02_small: not run in full yet" in capsys.readouterr().err
    assert not any(has_outputs(path) for path in chapters.chapter_paths(a_run_in_full))


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "requirements.txt"
    verbs.write_whole(path, "old\n")

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        with pytest.raises(OSError, match="No space"):
            verbs.write_whole(path, "new\n")
    assert path.read_text() == "old\n"
    verbs.write_whole(path, "new\n")
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
sys.path.insert(0, "tools")
replace = os.replace
def slow(*places):  # when a file is written, and not yet in its place
    print("writing", flush=True)
    time.sleep(0.1)
    replace(*places)
    print("written", flush=True)
    time.sleep(0.1)
os.replace = slow
import verbs
verbs.run(importlib.import_module(sys.argv[1]).main)
"""


def kill_after(lines, verb, clone, env=None):
    """Start a verb and kill it with all that it started, a moment after so many lines of its output."""
    with start([sys.executable, "-u", "-c", SLOW, verb], clone, env=env) as process:
        seen = [process.stdout.readline() for _ in range(lines)]
        time.sleep(random.uniform(0, 0.1))
        os.killpg(process.pid, signal.SIGKILL)
    assert all(seen), seen
    assert process.returncode in (-signal.SIGKILL, 0)  # a kill after the last line may find it gone


def done_by(verb, clone, env=None):
    """The last line of a verb that is left alone."""
    command = [sys.executable, f"tools/{verb}.py"]
    done = subprocess.run(command, cwd=clone, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()[-1]


def test_make_publish_killed_at_any_moment_leaves_whole_chapters_and_works_afterwards(clone):
    shutil.copy(ROOT / "tools" / "publish.py", clone / "tools")
    (clone / "mixer_lib").mkdir()
    run = clone / "_build" / "full" / "executed"
    run.mkdir(parents=True)
    paths = [clone / "notebooks" / "01_waits.ipynb", clone / "notebooks" / "02_second.ipynb"]
    for path in paths:
        nbformat.write(notebook("print(1)"), path)
        nbformat.write(executed(nbformat.read(path, 4), stream("1\n"), root=clone), run / path.name)
    for lines in (1, 2, 3, 4):
        kill_after(lines, "publish", clone)
        first, second = map(has_outputs, paths)  # each can be read, and is the old one or the new one
        assert (first, second) != (False, True)
    assert (first, second) == (True, True)
    assert done_by("publish", clone) == "published 2 chapters to notebooks/"
    assert [path.name for path in sorted((clone / "notebooks").iterdir())] == [path.name for path in paths]


PYTHON_WITH_PIP = """#!/bin/sh
# an interpreter that says its version, and whose pip has found one package
if [ "$1" = -c ]; then echo 3 {minor}; exit; fi
while [ "$1" != --report ]; do shift; done
sleep 0.1
echo '{{"install": [{{"metadata": {{"name": "Made_Up", "version": "1.{minor}"}}}}]}}' > "$2"
"""


def test_make_address_killed_at_any_moment_leaves_whole_files_and_works_afterwards(clone):
    shutil.copy(ROOT / "tools" / "address.py", clone / "tools")
    shutil.copy(ROOT / "tools" / "book.py", clone / "tools")
    (clone / "README.md").write_text("<!-- launch -->\nold\n<!-- /launch -->\n")
    for path in (clone / "notebooks").iterdir():
        nbformat.write(notebook('REPOSITORY = ""'), path)
    values = {**os.environ, "MIXER_REPOSITORY": "https://github.com/someone/mixer"}
    for lines in (1, 2, 3, 5):  # the README first, then the chapters
        kill_after(lines, "address", clone, values)
        assert (clone / "README.md").read_text().endswith("\n<!-- /launch -->\n")
        for path in (clone / "notebooks").glob("*.ipynb"):
            nbformat.read(path, 4)
    done_by("address", clone, values)
    texts = [path.read_text() for path in (clone / "notebooks").iterdir()]
    assert ["someone/mixer" in text for text in texts] == [True, True]


def test_make_lock_killed_at_any_moment_leaves_the_old_pins_or_the_new_ones_and_works_afterwards(clone, tmp_path):
    shutil.copy(ROOT / "tools" / "lock.py", clone / "tools")
    (clone / "bin").mkdir()
    for minor in (10, 11, 12, 13):
        python = clone / "bin" / f"python3.{minor}"
        python.write_text(PYTHON_WITH_PIP.format(minor=minor))
        python.chmod(0o755)
    pins = clone / "requirements.txt"
    pins.write_text("old==1\n")
    values = {**os.environ, "PATH": f"{clone / 'bin'}{os.pathsep}{os.environ['PATH']}", "TMPDIR": str(tmp_path)}
    found = set()
    for lines in (1, 2, 3, 4, 5):  # once in each resolution, then before the new file takes its place
        kill_after(lines, "lock", clone, values)
        found.add(pins.read_text())
    kill_after(6, "lock", clone, values)
    new = pins.read_text()
    assert "old==1\n" in found <= {"old==1\n", new}
    assert new.splitlines()[-1] == 'made-up==1.13; python_version >= "3.13"'
    assert done_by("lock", clone, values) == f"requirements.txt: {len(new.splitlines()) - 2} lines"
    assert pins.read_text() == new
    assert not list(clone.glob(".requirements*"))


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
    shutil.copy(ROOT / "tools" / "book.py", clone / "tools")
    (clone / "book").mkdir()
    (clone / "book" / "index.md").write_text("# A small book\n\nGrüße.\n", encoding="utf-8")
    (clone / "book" / "waits.py").write_text(WAITS_TO_RENDER)
    (clone / "mixer_lib" / "pretrained").mkdir(parents=True)
    (clone / "_config.yml").write_text(RENDERS)
    (clone / "_toc.yml").write_text("format: jb-book\nroot: book/index\n")
    page = clone / "_build" / "committed" / "html" / "book" / "index.html"
    page.parent.mkdir(parents=True)
    page.write_text("the last one")
    with start([sys.executable, "tools/book.py"], clone) as process:
        until(lambda: (clone / "renderer").exists() and (clone / "renderer").read_text() or process.poll() is not None)
        process.kill()
    renderer = int((clone / "renderer").read_text())
    try:
        until(lambda: not alive(renderer), seconds=60)
    finally:
        (clone / "go").touch()  # a renderer that was not taken along ends, too
    assert page.read_text() == "the last one"
    assert done_by("book", clone) == "the book: _build/committed/html/index.html"
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
# Keras's, Jupyter's, IPython's and matplotlib's own folders in a home
USUAL = (".keras/", ".jupyter/", ".local/share/jupyter/", ".ipython/", ".config/matplotlib/", ".cache/matplotlib/")


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
    values |= {"HOME": str(home), "TMPDIR": str(temporary)}
    values |= dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9")
    done = subprocess.run([sys.executable, "tools/quick.py"], cwd=clone, env=values, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(name.startswith("_build/fast/") for name in files_below(clone) - before)
    assert [name for name in files_below(home) if not name.startswith(USUAL)] == []
    assert files_below(temporary) == set()
