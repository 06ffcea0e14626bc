"""Half precision and several devices: the same training, and the same files afterwards."""

import itertools
import os

import keras
import numpy as np
import pytest
from small_runs import QUICK, TINY, history_of, outcome, replace_step, run_script, small_digits

from mixer_lib import build_classifier, compat, evaluate, train
from mixer_lib.speedups.devices import Execution

HALF = ("mixed_float16", "mixed_bfloat16")
keras_3 = pytest.mark.skipif(not compat.KERAS_3, reason="only on Keras 3")


@pytest.fixture(scope="module")
def digits():
    return small_digits(54)  # 48 to train on: three steps of one size


# --- half precision -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def runs(digits, tmp_path_factory):
    """A function: (folder, card) of a run of two epochs in a precision."""
    made = {}

    def run_in(precision):
        if precision not in made:
            run_dir = tmp_path_factory.mktemp(precision)
            card = train(TINY, digits, run_dir, epochs=2, seed=1, recipe=QUICK, precision=precision)
            made[precision] = run_dir, card
        return made[precision]

    return run_in


def model_in(precision):
    execution = Execution(precision)
    with execution.scope():
        model = execution.speed_up(build_classifier(TINY, small_digits().x_train))
        model.compile(QUICK.make_optimizer(), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


@keras_3
def test_layers_compute_in_half_precision_while_weights_and_logits_stay_float32():
    whole, images = model_in("float32"), small_digits().x_test
    for precision, most in zip(HALF, (0.02, 0.2), strict=True):
        model = model_in(precision)
        half = precision.removeprefix("mixed_")
        assert model.get_layer("embed").compute_dtype == half
        assert model.get_layer("block_0").token_mixing.hidden.compute_dtype == half
        assert {np.asarray(w).dtype.name for w in model.trainable_weights} == {"float32"}
        assert [(w.name, tuple(w.shape)) for w in model.weights] == [(w.name, tuple(w.shape)) for w in whole.weights]
        model.set_weights(whole.get_weights())
        logits = np.asarray(model(images))
        assert logits.dtype == np.float32 and not np.array_equal(logits, logits.astype("float16"))
        assert 0 < np.abs(logits - np.asarray(whole(images))).max() < most, precision


@keras_3
def test_the_precision_ends_with_the_scope_even_after_an_error():
    with pytest.raises(InterruptedError), Execution("mixed_bfloat16").scope():
        assert keras.mixed_precision.global_policy().name == "mixed_bfloat16"
        raise InterruptedError
    assert keras.mixed_precision.global_policy().name == "float32"


@keras_3
@pytest.mark.parametrize("precision", HALF)
def test_a_run_in_half_precision_follows_float32_closely_and_saves_weights_that_anyone_loads(runs, digits, precision):
    run_dir, card = runs(precision)
    assert (card.versions["precision"], card.versions["devices"]) == (precision, 1)
    rows = history_of(run_dir)
    for row, other in zip(rows, history_of(runs("float32")[0]), strict=True):
        assert float(row["loss"]) == pytest.approx(float(other["loss"]), rel=0.02)
        assert float(row["val_loss"]) == pytest.approx(float(other["val_loss"]), rel=0.02)
    model = build_classifier(TINY)
    model.load_weights(run_dir / "best.weights.h5")
    tested = evaluate(model, digits.x_test, digits.y_test)
    assert (tested["top1"], tested["top5"]) == (card.top1, card.top5)
    validated = evaluate(model, *digits.validation_split()[1])
    assert validated["loss"] == pytest.approx(float(rows[card.best_epoch - 1]["val_loss"]), rel=1e-5)


@keras_3
def test_float16_scales_its_loss_so_that_small_gradients_survive_and_the_scale_is_kept_on_disk():
    scaled, plain = model_in("mixed_float16"), model_in("float32")
    assert float(scaled.optimizer.scale_loss(np.float32(1))) > 1000
    more = len(compat.optimizer_variables(scaled)) - len(compat.optimizer_variables(plain))
    assert more >= 2  # the scale, and how many steps had finite gradients


@keras_3
def test_a_run_continues_with_the_scale_of_the_loss_that_it_had_to_the_last_bit(digits, tmp_path, monkeypatch):
    count = itertools.count()

    def make_step(model, step):
        def too_large_from_the_third_step_on(images, labels):
            if next(count) % 6 == 2:
                model.optimizer.dynamic_scale.assign(2.0**40)  # halved by each step until gradients are finite again
            return step(images, labels)

        return too_large_from_the_third_step_on

    replace_step(monkeypatch, make_step)
    requested = dict(seed=1, recipe=QUICK, precision="mixed_float16")
    train(TINY, digits, tmp_path / "whole", epochs=2, **requested)
    for epochs in (1, 2):
        train(TINY, digits, tmp_path / "parts", epochs=epochs, **requested)
    assert outcome(tmp_path / "parts") == outcome(tmp_path / "whole")


@keras_3
def test_a_run_started_in_another_precision_is_refused_both_ways(runs, digits):
    for found, requested in (("mixed_float16", "float32"), ("float32", "mixed_float16")):
        with pytest.raises(ValueError, match=f"precision = '{found}', and '{requested}' was requested"):
            train(TINY, digits, runs(found)[0], epochs=2, seed=1, recipe=QUICK, precision=requested)


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "float16"}, "precision must be one of float32, mixed_float16.*Received: 'float16'"),
        ({"precision": None}, "precision must be .*Received: None"),
        ({"devices": 0}, "devices must be a whole number of at least 1. Received: 0"),
        ({"devices": True}, "devices must be .*Received: True"),
        pytest.param(
            {"devices": 3}, r"16 images can't be shared by 3 devices.*\[1, 2, 4, 8, 16\].*multiple of 3", marks=keras_3
        ),
        pytest.param({"devices": 16}, "devices=16 was .*, and TensorFlow sees", marks=keras_3),
        pytest.param({"devices": 2, "jit_compile": True}, "jit_compile=True, devices=2", marks=keras_3),
    ],
)
def test_what_can_not_be_is_refused_before_any_work(digits, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        train(TINY, digits, tmp_path / "run", epochs=1, recipe=QUICK, **options)
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(compat.KERAS_3, reason="only on Keras 2")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "mixed_float16"}, "precision must be float32 with Keras 2.*'mixed_float16'.*Python 3.12"),
        ({"devices": 2}, "devices must be 1 with Keras 2.*Received: 2"),
    ],
)
def test_keras_2_trains_in_float32_on_one_device_and_refuses_more_in_one_sentence(digits, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        train(TINY, digits, tmp_path / "run", epochs=1, recipe=QUICK, **options)
    assert not (tmp_path / "run").exists()


# --- several devices ------------------------------------------------------------------------------

SHARED = """
import dataclasses, json, pathlib
import numpy as np
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from small_runs import QUICK, TINY, small_digits, weights_of, without_seconds
from mixer_lib import Augment, train

data = small_digits(70)  # 63 to train on: the last of four steps has 15 images, which two devices can't halve
requested = dict(seed=1, recipe=QUICK)
usual, Augment.call = Augment.call, lambda self, images, training=None: images
quiet = dataclasses.replace(TINY, dropout=0.0)
found = {"rows": [], "cards": []}
for count in (1, 2):
    card = train(quiet, data, pathlib.Path(str(count)), epochs=2, devices=count, **requested)
    found["rows"].append(without_seconds(pathlib.Path(str(count))))
    found["cards"].append([card.top1, card.top1_last, card.versions["devices"], card.versions["xla"]])
one, two = weights_of(pathlib.Path("1")), weights_of(pathlib.Path("2"))
found["apart"] = max(float(np.abs(a - b).max()) for a, b in zip(one, two, strict=True))
try:
    train(quiet, data, pathlib.Path("2"), epochs=2, **requested)
except ValueError as error:
    found["refusal"] = str(error)

Augment.call = usual
for name, epochs in (("whole", 2), ("parts", 1), ("parts", 2)):  # with dropout, and a loss scale that both share
    options = dict(epochs=epochs, devices=2, precision="mixed_float16")
    train(TINY, small_digits(54), pathlib.Path(name), **options, **requested)
    found[name] = without_seconds(pathlib.Path(name))
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return run_script(SHARED, tmp_path_factory.mktemp("shared"))


@keras_3
def test_two_devices_train_to_the_weights_and_figures_of_one_also_where_the_last_batch_is_odd(shared):
    assert 0 < shared["apart"] < 1e-5
    for row, other in zip(*shared["rows"], strict=True):
        for key in ("loss", "top1", "top5", "val_loss", "val_top1"):
            assert float(row[key]) == pytest.approx(float(other[key]), rel=1e-4), key
    one, two = shared["cards"]
    assert one[:2] == two[:2]
    assert (one[2], two[2:]) == (1, [2, False])  # devices and XLA


@keras_3
def test_a_run_started_on_two_devices_is_refused_on_one(shared):
    assert "devices = 2, and 1 was requested" in shared["refusal"]


@keras_3
def test_a_run_on_two_devices_continues_to_the_same_end_in_half_precision_with_dropout(shared):
    for row, other in zip(shared["whole"], shared["parts"], strict=True):
        assert float(row["loss"]) == pytest.approx(float(other["loss"]), rel=1e-4)
        assert float(row["val_loss"]) == pytest.approx(float(other["val_loss"]), rel=1e-4)


# --- the command line -----------------------------------------------------------------------------


def test_the_command_line_takes_precision_devices_and_a_folder_of_images(monkeypatch, tmp_path):
    import mixer_lib
    from mixer_lib.__main__ import main

    monkeypatch.chdir(tmp_path)
    draw = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for i in range(5):
            pixels = draw.integers(0, 256, (40, 40, 3)).astype("uint8")
            keras.utils.save_img(tmp_path / "pets" / name / f"{i}.png", pixels, scale=False)
    seen = {}

    def recorded(preset, dataset, run_dir, *others, **options):
        seen.update(options, dataset=dataset, run_dir=run_dir)
        raise ValueError("seen enough")

    monkeypatch.setattr(mixer_lib, "train", recorded)
    with pytest.raises(SystemExit):
        main(["train", "--dataset", "pets", "--precision", "mixed_float16", "--devices", "2", "--no-jit-compile"])
    assert (seen["precision"], seen["devices"], seen["jit_compile"]) == ("mixed_float16", 2, False)
    assert seen["dataset"].class_names == ("cat", "dog")
    assert seen["run_dir"] == os.path.join("runs", "pets-article-seed0")
    assert seen["command"].endswith("--precision mixed_float16 --devices 2 --no-jit-compile")
