"""Exact versions, and how the tests themselves are run."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import types
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tools.maintain import lock
from tools.paths import REQUIREMENTS, REQUIREMENTS_DEV, ROOT

# by its place: folders of tests have a conftest.py of their own
_spec = importlib.util.spec_from_file_location("tests_conftest", ROOT / "tests" / "conftest.py")
conftest = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(conftest)

SETS = pytest.mark.parametrize("path", [REQUIREMENTS, REQUIREMENTS_DEV], ids=lambda path: path.name)


def asked(path):
    """What a list of requirements asks for by name."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if line and line[0] != "#"]


def pinned(path):
    """{requirement: its hashes} of a file with exact versions."""
    found = re.findall(r"^([\w.,[\]-]+ ?==[^\\\n]+)\\?\n((?: +--hash=.*\n)+)", path.read_text(encoding="utf-8"), re.M)
    return {Requirement(line): re.findall("sha256:[0-9a-f]{64}", hashes) for line, hashes in found}


@SETS
def test_every_direct_dependency_has_an_exact_version_and_hashes(path):
    pins = pinned(path)
    text = path.read_text(encoding="utf-8")
    assert len(pins) == len(re.findall(r"^\w", text, re.M))  # there is nothing else in it
    assert all(re.fullmatch(r"==[\w.]+", str(pin.specifier)) and hashes for pin, hashes in pins.items())
    assert {one.name for one in asked(path.with_suffix(".in"))} <= {pin.name for pin in pins}
    for word in ("://", "index-url", "find-links", str(Path.home())):  # nothing of the machine it was made on
        assert word not in text


def test_what_both_sets_need_has_one_version():
    both = [{(pin.name, str(pin.marker)): str(pin.specifier) for pin in pinned(path)} for path in lock_files()]
    reader, maintainer = both
    names = {name for name, _ in reader}
    for (name, marker), version in maintainer.items():
        if name in names:
            known = {value for (other, _), value in reader.items() if other == name}
            assert version in known, (name, marker)


def lock_files():
    return REQUIREMENTS, REQUIREMENTS_DEV


def test_a_reader_installs_neither_tests_nor_linters():
    names = {pin.name for pin in pinned(REQUIREMENTS)}
    assert not names & {"pytest", "ruff", "hypothesis", "playwright", "uv", "zizmor", "check-jsonschema"}


def test_the_library_s_own_dependencies_are_among_the_pinned_ones():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    listed = re.findall(r'"([^"]+)"', re.search(r"^dependencies = \[(.*?)\]", text, re.S | re.M)[1])
    for one in map(Requirement, listed):
        versions = [str(pin.specifier)[2:] for pin in pinned(REQUIREMENTS) if pin.name == one.name]
        assert versions and all(one.specifier.contains(version) for version in versions), one.name


def test_what_is_installed_fits_together():
    done = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


FAKE_UV = """#!/bin/sh
while [ "$1" != --output-file ]; do shift; done
[ -e fails ] && { echo no such version >&2; exit 1; }
echo 'made-up==1.0' > "$2"
"""


@pytest.fixture
def wishes(tmp_path, monkeypatch):
    """A folder with old exact versions and a uv that finds new ones, unless there is a file `fails`."""
    (tmp_path / "uv").write_text(FAKE_UV)
    (tmp_path / "uv").chmod(0o755)
    monkeypatch.setattr(lock, "uv", lambda: str(tmp_path / "uv"))
    monkeypatch.setattr(lock, "ROOT", tmp_path)
    for name in ("REQUIREMENTS", "REQUIREMENTS_DEV"):
        path = tmp_path / getattr(lock, name).name
        path.write_text("old==1\n")
        monkeypatch.setattr(lock, name, path)
    return tmp_path


def test_make_lock_writes_both_sets(wishes, capsys):
    lock.main()
    assert [path.read_text() for path in sorted(wishes.glob("*.txt"))] == ["made-up==1.0\n"] * 2
    assert capsys.readouterr().out.splitlines()[-1] == "requirements-dev.txt: 1 exact versions"


def test_make_lock_that_fails_or_is_killed_leaves_whole_files_and_works_afterwards(wishes, monkeypatch):
    (wishes / "fails").touch()
    with pytest.raises(SystemExit, match="uv could not resolve requirements.in:\nno such version"):
        lock.main()
    (wishes / "fails").unlink()
    assert [path.read_text() for path in wishes.glob("*.txt")] == ["old==1\n"] * 2
    replace, count = os.replace, []

    def killed_at_the_second(source, target):
        count.append(target)
        if len(count) == 2:
            raise KeyboardInterrupt
        replace(source, target)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "replace", killed_at_the_second)
        lock.main()
    assert sorted(path.read_text() for path in wishes.glob("*.txt")) == ["made-up==1.0\n", "old==1\n"]
    lock.main()
    assert [path.read_text() for path in wishes.glob("*.txt")] == ["made-up==1.0\n"] * 2


def test_git_ignores_no_source():
    """A folder such as mixer_lib/runs/ has the name of one that holds what is built."""
    command = ["git", "ls-files", "--others", "--ignored", "--exclude-standard", "mixer_lib", "tools", "tests", "book"]
    ignored = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.splitlines()
    assert [name for name in ignored if "__pycache__" not in name] == []


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
    names = [item.chapter or item.path.name for item in found]
    assert names == ["05_training.ipynb", "01_data.ipynb", "test_z.py", "test_a.py"]


def test_the_tests_of_chapters_that_share_a_kernel_stay_together():
    first, other = (f"tests/book/test_notebooks.py::test_{name}[01_data]" for name in ("one", "other"))
    assert conftest.scope_of(first) == conftest.scope_of(other)
    assert conftest.scope_of(first) == conftest.scope_of(first.replace("01_data", "02_patches"))
    assert conftest.scope_of(first) != conftest.scope_of(first.replace("01_data", "05_training"))
    assert conftest.scope_of("tests/test_a.py::test_one[x]") == conftest.scope_of("tests/test_a.py::test_other[y]")


TELLS = """
import os, pytest
@pytest.mark.parametrize("number", range(8))
def test_it(number):
    with open("ran", "a") as file:
        print(__name__, os.environ["PYTEST_XDIST_WORKER"], file=file)
"""
SKIPS = "import pytest\ndef test_it():\n    pytest.skip('just so')\n"


def small_run(folder, *options, **environment):
    """Run the tests in a folder with this project's plugin, on two workers; the finished process."""
    shutil.copy(ROOT / "tests" / "conftest.py", folder)
    shutil.copy(conftest.EXPECTED_SKIPS, folder)
    values = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")} | environment
    values["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # the others take seconds to load
    command = [sys.executable, "-m", "pytest", "-q", "-p", "xdist", "-p", "no:cacheprovider", "-c", os.devnull]
    command += ["--rootdir", ".", "-n", "2", "--dist", "loadscope", "--no-loadscope-reorder", *options, "."]
    return subprocess.run(command, cwd=folder, env=values, capture_output=True, text=True)


def test_the_tests_of_a_file_stay_on_one_worker_and_an_unexpected_skip_fails_a_strict_run(tmp_path):
    """The plugin itself, in runs of its own."""
    for name in ("test_one.py", "test_two.py"):
        (tmp_path / name).write_text(TELLS)
    (tmp_path / "test_three.py").write_text(SKIPS)
    for strict, status in (("", 0), ("1", 1)):
        (tmp_path / "ran").write_text("")
        done = small_run(tmp_path, MIXER_STRICT_SKIPS=strict)
        assert done.returncode == status, done.stdout + done.stderr
        ran = (tmp_path / "ran").read_text().splitlines()
        assert len(ran) == 16 and len(set(ran)) == 2  # two files, each with one worker
    assert "unexpected skip: just so" in done.stdout
