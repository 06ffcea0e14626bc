"""Both halves of a batch at once: the same step as the whole batch's, with noise of each half's own."""

import dataclasses

import keras
import numpy as np
import pytest
from test_training import QUICK, TINY, small_digits, weights_of, without_seconds

from mixer_lib import adamw, build_classifier, devices, halves, noise, seeds, train, worlds

QUIET = dataclasses.replace(TINY, dropout=0.0)


@pytest.fixture
def taken(monkeypatch):
    """The sizes of the batches that were taken in halves."""
    sizes, plain = [], halves.HalvesStep.__call__

    def noted(self, images, labels):
        sizes.append(len(images))
        return plain(self, images, labels)

    monkeypatch.setattr(halves.HalvesStep, "__call__", noted)
    return sizes


def compiled(config, learning_rate=0.005, weight_decay=0.0):
    model = build_classifier(config, adapt_to=small_digits().x_train)
    model.compile(
        adamw(learning_rate, weight_decay),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["acc", keras.metrics.SparseTopKCategoricalAccuracy(5, name="top5-acc")],
    )
    return model


def test_halves_train_to_the_weights_and_figures_of_whole_batches_also_where_the_last_is_odd(
    tmp_path, monkeypatch, taken
):
    monkeypatch.setattr(noise.Augment, "call", lambda self, images, training=None: images)
    data = small_digits(70)  # 63 to train on: the last of four steps has 15 images
    whole, at_once = tmp_path / "whole", tmp_path / "halves"
    train(QUIET, data, whole, epochs=2, seed=1, recipe=QUICK, jit_compile=False)
    assert not taken
    train(QUIET, data, at_once, epochs=2, seed=1, recipe=QUICK, jit_compile=True)
    assert taken == [16, 16, 16, 15] * 2
    assert 0 < max(np.abs(a - b).max() for a, b in zip(weights_of(whole), weights_of(at_once), strict=True)) < 1e-5
    for row, other in zip(without_seconds(whole), without_seconds(at_once), strict=True):
        for key in ("loss", "top1", "top5", "val_loss", "val_top1", "lr"):
            assert float(row[key]) == pytest.approx(float(other[key]), rel=1e-4), key


def test_a_cut_of_the_learning_rate_counts_from_the_next_step_on():
    model = compiled(QUIET)
    step, data = halves.HalvesStep(model), small_digits()
    first = model.get_weights()
    step(data.x_train[:16], data.y_train[:16])
    moved = model.get_weights()
    assert any(not np.array_equal(a, b) for a, b in zip(first, moved, strict=True))
    model.optimizer.learning_rate = 0.0
    step(data.x_train[:16], data.y_train[:16])
    assert all(np.array_equal(a, b) for a, b in zip(moved, model.get_weights(), strict=True))


def test_each_half_and_each_step_draws_noise_of_its_own_and_the_same_again():
    drop, ones = noise.Dropout(0.5), np.ones((4, 32), "float32")

    def drawn(part):
        with seeds.drawing_for(part):
            return np.asarray(drop(ones, training=True)), np.asarray(drop(ones, training=True))

    state = np.asarray(drop.seed_generator.state)
    before = [mask for part in (0, 1) for mask in drawn(part)]
    assert np.array_equal(state, drop.seed_generator.state)  # halves at once must not change what both read
    seeds.advance([drop.seed_generator])
    after = [mask for part in (0, 1) for mask in drawn(part)]
    masks = before + after
    assert all(not np.array_equal(a, b) for i, a in enumerate(masks) for b in masks[:i])
    drop.seed_generator.state.assign(state)
    again = [mask for part in (0, 1) for mask in drawn(part)]
    assert all(np.array_equal(a, b) for a, b in zip(before, again, strict=True))


def test_a_step_s_halves_differ_in_their_noise():
    """Twice the same images: with the same masks, both halves would have the same loss."""
    model = compiled(dataclasses.replace(TINY, dropout=0.5))
    data = small_digits()
    weights = np.full(8, 1 / 16, "float32")
    losses = []
    for part in (0, 1):
        with seeds.drawing_for(part):
            _, found = halves.part_of_a_step(model, data.x_train[:8], data.y_train[:8], weights)
        losses.append(float(found["loss"]))
    assert losses[0] != losses[1]


def test_a_layer_that_would_run_into_the_next_step_s_noise_is_refused():
    drop, ones = noise.Dropout(0.5), np.ones((1, 2), "float32")
    with pytest.raises(RuntimeError, match="more than 16 times in a step"), seeds.drawing_for(0):
        for _ in range(seeds.DRAWS_A_STEP + 1):
            drop(ones, training=True)
    assert np.asarray(drop(ones, training=True)).shape == (1, 2)  # and outside, all is as ever


def test_halves_are_for_one_cpu_a_compiled_step_and_whole_precision(monkeypatch):
    assert devices.takes_halves("float32", strategy=None, jit_compile=True)
    assert not devices.takes_halves("float32", strategy=None, jit_compile=False)
    assert not devices.takes_halves("float32", strategy=object(), jit_compile=True)
    assert not devices.takes_halves("mixed_bfloat16", strategy=None, jit_compile=True)
    with monkeypatch.context() as patch:
        patch.setattr(worlds, "backend_name", lambda: "jax")
        assert not devices.takes_halves("float32", strategy=None, jit_compile=True)
    import tensorflow as tf

    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind=None: ["GPU:0"])
    assert not devices.takes_halves("float32", strategy=None, jit_compile=True)


def test_a_process_that_only_trains_leaves_each_half_one_of_two_cores_on_tensorflow_2_15(monkeypatch):
    import tensorflow as tf

    asked = []
    monkeypatch.setattr(tf.config.threading, "set_intra_op_parallelism_threads", asked.append)
    for keras_3, cores in ((True, 2), (False, 4), (False, 1), (False, 2)):
        monkeypatch.setattr(worlds, "KERAS_3", keras_3)
        monkeypatch.setattr(devices, "cores", lambda cores=cores: cores)
        devices.share_cores()
    assert asked == [1]  # the last one's
    monkeypatch.undo()
    tf.constant(0)  # from here on TensorFlow's threads are what they are, and that is no error
    monkeypatch.setattr(worlds, "KERAS_3", False)
    monkeypatch.setattr(devices, "cores", lambda: 2)
    devices.share_cores()


def test_the_card_says_whether_batches_were_taken_in_halves(tmp_path):
    for compiled in (True, False):
        card = train(TINY, small_digits(), tmp_path / str(compiled), epochs=1, recipe=QUICK, jit_compile=compiled)
        assert card.versions["halves"] is compiled
