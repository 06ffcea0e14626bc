"""Training: what a run writes, how it goes on after being stopped, when it cuts, stops and refuses."""

import csv
import dataclasses
import json
import math
import os
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest

from mixer_lib import (
    RECIPES,
    Dataset,
    MixerConfig,
    Recipe,
    RunResult,
    build_classifier,
    checkpoints,
    evaluate,
    load_dataset,
    multiply_adds,
    train,
    training,
    worlds,
)
from mixer_lib.baselines import GmlpConfig, VitConfig
from mixer_lib.evaluation import logits_of, scores
from mixer_lib.run_folder import RunFolder

TINY = MixerConfig(
    image_size=8,
    patch_size=4,
    num_blocks=1,
    hidden_dim=8,
    tokens_mlp_dim=4,
    channels_mlp_dim=8,
    num_classes=10,
)
QUICK = Recipe(batch_size=16)


def small_digits(train_count=60, test_count=30):
    """Digits of 8x8 pixels: 54 of the 60 to train on (the last of four steps has 6), 6 to validate."""
    whole = load_dataset("digits")
    return Dataset(
        name="digits",
        x_train=whole.x_train[:train_count, ::4, ::4],
        y_train=whole.y_train[:train_count],
        x_test=whole.x_test[:test_count, ::4, ::4],
        y_test=whole.y_test[:test_count],
        class_names=whole.class_names,
    )


@pytest.fixture(scope="module")
def digits():
    return small_digits()


def history_of(run_dir):
    with open(run_dir / "history.csv", newline="") as file:
        return list(csv.DictReader(file))


def without_seconds(run_dir):
    return [{key: value for key, value in row.items() if key != "seconds"} for row in history_of(run_dir)]


def weights_of(run_dir):
    model = build_classifier(TINY)
    model.load_weights(run_dir / "best.weights.h5")
    return model.get_weights()


# --- what a run writes ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(digits, tmp_path_factory):
    """A run of three epochs without XLA, and its card."""
    run_dir = tmp_path_factory.mktemp("finished")
    return run_dir, train(TINY, digits, run_dir, epochs=3, seed=1, recipe=QUICK, command="make a-run")


def test_a_run_leaves_card_history_weights_and_checkpoint(finished):
    assert {path.name for path in finished[0].iterdir()} == {
        "card.json",
        "history.csv",
        "best.weights.h5",
        "checkpoint.npz",
    }


def test_the_card_has_the_fields_that_tables_and_tests_rely_on(finished):
    promised = """preset config dataset data_fingerprint seed epochs_asked epochs_run best_epoch
    val_top1 val_top5 top1 top5 top1_last top5_last parameters macs seconds_total seconds_per_epoch
    device versions command commit started"""
    promised = set(promised.split())
    card = json.loads((finished[0] / "card.json").read_text())
    assert promised <= set(card)
    assert set(card) - promised == {"recipe", "weights_sha256", "format"}


def test_the_card_says_what_was_run(finished, digits):
    run_dir, card = finished
    assert RunResult.load(run_dir / "card.json") == card
    assert (card.preset, card.dataset, card.seed, card.command) == ("custom", "digits", 1, "make a-run")
    assert (card.epochs_asked, card.epochs_run) == (3, 3)
    assert MixerConfig(**card.config) == TINY
    assert Recipe(**card.recipe) == QUICK
    assert card.data_fingerprint == digits.fingerprint
    assert card.macs == multiply_adds(TINY)
    assert card.parameters == sum(int(np.prod(w.shape)) for w in build_classifier(TINY).trainable_weights)
    assert card.versions["keras"] == keras.__version__
    assert card.device and card.started.endswith("+00:00")


def test_the_history_has_one_row_an_epoch_with_the_agreed_columns(finished):
    rows = history_of(finished[0])
    columns = "epoch,seconds,lr,loss,top1,top5,val_loss,val_top1,val_top5"
    assert ",".join(rows[0]) == columns
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert all(float(row["lr"]) == pytest.approx(0.005) for row in rows)
    for row in rows:
        assert 0 <= float(row["top1"]) <= float(row["top5"]) <= 1
        assert 0 <= float(row["val_top1"]) <= float(row["val_top5"]) <= 1


def test_the_best_epoch_is_the_one_of_lowest_validation_loss_and_its_weights_are_kept(finished, digits):
    run_dir, card = finished
    losses = [float(row["val_loss"]) for row in history_of(run_dir)]
    assert card.best_epoch == 1 + int(np.argmin(losses))
    model = build_classifier(TINY)
    model.load_weights(run_dir / "best.weights.h5")
    _, (x_val, y_val) = digits.validation_split()
    judged = evaluate(model, x_val, y_val)
    assert judged["loss"] == pytest.approx(min(losses), rel=1e-5)
    assert (judged["top1"], judged["top5"]) == (card.val_top1, card.val_top5)
    tested = evaluate(model, digits.x_test, digits.y_test)
    assert (tested["top1"], tested["top5"]) == (card.top1, card.top5)


def test_training_lowers_the_loss(finished):
    rows = history_of(finished[0])
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])


def test_a_finished_run_called_again_trains_no_more_and_gives_the_same_card(finished, digits, monkeypatch):
    run_dir, card = finished
    before = history_of(run_dir)
    (run_dir / "history.csv").unlink()  # as if killed between the checkpoint and the history

    def no_step(*arguments):
        raise AssertionError("a step was trained")

    monkeypatch.setattr(worlds, "train_on_batch", no_step)
    again = train(TINY, digits, run_dir, epochs=3, seed=1, recipe=QUICK, command="make a-run")
    assert again == card
    assert history_of(run_dir) == before
    assert os.listdir(run_dir).count("best.weights.h5") == 1


def test_a_preset_takes_the_number_of_classes_from_the_data(monkeypatch, digits, tmp_path):
    seen = {}

    def stop_here(config, dataset, *others):
        seen["config"] = config
        raise InterruptedError

    monkeypatch.setattr(training, "_check", stop_here)
    with pytest.raises(InterruptedError):
        train("article", digits, tmp_path)
    assert seen["config"] == MixerConfig(num_classes=10)


def test_the_loss_of_an_epoch_is_the_mean_over_its_images(tmp_path):
    # Pictures of one colour look the same flipped and zoomed, and so small a step leaves the weights alone:
    # what training reports must be what testing finds on the same images, though the last batch is smaller.
    draw = np.random.default_rng(0)
    colours = np.broadcast_to(draw.integers(0, 256, (60, 1, 1, 3)), (60, 8, 8, 3)).astype("uint8")
    labels = draw.integers(0, 10, 60)
    labels[40:] = 0
    data = Dataset("colours", colours, labels, colours[:5], labels[:5], tuple("0123456789"))
    config = dataclasses.replace(TINY, dropout=0.0)
    recipe = Recipe(learning_rate=1e-12, weight_decay=0.0, batch_size=16)
    train(config, data, tmp_path, epochs=1, recipe=recipe)
    model = build_classifier(config)
    model.load_weights(tmp_path / "best.weights.h5")
    (x, y), _ = data.validation_split()
    expected, row = scores(logits_of(model, x), y), history_of(tmp_path)[0]
    assert float(row["loss"]) == pytest.approx(expected["loss"], abs=1e-4)
    assert float(row["top1"]) == pytest.approx(expected["top1"], abs=1e-6)
    assert float(row["top5"]) == pytest.approx(expected["top5"], abs=1e-6)


def test_every_image_is_trained_on_once_an_epoch_in_an_order_that_changes(monkeypatch, digits, tmp_path):
    batches = []

    def recorded(model, images, labels):
        batches.append(images)
        return {"loss": 1.0, "acc": 0.0, "top5-acc": 0.0}

    monkeypatch.setattr(worlds, "train_on_batch", recorded)
    train(TINY, digits, tmp_path, epochs=2, recipe=QUICK)
    assert [len(batch) for batch in batches] == [16, 16, 16, 6] * 2
    first, second = np.concatenate(batches[:4]), np.concatenate(batches[4:])
    (x, _), _ = digits.validation_split()
    assert not np.array_equal(first, second)
    for epoch in (first, second):
        assert sorted(image.tobytes() for image in epoch) == sorted(image.tobytes() for image in x)


# --- going on -------------------------------------------------------------------------------------


XLA = {"epochs": 4, "seed": 2, "recipe": QUICK, "jit_compile": True}


@pytest.fixture(scope="module")
def uninterrupted(digits, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("uninterrupted")
    train(TINY, digits, run_dir, **XLA)
    return run_dir


def assert_same_run(run_dir, other):
    assert without_seconds(run_dir) == without_seconds(other)
    for one, two in zip(weights_of(run_dir), weights_of(other), strict=True):
        assert np.array_equal(one, two)
    cards = [RunResult.load(folder / "card.json") for folder in (run_dir, other)]
    assert cards[0].top1_last == cards[1].top1_last


def test_a_run_stopped_within_an_epoch_goes_on_to_the_very_same_end(uninterrupted, digits, tmp_path, monkeypatch):
    step, count = worlds.train_on_batch, iter(range(10**6))

    def stops_in_the_third_epoch(*arguments):
        if next(count) == 2 * 4 + 2:
            raise KeyboardInterrupt
        return step(*arguments)

    monkeypatch.setattr(worlds, "train_on_batch", stops_in_the_third_epoch)
    with pytest.raises(KeyboardInterrupt):
        train(TINY, digits, tmp_path, **XLA)
    assert len(history_of(tmp_path)) == 2
    assert not (tmp_path / "card.json").exists()
    monkeypatch.undo()
    train(TINY, digits, tmp_path, **XLA)
    assert_same_run(tmp_path, uninterrupted)


KILLED = """
import sys, time
sys.path.insert(0, {tests!r})
from test_training import TINY, XLA, small_digits, train, worlds
step, steps = worlds.train_on_batch, iter(range(100))
def stands_still(*arguments):
    if next(steps) == 6:  # in the second epoch
        print("here", flush=True)
        time.sleep(600)
    return step(*arguments)
worlds.train_on_batch = stands_still
train(TINY, small_digits(), {run_dir!r}, **XLA)
"""


def test_a_run_killed_outright_goes_on_to_the_same_end(uninterrupted, digits, tmp_path):
    script = KILLED.format(tests=os.path.dirname(__file__), run_dir=str(tmp_path / "run"))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen(
        [sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout.readline() == "here\n"
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert len(history_of(tmp_path / "run")) == 1
    train(TINY, digits, tmp_path / "run", **XLA)
    assert_same_run(tmp_path / "run", uninterrupted)


def test_a_longer_run_starts_as_the_shorter_one_and_goes_on_from_it(finished, digits, tmp_path):
    train(TINY, digits, tmp_path, epochs=1, seed=1, recipe=QUICK)
    assert len(history_of(tmp_path)) == 1
    card = train(TINY, digits, tmp_path, epochs=2, seed=1, recipe=QUICK)
    assert (card.epochs_asked, card.epochs_run) == (2, 2)
    for row, other in zip(history_of(tmp_path), history_of(finished[0]), strict=False):
        assert float(row["val_loss"]) == pytest.approx(float(other["val_loss"]), rel=1e-3)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"seed": 5}, "seed = 1, and 5 was asked for"),
        ({"config": dataclasses.replace(TINY, dropout=0.1)}, "config"),
        ({"recipe": Recipe(batch_size=8)}, "recipe"),
        ({"dataset": small_digits(train_count=70)}, "data_fingerprint"),
        ({"jit_compile": True}, "xla"),
    ],
    ids=["seed", "config", "recipe", "data", "xla"],
)
def test_a_folder_with_another_run_is_refused_and_left_as_it_was(finished, digits, change, field):
    run_dir, _ = finished
    before = {path.name: path.read_bytes() for path in run_dir.iterdir()}
    asked = {"config": TINY, "dataset": digits, "epochs": 3, "seed": 1, "recipe": QUICK, **change}
    with pytest.raises(ValueError, match=f"holds a run with {field}.*Name another run_dir") as refusal:
        train(run_dir=run_dir, **asked)
    assert str(run_dir) in str(refusal.value)
    assert {path.name: path.read_bytes() for path in run_dir.iterdir()} == before


# --- cuts, stops and breakdowns -------------------------------------------------------------------


@pytest.fixture
def run(tmp_path):
    """A run of the article's recipe, whose epochs a test makes up."""
    model = build_classifier(TINY)
    recipe = RECIPES["article"]
    model.compile(recipe.optimizer(), "mse")
    return checkpoints.Run(model, recipe, RunFolder(tmp_path), {"seed": 0})


def rate_after(run, epoch, val_loss):
    row = dict.fromkeys(checkpoints.HISTORY, 0.5) | {"epoch": epoch, "val_loss": val_loss}
    run.end_epoch(row)
    return float(np.asarray(run.model.optimizer.learning_rate))


def test_the_learning_rate_is_halved_after_5_epochs_without_a_better_one_and_training_stops_after_10(run):
    rates = [rate_after(run, 1, 1.0)]
    while not run.stopped and len(rates) < 30:
        rates.append(rate_after(run, len(rates) + 1, 2.0))
    assert rates == pytest.approx([0.005] * 5 + [0.0025] * 5 + [0.00125])
    assert len(rates) == 11
    assert (run.best_epoch, run.best_loss) == (1, 1.0)


def test_a_better_epoch_starts_the_count_anew(run):
    losses = [1.0, 2, 2, 2, 2, 0.9, 2, 2, 2, 2, 2]
    rates = [rate_after(run, epoch, loss) for epoch, loss in enumerate(losses, 1)]
    assert rates == pytest.approx([0.005] * 10 + [0.0025])
    assert run.best_epoch == 6 and not run.stopped


def test_the_counts_go_on_where_a_stopped_run_left_them(run, tmp_path):
    for epoch, loss in enumerate([1.0, 2, 2, 2, 2], 1):
        rate_after(run, epoch, loss)
    model = build_classifier(TINY)
    model.compile(run.recipe.optimizer(), "mse")
    resumed = checkpoints.Run(model, run.recipe, RunFolder(tmp_path), {"seed": 0})
    resumed.resume(epochs=5)
    rates = [rate_after(resumed, epoch, 2.0) for epoch in range(6, 12)]
    assert rates == pytest.approx([0.0025] * 5 + [0.00125])
    assert resumed.stopped and resumed.best_epoch == 1


def test_the_weights_of_the_best_epoch_are_kept_and_not_those_of_the_last(run):
    weights = run.model.get_weights()
    run.model.set_weights([w * 0 + 1 for w in weights])
    rate_after(run, 1, 1.0)
    run.model.set_weights([w * 0 + 2 for w in weights])
    rate_after(run, 2, 2.0)
    assert all(np.all(w == 1) for w in run.best)


def test_a_diverging_run_says_so_and_keeps_the_last_finished_epoch(digits, tmp_path, monkeypatch):
    step, count = worlds.train_on_batch, iter(range(10**6))

    def diverges_in_the_second_epoch(*arguments):
        found = step(*arguments)
        return {**found, "loss": float("nan")} if next(count) == 4 + 1 else found

    monkeypatch.setattr(worlds, "train_on_batch", diverges_in_the_second_epoch)
    with pytest.raises(FloatingPointError, match=r"nan in epoch 2, step 2.*Lower the learning rate.*0.005"):
        train(TINY, digits, tmp_path, epochs=3, recipe=QUICK)
    assert len(history_of(tmp_path)) == 1
    assert (tmp_path / "checkpoint.npz").exists()


def test_a_learning_rate_far_too_high_ends_in_that_message_and_not_in_a_card(digits, tmp_path):
    recipe = Recipe(learning_rate=1e30, batch_size=16)
    with pytest.raises(FloatingPointError, match=r"epoch 1.*Lower the learning rate \(it was 1e\+30\)"):
        train(TINY, digits, tmp_path, epochs=1, recipe=recipe)
    assert not (tmp_path / "card.json").exists()


def test_weights_that_break_in_the_last_step_are_noticed_too(digits, tmp_path, monkeypatch):
    def breaks(model, images, labels):
        model.set_weights([w * np.nan for w in model.get_weights()])
        return {"loss": 1.0, "acc": 0.0, "top5-acc": 0.0}

    monkeypatch.setattr(worlds, "train_on_batch", breaks)
    with pytest.raises(FloatingPointError, match="epoch 1"):
        train(TINY, digits, tmp_path, epochs=1, recipe=QUICK)
    assert not (tmp_path / "card.json").exists()


def test_a_cosine_takes_the_learning_rate_to_zero_along_half_a_wave(digits, tmp_path, monkeypatch):
    rates = []

    def recorded(model, images, labels):
        rates.append(float(np.asarray(model.optimizer.learning_rate)))
        return {"loss": 1.0, "acc": 0.0, "top5-acc": 0.0}

    monkeypatch.setattr(worlds, "train_on_batch", recorded)
    recipe = Recipe(batch_size=16, schedule="cosine", stop_patience=None)
    train(TINY, digits, tmp_path, epochs=2, recipe=recipe)
    expected = [0.0025 * (1 + math.cos(math.pi * step / 8)) for step in range(8)]
    assert rates == pytest.approx(expected, rel=1e-5)
    assert [float(row["lr"]) for row in history_of(tmp_path)] == pytest.approx([0.005, 0.0025])


def test_without_a_stop_patience_no_run_stops_early(tmp_path):
    model, recipe = build_classifier(TINY), Recipe(stop_patience=None)
    model.compile(recipe.optimizer(), "mse")
    run = checkpoints.Run(model, recipe, RunFolder(tmp_path), {})
    for epoch in range(1, 25):
        rate_after(run, epoch, float(epoch))
    assert not run.stopped


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize("epochs", [0, -1, 2.0, "3", True, None])
def test_epochs_that_are_no_positive_whole_number_are_refused_before_any_work(digits, tmp_path, epochs):
    with pytest.raises(ValueError, match=f"epochs must be .*Received: {epochs!r}"):
        train(TINY, digits, tmp_path / "run", epochs=epochs)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("seed", [-1, 2**31, 0.5, "0", True, None])
def test_a_seed_that_can_not_be_one_is_refused_before_any_work(digits, tmp_path, seed):
    with pytest.raises(ValueError, match=f"seed must be .*Received: {seed!r}"):
        train(TINY, digits, tmp_path / "run", epochs=1, seed=seed)
    assert not (tmp_path / "run").exists()


def test_a_config_that_does_not_fit_the_data_is_refused(digits, tmp_path):
    with pytest.raises(ValueError, match="num_classes=7, but digits has 10 classes"):
        train(dataclasses.replace(TINY, num_classes=7), digits, tmp_path)
    with pytest.raises(ValueError, match=r"image_size=32, but digits has pictures of \(8, 8\)"):
        train(dataclasses.replace(TINY, image_size=32), digits, tmp_path)


def test_pictures_move_by_half_a_side_at_most_and_more_is_refused_before_any_work(digits, tmp_path):
    with pytest.raises(ValueError, match=r"shift=4.5, but pictures of \(8, 8\) move by half a side at most"):
        train(TINY, digits, tmp_path / "run", recipe=dataclasses.replace(QUICK, shift=4.5))
    assert not (tmp_path / "run").exists()
    train(TINY, digits, tmp_path / "run", epochs=1, recipe=dataclasses.replace(QUICK, shift=4))


def test_a_recipe_s_shift_moves_pictures_in_training_and_stands_on_the_card(finished, digits, tmp_path):
    card = train(TINY, digits, tmp_path, epochs=1, seed=1, recipe=dataclasses.replace(QUICK, shift=2))
    assert (card.recipe["shift"], finished[1].recipe["shift"]) == (2.0, 0.0)
    assert history_of(tmp_path)[0]["loss"] != history_of(finished[0])[0]["loss"]


@pytest.mark.parametrize("config", [TINY, GmlpConfig(image_size=8), VitConfig(image_size=8)])
def test_every_model_moves_its_pictures_by_what_it_is_told(config):
    assert build_classifier(config, shift=3).get_layer("augment").shift == 3
    assert build_classifier(config).get_layer("augment").shift == 0


def test_an_unknown_preset_is_refused_with_the_known_ones_named(digits, tmp_path):
    with pytest.raises(ValueError, match="'mixer-q'.*article.*mixer-b/16"):
        train("mixer-q", digits, tmp_path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("schedule", "linear"),
        ("batch_size", 0),
        ("batch_size", None),
        ("batch_size", 2.5),
        ("lr_patience", 0),
        ("lr_patience", None),
        ("stop_patience", -1),
        ("learning_rate", 0),
        ("learning_rate", float("nan")),
        ("weight_decay", -1),
        ("shift", -1),
        ("shift", None),
    ],
)
def test_a_recipe_refuses_a_bad_value_by_field_and_value(field, value):
    with pytest.raises(ValueError, match=f"^{field} must be .*Received: {value!r}"):
        Recipe(**{field: value})


def test_a_run_with_kerass_own_adamw_goes_on_too(digits, tmp_path):
    recipe = Recipe(batch_size=16, decay_follows_lr=True)
    train(TINY, digits, tmp_path, epochs=1, recipe=recipe)
    card = train(TINY, digits, tmp_path, epochs=2, recipe=recipe)
    assert card.epochs_run == 2
    assert [row["epoch"] for row in history_of(tmp_path)] == ["1", "2"]
