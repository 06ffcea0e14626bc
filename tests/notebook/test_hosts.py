"""Where a chapter runs: what it prints, and runs of earlier sessions that it goes on with."""

import ast
import dataclasses
import importlib.metadata
import re
import shutil
import socket
import time

import keras
import numpy as np
import pytest

import mixer_lib
from mixer_lib import requirements
from mixer_lib.notebook import hosts
from mixer_lib.runs.checkpoint import STATE, pack_checkpoint
from tools.paths import ROOT


@pytest.fixture
def on_kaggle(tmp_path, monkeypatch):
    """An empty Kaggle: its inputs' folder, with no CIFAR-100 elsewhere."""
    inputs = tmp_path / "input"
    inputs.mkdir()
    monkeypatch.setenv("MIXER_KAGGLE_INPUT", str(inputs))
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Interactive")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.delenv("COLAB_RELEASE_TAG", raising=False)
    return inputs


def test_a_host_is_known_by_what_it_sets(on_kaggle, monkeypatch):
    assert hosts.host() == "Kaggle"
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release-colab")
    assert hosts.host() == "Colab"  # it may have a folder /kaggle/input, too
    for name in ("COLAB_RELEASE_TAG", "KAGGLE_KERNEL_RUN_TYPE"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("MIXER_KAGGLE_INPUT", str(on_kaggle / "nothing"))
    assert hosts.host() == ""


def test_without_gpu_and_internet_kaggle_is_told_what_to_click(on_kaggle, monkeypatch):
    monkeypatch.setattr(hosts.provenance, "device_name", lambda: "CPU, 4 cores (some)")
    monkeypatch.setattr(hosts, "is_reachable", lambda *_: False)
    facts, gpu, internet = hosts.report().splitlines()
    assert facts.startswith("Kaggle: python ") and facts.endswith(" on CPU, 4 cores (some)")
    assert "Settings > Accelerator > GPU T4 x2" in gpu
    assert "Settings > Turn on internet" in internet and "Add Input" in internet


def test_with_a_gpu_and_the_data_attached_one_line_is_all(on_kaggle, monkeypatch):
    monkeypatch.setattr(hosts.provenance, "device_name", lambda: "2 x Tesla T4")
    monkeypatch.setattr(hosts, "is_reachable", lambda *_: False)
    folder = on_kaggle / "datasets" / "someone" / "cifar100"
    folder.mkdir(parents=True)
    for name in ("train", "test", "meta"):
        assert len(hosts.report().splitlines()) == 2
        (folder / name).write_bytes(b"")
    assert len(hosts.report().splitlines()) == 1


def test_colab_is_told_its_own_clicks(on_kaggle, monkeypatch):
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release-colab")
    monkeypatch.setattr(hosts.provenance, "device_name", lambda: "CPU, 2 cores (some)")
    assert "Runtime > Change runtime type > T4 GPU" in hosts.report()
    assert "Kaggle" not in hosts.report()


def test_a_machine_of_one_s_own_gets_no_advice(on_kaggle, monkeypatch):
    monkeypatch.setattr(hosts, "host", lambda: "")
    monkeypatch.setattr(hosts.provenance, "device_name", lambda: "CPU, 2 cores (some)")
    assert len(hosts.report().splitlines()) == 1


def test_a_package_that_is_too_old_is_refused_with_what_to_click(on_kaggle, monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: {"keras": "2.9.0"}.get(name, "99.0"))
    with pytest.raises(ImportError, match="keras 2.9.0 .2.15 or newer.*Always use latest environment"):
        requirements.check_versions()
    monkeypatch.setattr(importlib.metadata, "version", lambda name: {"keras": "2.15.0"}.get(name, "99.0"))
    requirements.check_versions()


def test_the_oldest_versions_are_those_of_the_package():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    listed = ast.literal_eval(re.search(r"^dependencies = (\[.*?\])", text, re.S | re.M)[1])
    assert dict(entry.split(">=") for entry in listed) == requirements.OLDEST


def test_a_name_that_no_server_knows_is_no_internet(monkeypatch):
    assert hosts.is_reachable("localhost")
    assert not hosts.is_reachable("no-such-name.invalid")
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: time.sleep(1) or ["an address"])
    assert not hosts.is_reachable("slow.invalid", 0.05)


# interrupted hosts


def saved_run(folder, epochs, **identity):
    folder.mkdir(parents=True)
    identity = {"keras": keras.__version__, "backend": keras.backend.backend(), "seed": 0, **identity}
    state = {name: None for name in STATE} | {"identity": identity, "history": [{}] * epochs}
    (folder / "checkpoint.npz").write_bytes(pack_checkpoint(state, {"weights": np.full(99, epochs)}))
    (folder / "history.csv").write_text("epoch\n" + "".join(f"{epoch}\n" for epoch in range(epochs)))


def weights_in(folder):
    return int(np.load(folder / "checkpoint.npz")["weights"][0])


def test_of_several_earlier_runs_the_furthest_is_taken(on_kaggle, tmp_path):
    for session, epochs in (("one", 3), ("two", 7), ("three", 5)):
        saved_run(on_kaggle / session / "runs" / "wanted", epochs)
    saved_run(on_kaggle / "four" / "runs" / "other", 9)
    assert hosts.resume_from_inputs(tmp_path / "runs" / "wanted") == 7
    assert weights_in(tmp_path / "runs" / "wanted") == 7
    assert (tmp_path / "runs" / "wanted" / "history.csv").read_text().splitlines()[1:] == list("0123456")


def test_a_damaged_run_among_the_inputs_is_told_and_the_next_one_is_taken(on_kaggle, tmp_path, capsys):
    saved_run(on_kaggle / "one" / "runs" / "wanted", 3)
    saved_run(on_kaggle / "two" / "runs" / "wanted", 7)
    damaged = on_kaggle / "two" / "runs" / "wanted" / "checkpoint.npz"
    content = bytearray(damaged.read_bytes())
    content[content.index(b"weights") + 200] ^= 255
    damaged.write_bytes(content)
    assert hosts.resume_from_inputs(tmp_path / "runs" / "wanted") == 3
    assert f"{damaged.parent} is not continued: its checkpoint is damaged" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"seed": 1}, "a run with seed = 1, and 0 was requested"),
        ({"keras": "2.0.0"}, "a run with keras = '2.0.0'"),
        ({"recipe": {"learning_rate": 9.0}}, "a run with recipe = "),
        ({"config": {"hidden_dim": 7}}, "a run with config = "),
    ],
)
def test_a_run_that_training_would_refuse_is_told_and_left_where_it_is(on_kaggle, tmp_path, capsys, found, said):
    saved_run(on_kaggle / "one" / "runs" / "wanted", 3, **found)
    wanted = {"config": mixer_lib.PRESETS["article"], "recipe": mixer_lib.RECIPES["article"], "seed": 0}
    wanted = {name: value for name, value in wanted.items() if name in found}
    for _ in range(2):  # and it is no endless loop
        assert hosts.resume_from_inputs(tmp_path / "runs" / "wanted", **wanted) == 0
        assert said in capsys.readouterr().out
    assert not (tmp_path / "runs").exists()


def test_a_real_run_of_the_article_is_what_the_chapter_asks_for(on_kaggle, tmp_path):
    """The number of classes is that of the data, not the preset's."""
    config, recipe = mixer_lib.PRESETS["article"], mixer_lib.RECIPES["article"]
    identity = {"config": dataclasses.asdict(dataclasses.replace(config.model, num_classes=10))}  # as `train` writes it
    saved_run(on_kaggle / "one" / "runs" / "wanted", 3, **identity, recipe=dataclasses.asdict(recipe))
    assert hosts.resume_from_inputs(tmp_path / "runs" / "wanted", config=config, recipe=recipe, seed=0) == 3


def test_a_run_that_a_reader_removed_is_not_brought_along_again(on_kaggle, tmp_path, capsys):
    """That is what training's refusals advise: it must lead to a run that starts anew."""
    saved_run(on_kaggle / "one" / "runs" / "wanted", 3)
    assert hosts.resume_from_inputs(tmp_path / "runs" / "wanted") == 3
    shutil.rmtree(tmp_path / "runs" / "wanted")
    assert hosts.resume_from_inputs(tmp_path / "runs" / "wanted") == 0
    assert "not used again: the run starts from epoch 1" in capsys.readouterr().out


def test_a_run_of_this_session_is_never_replaced(on_kaggle, tmp_path):
    saved_run(on_kaggle / "one" / "runs" / "wanted", 7)
    saved_run(tmp_path / "runs" / "wanted", 2)
    assert hosts.resume_from_inputs(tmp_path / "runs" / "wanted") == 0
    assert weights_in(tmp_path / "runs" / "wanted") == 2


def test_without_an_earlier_run_nothing_is_said_or_written(on_kaggle, tmp_path, capsys):
    (on_kaggle / "one" / "runs" / "wanted").mkdir(parents=True)  # a folder of the name, without a checkpoint
    assert hosts.resume_from_inputs(tmp_path / "runs" / "wanted") == 0
    assert capsys.readouterr().out == ""
    assert not (tmp_path / "runs").exists()
