"""Killed at any moment, or stopped by a signal: the same call continues to the same end, bit for bit."""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from small_runs import (
    REQUESTED,
    TINY,
    before_step,
    contents,
    outcome,
    python_environment,
    train_nothing,
)

from mixer_lib import Recipe, build_classifier, compat, train
from mixer_lib.__main__ import main
from mixer_lib.runs.folder import FILES, RunFolder
from mixer_lib.runs.interrupts import Terminated


def test_a_run_puts_each_file_in_place_complete_and_one_after_the_other(moments):
    order = ["checkpoint.npz", "history.csv"] * 2 + ["best.weights.h5", "ranks.npy", "card.json"]
    assert [name for name, _, _ in moments[1]] == order


@pytest.mark.parametrize("number", range(7))
def test_a_run_killed_after_any_of_its_files_continues_to_the_same_end(moments, digits, number, tmp_path, monkeypatch):
    """Also after another commit, which the card names, and tells nothing else of."""
    run_dir, taken = moments
    killed = shutil.copytree(taken[number][2], tmp_path / "killed")
    monkeypatch.setattr("mixer_lib.runs.state.commit", lambda: "another")
    card = train(TINY, digits, killed, **REQUESTED)
    assert outcome(killed) == outcome(run_dir)
    assert (card.commit == "another") == (number < 6)  # after the last file nothing is left to do


def test_what_was_half_written_is_cleared_away_and_taken_for_nothing(moments):
    names = []
    for name, half, _ in moments[1]:
        assert (half / f".part-{name}").exists()
        with RunFolder(half):
            pass
        assert set(contents(half)) == set(names)
        names.append(name)


# --- real kills -----------------------------------------------------------------------------------

KILLED = """
import builtins, json, os, sys, time
sys.path.insert(0, {tests!r})
from small_runs import REQUESTED, TINY, replace_step, small_digits
from mixer_lib import train
sync, digits = os.fsync, small_digits(54)
def make_step(model, step):
    def slow_step(images, labels):
        done = step(images, labels)
        print("step", flush=True)
        time.sleep({pause})
        return done
    return slow_step
def slow_disk(file):  # when a file is written, and not yet in its place
    print("writing", flush=True)
    time.sleep({pause})
    sync(file)
    print("written", flush=True)
    time.sleep({pause})
replace_step(builtins, make_step)
os.fsync = slow_disk
for line in sys.stdin:  # each run is a process of its own, a copy of this one, which has only imported so far
    run_dir, more = json.loads(line)
    child = os.fork()
    if not child:
        print(os.getpid(), flush=True)
        train(TINY, digits, run_dir, **{{**REQUESTED, **more}})
        os._exit(0)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print("ended", ended, flush=True)
"""
PAUSE = 0.05
EVENTS = 2 * (3 + 2 * 2) + 3 * 2  # lines that the script prints: three steps and two files, twice; three more files


@pytest.fixture(scope="module")
def kill_after():
    """A function: start a run in a process of its own and kill it a moment after so many lines of its output."""
    script = KILLED.format(tests=os.path.dirname(os.path.dirname(__file__)), pause=PAUSE)
    with subprocess.Popen(
        [sys.executable, "-c", script],
        env=python_environment(),
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
            assert len(seen) >= events
            return seen[:events]

        yield kill_after
        starter.stdin.close()


@pytest.fixture(scope="module")
def uninterrupted(moments, digits, tmp_path_factory):
    """What uninterrupted runs give, by whether XLA compiled them."""
    run_dir = tmp_path_factory.mktemp("compiled")
    train(TINY, digits, run_dir, **REQUESTED, jit_compile=True)
    return {False: outcome(moments[0]), True: outcome(run_dir)}


MOST = [pytest.param(number, marks=pytest.mark.kills) for number in range(1, 20)]


@pytest.mark.parametrize("number", [0, *MOST])
def test_a_run_killed_at_a_random_moment_continues_to_the_same_end(kill_after, uninterrupted, digits, tmp_path, number):
    xla = not number % 2
    seen = kill_after(random.randrange(1, EVENTS + 1), tmp_path, jit_compile=xla)
    left = sorted(contents(tmp_path))
    train(TINY, digits, tmp_path, **REQUESTED, jit_compile=xla)
    assert outcome(tmp_path) == uninterrupted[xla], f"killed after {len(seen)} lines, {seen[-1]!r}, which left {left}"
    assert sorted(contents(tmp_path)) == sorted(FILES)


def test_a_run_killed_again_and_again_continues_to_the_same_end(kill_after, moments, digits, tmp_path):
    kill_after(6, tmp_path)  # while the first epoch's history is written
    kill_after(4, tmp_path)  # while the second one's checkpoint is
    train(TINY, digits, tmp_path, **REQUESTED)
    assert outcome(tmp_path) == outcome(moments[0])


@pytest.mark.skipif(compat.backend_name() != "tensorflow", reason="only on TensorFlow")
def test_gradients_are_added_in_one_order_however_much_memory_a_step_takes():
    # TensorFlow's graph optimizer turns a sum into additions on a TemporaryVariable, in the order of arrival.
    from tensorflow.python.eager import context

    model = build_classifier("article")
    model.compile(Recipe().make_optimizer(), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    images = np.zeros((128, 32, 32, 3), "uint8")
    context.enable_run_metadata()
    try:
        with compat.deterministic_reductions():
            model.train_on_batch(images, np.zeros(128, "int64"))
        metadata = context.export_run_metadata()
    finally:
        context.disable_run_metadata()
    nodes = [node.op for graphs in metadata.function_graphs for node in graphs.post_optimization_graph.node]
    assert "AddN" in nodes or any("MatMul" in op for op in nodes)  # the graph of a step was seen
    assert "TemporaryVariable" not in nodes


# --- signals --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "kind"), [(signal.SIGTERM, Terminated), (signal.SIGINT, KeyboardInterrupt)])
def test_a_signal_stops_a_run_cleanly_and_says_how_to_continue(moments, digits, tmp_path, number, kind, monkeypatch):
    usual = [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)]
    halfway = shutil.copytree(moments[1][1][2], tmp_path / "run")  # one epoch is finished
    before = contents(halfway)
    with monkeypatch.context() as patch:
        train_nothing(patch)
        before_step(patch, 1, lambda: os.kill(os.getpid(), number))
        with pytest.raises(kind, match="1 of 2 epochs are finished.*The same call continues"):
            train(TINY, digits, halfway, **REQUESTED)
    assert [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)] == usual
    kept = {"checkpoint.npz", "history.csv"}
    assert contents(halfway) == {name: content for name, content in before.items() if name in kept}


def test_a_signal_whose_exception_is_lost_stops_the_run_at_the_next_step(digits, tmp_path, monkeypatch):
    steps = []

    def lost():
        with contextlib.suppress(KeyboardInterrupt):  # as in a destructor
            os.kill(os.getpid(), signal.SIGINT)
        steps.append(1)

    train_nothing(monkeypatch)
    before_step(monkeypatch, 1, lost)
    with pytest.raises(KeyboardInterrupt, match="0 of 2"):
        train(TINY, digits, tmp_path, **REQUESTED)
    assert steps == [1] and contents(tmp_path) == {}


@pytest.mark.parametrize(("kind", "code"), [(Terminated, 143), (KeyboardInterrupt, 130)])
def test_the_command_line_ends_with_the_code_that_shells_expect(monkeypatch, capsys, kind, code):
    def stopped(*arguments, **options):
        raise kind("Stopped; 3 of 5 epochs are finished.")

    monkeypatch.setattr("mixer_lib.train", stopped)
    with pytest.raises(SystemExit) as end:
        main(["train", "--dataset", "digits"])
    assert end.value.code == code
    assert "3 of 5 epochs are finished. The same command continues" in capsys.readouterr().err
