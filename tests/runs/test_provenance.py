"""Where a result comes from, as its card says."""

import os
import subprocess

import keras
import numpy as np

from mixer_lib.runs.provenance import commit, cores, device_name, limit_threads, versions


def test_versions_name_python_keras_its_backend_and_numpy():
    found = versions()
    assert (found["keras"], found["numpy"]) == (keras.__version__, np.__version__)
    assert {"python", "backend", found["backend"]} <= set(found)


def test_versions_name_no_library_that_is_installed_and_does_not_compute(monkeypatch):
    monkeypatch.setattr("importlib.metadata.version", lambda package: "1.0")  # as if all were there
    found = versions()
    assert {"tensorflow", "jax", "torch"} & set(found) == {found["backend"]}


def test_the_device_is_named_and_a_commit_is_twelve_digits_with_a_plus_if_files_differ():
    assert device_name()
    assert set(commit()) <= set("0123456789abcdef+") and len(commit().rstrip("+")) in (0, 12)


def test_a_run_that_is_limited_to_fewer_threads_says_so(monkeypatch):
    for name, value in limit_threads(1).items():
        monkeypatch.setenv(name, value)
    assert cores() == 1
    for several in ("", "none", "0", "9999"):  # no limit below what there is
        for name in limit_threads(1):
            monkeypatch.setenv(name, several)
        assert cores() == len(os.sched_getaffinity(0))


def repository(folder, *names):
    """A git repository with empty files; its commit."""
    git = ["git", "-C", str(folder), "-c", "user.name=someone", "-c", "user.email=someone@example.org"]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "--allow-empty", "-m", "a commit"]):
        subprocess.run([*git, *command], check=True, capture_output=True)
    return subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True).stdout.strip()


def test_the_commit_is_the_library_s_own_and_never_another_project_s(tmp_path, monkeypatch):
    other, own = tmp_path / "other", tmp_path / "other" / "nested"
    own.mkdir(parents=True)
    foreign = repository(other, "a.txt")
    installed = other / "site" / "mixer_lib"
    installed.mkdir(parents=True)
    assert commit(installed) == ""
    (installed / "commit.txt").write_text("0123456789ab\n")  # a wheel's
    assert commit(installed) == "0123456789ab"
    mine = repository(own, "setup.py", "mixer_lib/runs/commit.py")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    assert commit(own / "mixer_lib") == mine != foreign
    (own / "mixer_lib" / "new.py").write_text("")
    assert commit(own / "mixer_lib") == mine + "+"
