"""Half precision and several devices: the same training, and the same files afterwards."""

import itertools
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from test_training import QUICK, TINY, history_of, small_digits, without_seconds

from mixer_lib import Recipe, build_classifier, devices, train, worlds
from mixer_lib.evaluation import logits_of, scores

ROOT = os.path.dirname(os.path.dirname(__file__))
HALF = ("mixed_float16", "mixed_bfloat16")


def in_a_process(script, folder, **environment):
    """What a Python of its own prints last, as JSON; its other output must be empty."""
    places = os.pathsep.join([ROOT, os.path.dirname(__file__)])
    values = {**os.environ, "PYTHONPATH": places, **environment}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=values, cwd=folder)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


# --- half precision -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits():
    return small_digits()


@pytest.fixture(scope="module", params=HALF)
def half(request, digits, tmp_path_factory):
    """(precision, folder, card) of a run of two epochs in half precision."""
    run_dir = tmp_path_factory.mktemp(request.param)
    card = train(TINY, digits, run_dir, epochs=2, seed=1, recipe=QUICK, precision=request.param)
    return request.param, run_dir, card


def model_in(precision):
    with devices.setting(precision):
        return build_classifier(TINY, adapt_to=small_digits().x_train)


@pytest.mark.parametrize("precision", HALF)
def test_layers_compute_in_half_precision_while_weights_and_logits_stay_whole(precision):
    model = model_in(precision)
    assert model.get_layer("embed").compute_dtype == precision.removeprefix("mixed_")
    assert model.get_layer("block_0").token_mixing.hidden.compute_dtype == precision.removeprefix("mixed_")
    assert {np.asarray(w).dtype.name for w in model.trainable_weights} == {"float32"}
    images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3)).astype("uint8")
    logits = model(images)
    assert np.asarray(logits).dtype == np.float32
    assert not np.array_equal(logits, np.asarray(logits, "float16"))  # not half a number in a whole one's place


def test_half_precision_changes_the_logits_a_little_and_no_weight_s_name_or_shape():
    whole, images = model_in("float32"), small_digits().x_test
    for precision, most in zip(HALF, (0.02, 0.2), strict=True):
        model = model_in(precision)
        assert [(w.name, tuple(w.shape)) for w in model.weights] == [(w.name, tuple(w.shape)) for w in whole.weights]
        model.set_weights(whole.get_weights())
        apart = np.abs(np.asarray(model(images)) - np.asarray(whole(images))).max()
        assert 0 < apart < most, precision


def test_the_setting_ends_with_its_block_even_after_an_error():
    with pytest.raises(InterruptedError), devices.setting("mixed_bfloat16"):
        raise InterruptedError
    assert keras.mixed_precision.global_policy().name == "float32"


def test_a_run_in_half_precision_says_so_on_its_card_and_saves_float32_that_anyone_loads(half, digits):
    precision, run_dir, card = half
    assert (card.versions["precision"], card.versions["devices"]) == (precision, 1)
    model = build_classifier(TINY)
    model.load_weights(run_dir / "best.weights.h5")
    tested = scores(logits_of(model, digits.x_test), digits.y_test)
    assert (tested["top1"], tested["top5"]) == (card.top1, card.top5)
    _, (x_val, y_val) = digits.validation_split()
    row = history_of(run_dir)[card.best_epoch - 1]
    assert scores(logits_of(model, x_val), y_val)["loss"] == pytest.approx(float(row["val_loss"]), rel=1e-5)


def test_training_in_half_precision_follows_that_in_float32_closely(half, digits, tmp_path):
    train(TINY, digits, tmp_path, epochs=2, seed=1, recipe=QUICK)
    for row, other in zip(history_of(tmp_path), history_of(half[1]), strict=True):
        assert float(row["loss"]) == pytest.approx(float(other["loss"]), rel=0.02)
        assert float(row["val_loss"]) == pytest.approx(float(other["val_loss"]), rel=0.02)


def test_float16_scales_its_loss_so_that_small_gradients_survive_and_the_scale_is_kept_on_disk(tmp_path):
    with devices.setting("mixed_float16"):
        model = build_classifier(TINY)
        model.compile(QUICK.optimizer(), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    assert "LossScale" in type(model.optimizer).__name__
    assert float(worlds.scale_loss(model.optimizer, np.float32(1))) > 1000
    plain = build_classifier(TINY)
    plain.compile(QUICK.optimizer(), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    more = len(worlds.optimizer_variables(model)) - len(worlds.optimizer_variables(plain))
    assert more >= 2  # the scale, and how many steps have gone well


def assert_same_end(run_dir, other):
    """The same history and weights, to the last bit."""
    assert without_seconds(run_dir) == without_seconds(other)
    assert (run_dir / "best.weights.h5").read_bytes() == (other / "best.weights.h5").read_bytes()


def test_a_run_in_half_precision_goes_on_to_the_very_same_end(half, digits, tmp_path):
    precision, run_dir, _ = half
    for epochs in (1, 2):
        train(TINY, digits, tmp_path, epochs=epochs, seed=1, recipe=QUICK, precision=precision)
    assert_same_end(tmp_path, run_dir)


def test_a_run_goes_on_with_the_scale_of_the_loss_that_it_had(digits, tmp_path, monkeypatch):
    step, count = worlds.train_on_batch, itertools.count()

    def too_large_from_the_third_step_on(model, *batch):
        if next(count) % 8 == 2:
            scale = model.optimizer.dynamic_scale if worlds.KERAS_3 else model.optimizer._loss_scale.current_loss_scale
            scale.assign(2.0**40)  # each step halves it and does nothing else, until gradients are finite again
        return step(model, *batch)

    monkeypatch.setattr(worlds, "train_on_batch", too_large_from_the_third_step_on)
    asked = dict(seed=1, recipe=QUICK, precision="mixed_float16")
    train(TINY, digits, tmp_path / "whole", epochs=2, **asked)
    for epochs in (1, 2):
        train(TINY, digits, tmp_path / "halves", epochs=epochs, **asked)
    assert_same_end(tmp_path / "halves", tmp_path / "whole")


def test_a_run_begun_in_another_precision_is_refused_both_ways(half, digits, tmp_path):
    precision, run_dir, _ = half
    with pytest.raises(ValueError, match=f"precision = '{precision}', and 'float32' was asked for"):
        train(TINY, digits, run_dir, epochs=2, seed=1, recipe=QUICK)
    train(TINY, digits, tmp_path, epochs=1, seed=1, recipe=QUICK)
    with pytest.raises(ValueError, match=f"precision = 'float32', and '{precision}' was asked for"):
        train(TINY, digits, tmp_path, epochs=1, seed=1, recipe=QUICK, precision=precision)


def test_a_checkpoint_from_before_there_was_a_choice_counts_as_float32_on_one_device(digits, tmp_path):
    train(TINY, digits, tmp_path, epochs=1, seed=1, recipe=QUICK)
    file = tmp_path / "checkpoint.npz"
    with np.load(file, allow_pickle=False) as arrays:
        content = dict(arrays)
    state = json.loads(str(content["state"]))
    del state["identity"]["precision"], state["identity"]["devices"]
    np.savez(file, **{**content, "state": json.dumps(state)})
    assert train(TINY, digits, tmp_path, epochs=2, seed=1, recipe=QUICK).epochs_run == 2
    np.savez(file, **{**content, "state": json.dumps(state)})
    with pytest.raises(ValueError, match="precision = 'float32'"):
        train(TINY, digits, tmp_path, epochs=3, seed=1, recipe=QUICK, precision="mixed_bfloat16")


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "float16"}, "precision must be one of float32, mixed_float16.*Received: 'float16'"),
        ({"precision": None}, "precision must be .*Received: None"),
        ({"devices": 0}, "devices must be a whole number of at least 1. Received: 0"),
        ({"devices": True}, "devices must be .*Received: True"),
        ({"devices": 3}, r"16 images can't be shared by 3 devices.*\[1, 2, 4, 8, 16\].*multiple of 3"),
        ({"devices": 16}, "devices=16 was asked for, and TensorFlow sees"),
        ({"devices": 2, "jit_compile": True}, "jit_compile=True, devices=2"),
    ],
)
def test_what_can_not_be_is_refused_before_any_work(digits, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        train(TINY, digits, tmp_path / "run", epochs=1, recipe=Recipe(batch_size=16), **options)
    assert not (tmp_path / "run").exists()


# --- several devices ------------------------------------------------------------------------------

SHARED = """
import dataclasses, json, pathlib
import numpy as np
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from test_training import QUICK, TINY, small_digits, train, weights_of, without_seconds
from mixer_lib import RunResult, noise

data = small_digits(70)  # 63 to train on: the last of four steps has 15 images, which two devices can't halve
plain = noise.Augment.call
noise.Augment.call = lambda self, images, training=None: images
quiet = dataclasses.replace(TINY, dropout=0.0)
found = {"rows": [], "cards": []}
for count in (1, 2):
    card = train(quiet, data, pathlib.Path(str(count)), epochs=2, seed=1, recipe=QUICK, devices=count)
    found["rows"].append(without_seconds(pathlib.Path(str(count))))
    found["cards"].append([card.top1, card.top1_last, card.versions["devices"], card.versions["xla"]])
one, two = weights_of(pathlib.Path("1")), weights_of(pathlib.Path("2"))
found["apart"] = max(float(np.abs(a - b).max()) for a, b in zip(one, two, strict=True))
try:
    train(quiet, data, pathlib.Path("2"), epochs=2, seed=1, recipe=QUICK)
except ValueError as error:
    found["refusal"] = str(error)

noise.Augment.call = plain
for name, epochs in (("whole", 2), ("parts", 1), ("parts", 2)):
    train(TINY, data, pathlib.Path(name), epochs=epochs, seed=1, recipe=QUICK, devices=2)
    found[name] = without_seconds(pathlib.Path(name))
for name, epochs in (("half whole", 2), ("half parts", 1), ("half parts", 2)):  # with a loss scale that both share
    train(TINY, data, pathlib.Path(name), epochs=epochs, seed=1, recipe=QUICK, devices=2, precision="mixed_float16")
    found[name] = without_seconds(pathlib.Path(name))

strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    drop = noise.Dropout(0.5)
draws = strategy.run(lambda: drop(tf.ones((1, 64)), training=True)).values
found["noise differs"] = not np.array_equal(draws[0], draws[1])
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return in_a_process(SHARED, tmp_path_factory.mktemp("shared"))


def test_two_devices_train_to_the_weights_of_one_also_where_the_last_batch_is_odd(shared):
    assert 0 < shared["apart"] < 1e-5


def test_two_devices_report_the_loss_and_accuracy_of_one(shared):
    for row, other in zip(*shared["rows"], strict=True):
        for key in ("loss", "top1", "top5", "val_loss", "val_top1"):
            assert float(row[key]) == pytest.approx(float(other[key]), rel=1e-4), key


def test_the_card_counts_the_devices_and_says_that_xla_was_off(shared):
    one, two = shared["cards"]
    assert one[:2] == two[:2]
    assert (one[2], two[2:]) == (1, [2, False])


def test_a_run_begun_on_two_devices_is_refused_on_one(shared):
    assert "devices = 2, and 1 was asked for" in shared["refusal"]


@pytest.mark.parametrize("kind", ["", "half "])
def test_a_run_on_two_devices_goes_on_to_the_same_end_noise_included(shared, kind):
    for row, other in zip(shared[f"{kind}whole"], shared[f"{kind}parts"], strict=True):
        assert float(row["loss"]) == pytest.approx(float(other["loss"]), rel=1e-4)
        assert float(row["val_loss"]) == pytest.approx(float(other["val_loss"]), rel=1e-4)


def test_each_device_draws_noise_of_its_own(shared):
    assert shared["noise differs"]


# --- the command line -----------------------------------------------------------------------------


def test_the_command_line_takes_precision_devices_and_a_folder_of_pictures(monkeypatch, tmp_path):
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
    asked = "train --dataset pets --precision mixed_float16 --devices 2 --no-jit-compile"
    with pytest.raises(SystemExit):
        main(asked.split())
    assert (seen["precision"], seen["devices"], seen["jit_compile"]) == ("mixed_float16", 2, False)
    assert seen["dataset"].class_names == ("cat", "dog")
    assert seen["run_dir"] == os.path.join("runs", "pets-article-seed0")
    assert seen["command"].endswith("--seed 0 --no-jit-compile --precision mixed_float16 --devices 2")
