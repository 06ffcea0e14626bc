"""A sweep on a local Ray is killed and stopped, and its disk fills up: in the end nothing is lost, nothing done twice.

Each sweep is a program of its own, as a reader starts it, in a folder with an unusual name.
"""

import contextlib
import csv
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
from small_runs import history_of, outcome, python_environment
from small_sweeps import HEAD, TINY, TWO_BY_TWO

from mixer_lib.sweep.cost import device_of_a_run

pytestmark = [
    pytest.mark.skipif(not importlib.util.find_spec("ray"), reason="only with Ray"),
    pytest.mark.kills,
]
EPOCHS = 40  # long enough to be met at work
LONG = TWO_BY_TWO.replace("epochs = 2", f"epochs = {EPOCHS}")
HALF = LONG.partition('[[runs]]\nname = "b"')[0]
NAMES = ["a-seed0", "a-seed1", "b-seed0", "b-seed1"]
FOLDER = "50% {of} it"
WAIT = 180  # seconds


def start(place, text=LONG, background=False, **environment):
    """`mixer_lib sweep` in `place`, which gets the file; a shell's script starts its `background` without SIGINT."""
    place.mkdir(exist_ok=True)
    (place / "many.toml").write_text(text)
    command = [sys.executable, "-m", "mixer_lib", "sweep", "many.toml", "--folder", FOLDER, "--json"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    pipes["preexec_fn"] = (lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)) if background else None
    return subprocess.Popen(command, cwd=place, env=python_environment(**environment), **pipes)


def end(process, code=0):
    """(stdout, stderr) of a sweep that ends with this code."""
    out, err = process.communicate(timeout=600)
    assert process.returncode == code, err[-3000:]
    return out, err


def trainings(place):
    """{name of a run: its process} of those at work in `place`."""
    found = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            words = process.cmdline()
            if "mixer_lib.sweep.child" in words and process.cwd() == str(place):
                found[words[-1].rpartition("/")[2]] = process
    return found


def wait_for(condition, process=None):
    deadline = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < deadline and (process is None or process.poll() is None), (
            process and process.communicate()[1][-3000:]
        )
        time.sleep(0.05)


def epochs(place, name):
    try:
        return len(history_of(place / FOLDER / name))
    except FileNotFoundError:
        return 0


def outcomes(place, names=NAMES):
    return {name: outcome(place / FOLDER / name) for name in names}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    place = tmp_path_factory.mktemp("undisturbed")
    out, _ = end(start(place))
    assert [(row["group"], row["n"]) for row in json.loads(out)] == [("a", 2), ("b", 2)]
    return outcomes(place)


def test_a_run_is_what_train_gives_with_as_many_threads_which_its_card_tells(undisturbed, tmp_path):
    card = undisturbed["b-seed1"][2]
    assert card["device"] == device_of_a_run(1) and card["device"].startswith("CPU, 1 core (")
    words = card["command"].replace("python", sys.executable, 1)
    limits = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1", "NPROC": "1"}
    subprocess.run(words, shell=True, check=True, cwd=tmp_path, env=python_environment(**limits), capture_output=True)
    assert outcome(tmp_path / FOLDER / "b-seed1") == undisturbed["b-seed1"]


def test_a_worker_killed_in_the_middle_is_started_again_and_the_run_goes_on(undisturbed, tmp_path):
    sweep = start(tmp_path)
    wait_for(lambda: epochs(tmp_path, "a-seed0") >= 2, sweep)
    process = trainings(tmp_path)["a-seed0"]
    worker = process.parent()
    assert worker.name().startswith("ray::")
    worker.kill()
    wait_for(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE)  # not beside its retry
    kept = epochs(tmp_path, "a-seed0")
    end(sweep)
    assert 2 <= kept < EPOCHS
    assert outcomes(tmp_path) == undisturbed


def test_ctrl_c_keeps_finished_epochs_a_second_sweep_is_refused_and_the_same_command_goes_on(undisturbed, tmp_path):
    sweep = start(tmp_path)
    wait_for(lambda: epochs(tmp_path, "a-seed0") >= 1 and epochs(tmp_path, "a-seed1") >= 1, sweep)
    _, refused = end(start(tmp_path), 1)
    assert refused.splitlines()[-1].startswith(f"error: {FOLDER} is in use by another sweep.")
    os.killpg(sweep.pid, signal.SIGINT)  # as a terminal does
    _, err = end(sweep, 130)
    assert " of 4 runs are finished. The same command continues." in err and "Traceback" not in err
    assert trainings(tmp_path) == {}
    finished = [name for name in NAMES if (tmp_path / FOLDER / name / "card.json").exists()]
    before = {name: (tmp_path / FOLDER / name / "card.json").stat().st_mtime_ns for name in finished}
    assert len(finished) < 4 and epochs(tmp_path, "a-seed0") >= 1
    end(start(tmp_path))
    assert outcomes(tmp_path) == undisturbed
    assert before == {name: (tmp_path / FOLDER / name / "card.json").stat().st_mtime_ns for name in finished}


SMALL_DISK = """
import resource, sys
if "mixer_lib.sweep.child" in sys.orig_argv and sys.orig_argv[-1].endswith("a-seed0"):
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
"""


def test_a_killed_sweep_leaves_no_process_and_a_full_disk_stops_no_other_run(undisturbed, tmp_path):
    sweep = start(tmp_path, HALF)
    wait_for(lambda: epochs(tmp_path, "a-seed1") >= 1, sweep)
    sweep.kill()
    sweep.communicate()
    wait_for(lambda: trainings(tmp_path) == {})
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "sitecustomize.py").write_text(SMALL_DISK)
    paths = os.pathsep.join([str(tmp_path / "disk"), python_environment()["PYTHONPATH"]])
    out, err = end(start(tmp_path, HALF, PYTHONPATH=paths), 1)
    assert "a-seed0: failed: " in err and "can't be written" in err and "1 of 2 runs failed" in err
    assert [(row["group"], row["n"]) for row in json.loads(out)] == [("a", 1)]
    end(start(tmp_path, HALF))
    assert outcomes(tmp_path, NAMES[:2]) == {name: undisturbed[name] for name in NAMES[:2]}


def test_a_search_stops_what_falls_behind_and_goes_on_after_ctrl_c(tmp_path):
    text = 'search = "halving"\ntrials = 5\n' + HEAD.replace("2", str(EPOCHS))
    text += TINY.replace(" }", ", learning_rate = [0.01, 0.000001] }")
    sweep = start(tmp_path, text)
    wait_for(lambda: epochs(tmp_path, "trial000") >= 1, sweep)
    os.killpg(sweep.pid, signal.SIGINT)
    assert " of 5 runs are finished. The same command continues." in end(sweep, 130)[1]
    begun = {path.name for path in (tmp_path / FOLDER).glob("trial*/")}
    rows = json.loads(end(start(tmp_path, text, background=True))[0])
    assert [row["trial"] for row in sorted(rows, key=lambda row: row["trial"])] == [f"trial00{i}" for i in range(5)]
    assert begun <= {row["trial"] for row in rows}
    assert {row["state"] for row in rows} == {"complete", "pruned"}
    assert all(row["epochs"] < EPOCHS and row["learning_rate"] == "1e-06" for row in rows if row["state"] == "pruned")
    with open(tmp_path / FOLDER / "trials.csv", newline="") as file:
        assert [row["command"] for row in csv.DictReader(file)] == [row["command"] for row in rows]
