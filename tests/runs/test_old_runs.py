"""Runs that the library's first version left after two epochs: this one continues them.

`old_runs/` holds their folders, and beside each what that version recorded of the same run in five epochs: k3 on Keras
3.15, k2 on Keras 2.15 with tensorflow-addons; "yes" with XLA, "none" without.
"""

import csv
import pathlib
import shutil

import keras
import pytest
from small_runs import contents, without_seconds

from mixer_lib import MixerConfig, Recipe, RunResult, build_classifier, evaluate, load_dataset, train

OLD_RUNS = pathlib.Path(__file__).parent / "old_runs"
SMALL = MixerConfig(
    patch_size=8,
    num_blocks=2,
    hidden_dim=16,
    tokens_mlp_dim=8,
    channels_mlp_dim=8,
    num_classes=10,
    stochastic_depth=0.1,
)
RECIPE = Recipe(shift=2, batch_size=100, lr_patience=1)


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits")


@pytest.fixture
def old_run(tmp_path):
    """A function: a copy of an old run's folder; skips unless this is its version of Keras."""

    def old_run(name):
        version = RunResult.load(OLD_RUNS / name / "card.json").versions["keras"].rpartition(".")[0]
        if keras.__version__.rpartition(".")[0] != version:
            pytest.skip(f"only on Keras {version}")
        return shutil.copytree(OLD_RUNS / name, tmp_path / name)

    return old_run


def continued(run_dir, digits, jit_compile):
    first_epochs = (run_dir / "history.csv").read_text().splitlines()
    card = train(SMALL, digits, run_dir, epochs=5, seed=3, recipe=RECIPE, jit_compile=jit_compile)
    assert (card.epochs_asked, card.epochs_run) == (5, 5)
    assert (run_dir / "history.csv").read_text().splitlines()[:3] == first_epochs
    return [{key: float(value) for key, value in row.items()} for row in without_seconds(run_dir)]


@pytest.mark.parametrize(
    ("name", "jit_compile"), [("k3-none", None), pytest.param("k3-yes", True, marks=pytest.mark.kills)]
)
def test_an_old_run_continues_as_it_would_have_then(old_run, digits, name, jit_compile):
    """On the machine that recorded them, all figures of training are equal to the last bit.

    Another processor rounds differently, and each step makes more of that, so later epochs are compared less closely.
    """
    rows = continued(old_run(name), digits, jit_compile)
    with open(OLD_RUNS / f"{name}-5.csv", newline="") as file:
        recorded = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
    for row, other, rounding in zip(rows, recorded, (0, 0, 1e-3, 1e-2, 5e-2), strict=True):
        assert row["lr"] == other["lr"]
        for key in ("loss", "val_loss"):
            assert row[key] == pytest.approx(other[key], rel=rounding), key
        for key in ("top1", "top5"):
            assert row[key] == pytest.approx(other[key], abs=2 * rounding), key


def test_an_old_run_of_keras_2_continues_with_dropout_masks_drawn_in_another_way(old_run, digits):
    losses = [row["loss"] for row in continued(old_run("k2-none"), digits, None)]
    assert losses == sorted(losses, reverse=True)


@pytest.mark.parametrize("name", ["k3-none", "k2-none"])
def test_an_old_run_s_weights_give_the_accuracy_on_its_card_on_every_keras(digits, name):
    card, model = RunResult.load(OLD_RUNS / name / "card.json"), build_classifier(SMALL)
    model.load_weights(OLD_RUNS / name / "best.weights.h5")
    scores = evaluate(model, digits.x_test, digits.y_test)
    assert (scores["top1"], scores["top5"]) == pytest.approx((card.top1, card.top5), abs=1.5 / len(digits.y_test))


@pytest.mark.parametrize("name", ["k3-none", "k2-none"])
def test_an_old_run_that_is_finished_gives_its_card_and_is_left_as_it_was(old_run, digits, name):
    run_dir = old_run(name)
    before = contents(run_dir)
    card = train(SMALL, digits, run_dir, epochs=2, seed=3, recipe=RECIPE)
    assert card == RunResult.load(run_dir / "card.json")
    assert contents(run_dir) == before
