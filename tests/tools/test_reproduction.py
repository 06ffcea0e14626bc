"""The command on a card asks for the same run again, wherever the run was started."""

import dataclasses
import os
import shlex
import subprocess
import sys

import pytest

import mixer_lib
from mixer_lib import PRESETS, RECIPES, ChapterSettings, RunResult, chapter_settings, choices
from mixer_lib.__main__ import main
from mixer_lib.runs.recorded import PRETRAINED
from tools.chapters import execute
from tools.maintain import ablations
from tools.maintain.record import without_paths
from tools.paths import ROOT

ARTICLE = PRESETS["article"].model
ODD = "it's $HOME & more"  # a folder's name: what a shell and make would read otherwise


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch):
    """MIXER_DATA, which tests of real data read, is for chapters too."""
    for name in [name for name in os.environ if name.startswith("MIXER_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def asked(monkeypatch):
    """What `train` and `load_dataset` were asked for: a dict for each training."""
    calls, loaded = [], []
    load_dataset = mixer_lib.load_dataset

    def load(name, data_dir=None):
        loaded.append(data_dir)
        return load_dataset("digits")

    def train(config, dataset, run_dir, epochs=100, seed=0, recipe=None, **options):
        calls.append({"config": config, "data": loaded[-1], "run_dir": str(run_dir), "epochs": epochs, "seed": seed})
        calls[-1] |= {"recipe": recipe, "jit_compile": None, "precision": "float32", "devices": 1, **options}
        return RunResult.load(PRETRAINED / "article.json")

    monkeypatch.setattr(mixer_lib, "train", train)
    for module in (mixer_lib, choices):
        monkeypatch.setattr(module, "load_dataset", load)
    return calls


@pytest.mark.parametrize(
    "settings",
    [
        ChapterSettings("full", "cifar100", None, 100, 0, os.path.join("runs", "cifar100-article-seed0")),
        ChapterSettings("fast", "digits", ODD, 3, 7, f"runs/{ODD}", True, "mixed_bfloat16", 2),
        ChapterSettings("fast", "mnist", None, 1, 1, "a b", False),
    ],
)
def test_the_command_of_chapter_5_asks_for_the_same_run(settings, asked):
    main(shlex.split(settings.command)[3:])
    (again,) = asked
    for name in ("epochs", "seed", "run_dir", "jit_compile", "precision", "devices"):
        assert again[name] == getattr(settings, name)
    assert (again["config"], again["recipe"]) == (dataclasses.replace(ARTICLE, num_classes=10), RECIPES["article"])
    assert (again["name"], again["data"]) == ("article", settings.data_dir)
    assert shlex.split(again["command"]) == shlex.split(settings.command)


def test_the_chapter_s_own_defaults_make_a_short_command():
    words = "python -m mixer_lib train --dataset digits --epochs 3 --seed 0 --run-dir runs/digits-article-seed0"
    assert chapter_settings("fast").command == words


@pytest.mark.parametrize("data_dir", [None, f"/pictures/{ODD}"])
def test_the_command_of_make_execute_asks_for_the_same_run(data_dir, asked, tmp_path):
    dataset = mixer_lib.load_dataset("digits", data_dir)
    execute.train_here(dataset, 5, 3, 2, data_dir)
    names = ("DATASET", "DATA", "EPOCHS", "SEED", "DEVICES")
    export = next(line for line in (ROOT / "Makefile").read_text(encoding="utf-8").splitlines() if "export" in line)
    show = "\n".join(f"\t@printenv {name} || echo" for name in names)
    (tmp_path / "Makefile").write_text(f"{export}\nexecute:\n{show}\n")
    bare = {name: value for name, value in os.environ.items() if name not in names and "MAKE" not in name}
    done = subprocess.run(asked[0]["command"], shell=True, cwd=tmp_path, env=bare, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["digits", data_dir or "", "5", "3", "2"], done.stderr


@pytest.mark.parametrize(
    "words", [["no-dropout"], ["gmlp", "--epochs", "2", "--seed", "5", "--data", ODD, "--runs", "a b"]]
)
def test_the_command_of_an_ablation_asks_for_the_same_run(words, asked, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["ablations", *words])
    ablations.main()
    monkeypatch.setattr(sys, "argv", shlex.split(asked[0]["command"])[2:])
    ablations.main()
    assert asked[0] == asked[1]
    assert asked[0]["data"] == (ODD if ODD in words else None)


@pytest.mark.parametrize(
    ("command", "kept"),
    [
        ("python -m mixer_lib train --data 'my pictures' --run-dir=x --seed 1", "python -m mixer_lib train --seed 1"),
        ("make execute DATASET=mnist 'DATA=/a b' SEED=1", "make execute DATASET=mnist SEED=1"),
        (
            "python -m tools.maintain.ablations gmlp --runs /x --seed 1",
            "python -m tools.maintain.ablations gmlp --seed 1",
        ),
    ],
)
def test_a_recorded_command_names_no_place_of_the_machine(command, kept):
    assert without_paths(command) == kept
