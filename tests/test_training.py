"""Training: what a run writes, how it continues, how the learning rate falls, when it stops and what it refuses."""

import dataclasses
import functools
import json
import math

import keras
import numpy as np
import pytest
from small_runs import (
    NO_PROGRESS,
    QUICK,
    TINY,
    contents,
    forbid_steps,
    history_of,
    outcome,
    replace_step,
    small_digits,
)

from mixer_lib import (
    PRESETS,
    RECIPES,
    Dataset,
    MixerConfig,
    Recipe,
    RunResult,
    build_classifier,
    compat,
    evaluate,
    multiply_adds,
    train,
    training,
)
from mixer_lib.runs import progress
from mixer_lib.runs.checkpoint import HISTORY
from mixer_lib.runs.folder import RunFolder
from mixer_lib.runs.state import TrainingState, validation_callbacks


@pytest.fixture(scope="module")
def digits():
    return small_digits()


# --- what a run writes ----------------------------------------------------------------------------


REQUESTED = {"seed": 1, "recipe": QUICK, "command": "make a-run"}
step_values = []  # what the steps of `finished` returned


@pytest.fixture(scope="module")
def finished(digits, tmp_path_factory):
    """A run of two epochs without XLA, and its card."""

    def watched(images, labels, step):
        step_values.append(step(images, labels))
        return step_values[-1]

    run_dir = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        replace_step(patch, lambda model, step: functools.partial(watched, step=step))
        return run_dir, train(TINY, digits, run_dir, epochs=2, **REQUESTED)


def test_a_run_leaves_card_history_weights_and_one_checkpoint(finished):
    assert set(contents(finished[0])) == {"card.json", "history.csv", "best.weights.h5", "checkpoint.npz", "ranks.npy"}


def test_the_card_has_the_fields_that_tables_and_tests_rely_on(finished):
    promised = """preset config dataset data_fingerprint seed epochs_asked epochs_run best_epoch
    val_top1 val_top5 top1 top5 top1_last top5_last parameters macs seconds_total seconds_per_epoch
    device versions command commit started"""
    card = json.loads((finished[0] / "card.json").read_text())
    assert set(card) == set(promised.split()) | {"recipe", "weights_sha256", "format", "class_names"}


def test_the_card_says_what_was_run(finished, digits):
    run_dir, card = finished
    assert RunResult.load(run_dir / "card.json") == card
    assert (card.preset, card.dataset, card.seed, card.command) == ("custom", "digits", 1, "make a-run")
    assert (card.epochs_asked, card.epochs_run) == (2, 2)
    assert MixerConfig(**card.config) == TINY
    assert Recipe(**card.recipe) == QUICK
    assert card.data_fingerprint == digits.fingerprint
    assert card.macs == multiply_adds(TINY)
    assert card.parameters == sum(int(np.prod(w.shape)) for w in build_classifier(TINY).trainable_weights)
    assert card.versions["keras"] == keras.__version__
    assert (card.versions["xla"], card.versions["precision"], card.versions["devices"]) == (False, "float32", 1)
    assert card.device and card.started.endswith("+00:00")


def test_the_history_has_one_row_per_epoch_and_the_loss_falls(finished):
    rows = history_of(finished[0])
    assert ",".join(rows[0]) == "epoch,seconds,lr,loss,top1,top5,val_loss,val_top1,val_top5"
    assert [row["epoch"] for row in rows] == ["1", "2"]
    for row in rows:
        assert float(row["lr"]) == pytest.approx(0.005)
        assert 0 <= float(row["top1"]) <= float(row["top5"]) <= 1
        assert 0 <= float(row["val_top1"]) <= float(row["val_top5"]) <= 1
    assert float(rows[1]["loss"]) < float(rows[0]["loss"])


def test_the_best_epoch_has_the_lowest_validation_loss_and_its_weights_are_kept(finished, digits):
    run_dir, card = finished
    losses = [float(row["val_loss"]) for row in history_of(run_dir)]
    assert card.best_epoch == 1 + int(np.argmin(losses))
    model = build_classifier(TINY)
    model.load_weights(run_dir / "best.weights.h5")
    validated = evaluate(model, *digits.validation_split()[1])
    assert validated["loss"] == pytest.approx(min(losses), rel=1e-5)
    assert (validated["top1"], validated["top5"]) == (card.val_top1, card.val_top5)
    tested = evaluate(model, digits.x_test, digits.y_test)
    assert (tested["top1"], tested["top5"]) == (card.top1, card.top5)


def test_a_finished_run_called_again_trains_no_more_and_gives_the_same_card(finished, digits, monkeypatch):
    run_dir, card = finished
    before = history_of(run_dir)
    (run_dir / "history.csv").unlink()  # as if killed between the checkpoint and the history
    forbid_steps(monkeypatch)
    assert train(TINY, digits, run_dir, epochs=2, **REQUESTED) == card
    assert history_of(run_dir) == before


# --- what `train` makes of its arguments ----------------------------------------------------------


@pytest.fixture
def request_of(monkeypatch, tmp_path):
    """A function: the `RunRequest` that a call of `train` stands for."""

    def request_of(config, dataset, **others):
        seen = []

        def stop_here(*fields):
            seen.extend(fields)
            raise InterruptedError

        monkeypatch.setattr(training, "RunRequest", stop_here)
        with pytest.raises(InterruptedError):
            train(config, dataset, tmp_path, **others)
        name, config, recipe, *_ = seen
        return name, config, recipe

    return request_of


@pytest.mark.parametrize("name", ["article", "article-plus", "article-best"])
def test_a_preset_brings_its_recipe_and_takes_the_number_of_classes_from_the_data(request_of, digits, name):
    expected = name, dataclasses.replace(PRESETS[name].model, num_classes=10), RECIPES[name]
    assert request_of(name, digits) == request_of(PRESETS[name], digits) == expected
    assert request_of(name, digits, recipe=QUICK, name="mine") == ("mine", expected[1], QUICK)


def test_a_config_of_ones_own_is_trained_by_the_article_s_recipe(request_of, digits):
    assert request_of(TINY, digits) == ("custom", TINY, RECIPES["article"])


# --- the loop -------------------------------------------------------------------------------------


def test_the_loss_of_an_epoch_is_the_mean_over_its_images(tmp_path):
    # Images of one colour look the same mirrored and zoomed, and so small a step leaves the weights alone: training
    # must report what evaluation finds on the same images, though the last batch is smaller.
    draw = np.random.default_rng(0)
    colours = np.broadcast_to(draw.integers(0, 256, (60, 1, 1, 3)), (60, 8, 8, 3)).astype("uint8")
    labels = draw.integers(0, 10, 60)
    labels[40:] = 0
    data = Dataset("colours", colours, labels, colours[:5], labels[:5], tuple("0123456789"))
    config = dataclasses.replace(TINY, dropout=0.0)
    train(config, data, tmp_path, epochs=1, recipe=Recipe(learning_rate=1e-12, weight_decay=0.0, batch_size=16))
    model = build_classifier(config)
    model.load_weights(tmp_path / "best.weights.h5")
    expected, row = evaluate(model, *data.validation_split()[0]), history_of(tmp_path)[0]
    assert float(row["loss"]) == pytest.approx(expected["loss"], abs=1e-4)
    assert float(row["top1"]) == pytest.approx(expected["top1"], abs=1e-6)
    assert float(row["top5"]) == pytest.approx(expected["top5"], abs=1e-6)


def test_every_image_is_trained_on_once_per_epoch_in_an_order_that_changes(monkeypatch, digits, tmp_path):
    batches = []

    def recorded(images, labels):
        batches.append(images)
        return NO_PROGRESS

    replace_step(monkeypatch, lambda model, step: recorded)
    train(TINY, digits, tmp_path, epochs=2, recipe=QUICK)
    assert [len(batch) for batch in batches] == [16, 16, 16, 6] * 2
    first, second = np.concatenate(batches[:4]), np.concatenate(batches[4:])
    (x, _), _ = digits.validation_split()
    assert not np.array_equal(first, second)
    for epoch in (first, second):
        assert sorted(image.tobytes() for image in epoch) == sorted(image.tobytes() for image in x)


def test_losses_stay_on_the_device_for_32_steps_or_until_the_epoch_ends():
    class OnDevice(float):
        fetched = 0

        def __float__(self):
            OnDevice.fetched += 1
            return super().__float__()

    means = progress.EpochMeans(1, QUICK)
    for step in range(progress.FETCH_EVERY + 3):
        means.add({"loss": OnDevice(step), "acc": OnDevice(0.5), "top5-acc": OnDevice(1.0)}, 16)
        assert bool(OnDevice.fetched) == (step >= 31)
    assert means.result() == pytest.approx({"loss": 17.0, "top1": 0.5, "top5": 1.0})


@pytest.mark.skipif(not compat.KERAS_3, reason="only on Keras 3")
@pytest.mark.skipif(compat.backend_name() != "tensorflow", reason="only on TensorFlow")
def test_a_step_on_tensorflow_leaves_its_values_on_the_device(finished):
    import tensorflow as tf

    assert len(step_values) == 2 * 4
    for values in step_values:
        assert set(values) == {"loss", "acc", "top5-acc"}
        assert all(isinstance(value, tf.Tensor) for value in values.values())


def test_a_recipe_s_augmentation_is_that_of_the_model_that_trains(digits, tmp_path, monkeypatch):
    found = []

    def make_step(model, step):
        found.append(model.get_layer("augment"))
        return lambda images, labels: NO_PROGRESS

    replace_step(monkeypatch, make_step)
    card = train(TINY, digits, tmp_path, epochs=1, recipe=Recipe(batch_size=16, mirror=False, zoom=0.1, shift=4))
    assert (found[0].mirror, found[0].zoom, found[0].shift) == (False, 0.1, 4.0)
    assert (card.recipe["mirror"], card.recipe["zoom"], card.recipe["shift"]) == (False, 0.1, 4.0)


# --- how it continues -----------------------------------------------------------------------------


def test_a_longer_run_starts_as_the_shorter_one_and_continues_from_it_to_the_last_bit(finished, digits, tmp_path):
    assert train(TINY, digits, tmp_path, epochs=1, **REQUESTED).epochs_run == 1
    assert len(history_of(tmp_path)) == 1
    assert train(TINY, digits, tmp_path, epochs=2, **REQUESTED).epochs_asked == 2
    assert outcome(tmp_path) == outcome(finished[0])


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"seed": 5}, "seed = 1, and 5 was requested"),
        ({"config": dataclasses.replace(TINY, dropout=0.1)}, "config"),
        ({"recipe": Recipe(batch_size=8)}, "recipe"),
        ({"recipe": dataclasses.replace(QUICK, zoom=0.1)}, "recipe"),
        ({"dataset": small_digits(train_count=70)}, "data_fingerprint"),
        ({"jit_compile": True}, "xla"),
    ],
    ids=["seed", "config", "recipe", "augmentation", "data", "xla"],
)
def test_a_folder_with_another_run_is_refused_and_left_as_it_was(finished, digits, change, field):
    run_dir, _ = finished
    before = contents(run_dir)
    requested = {"config": TINY, "dataset": digits, "epochs": 3, "seed": 1, "recipe": QUICK, **change}
    with pytest.raises(ValueError, match=f"holds a run with {field}.*Name another run_dir") as refusal:
        train(run_dir=run_dir, **requested)
    assert str(run_dir) in str(refusal.value)
    assert contents(run_dir) == before


# --- schedules, early stops and divergence --------------------------------------------------------


def make_state(folder, recipe=RECIPES["article"]):
    """The state of a run, whose epochs a test makes up."""
    model = build_classifier(TINY)
    model.compile(recipe.make_optimizer(), "mse")
    return TrainingState(model, validation_callbacks(recipe), RunFolder(folder), {"seed": 0})


@pytest.fixture
def state(tmp_path):
    return make_state(tmp_path)


def rate_after(state, epoch, val_loss):
    row = dict.fromkeys(HISTORY, 0.5) | {"epoch": epoch, "val_loss": val_loss}
    state.end_epoch(row, state.model.get_weights())
    return state.learning_rate


def test_the_rate_is_halved_after_5_epochs_without_a_better_one_and_training_stops_after_10(state):
    rates = [rate_after(state, 1, 1.0)]
    while not state.stopped and len(rates) < 30:
        rates.append(rate_after(state, len(rates) + 1, 2.0))
    assert rates == pytest.approx([0.005] * 5 + [0.0025] * 5 + [0.00125])
    assert (state.best_epoch, state.best_loss) == (1, 1.0)


def test_a_better_epoch_starts_the_count_anew(state):
    losses = [1.0, 2, 2, 2, 2, 0.9, 2, 2, 2, 2, 2]
    rates = [rate_after(state, epoch, loss) for epoch, loss in enumerate(losses, 1)]
    assert rates == pytest.approx([0.005] * 10 + [0.0025])
    assert state.best_epoch == 6 and not state.stopped


def test_the_counts_continue_where_a_stopped_run_left_them(state, tmp_path):
    for epoch, loss in enumerate([1.0, 2, 2, 2, 2], 1):
        rate_after(state, epoch, loss)
    resumed = make_state(tmp_path)
    resumed.resume(epochs=5)
    rates = [rate_after(resumed, epoch, 2.0) for epoch in range(6, 12)]
    assert rates == pytest.approx([0.0025] * 5 + [0.00125])
    assert resumed.stopped and resumed.best_epoch == 1


@pytest.mark.parametrize("decay_follows_lr", [False, True], ids=["the article's AdamW", "Keras's own AdamW"])
def test_the_optimizer_s_state_is_kept_on_disk(tmp_path, decay_follows_lr):
    recipe = Recipe(decay_follows_lr=decay_follows_lr)
    state, draw = make_state(tmp_path, recipe), np.random.default_rng(0)
    for variable in compat.optimizer_variables(state.model):
        dtype = np.dtype(getattr(variable.dtype, "name", variable.dtype))
        variable.assign(draw.integers(1, 100, variable.shape).astype(dtype))
    kept = [np.array(variable) for variable in compat.optimizer_variables(state.model)]
    rate_after(state, 1, 1.0)
    resumed = make_state(tmp_path, recipe)
    resumed.resume(epochs=1)
    found = compat.optimizer_variables(resumed.model)
    assert len(found) >= 2 * len(state.model.trainable_variables)
    assert all(np.array_equal(a, b) for a, b in zip(found, kept, strict=True))


def test_the_weights_of_the_best_epoch_are_kept_and_not_those_of_the_last(state):
    weights = state.model.get_weights()
    for epoch, loss in ((1, 1.0), (2, 2.0)):
        state.model.set_weights([w * 0 + epoch for w in weights])
        rate_after(state, epoch, loss)
    assert all(np.all(w == 1) for w in state.best_weights)


def test_without_a_stop_patience_no_run_stops_early(tmp_path):
    state = make_state(tmp_path, Recipe(stop_patience=None))
    for epoch in range(1, 25):
        rate_after(state, epoch, float(epoch))
    assert not state.stopped


def test_a_cosine_takes_the_learning_rate_to_zero_along_half_a_wave(digits, tmp_path, monkeypatch):
    rates = []

    def make_step(model, step):
        def recorded(images, labels):
            rates.append(float(np.asarray(model.optimizer.learning_rate)))
            return NO_PROGRESS

        return recorded

    replace_step(monkeypatch, make_step)
    train(TINY, digits, tmp_path, epochs=2, recipe=Recipe(batch_size=16, schedule="cosine", stop_patience=None))
    assert rates == pytest.approx([0.0025 * (1 + math.cos(math.pi * step / 8)) for step in range(8)], rel=1e-5)
    assert [float(row["lr"]) for row in history_of(tmp_path)] == pytest.approx([0.005, 0.0025])


def test_a_run_that_diverges_names_the_step_and_keeps_the_last_finished_epoch(digits, tmp_path, monkeypatch):
    losses = iter([1.0] * 5 + [math.nan] * 3)
    replace_step(monkeypatch, lambda model, step: lambda images, labels: {**NO_PROGRESS, "loss": next(losses)})
    with pytest.raises(FloatingPointError, match=r"nan in epoch 2, step 2.*Lower the learning rate.*0.005"):
        train(TINY, digits, tmp_path, epochs=3, recipe=QUICK)
    assert len(history_of(tmp_path)) == 1
    assert (tmp_path / "checkpoint.npz").exists()


@pytest.mark.parametrize("factor", [np.nan, 1e4], ids=["to NaN", "to a loss that is finite and huge"])
def test_weights_that_break_in_the_last_step_are_noticed_too(digits, tmp_path, monkeypatch, factor):
    def make_step(model, step):
        def breaks(images, labels):
            model.set_weights([w * factor for w in model.get_weights()])
            return NO_PROGRESS

        return breaks

    replace_step(monkeypatch, make_step)
    with pytest.raises(FloatingPointError, match=r"validation loss became .* in epoch 1.*it was 0.005.* to 0.0005"):
        train(TINY, digits, tmp_path, epochs=1, recipe=Recipe(batch_size=60))
    assert not (tmp_path / "card.json").exists()


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


@pytest.mark.parametrize(
    ("config", "recipe", "message"),
    [
        (dataclasses.replace(TINY, num_classes=7), QUICK, "num_classes=7, but digits has 10 classes"),
        (dataclasses.replace(TINY, image_size=32), QUICK, r"image_size=32, but digits has pictures of \(8, 8\)"),
        (TINY, Recipe(shift=4.5), r"shift=4.5, but pictures of \(8, 8\) move by half a side at most"),
        ("mixer-q", QUICK, "'mixer-q'.*article.*mixer-b/16"),
        (TINY, "article", "recipe must be a Recipe.*Received: 'article'"),
    ],
)
def test_what_does_not_go_together_is_refused_before_any_work(digits, tmp_path, config, recipe, message):
    with pytest.raises(ValueError, match=message):
        train(config, digits, tmp_path / "run", recipe=recipe)
    assert not (tmp_path / "run").exists()


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
        ("mirror", 1),
        ("zoom", 1.0),
        ("shift", -1),
        ("shift", None),
    ],
)
def test_a_recipe_refuses_a_bad_value_by_field_and_value(field, value):
    with pytest.raises(ValueError, match=f"^{field} must be .*Received: {value!r}"):
        Recipe(**{field: value})


@pytest.mark.parametrize(
    ("classes", "jit_compile"),
    [(2, False), *(pytest.param(*values, marks=pytest.mark.kills) for values in ((4, None), (2, True)))],
)
def test_fewer_than_five_classes_train_and_their_top_5_is_one(classes, jit_compile, digits, tmp_path):
    few = {"y_train": digits.y_train % classes, "y_test": digits.y_test % classes, "class_names": range(classes)}
    few = dataclasses.replace(digits, name="few", fingerprint="", **few)
    config = dataclasses.replace(TINY, num_classes=classes)
    card = train(config, few, tmp_path, 1, recipe=QUICK, jit_compile=jit_compile)
    assert (card.top5, card.val_top5, float(history_of(tmp_path)[0]["top5"])) == (1, 1, pytest.approx(1, abs=1e-6))
