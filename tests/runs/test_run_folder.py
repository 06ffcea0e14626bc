"""One folder, one run: locks, full and lost disks, folders that can't be written, files that are complete or absent."""

import contextlib
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile

import filelock
import pytest
from small_runs import REQUESTED, TINY, before_step, contents, forbid_steps, train_nothing

from mixer_lib import RunResult, train
from mixer_lib.runs.checkpoint import read_checkpoint
from mixer_lib.runs.files import atomic_write
from mixer_lib.runs.folder import FILES, HOLDER, LOCK, RunFolder

# --- locks ----------------------------------------------------------------------------------------

ANOTHER = """
import pathlib, sys, filelock
folder = pathlib.Path(sys.argv[1])
with filelock.FileLock(folder / sys.argv[2]):
    (folder / sys.argv[3]).write_text("process 42 on another desk")
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_told_who_holds_the_folder_and_a_killed_holder_holds_it_no_more(digits, tmp_path):
    command = [sys.executable, "-c", ANOTHER, str(tmp_path), LOCK, HOLDER]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(ValueError, match="in use by process 42 on another desk.*name another run_dir"):
        train(TINY, digits, tmp_path, **REQUESTED)
    assert contents(tmp_path) == {HOLDER: b"process 42 on another desk"}
    (tmp_path / HOLDER).unlink()
    with pytest.raises(ValueError, match="in use by another process"):
        train(TINY, digits, tmp_path, **REQUESTED)
    holder.kill()
    holder.communicate()
    with RunFolder(tmp_path):
        assert f"process {os.getpid()} on" in (tmp_path / HOLDER).read_text()
    assert contents(tmp_path) == {}


def test_a_run_within_a_run_in_one_folder_is_refused_and_the_first_continues(digits, tmp_path, monkeypatch):
    refusals = []

    def again():
        with pytest.raises(ValueError) as refusal:
            train(TINY, digits, tmp_path, **REQUESTED)
        refusals.append(str(refusal.value))

    train_nothing(monkeypatch)
    before_step(monkeypatch, 1, again)
    assert train(TINY, digits, tmp_path, **REQUESTED).epochs_run == 2
    assert f"in use by process {os.getpid()} on" in refusals[0]
    assert set(contents(tmp_path)) == set(FILES)


def test_a_disk_without_locks_is_used_without(tmp_path, monkeypatch):
    def refuse(*arguments, **options):
        raise NotImplementedError

    monkeypatch.setattr(filelock.FileLock, "acquire", refuse)
    with RunFolder(tmp_path) as folder:
        folder.write("card.json", "{}")
    assert contents(tmp_path) == {"card.json": b"{}"}


# --- disks ----------------------------------------------------------------------------------------


def assert_continues(digits, run_dir, epochs_kept):
    """The last checkpoint is there, nothing half-written is, and the same call runs to the end."""
    assert len(read_checkpoint(run_dir / "checkpoint.npz")[0]["history"]) == epochs_kept
    assert set(contents(run_dir)) <= set(FILES)
    assert train(TINY, digits, run_dir, **REQUESTED).epochs_run == 2
    assert set(contents(run_dir)) == set(FILES)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_disk_that_fills_up_stops_the_run_with_its_last_checkpoint_complete(digits, tmp_path, monkeypatch):
    train_nothing(monkeypatch)
    with monkeypatch.context() as patch:
        before_step(patch, 4, lambda: (tmp_path / ".part-checkpoint.npz").symlink_to("/dev/full"))
        with pytest.raises(OSError, match=r"checkpoint.npz can't be written \(No space left.*same call continues"):
            train(TINY, digits, tmp_path, **REQUESTED)
    assert_continues(digits, tmp_path, epochs_kept=1)


@pytest.fixture
def no_large_files():
    """A system that lets no file grow beyond 20 kB, from when the function is called."""
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda limit=20_000: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, usual[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, usual)


def test_weights_that_can_not_be_written_leave_the_checkpoint_and_no_card(
    digits, tmp_path, no_large_files, monkeypatch
):
    train_nothing(monkeypatch)
    write = RunFolder.writing

    def limited(folder, name):
        if name == "best.weights.h5":
            no_large_files()
        return write(folder, name)

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "writing", limited)
        with pytest.raises(OSError, match="best.weights.h5 can't be written"):
            train(TINY, digits, tmp_path, **REQUESTED)
    no_large_files(resource.RLIM_INFINITY)
    assert not (tmp_path / "card.json").exists()
    assert_continues(digits, tmp_path, epochs_kept=2)


def test_a_disk_too_small_for_a_checkpoint_is_refused_before_the_first_step(digits, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    forbid_steps(monkeypatch)
    with pytest.raises(OSError, match="MB left, and a checkpoint needs about"):
        train(TINY, digits, tmp_path, **REQUESTED)


@pytest.mark.parametrize("empty_place", [False, True], ids=["nothing there", "an empty folder there"])
def test_a_folder_that_vanishes_stops_the_run_and_nothing_is_written_in_its_place(
    digits, tmp_path, monkeypatch, empty_place
):
    run_dir, away = tmp_path / "run", tmp_path / "away"

    def lose():
        run_dir.rename(away)
        if empty_place:
            run_dir.mkdir()  # what a lost mount leaves

    train_nothing(monkeypatch)
    with monkeypatch.context() as patch:
        before_step(patch, 4, lose)
        with pytest.raises(OSError, match="can't be written.*folder gone.*same call continues"):
            train(TINY, digits, run_dir, **REQUESTED)
    assert not run_dir.exists() or contents(run_dir) == {}
    shutil.rmtree(run_dir, ignore_errors=True)
    away.rename(run_dir)
    (run_dir / HOLDER).unlink()  # the process that left it thinks that it is gone
    assert_continues(digits, run_dir, epochs_kept=1)


# --- folders that can't be written ----------------------------------------------------------------


@contextlib.contextmanager
def ordinary_user():
    """Someone whom file permissions hold back, as they don't hold back root."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.fixture
def read_only():
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o555)
        yield pathlib.Path(folder)
        os.chmod(folder, 0o755)


def test_a_read_only_folder_is_refused_before_the_model_is_built(digits, read_only, monkeypatch):
    monkeypatch.setattr("mixer_lib.training.build_classifier", lambda *a, **k: pytest.fail("a model was built"))
    for run_dir in (read_only, read_only / "run"):
        with ordinary_user(), pytest.raises(OSError, match=r"be written to \(Permission denied\).*Name a run_dir"):
            train(TINY, digits, run_dir, **REQUESTED)


def test_a_finished_run_in_a_read_only_folder_still_gives_its_card(moments, digits, read_only):
    os.chmod(read_only, 0o755)
    run_dir = shutil.copytree(moments[0], read_only / "run")
    os.chmod(run_dir, 0o555)
    with ordinary_user():
        assert train(TINY, digits, run_dir, **REQUESTED) == RunResult.load(run_dir / "card.json")
    os.chmod(run_dir, 0o755)


def test_a_run_dir_that_is_a_file_is_refused(digits, tmp_path):
    (tmp_path / "run").write_text("mine")
    with pytest.raises(OSError, match="can't be written to"):
        train(TINY, digits, tmp_path / "run", **REQUESTED)
    assert (tmp_path / "run").read_text() == "mine"


def test_a_write_keeps_the_old_file_until_the_new_one_is_complete(tmp_path):
    (tmp_path / "a").write_text("old")
    with pytest.raises(InterruptedError), atomic_write(tmp_path / "a") as part:
        part.write_text("ne")
        raise InterruptedError
    assert contents(tmp_path) == {"a": b"old"}
