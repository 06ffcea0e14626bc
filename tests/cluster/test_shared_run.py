"""Several hosts before the first step: they find each other, agree, and name whoever is missing or does not fit."""

import json
import socket
import threading

import pytest
from cluster_hosts import free_ports
from small_runs import REQUESTED, TINY, contents, small_digits, train_nothing

from mixer_lib import train
from mixer_lib.cluster import channel, shared_run
from mixer_lib.cluster.addresses import Cluster, find_cluster
from mixer_lib.cluster.rendezvous import gather, listen

IDENTITY = {"seed": 1, "keras": "3.15.0", "devices": 1, "hosts": 2}


@pytest.fixture
def cluster():
    addresses = tuple(f"127.0.0.1:{port}" for port in free_ports(2))
    return [Cluster(addresses, index, "TF_CONFIG") for index in range(2)]


def together(cluster, run_dirs, identities=(IDENTITY, IDENTITY), epochs=(2, 2), within=None):
    """What each host ends with: the value of `within(folder)`, or its error."""
    results = [None] * 2

    def host(index):
        try:
            with shared_run.shared_run(cluster[index], run_dirs[index], identities[index], epochs[index]) as folder:
                results[index] = within(folder) if within else None
        except (Exception, KeyboardInterrupt) as error:
            results[index] = error

    threads = [threading.Thread(target=host, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results


def test_a_cluster_is_read_from_the_engines_own_variables(monkeypatch):
    hosts = ["10.0.0.1:5000", "10.0.0.2:5000"]
    job = {"cluster": {"chief": hosts[:1], "worker": hosts[1:]}, "task": {"type": "worker", "index": 0}}
    monkeypatch.setattr("mixer_lib.compat.backend_name", lambda: "tensorflow")
    monkeypatch.setattr("mixer_lib.compat.KERAS_3", True)
    found = find_cluster({"TF_CONFIG": json.dumps(job)})
    assert (found.addresses, found.index, found.is_chief) == (tuple(hosts), 1, False)
    assert found.name(1) == "host 1 (10.0.0.2:5000)"
    assert find_cluster({}) is None
    assert find_cluster({"TF_CONFIG": '{"cluster": {"worker": ["a:1"]}}'}) is None
    on_jax = {"KERAS_DISTRIBUTION_JOB_ADDRESSES": hosts[0], "KERAS_DISTRIBUTION_NUM_PROCESSES": "2"}
    on_jax["KERAS_DISTRIBUTION_PROCESS_ID"] = "1"
    with pytest.raises(ValueError, match="names 2 hosts, which needs Keras 3 on jax"):
        find_cluster(on_jax)
    monkeypatch.setattr("mixer_lib.compat.backend_name", lambda: "jax")
    assert find_cluster(on_jax).addresses == (hosts[0], "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "TF_CONFIG must look like"),
        ('{"cluster": {"worker": ["a:1", "b:2"]}}', "TF_CONFIG must look like"),
        ('{"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 2}}', "names no worker 2"),
        ('{"cluster": {"worker": ["a:1", "b"]}, "task": {"type": "worker", "index": 0}}', "host:port.*'b'"),
        (
            '{"cluster": {"ps": ["a:1"], "worker": ["b:1"]}, "task": {"type": "ps", "index": 0}}',
            "only chief and worker",
        ),
    ],
)
def test_a_wrong_cluster_is_refused_with_what_was_received(text, message):
    with pytest.raises(ValueError, match=message):
        find_cluster({"TF_CONFIG": text})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"identities": (IDENTITY, {**IDENTITY, "seed": 2})}, r"host 1 \(.*\) has another value of seed .*: 2, not 1"),
        ({"epochs": (2, 3)}, r"host 1 \(.*\) has epochs = 3"),
    ],
)
def test_a_host_with_another_request_is_refused_by_name_on_all(cluster, tmp_path, given, message):
    for error in together(cluster, [tmp_path / "0", tmp_path / "1"], **given):
        with pytest.raises(ValueError, match=message):
            raise error
    assert not (tmp_path / "1").exists()


def test_a_host_with_another_version_is_refused_by_name_on_all(cluster, tmp_path, monkeypatch):
    digests = iter(["aaa", "bbb"])
    monkeypatch.setattr(shared_run, "source_digest", lambda: next(digests))
    for error in together(cluster, [tmp_path / "0", tmp_path / "1"]):
        with pytest.raises(ValueError, match=r"host 1 \(.*\) has another version of mixer_lib"):
            raise error


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("trained") / "run"
    with pytest.MonkeyPatch.context() as patch:
        train_nothing(patch)
        train(TINY, small_digits(54), run_dir, **{**REQUESTED, "epochs": 1})
    return run_dir


def test_a_host_with_another_checkpoint_is_refused_by_name_on_all(cluster, tmp_path, trained):
    before = contents(trained)
    for error in together(cluster, [tmp_path / "0", trained]):
        with pytest.raises(ValueError, match=r"host 1 \(.*\) holds another checkpoint than host 0 .*of 1 epochs.*none"):
            raise error
    assert contents(trained) == before


def test_the_others_get_the_chief_s_checkpoint_and_its_figures_without_its_folder(cluster, tmp_path, trained):
    from mixer_lib.runs.checkpoint import read_checkpoint

    identity = read_checkpoint(trained / "checkpoint.npz")[0]["identity"]

    def within(folder):
        row = folder.agree({"epoch": 2, "val_loss": 0.1 if folder.path == trained else 0.2})
        return folder.path, (folder.path / "checkpoint.npz").read_bytes(), row["val_loss"]

    chief, other = together(cluster, [trained, tmp_path / "1"], (identity, identity), within=within)
    assert chief[0] == trained and other[0] not in (trained, tmp_path / "1")
    assert chief[1:] == other[1:] and other[2] == 0.1
    assert not other[0].exists() and not (tmp_path / "1").exists()


def test_a_host_that_never_comes_is_named_when_the_time_is_over(cluster, tmp_path, monkeypatch):
    monkeypatch.setenv("MIXER_START_TIMEOUT", "1")
    for index, message in enumerate(
        [r"host 1 \(.*\) did not start within 1 s", r"host 0 \(.*\), the chief, could not"]
    ):
        with (
            pytest.raises(TimeoutError, match=message),
            shared_run.shared_run(cluster[index], tmp_path / "run", IDENTITY, 2),
        ):
            pass


def test_a_port_in_use_is_told(cluster, tmp_path):
    host, port = cluster[1].endpoint(1)
    with socket.create_server((host, port)):
        for error in together(cluster, [tmp_path / "0", tmp_path / "1"]):
            with pytest.raises(ValueError, match=f"Port {port} of host 1 .* can't be opened.*TF_CONFIG on every host"):
                raise error


def test_a_host_that_left_while_waiting_may_come_again_and_strangers_are_ignored(cluster):
    from mixer_lib.cluster.channel import Link

    with listen(cluster[0]) as server:
        for text in (b"GET / HTTP/1.1\r\n\r\n", b'{"host": 1, "sizes": {}, "n": 1}\n'):
            with socket.create_connection(cluster[1].endpoint(0)) as stranger:
                stranger.sendall(text)
        again = Link(socket.create_connection(cluster[1].endpoint(0)))
        again.send({"host": 1, "n": 2})
        links, hellos = gather(cluster[0], server, 5)
        if hellos[1]["n"] == 1:  # its end had not been noticed yet
            links, hellos = gather(cluster[0], server, 5)
    assert hellos[1]["n"] == 2
    links[1].close()
    again.close()


def test_a_host_that_stops_tells_the_others_why(cluster, tmp_path):
    def within(folder):
        if folder.path == tmp_path / "0":
            raise KeyboardInterrupt("Stopped")
        return folder.channel.receive()

    stopped, other = together(cluster, [tmp_path / "0", tmp_path / "1"], within=within)
    assert isinstance(stopped, KeyboardInterrupt)
    assert isinstance(other, channel.HostLost)
    assert "stopped: by Ctrl-C or SIGTERM. Finished epochs are kept; the same command on every host" in str(other)


def test_a_host_that_falls_silent_is_lost(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(channel, "SILENT_FOR", 0.3)  # and no sign of life for ten seconds
    results = together(cluster, [tmp_path / "0", tmp_path / "1"], within=lambda folder: folder.channel.receive())
    assert any("has been silent for 0.3 s" in str(error) for error in results)
    assert all(isinstance(error, channel.HostLost) for error in results)
