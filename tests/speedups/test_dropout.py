"""Hashed dropout masks: as random as drawn ones, where it matters."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from mixer_lib.compat import KERAS_3

if not KERAS_3:
    pytest.skip("only on Keras 3", allow_module_level=True)

from mixer_lib.speedups.dropout import Dropout, hash_bits


def mask(layer, shape=(64, 16, 128)):
    """Where a layer zeroes its input in training."""
    return np.asarray(layer(np.ones(shape, "float32"), training=True)) == 0


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(3)


@pytest.mark.parametrize("rate", [0.05, 0.2, 0.5, 0.9])
def test_dropout_zeroes_the_given_fraction(rate):
    dropped = mask(Dropout(rate), (64, 32, 128))
    assert abs(dropped.mean() - rate) < 4 * np.sqrt(rate * (1 - rate) / dropped.size) + 2**-15


def test_dropout_keeps_the_mean_by_scaling_the_rest():
    values = np.asarray(Dropout(0.2)(np.ones((64, 32, 128), "float32"), training=True))
    assert set(np.unique(values)) == {np.float32(0), np.float32(1 / 0.8)}
    assert values.mean() == pytest.approx(1, abs=0.005)


def test_places_images_and_calls_are_independent():
    layer = Dropout(0.2)
    first, second = mask(layer), mask(layer)
    pairs = {
        "next channel": (first[:, :, :-1], first[:, :, 1:]),
        "other half of the images": (first[:32], first[32:]),
        "next row": (first[:, :-1], first[:, 1:]),
        "next image": (first[:-1], first[1:]),
        "next call": (first, second),
    }
    for name, (a, b) in pairs.items():
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 5 / np.sqrt(a.size), name
    for axes in ((0, 1), (0, 2), (1, 2)):  # no row, channel or image is dropped more than chance allows
        fractions = first.mean(axis=axes)
        expected = np.sqrt(0.16 * fractions.size / first.size)
        assert 0.5 * expected < fractions.std() < 2 * expected


def test_an_odd_number_of_images_works():
    dropped = mask(Dropout(0.2), (49, 16, 64))
    assert abs(dropped.mean() - 0.2) < 4 * np.sqrt(0.16 / dropped.size) + 2**-15
    assert dropped[-1].any() and not dropped[-1].all()


def test_outside_training_and_at_rate_0_values_stay():
    x = np.random.default_rng(0).normal(size=(4, 8, 6)).astype("float32")
    assert np.array_equal(np.asarray(Dropout(0.5)(x)), x)
    assert np.array_equal(np.asarray(Dropout(0.5)(x, training=False)), x)
    assert np.array_equal(np.asarray(Dropout(0)(x, training=True)), x)


def bits_of(numbers):
    hashed = np.asarray(hash_bits(tf.constant(numbers, "int32"))).view("uint32")
    return (hashed[:, None] >> np.arange(32, dtype="uint32")) & 1


def test_hashing_sets_every_bit_half_of_the_time():
    assert np.abs(bits_of(np.arange(2**16)).mean(axis=0) - 0.5).max() < 5 * 0.5 / 2**8


def test_hashing_flips_half_of_the_bits_when_one_bit_changes():
    numbers = np.random.default_rng(1).integers(0, 2**31 - 1, 2**14).astype("int32")
    before = bits_of(numbers)
    for bit in range(31):
        flipped = before != bits_of(numbers ^ np.int32(1 << bit))
        assert np.abs(flipped.mean(axis=0) - 0.5).max() < 0.06, bit


def test_hashing_gives_no_number_twice():
    numbers = np.arange(-(2**15), 2**15, dtype="int32")
    assert len(np.unique(np.asarray(hash_bits(tf.constant(numbers))))) == len(numbers)
