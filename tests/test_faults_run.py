"""What a run survives and what it refuses: kills at every moment, full disks, lost folders, damaged checkpoints."""

import contextlib
import dataclasses
import json
import os
import pathlib
import pickle
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import keras
import numpy as np
import pytest
from test_training import QUICK, TINY, history_of, small_digits

from mixer_lib import Recipe, RunResult, build_classifier, checkpoints, results, run_folder, train, worlds
from mixer_lib.__main__ import main
from mixer_lib.run_folder import LOCK, RunFolder, Terminated
from mixer_lib.whole_files import written_whole

ASKED = {"epochs": 2, "seed": 4, "recipe": QUICK}
TIMES = ("seconds_total", "seconds_per_epoch", "started", "commit")  # and the checkout's state, when the run ended


@pytest.fixture(scope="module")
def digits():
    return small_digits()


def contents(run_dir):
    return {path.name: path.read_bytes() for path in pathlib.Path(run_dir).iterdir()}


def outcome(run_dir):
    """All that two runs must have in common to the last bit: history, weights, card, without the times."""
    history = [{key: value for key, value in row.items() if key != "seconds"} for row in history_of(run_dir)]
    card = json.loads((run_dir / "card.json").read_text(encoding="utf-8"))
    weights = (run_dir / "best.weights.h5").read_bytes()
    return history, weights, {key: value for key, value in card.items() if key not in TIMES}


def at_step(monkeypatch, number, act):
    """Let something happen before a step, counted from 0."""
    step, count = worlds.train_on_batch, iter(range(10**6))

    def watched(*arguments):
        if next(count) == number:
            act()
        return step(*arguments)

    monkeypatch.setattr(worlds, "train_on_batch", watched)


# --- killed ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def moments(digits, tmp_path_factory):
    """A run, and copies of its folder before and after each of its files was put in place: what a kill leaves."""
    run_dir, copies = tmp_path_factory.mktemp("watched") / "run", tmp_path_factory.mktemp("moments")
    replace, taken = os.replace, []

    def watched(part, target):
        half = copies / f"{len(taken)}-half"
        shutil.copytree(run_dir, half)
        whole = (half / part.name).read_bytes()
        (half / part.name).write_bytes(whole[: len(whole) // 2])
        replace(part, target)
        after = copies / f"{len(taken)}-after"
        shutil.copytree(run_dir, after)
        taken.append((target.name, half, after))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", watched)
        train(TINY, digits, run_dir, **ASKED)
    return run_dir, taken


def test_a_run_puts_each_file_in_place_whole_and_one_after_the_other(moments):
    order = ["checkpoint.npz", "history.csv"] * 2 + ["best.weights.h5", "card.json"]
    assert [name for name, _, _ in moments[1]] == order


@pytest.mark.parametrize("number", range(6))
def test_a_run_killed_after_any_of_its_files_goes_on_to_the_very_same_end(moments, digits, number, tmp_path):
    whole, taken = moments
    killed = shutil.copytree(taken[number][2], tmp_path / "killed")
    train(TINY, digits, killed, **ASKED)
    assert outcome(killed) == outcome(whole)


def test_a_commit_between_two_halves_of_a_run_is_all_that_its_card_tells_of_it(moments, digits, tmp_path, monkeypatch):
    whole, taken = moments
    halves = shutil.copytree(taken[1][2], tmp_path / "halves")  # after the first epoch
    monkeypatch.setattr(results, "commit", lambda: "another")
    train(TINY, digits, halves, **ASKED)
    cards = [json.loads((run_dir / "card.json").read_text(encoding="utf-8")) for run_dir in (whole, halves)]
    assert {key for key in cards[0] | cards[1] if cards[0][key] != cards[1][key]} - set(TIMES) == set()
    assert cards[1]["commit"] == "another" != cards[0]["commit"]


@pytest.mark.parametrize("number", range(6))
def test_what_was_half_written_is_cleared_away_and_taken_for_nothing(moments, number):
    _, taken = moments
    name, half, _ = taken[number]
    assert (half / f".part-{name}").exists()
    with RunFolder(half):
        pass
    assert set(contents(half)) == {earlier for earlier, _, _ in taken[:number]}


KILLED = """
import json, os, sys, time
sys.path.insert(0, {tests!r})
from test_faults_run import ASKED, TINY, small_digits, train, worlds
step, sync, digits = worlds.train_on_batch, os.fsync, small_digits()
def slow_step(*arguments):
    done = step(*arguments)
    print("step", flush=True)
    time.sleep({pause})
    return done
def slow_disk(file):  # when a file is written, and not yet in its place
    print("writing", flush=True)
    time.sleep({pause})
    sync(file)
    print("written", flush=True)
    time.sleep({pause})
worlds.train_on_batch, os.fsync = slow_step, slow_disk
for asked in sys.stdin:  # each run is a process of its own, a copy of this one, which has only imported so far
    run_dir, more = json.loads(asked)
    child = os.fork()
    if not child:
        print(os.getpid(), flush=True)
        train(TINY, digits, run_dir, **{{**ASKED, **more}})
        os._exit(0)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print("ended", ended, flush=True)
"""
PAUSE = 0.05
EVENTS = 2 * 2 + 2 * (4 + 2 * 2) + 2 * 2  # lines that the script prints: two locks; steps and two files, twice; the end


@pytest.fixture(scope="module")
def kill_after():
    """A function: start a run in a process of its own and kill it a moment after so many lines of its output."""
    script = KILLED.format(tests=os.path.dirname(__file__), pause=PAUSE)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen(
        [sys.executable, "-c", script],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        bufsize=1,
    ) as starter:

        def kill_after(events, run_dir, **more):
            starter.stdin.write(json.dumps([str(run_dir), more]) + "\n")
            process = int(starter.stdout.readline())
            seen = []
            for line in starter.stdout:
                if line.startswith("ended"):
                    break
                seen.append(line.strip())
                if len(seen) == events:
                    time.sleep(random.uniform(0, PAUSE))
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(process, signal.SIGKILL)
            assert line in ("ended -9\n", "ended 0\n")  # a kill after the last line may find it gone
            assert len(seen) >= events and seen[0] == "writing"  # it ran
            return seen[:events]

        yield kill_after
        starter.stdin.close()


@pytest.fixture(scope="module")
def straight(digits, tmp_path_factory):
    """Uninterrupted runs, plain and compiled."""
    found = {}
    for xla in (False, True):
        run_dir = tmp_path_factory.mktemp("straight")
        train(TINY, digits, run_dir, **ASKED, jit_compile=xla)
        found[xla] = outcome(run_dir)
    return found


MOST = [pytest.param(number, marks=pytest.mark.kills) for number in range(2, 20)]


@pytest.mark.parametrize("number", [0, 1, *MOST])
def test_a_run_killed_at_a_random_moment_goes_on_to_the_very_same_end(kill_after, straight, digits, tmp_path, number):
    xla = bool(number % 2)
    seen = kill_after(random.randrange(1, EVENTS + 1), tmp_path, jit_compile=xla)
    left = sorted(contents(tmp_path))
    train(TINY, digits, tmp_path, **ASKED, jit_compile=xla)
    assert outcome(tmp_path) == straight[xla], f"killed after {len(seen)} lines, {seen[-1]!r}, which left {left}"
    assert sorted(contents(tmp_path)) == sorted(run_folder.FILES)


def test_a_run_killed_again_and_again_gets_to_the_very_same_end(kill_after, straight, digits, tmp_path):
    for _ in range(2):
        kill_after(12, tmp_path)  # in the first epoch's history, then in the second's checkpoint
    train(TINY, digits, tmp_path, **ASKED)
    assert outcome(tmp_path) == straight[False]


@pytest.mark.skipif(worlds.backend_name() != "tensorflow", reason="only on TensorFlow")
def test_gradients_are_added_in_one_order_however_much_memory_a_step_takes():
    # TensorFlow's graph optimizer turns a sum into additions on a TemporaryVariable, in the order of arrival.
    from tensorflow.python.eager import context

    model = build_classifier("article")
    model.compile(Recipe().optimizer(), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    images = np.zeros((128, 32, 32, 3), "uint8")
    context.enable_run_metadata()
    try:
        with worlds.steady_sums():
            model.train_on_batch(images, np.zeros(128, "int64"))
        metadata = context.export_run_metadata()
    finally:
        context.disable_run_metadata()
    nodes = [node.op for graphs in metadata.function_graphs for node in graphs.post_optimization_graph.node]
    assert "AddN" in nodes or any("MatMul" in op for op in nodes)  # the graph of a step was seen
    assert "TemporaryVariable" not in nodes


# --- stopped --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "kind"), [(signal.SIGTERM, Terminated), (signal.SIGINT, KeyboardInterrupt)])
def test_a_signal_stops_a_run_cleanly_and_says_how_to_go_on(straight, digits, tmp_path, number, kind):
    usual = [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)]
    with pytest.MonkeyPatch.context() as patch:
        at_step(patch, 5, lambda: os.kill(os.getpid(), number))
        with pytest.raises(kind, match="1 of 2 epochs are finished.*The same call goes on"):
            train(TINY, digits, tmp_path, **ASKED)
    assert [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)] == usual
    assert sorted(contents(tmp_path)) == ["checkpoint.npz", "history.csv"]
    train(TINY, digits, tmp_path, **ASKED)
    assert outcome(tmp_path) == straight[False]


def test_a_signal_whose_exception_is_lost_stops_the_run_at_the_next_step(digits, tmp_path, monkeypatch):
    steps = []

    def lost():
        with contextlib.suppress(KeyboardInterrupt):  # as in a destructor
            os.kill(os.getpid(), signal.SIGINT)
        steps.append(1)

    at_step(monkeypatch, 1, lost)
    with pytest.raises(KeyboardInterrupt, match="0 of 2"):
        train(TINY, digits, tmp_path, **ASKED)
    assert steps == [1] and contents(tmp_path) == {}


@pytest.mark.parametrize(("kind", "code"), [(Terminated, 143), (KeyboardInterrupt, 130)])
def test_the_command_line_ends_with_the_code_that_shells_expect(monkeypatch, capsys, kind, code):
    def stopped(*arguments, **options):
        raise kind("Stopped; 3 of 5 epochs are finished.")

    monkeypatch.setattr("mixer_lib.train", stopped)
    with pytest.raises(SystemExit) as end:
        main(["train", "--dataset", "digits"])
    assert end.value.code == code
    assert "3 of 5 epochs are finished. The same command goes on" in capsys.readouterr().err


# --- one folder, one run --------------------------------------------------------------------------

HOLDER = """
import fcntl, sys
file = open(sys.argv[1], "a+")
fcntl.flock(file, fcntl.LOCK_EX)
file.write("process 42 on another desk")
file.flush()
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_process_is_told_who_holds_the_folder_and_a_killed_holder_holds_it_no_more(digits, tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / LOCK)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(ValueError, match="in use by process 42 on another desk.*name another run_dir"):
        train(TINY, digits, tmp_path, **ASKED)
    assert sorted(contents(tmp_path)) == [LOCK]
    holder.kill()
    holder.communicate()
    train(TINY, digits, tmp_path, **{**ASKED, "epochs": 1})
    assert sorted(contents(tmp_path)) == sorted(run_folder.FILES)


def test_a_run_within_a_run_in_one_folder_is_refused_and_the_first_goes_on(digits, tmp_path, monkeypatch):
    said = []

    def again():
        with pytest.raises(ValueError) as refusal:
            train(TINY, digits, tmp_path, **ASKED)
        said.append(str(refusal.value))

    at_step(monkeypatch, 1, again)
    assert train(TINY, digits, tmp_path, **{**ASKED, "epochs": 1}).epochs_run == 1
    assert f"in use by process {os.getpid()} on" in said[0]


@pytest.fixture
def finished(moments, tmp_path):
    """A copy of a finished run of two epochs."""
    return shutil.copytree(moments[0], tmp_path / "run")


@pytest.mark.parametrize("version", ["2.14.0", "3.99.1"])
def test_another_keras_is_another_world(finished, digits, monkeypatch, version):
    monkeypatch.setattr(keras, "__version__", version)
    with pytest.raises(ValueError, match=f"holds a run with keras = .*'{version}' was asked for"):
        train(TINY, digits, finished, **{**ASKED, "epochs": 3})


def test_another_backend_is_another_world(finished, digits, monkeypatch):
    monkeypatch.setattr(worlds, "backend_name", lambda: "abacus")
    with pytest.raises(ValueError, match="holds a run with backend = .*'abacus' was asked for"):
        train(TINY, digits, finished, **{**ASKED, "epochs": 3})


def test_a_patch_of_keras_between_two_halves_is_warned_about_and_stands_on_the_card(finished, digits, monkeypatch):
    original = keras.__version__
    patched = original.rpartition(".")[0] + ".99"
    monkeypatch.setattr(keras, "__version__", patched)
    with pytest.warns(UserWarning, match=f"begun with .*{original}.* goes on with .*{patched}"):
        card = train(TINY, digits, finished, **{**ASKED, "epochs": 3})
    assert card.versions["keras"] == patched
    assert card.versions["begun_with"] == {"keras": original}


def test_fewer_epochs_than_were_run_are_refused_with_what_would_be_right(finished, digits):
    before = contents(finished)
    with pytest.raises(ValueError, match="holds 2 finished epochs, and epochs = 1 .*at least 2, or name another"):
        train(TINY, digits, finished, **{**ASKED, "epochs": 1})
    assert contents(finished) == before


def test_lost_weights_and_cards_of_a_finished_run_are_made_again(finished, digits, monkeypatch):
    before = outcome(finished)
    monkeypatch.setattr(worlds, "train_on_batch", lambda *arguments: pytest.fail("a step was trained"))
    for name in ("best.weights.h5", "card.json"):
        (finished / name).unlink()
        train(TINY, digits, finished, **ASKED)
        assert outcome(finished) == before
    (finished / "best.weights.h5").write_bytes(before[1][:-1000])
    train(TINY, digits, finished, **ASKED)
    assert outcome(finished) == before


def test_a_finished_run_without_its_checkpoint_is_still_finished(finished, digits, monkeypatch):
    before = outcome(finished)
    monkeypatch.setattr(worlds, "train_on_batch", lambda *arguments: pytest.fail("a step was trained"))
    (finished / "checkpoint.npz").unlink()
    assert train(TINY, digits, finished, **ASKED) == RunResult.load(finished / "card.json")
    assert outcome(finished) == before


def test_a_finished_run_without_its_checkpoint_is_never_overwritten(finished, digits):
    (finished / "checkpoint.npz").unlink()
    before = contents(finished)
    with pytest.raises(ValueError, match="seed = 4, and 5 was asked for"):
        train(TINY, digits, finished, **{**ASKED, "seed": 5})
    with pytest.raises(ValueError, match="a run of 2 epochs without its checkpoint, and 3 were asked for"):
        train(TINY, digits, finished, **{**ASKED, "epochs": 3})
    assert contents(finished) == before
    (finished / "best.weights.h5").write_bytes(before["best.weights.h5"][:-1])
    with pytest.raises(ValueError, match="may not be whole.*another run_dir"):
        train(TINY, digits, finished, **ASKED)
    assert (finished / "card.json").read_bytes() == before["card.json"]


def test_a_card_that_does_not_say_a_later_setting_means_its_default(finished, digits):
    (finished / "checkpoint.npz").unlink()
    card = json.loads((finished / "card.json").read_text(encoding="utf-8"))
    card["recipe"].pop("shift")
    (finished / "card.json").write_text(json.dumps(card), encoding="utf-8")
    assert train(TINY, digits, finished, **ASKED).recipe == card["recipe"]


# --- disks ----------------------------------------------------------------------------------------


def assert_goes_on(straight, digits, run_dir, epochs_kept):
    """The last good checkpoint is there, nothing half-written is, and the same call ends as if nothing had been."""
    assert len(checkpoints.read(run_dir / "checkpoint.npz")[0]["history"]) == epochs_kept
    assert set(contents(run_dir)) <= set(run_folder.FILES)
    train(TINY, digits, run_dir, **ASKED)
    assert outcome(run_dir) == straight[False]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_disk_that_fills_up_stops_the_run_with_its_last_checkpoint_whole(straight, digits, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        at_step(patch, 5, lambda: (tmp_path / ".part-checkpoint.npz").symlink_to("/dev/full"))
        with pytest.raises(OSError, match=r"checkpoint.npz can't be written \(No space left.*the same call goes on"):
            train(TINY, digits, tmp_path, **ASKED)
    assert_goes_on(straight, digits, tmp_path, epochs_kept=1)


@pytest.fixture
def no_large_files():
    """A system that lets no file grow beyond 20 kB, from when the function is called."""
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, usual[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, usual)


def test_weights_that_can_not_be_written_leave_the_checkpoint_and_no_card(digits, tmp_path, no_large_files, straight):
    with pytest.MonkeyPatch.context() as patch:
        write = RunFolder.writing

        def limited(folder, name):
            if name == "best.weights.h5":
                no_large_files()
            return write(folder, name)

        patch.setattr(RunFolder, "writing", limited)
        with pytest.raises(OSError, match="best.weights.h5 can't be written"):
            train(TINY, digits, tmp_path, **ASKED)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    assert not (tmp_path / "card.json").exists()
    assert_goes_on(straight, digits, tmp_path, epochs_kept=2)


def test_a_disk_too_small_for_a_checkpoint_is_refused_before_the_first_step(digits, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    at_step(monkeypatch, 0, lambda: pytest.fail("a step was trained"))
    with pytest.raises(OSError, match="MB left, and a checkpoint needs about"):
        train(TINY, digits, tmp_path, **ASKED)


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
        with (
            ordinary_user(),
            pytest.raises(OSError, match=r"be written to \(Permission denied\).*Name a run_dir"),
        ):
            train(TINY, digits, run_dir, **ASKED)


def test_a_finished_run_in_a_read_only_folder_still_gives_its_card(moments, digits, read_only):
    os.chmod(read_only, 0o755)
    run_dir = shutil.copytree(moments[0], read_only / "run")
    os.chmod(run_dir, 0o555)
    with ordinary_user():
        assert train(TINY, digits, run_dir, **ASKED) == RunResult.load(run_dir / "card.json")
    os.chmod(run_dir, 0o755)


def test_a_run_dir_that_is_a_file_is_refused(digits, tmp_path):
    (tmp_path / "run").write_text("mine")
    with pytest.raises(OSError, match="can't be written to"):
        train(TINY, digits, tmp_path / "run", **ASKED)
    assert (tmp_path / "run").read_text() == "mine"


@pytest.mark.parametrize("empty_place", [False, True], ids=["nothing there", "an empty folder there"])
def test_a_folder_that_vanishes_stops_the_run_and_nothing_is_written_in_its_place(
    straight, digits, tmp_path, empty_place
):
    run_dir, away = tmp_path / "run", tmp_path / "away"

    def lose():
        run_dir.rename(away)
        if empty_place:
            run_dir.mkdir()  # what a lost mount leaves

    with pytest.MonkeyPatch.context() as patch:
        at_step(patch, 5, lose)
        with pytest.raises(OSError, match="can't be written.*folder gone.*the same call goes on"):
            train(TINY, digits, run_dir, **ASKED)
    assert not run_dir.exists() or contents(run_dir) == {}
    shutil.rmtree(run_dir, ignore_errors=True)
    away.rename(run_dir)
    (run_dir / LOCK).unlink()
    assert_goes_on(straight, digits, run_dir, epochs_kept=1)


# --- damaged checkpoints --------------------------------------------------------------------------


def refused_and_left_alone(digits, run_dir, content):
    (run_dir / "checkpoint.npz").write_bytes(content)
    before = contents(run_dir)
    with pytest.raises(ValueError, match="checkpoint.npz .*(whole copy|Move it away)") as refusal:
        train(TINY, digits, run_dir, **{**ASKED, "epochs": 3})
    assert str(run_dir) in str(refusal.value)
    assert contents(run_dir) == before


def npz(folder, **arrays):
    np.savez(folder / "made.npz", **arrays)
    return (folder / "made.npz").read_bytes()


def test_a_truncated_checkpoint_is_refused_by_name_and_left_alone(finished, digits):
    whole = (finished / "checkpoint.npz").read_bytes()
    for length in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        refused_and_left_alone(digits, finished, whole[:length])


def test_a_flipped_bit_in_a_checkpoint_is_noticed_or_changes_nothing(finished, tmp_path):
    whole, file = (finished / "checkpoint.npz").read_bytes(), tmp_path / "flipped.npz"
    state, arrays = checkpoints.read(finished / "checkpoint.npz")
    draw, noticed = random.Random(0), 0
    for place in draw.sample(range(len(whole)), 400):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << draw.randrange(8)
        file.write_bytes(flipped)
        try:
            found_state, found = checkpoints.read(file)
        except ValueError:
            noticed += 1
            continue
        assert found_state == state
        assert set(found) == set(arrays) and all(np.array_equal(found[name], arrays[name]) for name in arrays)
    assert noticed > 300  # the others are in dates and the like, which nobody reads


def parts_of(run_dir):
    """A checkpoint's parts as they lie in the file, the state as a dictionary."""
    with np.load(run_dir / "checkpoint.npz", allow_pickle=False) as archive:
        parts = dict(archive)
    return json.loads(str(parts.pop("state"))), parts


def test_an_array_that_is_missing_too_many_or_another_is_refused_though_the_archive_is_whole(
    finished, digits, tmp_path
):
    state, arrays = parts_of(finished)
    state = json.dumps(state)
    hidden = {name: array for name, array in arrays.items() if name != "optimizer_2"}
    for wrong, why in (
        (hidden, "arrays are missing or too many: optimizer_2"),
        ({**arrays, "weights_99": arrays["weights_1"]}, "arrays are missing or too many: weights_99"),
        ({**arrays, "weights_1": arrays["weights_1"] + 1}, "the checksum is not that of weights_1"),
        ({**arrays, "best_1": arrays["best_1"].astype("float64")}, "the checksum is not that of best_1"),
    ):
        refused_and_left_alone(digits, finished, npz(tmp_path, state=state, **wrong))
        with pytest.raises(ValueError, match=why):
            checkpoints.read(finished / "checkpoint.npz")


def test_a_checkpoint_from_before_there_were_sums_goes_on_and_its_names_are_still_compared(finished, digits, tmp_path):
    state, arrays = parts_of(finished)
    del state["sums"], state["identity"]["recipe"]["shift"]  # neither was there yet
    hidden = {name: array for name, array in arrays.items() if name != "optimizer_2"}
    refused_and_left_alone(digits, finished, npz(tmp_path, state=json.dumps(state), **hidden))
    (finished / "checkpoint.npz").write_bytes(npz(tmp_path, state=json.dumps(state), **arrays))
    assert train(TINY, digits, finished, **{**ASKED, "epochs": 3}).epochs_run == 3
    assert set(parts_of(finished)[0]["sums"]) == set(arrays)


def test_another_programs_archive_and_other_files_are_refused_by_name(finished, digits, tmp_path):
    refused_and_left_alone(digits, finished, npz(tmp_path, x=np.zeros(3)))
    refused_and_left_alone(digits, finished, npz(tmp_path, state="[1, 2]"))
    refused_and_left_alone(digits, finished, b"<html>not found</html>")


def test_the_checkpoint_of_a_model_of_another_shape_is_refused(finished, digits, tmp_path):
    state, arrays = checkpoints.read(finished / "checkpoint.npz")
    arrays["weights_3"] = np.zeros((2, 2), "float32")
    refused_and_left_alone(digits, finished, npz(tmp_path, state=json.dumps(state), **arrays))


class Bomb:
    def __reduce__(self):
        return (pathlib.Path.touch, (pathlib.Path("exploded"),))


def test_pickles_in_a_checkpoint_are_never_opened(finished, digits, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    state, arrays = checkpoints.read(finished / "checkpoint.npz")
    arrays["weights_3"] = np.array([Bomb()], dtype=object)
    refused_and_left_alone(digits, finished, npz(tmp_path, state=json.dumps(state), **arrays))
    refused_and_left_alone(digits, finished, pickle.dumps(Bomb()))
    assert not (tmp_path / "exploded").exists()


# --- numbers --------------------------------------------------------------------------------------


def test_a_loss_that_explodes_and_stays_finite_stops_the_run_and_says_what_to_change(digits, tmp_path):
    recipe = dataclasses.replace(QUICK, learning_rate=30.0, stop_patience=None)
    with pytest.raises(
        FloatingPointError, match=r"diverged. Lower the learning rate \(it was 30.0\), for instance to 3"
    ):
        train(TINY, digits, tmp_path, epochs=8, recipe=recipe)
    assert not (tmp_path / "card.json").exists()


def test_a_write_keeps_the_old_file_until_the_new_one_is_whole(tmp_path):
    (tmp_path / "a").write_text("old")
    with pytest.raises(InterruptedError), written_whole(tmp_path / "a") as part:
        part.write_text("ne")
        raise InterruptedError
    assert contents(tmp_path) == {"a": b"old"}
