"""`python -m mixer_lib train`: one recorded run, or one line that says what was wrong."""

import dataclasses
import os
import runpy
import sys

import numpy as np
import pytest

import mixer_lib
from mixer_lib import PRESETS, RECIPES, RunResult, load_dataset
from mixer_lib.__main__ import main
from mixer_lib.models.family import FAMILY
from mixer_lib.runs.interrupts import Terminated


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
    ((config, dataset, run_dir, epochs, seed, recipe), options) = calls[0]
    assert (config, recipe) == (dataclasses.replace(PRESETS["article"].model, num_classes=10), RECIPES["article"])
    assert (options["name"], dataset.name, epochs, seed) == ("article", "digits", 5, 3)
    assert run_dir == os.path.join("runs", "digits-article-seed3")
    assert options["command"] == "python -m mixer_lib train --dataset digits --epochs 5 --seed 3"
    shown = capsys.readouterr().out
    assert shown.count("\n") == 1
    assert all(part in shown for part in ("top-1 48.43%", "top-5 78.04%", "57 epochs", "best: 46", run_dir))


def test_whatever_changes_the_run_is_passed_on_and_stands_in_its_command(calls):
    words = "--preset article-plus --run-dir here --no-jit-compile --precision mixed_bfloat16 --devices 2"
    main(["train", "--dataset", "digits", *words.split()])
    (arguments, options) = calls[0]
    assert (arguments[0].dropout, arguments[2], arguments[5]) == (0.1, "here", RECIPES["article-plus"])
    command = f"python -m mixer_lib train --dataset digits {words}"
    machine = {"jit_compile": False, "precision": "mixed_bfloat16", "devices": 2}
    assert options == {**machine, "name": "article-plus", "command": command}


def test_recipe_and_fields_of_recipe_and_model_are_set_by_name(calls):
    words = "--recipe article-plus --set hidden_dim=64 --set stop_patience=none --set mirror=false --set shift=2"
    main(["train", "--dataset", "digits", *words.split()])
    ((config, _, run_dir, *_, recipe), options) = calls[0]
    assert config == dataclasses.replace(PRESETS["article"].model, num_classes=10, hidden_dim=64)
    changed = {"stop_patience": None, "mirror": False, "shift": 2.0}
    assert recipe == dataclasses.replace(RECIPES["article-plus"], **changed)
    name = "article-article-plus-hidden_dim=64-stop_patience=none-mirror=false-shift=2"
    assert (options["name"], run_dir) == (name, os.path.join("runs", f"digits-{name}-seed0"))


def test_a_model_of_another_family_is_trained_under_the_name_given(calls):
    main(["train", "--dataset", "digits", "--preset", "vit", "--set", "mlp_dim=48", "--name", "slim"])
    ((config, _, run_dir, *_), options) = calls[0]
    assert config == dataclasses.replace(FAMILY["vit"], num_classes=10, mlp_dim=48)
    assert (options["name"], run_dir) == ("slim", os.path.join("runs", "digits-slim-seed0"))


def test_without_the_test_set_the_validation_pictures_stand_in_for_it(calls):
    main(["train", "--dataset", "digits", "--no-test"])
    ((_, data, *_), _), whole = calls[0], load_dataset("digits")
    (images, labels), (held_out, held_out_labels) = whole.validation_split()
    assert data.name == "digits-validation" and data.fingerprint != whole.fingerprint
    assert np.array_equal(data.x_test, held_out) and np.array_equal(data.y_test, held_out_labels)
    assert np.array_equal(data.validation_split()[0][0], images)


def test_a_share_of_the_training_pictures_leaves_those_to_validate_and_test_as_they_are(calls):
    for share in ("0.1", "0.3"):
        main(["train", "--dataset", "digits", "--share", share])
    (tenth, third), whole = (call[0][1] for call in calls), load_dataset("digits")
    names = [options["name"] for _, options in calls]
    assert names == ["article-share=0.1", "article-share=0.3"]  # nor is the run folder that of all the data
    (images, labels), held_out = whole.validation_split()
    for data, share in ((tenth, 0.1), (third, 0.3)):
        (kept, _), validation = data.validation_split()
        assert len(kept) == int(share * len(images)) and data.fingerprint != whole.fingerprint
        assert all(np.array_equal(*pair) for pair in zip(validation, held_out, strict=True))
        assert np.array_equal(data.x_test, whole.x_test)
    where = {image.tobytes(): label for image, label in zip(images, labels, strict=True)}
    drawn = [(image.tobytes(), label) for image, label in zip(*third.validation_split()[0], strict=True)]
    assert all(where[image] == label for image, label in drawn)
    smaller = {image.tobytes() for image in tenth.validation_split()[0][0]}
    assert smaller < {image for image, _ in drawn}  # the larger share has the smaller in it, and more


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
        ("train --dataset digits --epochs 2.5", ("--epochs", "'2.5'")),
        ("train --dataset imagenet", ("imagenet", "cifar100", "digits")),
        ("train --preset mixer-b/16 --dataset digits", ("image_size=224", "32")),
        ("train --dataset cifar100 --data nowhere", ("nowhere",)),
        ("train --preset artikel --dataset digits", ("'artikel'", "article-plus", "gmlp")),
        ("train --recipe slow --dataset digits", ("no recipe 'slow'", "article-plus")),
        ("train --set depth=3 --dataset digits", ("no field 'depth'", "learning_rate", "num_blocks")),
        ("train --set num_classes=3 --dataset digits", ("no field 'num_classes'",)),
        ("train --share 0 --dataset digits", ("share=0.0", "leaves none to train on", "0.1")),
        ("train --share 30 --dataset digits", ("share must be a fraction from 0 to 1", "30")),
        ("train --set shift --dataset digits", ("FIELD=VALUE", "'shift'")),
        ("train --set learning_rate=fast --dataset digits", ("learning_rate must be above 0", "'fast'")),
        ("train --set hidden_dim=2.5 --dataset digits", ("hidden_dim must be a whole number", "2.5")),
        ("train --set schedule=2 --dataset digits", ("schedule must be text", "2")),
        ("train --precision half --dataset digits", ("'half'", "mixed_float16")),
        ("train --colour red", ("--colour",)),
        ("test", ("test", "train")),
        ("", ("command",)),
    ],
)
def test_a_bad_value_ends_with_one_line_that_names_it(capsys, arguments, parts):
    line = refusal(capsys, arguments)
    assert line.startswith("error: ")
    assert "\n" not in line
    assert all(part in line for part in parts), line
    assert os.listdir() == []


def test_a_run_that_diverges_ends_with_its_message(capsys, monkeypatch):
    def diverges(*arguments, **options):
        raise FloatingPointError("The loss became nan in epoch 2.")

    monkeypatch.setattr(mixer_lib, "train", diverges)
    assert refusal(capsys, "train --dataset digits") == "error: The loss became nan in epoch 2."


@pytest.mark.parametrize(
    ("stop", "code", "line"),
    [
        (KeyboardInterrupt("3 of 5 epochs are finished."), 130, "3 of 5 epochs are finished."),
        (KeyboardInterrupt(), 130, "Stopped."),
        (Terminated(), 143, "Stopped."),
    ],
)
def test_a_run_that_is_stopped_says_how_to_continue_and_ends_with_the_code_of_its_signal(
    capsys, monkeypatch, stop, code, line
):
    def stopped(*arguments, **options):
        raise stop

    monkeypatch.setattr(mixer_lib, "train", stopped)
    with pytest.raises(SystemExit) as end:
        main(["train", "--dataset", "digits"])
    assert end.value.code == code
    assert f"{line} The same command continues." in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore:.*mixer_lib.__main__.*:RuntimeWarning")
def test_as_a_program_it_does_the_same(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["mixer_lib", "train", "--dataset", "digits", "--epochs", "0"])
    with pytest.raises(SystemExit, match="^error: epochs must be a whole number of at least 1"):
        runpy.run_module("mixer_lib", run_name="__main__")
