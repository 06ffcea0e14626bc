"""What the page "On several machines" prints is run as it stands there."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import cluster_hosts
import pytest
from cluster_hosts import free_ports
from small_runs import python_environment

from mixer_lib import compat

COMMAND = ".venv/py3.13/bin/python"
on_tensorflow = pytest.mark.skipif(
    not compat.KERAS_3 or compat.backend_name() != "tensorflow", reason="only on Keras 3 with TensorFlow"
)


@pytest.fixture(scope="module")
def blocks(root):
    """The page's code blocks."""
    text = (root / "book" / "several_machines.md").read_text(encoding="utf-8")
    return re.findall(r"^```(?:bash|python)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def test_the_slurm_script_tells_each_node_which_of_all_it_is(blocks, tmp_path):
    (script,) = (block for block in blocks if "srun" in block)
    train = f"exec {COMMAND} -m mixer_lib train --epochs 100"
    assert train in script
    commands = {
        "scontrol": 'test "$3" = "node[7,9]" && printf "node7\\nnode9\\n"',
        "srun": 'for SLURM_PROCID in 0 1; do export SLURM_PROCID; "$@"; done',
    }
    for name, body in commands.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    path = os.pathsep.join([str(tmp_path), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "SLURM_JOB_NODELIST": "node[7,9]"}
    script = script.replace(train, "printenv TF_CONFIG")
    done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=True)
    nodes = {"worker": ["node7:5000", "node9:5000"]}
    tasks = [{"cluster": nodes, "task": {"type": "worker", "index": index}} for index in (0, 1)]
    assert [json.loads(line) for line in done.stdout.splitlines()] == tasks


@on_tensorflow
@pytest.mark.kills
def test_the_two_terminals_train_together(blocks, tmp_path):
    terminals = [block for block in blocks if "127.0.0.1:12345" in block and COMMAND in block]
    assert len(terminals) == 2
    ports, run_dir = free_ports(2), tmp_path / "two"
    new = {"12345": str(ports[0]), "12346": str(ports[1]), COMMAND: sys.executable, "runs/two": str(run_dir)}
    started = []
    for text in terminals:
        for old, value in new.items():
            text = text.replace(old, value)
        started.append(subprocess.Popen(["bash", "-c", text], env=python_environment(), stderr=subprocess.PIPE))
    said = [process.communicate(timeout=300)[1].decode()[-2000:] for process in started]
    assert [process.returncode for process in started] == [0, 0], said
    card = json.loads((run_dir / "card.json").read_text())
    assert (card["versions"]["hosts"], card["epochs_run"]) == (2, 3)


@on_tensorflow
@pytest.mark.kills
def test_the_ray_script_trains_on_two_hosts_of_a_cluster(blocks, root, tmp_path):
    (script,) = (block for block in blocks if "import ray" in block)
    run_dir, asked = tmp_path / "run", '"--dataset", "digits"]'
    assert asked in script
    script = script.replace(asked, f'"--dataset", "digits", "--epochs", "1", "--run-dir", {str(run_dir)!r}]')
    script = script.replace("5000 + index", f"{free_ports(2)}[index]").replace("ray.init()", "ray.init(num_cpus=2)")
    environment = {**python_environment(), "PYTHONPATH": str(root)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0 and "[0, 0]" in done.stdout, done.stdout[-1000:] + done.stderr[-2000:]
    assert json.loads((run_dir / "card.json").read_text())["versions"]["hosts"] == 2


@on_tensorflow
@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_host_that_waits_for_the_others_can_be_stopped(tmp_path, stop):
    hosts = [f"127.0.0.1:{port}" for port in free_ports(2)]
    config = {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": 0}}
    command = [sys.executable, cluster_hosts.__file__, str(tmp_path / "run"), "1", "noise"]
    environment = {**python_environment(), "TF_CONFIG": json.dumps(config)}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    while "waiting for host 1" not in process.stderr.readline():
        assert process.poll() is None
    sent = time.monotonic()
    process.send_signal(stop)
    assert process.wait(20) != 0
    assert time.monotonic() - sent < 10
    process.stderr.close()
