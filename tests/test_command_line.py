"""`python -m mixer_lib train`: one recorded run, or one line that says what was wrong."""

import os
import subprocess
import sys

import pytest
from quiet import said

import mixer_lib
from mixer_lib import RunResult
from mixer_lib.__main__ import main


@pytest.fixture(autouse=True)
def own_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MIXER_DATA", raising=False)


def card(**changes):
    fields = dict.fromkeys(RunResult.__dataclass_fields__, 0)
    return RunResult(**{**fields, "top1": 0.4843, "top5": 0.7804, "epochs_run": 57, "best_epoch": 46, **changes})


@pytest.fixture
def calls(monkeypatch):
    """What `train` was called with, in place of training."""
    seen = []

    def recorded(*arguments, **options):
        seen.append((arguments, options))
        return card()

    monkeypatch.setattr(mixer_lib, "train", recorded)
    return seen


def test_it_trains_what_it_is_asked_for_and_prints_one_line_of_results(calls, capsys):
    main(["train", "--dataset", "digits", "--epochs", "5", "--seed", "3"])
    ((preset, dataset, run_dir, epochs, seed), options) = calls[0]
    assert (preset, dataset.name, epochs, seed) == ("article", "digits", 5, 3)
    assert run_dir == os.path.join("runs", "digits-article-seed3")
    assert options["command"] == "python -m mixer_lib train --preset article --dataset digits --epochs 5 --seed 3"
    shown = capsys.readouterr().out
    assert shown.count("\n") == 1
    assert all(part in shown for part in ("top-1 48.43%", "top-5 78.04%", "57 epochs", "best: 46", run_dir))


def test_the_run_folder_may_be_named(calls):
    main(["train", "--dataset", "digits", "--run-dir", "here"])
    assert calls[0][0][2] == "here"


def refusal(capsys, arguments):
    with pytest.raises(SystemExit) as end:
        main(arguments.split())
    if isinstance(end.value.code, str):
        return end.value.code  # Python prints it on stderr and exits with 1
    assert end.value.code not in (0, None)
    return capsys.readouterr().err.removesuffix("\n")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ("train --dataset digits --epochs 0", ("epochs", "0")),
        ("train --dataset digits --epochs many", ("--epochs", "'many'")),
        ("train --dataset digits --epochs 2.5", ("--epochs", "'2.5'")),
        ("train --dataset digits --seed -1", ("seed", "-1")),
        ("train --dataset digits --seed x", ("--seed", "'x'")),
        ("train --dataset imagenet", ("imagenet", "cifar100", "digits")),
        ("train --preset mixer-q --dataset digits", ("mixer-q", "article")),
        ("train --preset mixer-b/16 --dataset digits", ("image_size=224", "32")),
        ("train --dataset cifar100 --data nowhere", ("nowhere",)),
        ("train --colour red", ("--colour",)),
        ("test", ("test", "train")),
        ("", ("verb",)),
    ],
)
def test_a_bad_value_ends_with_one_line_that_names_it(capsys, arguments, parts):
    line = refusal(capsys, arguments)
    assert line.startswith("error: ")
    assert "\n" not in line
    assert all(part in line for part in parts), line
    assert os.listdir() == []


def test_bad_epochs_are_refused_before_the_data_are_looked_for(capsys, monkeypatch):
    monkeypatch.setattr(mixer_lib, "load_dataset", lambda *arguments: pytest.fail("data were looked for"))
    assert "epochs" in refusal(capsys, "train --epochs 0")
    assert "seed" in refusal(capsys, "train --seed -1")


def test_a_run_that_diverges_ends_with_its_message(capsys, monkeypatch):
    def diverges(*arguments, **options):
        raise FloatingPointError("The loss became nan in epoch 2.")

    monkeypatch.setattr(mixer_lib, "train", diverges)
    assert refusal(capsys, "train --dataset digits") == "error: The loss became nan in epoch 2."


def test_stopping_by_hand_says_how_to_go_on(capsys, monkeypatch):
    def stopped(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(mixer_lib, "train", stopped)
    assert "The same command goes on from the last finished epoch." in refusal(capsys, "train --dataset digits")


def test_as_a_program_it_exits_non_zero_with_one_line_on_stderr(root):
    command = [sys.executable, "-m", "mixer_lib", "train", "--dataset", "digits", "--epochs", "0"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(root)})
    assert done.returncode != 0
    assert done.stdout == ""
    (line,) = said(done.stderr)
    assert line.startswith("error: epochs must be a whole number of at least 1")
