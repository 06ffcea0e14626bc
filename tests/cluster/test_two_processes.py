"""Two processes on one machine train what one trains; when one is killed, the other ends with what to do."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import cluster_hosts
import hosted_images
import numpy as np
import pytest
from cluster_hosts import free_ports, run
from small_runs import history_of, outcome, python_environment, weights_of, without_seconds

from mixer_lib import compat

SCRIPT = Path(cluster_hosts.__file__)
on_tensorflow = pytest.mark.skipif(
    not compat.KERAS_3 or compat.backend_name() != "tensorflow", reason="only on Keras 3 with TensorFlow"
)
EPOCHS = 12  # of a run that is disturbed
JAX_ON_CPU = {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}


def python_of(engine):
    """The Python that has this engine, and its environment: another Python has packages of its own."""
    if engine == "tensorflow":
        return sys.executable, python_environment()
    paths = os.pathsep.join(map(str, (SCRIPT.parents[1], SCRIPT.parent)))
    return hosted_images.newest_image("jax"), {**os.environ, **JAX_ON_CPU, "PYTHONPATH": paths}


def variables(engine, hosts, index):
    """What tells a process of this engine which of the hosts it is."""
    if engine == "tensorflow":
        return {"TF_CONFIG": json.dumps({"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}})}
    values = {"JOB_ADDRESSES": ",".join(hosts), "NUM_PROCESSES": len(hosts), "PROCESS_ID": index}
    return {f"KERAS_DISTRIBUTION_{name}": str(value) for name, value in values.items()}


def start(engine, run_dirs, epochs, noise):
    """Both processes; what they print goes to files beside the run folders."""
    hosts, started = [f"127.0.0.1:{port}" for port in free_ports(2)], []
    python, environment = python_of(engine)
    for index, run_dir in enumerate(run_dirs):
        command = [str(python), str(SCRIPT), str(run_dir), str(epochs), "noise" if noise else "quiet"]
        values = {**environment, **variables(engine, hosts, index)}
        with open(f"{run_dir}.log", "w") as log:
            started.append(subprocess.Popen(command, env=values, stdout=log, stderr=log))
    return started


def said(run_dir):
    return Path(f"{run_dir}.log").read_text()


def both(engine, run_dirs, epochs, noise):
    codes = [process.wait(300) for process in start(engine, run_dirs, epochs, noise)]
    assert codes == [0, 0], [said(run_dir)[-2000:] for run_dir in run_dirs]


def largest_difference(run_dir, other):
    return max(np.abs(a - b).max() for a, b in zip(weights_of(run_dir), weights_of(other), strict=True))


@on_tensorflow
def test_two_processes_train_what_one_trains_and_only_the_chief_writes(tmp_path):
    both("tensorflow", [tmp_path / "chief", tmp_path / "other"], 3, noise=False)
    run(tmp_path / "one", 3, noise=False, jit_compile=False)
    assert not (tmp_path / "other").exists()
    assert largest_difference(tmp_path / "chief", tmp_path / "one") < 1e-6
    card = json.loads((tmp_path / "chief" / "card.json").read_text())
    assert card["versions"]["hosts"] == 2 and card["device"].startswith("2 hosts x ")


@pytest.mark.hosted
def test_two_processes_on_jax_train_what_one_trains_noise_included(tmp_path):
    both("jax", [tmp_path / "chief", tmp_path / "other"], 3, noise=True)
    python, environment = python_of("jax")
    subprocess.run([str(python), str(SCRIPT), str(tmp_path / "one"), "3", "noise"], env=environment, check=True)
    assert largest_difference(tmp_path / "chief", tmp_path / "one") < 1e-6
    for row, other in zip(without_seconds(tmp_path / "chief"), without_seconds(tmp_path / "one"), strict=True):
        assert row.keys() == other.keys() and float(row["loss"]) == pytest.approx(float(other["loss"]), abs=1e-5)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The folder of a run whose hosts nobody disturbed, by engine; trained when it is asked for."""
    folder, trained = tmp_path_factory.mktemp("undisturbed"), {}

    def of(engine):
        if engine not in trained:
            both(engine, [folder / engine, folder / f"{engine}-other"], EPOCHS, noise=True)
            trained[engine] = folder / engine
        return trained[engine]

    return of


@pytest.mark.kills
@pytest.mark.parametrize(
    ("engine", "victim"),
    [
        pytest.param("tensorflow", 0, marks=on_tensorflow),
        pytest.param("tensorflow", 1, marks=on_tensorflow),
        pytest.param("tensorflow", None, marks=on_tensorflow),  # either
        pytest.param("jax", 0, marks=pytest.mark.hosted),  # in the Python of a host that has it
        pytest.param("jax", 1, marks=pytest.mark.hosted),
    ],
)
def test_after_a_kill_at_a_random_moment_the_other_ends_and_both_go_on_to_the_same_end(
    undisturbed, tmp_path, engine, victim
):
    expected = outcome(undisturbed(engine))
    run_dirs = [tmp_path / "chief", tmp_path / "other"]
    processes = start(engine, run_dirs, EPOCHS, noise=True)
    while not (run_dirs[0] / "history.csv").exists():
        assert all(process.poll() is None for process in processes), said(run_dirs[0])[-2000:]
        time.sleep(0.05)
    time.sleep(random.uniform(0, 1))
    victim = random.randrange(2) if victim is None else victim
    processes[victim].send_signal(signal.SIGKILL)
    killed = time.monotonic()
    ended = processes[1 - victim].wait(120)
    print(f"{engine}: host {1 - victim} ended {time.monotonic() - killed:.1f} s after host {victim} was killed")
    processes[victim].wait()
    if ended:
        message = said(run_dirs[1 - victim])
        assert ended == 1 and f"Host {victim} (127.0.0.1" in message, message[-2000:]
        assert "the same command on every host continues" in message
    assert len(history_of(run_dirs[0])) >= 1
    both(engine, run_dirs, EPOCHS, noise=True)
    assert outcome(run_dirs[0]) == expected
