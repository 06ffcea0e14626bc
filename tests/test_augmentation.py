"""Augmentation: the results of Keras's and TensorFlow's own transforms, from draws that are even and independent."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_models import random_table

from mixer_lib import Augment, augmentation


def transformed_by_tensorflow(images, tall, wide, down=0.0, right=0.0):
    """The operation that Keras's RandomZoom calls, on given factors and shifts."""
    height, width = images.shape[1:3]
    zero = np.zeros_like(tall)
    across, along = (width - 1) / 2 * (1 - wide) + right, (height - 1) / 2 * (1 - tall) + down
    matrix = [wide, zero, across, zero, tall, along, zero, zero]
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=np.stack(matrix, axis=1).astype("float32"),
        output_shape=[height, width],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="REFLECT",
    ).numpy()


def augmented(monkeypatch, images, tall, wide, coins, *shifts, mirror=True):
    """The images after augmentation by these draws."""
    draws = iter([tall, wide, coins, *shifts])
    monkeypatch.setattr(augmentation, "uniform", lambda *shape, **options: tf.constant(next(draws), "float32"))
    result = np.asarray(Augment(0.2, shift=4 if shifts else 0, mirror=mirror)(images, training=True))
    assert list(draws) == []
    return result


@pytest.mark.parametrize("shape", [(64, 32, 32, 3), (64, 9, 14, 2)])
def test_augmentation_equals_flip_and_then_zoom_of_keras(monkeypatch, shape):
    draw = np.random.default_rng(5)
    images = draw.uniform(-2, 2, shape).astype("float32")
    tall, wide = draw.uniform(0.8, 1.2, (2, len(images))).astype("float32")
    coins = draw.uniform(0, 1, len(images)).astype("float32")
    flipped = np.where(coins[:, None, None, None] < 0.5, images[:, :, ::-1], images)
    expected = transformed_by_tensorflow(flipped, tall, wide)
    assert np.abs(augmented(monkeypatch, images, tall, wide, coins) - expected).max() < 1e-4


@pytest.mark.parametrize("mirror", [True, False])
def test_a_zoom_by_one_is_the_image_itself_or_where_mirroring_is_on_its_mirror_image(monkeypatch, mirror):
    images, one = random_table(2, 8, 8, 3), np.ones(2, "float32")
    result = augmented(monkeypatch, images, one, one, np.float32([0.9, 0.1]), mirror=mirror)
    assert np.allclose(result[0], images[0], atol=1e-5)
    assert np.allclose(result[1], images[1, :, ::-1] if mirror else images[1], atol=1e-5)


def test_a_shift_by_whole_pixels_fills_in_the_mirrored_image(monkeypatch):
    images, one = random_table(81, 8, 10, 3), np.ones(81, "float32")
    down, right = (grid.ravel() for grid in np.meshgrid(np.arange(-4, 5), np.arange(-4, 5)))
    result = augmented(monkeypatch, images, one, one, one, down.astype("float32"), right.astype("float32"))
    padded = np.pad(images, ((0, 0), (4, 4), (4, 4), (0, 0)), "symmetric")
    for i, (y, x) in enumerate(zip(down, right, strict=True)):
        assert np.abs(result[i] - padded[i, 4 + y :, 4 + x :][:8, :10]).max() < 1e-5, (y, x)


@pytest.mark.parametrize("shape", [(64, 32, 32, 3), (64, 9, 14, 2)])
@pytest.mark.parametrize("zoom", [0, 0.2])
def test_a_shift_equals_a_translation_by_tensorflow_s_own_transform(monkeypatch, shape, zoom):
    draw = np.random.default_rng(6)
    images = draw.uniform(-2, 2, shape).astype("float32")
    tall, wide = draw.uniform(1 - zoom, 1 + zoom, (2, len(images))).astype("float32")
    down, right = draw.uniform(-4, 4, (2, len(images))).astype("float32")
    expected = transformed_by_tensorflow(images, tall, wide, down, right)
    result = augmented(monkeypatch, images, tall, wide, np.ones(len(images)), down, right)
    assert np.abs(result - expected).max() < 1e-4


def draws_of(layer, monkeypatch):
    """All that a layer draws for 4,000 images."""
    keras.utils.set_random_seed(3)
    drawn, uniform = [], augmentation.uniform

    def recorded(*shape, **options):
        drawn.append(uniform(*shape, **options))
        return drawn[-1]

    monkeypatch.setattr(augmentation, "uniform", recorded)
    layer(np.zeros((4000, 2, 2, 1), "float32"), training=True)
    return [np.asarray(values) for values in drawn]


def test_factors_and_shifts_are_drawn_evenly_for_each_axis_and_half_of_the_images_are_mirrored(monkeypatch):
    tall, wide, coins, down, right = draws_of(Augment(0.2, shift=4), monkeypatch)
    for draws, low, high in ((tall, 0.8, 1.2), (wide, 0.8, 1.2), (down, -4, 4), (right, -4, 4)):
        margin = (high - low) / 400
        assert low <= draws.min() < low + margin and high - margin < draws.max() <= high
        counts = np.histogram(draws, bins=10, range=(low, high))[0]
        assert np.abs(counts - 400).max() < 5 * np.sqrt(400)
    for one, other in ((tall, wide), (down, right), (down, tall), (right, wide)):
        assert abs(np.corrcoef(one, other)[0, 1]) < 5 / np.sqrt(4000)
    assert abs((coins < 0.5).mean() - 0.5) < 4 * 0.5 / np.sqrt(4000)


def test_without_shift_none_is_drawn(monkeypatch):
    assert len(draws_of(Augment(0.2), monkeypatch)) == 3  # so the article's masks stay what they were


def test_augmentation_differs_from_call_to_call():
    images, layer = random_table(4, 8, 8, 3), Augment(0.2)
    first, second = (np.asarray(layer(images, training=True)) for _ in range(2))
    assert np.abs(first - second).max() > 0.1


@pytest.mark.parametrize("options", [{}, {"training": False}, {"training": None}])
def test_without_training_the_images_are_returned_as_they_are(options):
    images = random_table(4, 8, 8, 3)
    assert np.array_equal(np.asarray(Augment(0.2, shift=2)(images, **options)), images)
