"""A batch in two halves at once: the step of the whole batch, with random draws of each half's own."""

import dataclasses

import keras
import numpy as np
import pytest
from small_runs import QUICK, TINY, small_digits, weights_of, without_seconds

from mixer_lib import Augment, adamw, build_classifier, compat, train
from mixer_lib.models.family import FAMILY
from mixer_lib.speedups import data_parallel
from mixer_lib.speedups.devices import Execution

if not compat.KERAS_3:
    pytest.skip("only on Keras 3", allow_module_level=True)
if compat.backend_name() != "tensorflow":
    pytest.skip("only on TensorFlow", allow_module_level=True)

import tensorflow as tf


def compiled(config):
    model = Execution().speed_up(build_classifier(config, small_digits().x_train))
    model.compile(adamw(0.005, 0.0), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def test_padding_an_odd_batch_leaves_its_means_as_they_are():
    images, labels, weights = data_parallel.pad_batch(np.ones((5, 2, 2, 3), "uint8"), np.arange(5), parts=2)
    assert images.shape == (6, 2, 2, 3) and labels.tolist() == [0, 1, 2, 3, 4, 0]
    assert weights.tolist() == pytest.approx([0.2] * 5 + [0])


def test_halves_train_to_the_weights_and_figures_of_whole_batches_also_where_the_last_is_odd(tmp_path, monkeypatch):
    monkeypatch.setattr(Augment, "call", lambda self, images, training=None: images)
    sizes, halves_step = [], data_parallel.halves_step

    def noted(model):
        step = halves_step(model)
        return lambda images, labels: sizes.append(len(images)) or step(images, labels)

    monkeypatch.setattr(data_parallel, "halves_step", noted)
    quiet = dataclasses.replace(TINY, dropout=0.0)
    data = small_digits(70)  # 63 to train on: the last of four steps has 15 images
    for name, xla in (("whole", False), ("halves", True)):
        assert not sizes
        train(quiet, data, tmp_path / name, epochs=2, seed=1, recipe=QUICK, jit_compile=xla)
    assert sizes == [16, 16, 16, 15] * 2
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    assert 0 < max(np.abs(a - b).max() for a, b in zip(weights_of(whole), weights_of(halves), strict=True)) < 1e-5
    for row, other in zip(without_seconds(whole), without_seconds(halves), strict=True):
        for key in ("loss", "top1", "top5", "val_loss", "val_top1", "lr"):
            assert float(row[key]) == pytest.approx(float(other[key]), rel=1e-4), key


def test_a_cut_of_the_learning_rate_counts_from_the_next_step_on():
    model = compiled(TINY)
    step, data = data_parallel.halves_step(model), small_digits()
    weights = [model.get_weights()]
    for rate in (0.005, 0.0):
        model.optimizer.learning_rate = rate
        step(data.x_train[:16], data.y_train[:16])
        weights.append(model.get_weights())
    assert any(not np.array_equal(a, b) for a, b in zip(weights[0], weights[1], strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(weights[1], weights[2], strict=True))


def test_each_half_and_each_step_draws_keys_of_its_own_and_the_same_again():
    """Always the same images: with the same dropout masks and augmentation, they would have the same loss."""
    parts, data = data_parallel._Parts(compiled(dataclasses.replace(TINY, dropout=0.5))), small_digits()
    states = [np.asarray(state) for state in parts.states]

    def losses():
        batch = data.x_train[:8], data.y_train[:8], np.full(8, 1 / 16, "float32")
        return [float(parts.gradients(part, *batch)[1]["loss"]) for part in (0, 1)]

    first = losses()
    assert all(np.array_equal(a, b) for a, b in zip(states, parts.states, strict=True))  # both halves read them
    parts.advance()
    second = losses()
    assert len({*first, *second}) == 4
    for state, value in zip(parts.states, states, strict=True):
        state.assign(value)
    assert losses() == first


@pytest.mark.parametrize("faster", [True, False])
def test_no_layer_draws_more_keys_in_a_step_than_are_reserved_for_it(faster):
    config = dataclasses.replace(TINY, stochastic_depth=0.1, num_blocks=2)
    model = build_classifier(config, augment=Augment(shift=2))
    model = Execution().speed_up(model) if faster else model
    states = [generator.state for generator in compat.seed_generators(model)]
    with keras.StatelessScope(state_mapping=[(state, state + 0) for state in states]) as scope:
        model(np.zeros((2, 8, 8, 3), "uint8"), training=True)
    drawn = [int((scope.get_current_value(state) - state)[1]) for state in states]
    assert len(drawn) == 2 + 4 * 2 and 0 < max(drawn) <= data_parallel.KEYS_PER_STEP


def steps_of(monkeypatch, **options):
    """Which kind of step an `Execution` makes."""
    for kind in ("halves_step", "devices_step"):
        monkeypatch.setattr(data_parallel, kind, lambda *arguments, kind=kind: kind)
    monkeypatch.setattr(compat, "train_step", lambda model: "whole batches")
    return Execution(steps=1, **options).train_step(build_classifier(TINY))


def test_halves_are_for_one_cpu_a_compiled_step_and_float32(monkeypatch):
    assert steps_of(monkeypatch, jit_compile=True) == "halves_step"
    assert steps_of(monkeypatch, jit_compile=False) == "whole batches"
    assert steps_of(monkeypatch, jit_compile=True, precision="mixed_bfloat16") == "whole batches"
    with monkeypatch.context() as patch:
        patch.setattr(compat, "backend_name", lambda: "jax")
        assert steps_of(patch, jit_compile=True) == "whole batches"
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind=None: ["GPU:0"])
    assert steps_of(monkeypatch, jit_compile=True) == "whole batches"


def test_the_steps_of_long_epochs_are_compiled_and_those_of_short_ones_are_not():
    assert Execution(steps=352).identity == {"xla": True, "precision": "float32", "devices": 1}
    assert Execution(steps=99).identity == {"xla": False, "precision": "float32", "devices": 1}


def test_convolutions_are_left_to_tensorflow_unless_xla_is_asked_for():
    for name, config in FAMILY.items():
        by_default = Execution(steps=352, config=config)
        assert by_default.jit_compile is (name not in ("convmixer", "cnn")), name
    assert Execution(jit_compile=True, steps=352, config=FAMILY["cnn"]).jit_compile
