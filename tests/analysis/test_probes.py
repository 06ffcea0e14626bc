"""Looking into a model: weights as maps, reordered pictures and the weights that follow them."""

import numpy as np
import pytest
from small_models import TINY, random_images, randomize

from mixer_lib import build_classifier
from mixer_lib.analysis import probes


@pytest.fixture
def model():
    return randomize(build_classifier(TINY, adapt_to=random_images(5)))


def test_patches_go_apart_and_together_again():
    images = random_images(5, 12)
    cut = probes.to_patches(images, 3)
    assert cut.shape == (5, 16, 9, 3)
    assert np.array_equal(cut[2, 5].reshape(3, 3, 3), images[2, 3:6, 3:6])
    assert np.array_equal(probes.from_patches(cut, 12, 12), images)


def test_a_patch_comes_from_where_the_order_says():
    images = random_images(5)
    order = np.random.default_rng(2).permutation(16)
    moved = probes.to_patches(probes.reorder(images, 2, patch_order=order), 2)
    assert np.array_equal(moved, probes.to_patches(images, 2)[:, order])
    inverse = np.argsort(order)
    assert np.array_equal(probes.reorder(probes.reorder(images, 2, order), 2, inverse), images)


def test_pixels_are_reordered_within_their_patch():
    images = random_images(5)
    moved = probes.to_patches(probes.reorder(images, 2, pixel_order=[3, 0, 1, 2]), 2)
    assert np.array_equal(moved, probes.to_patches(images, 2)[:, :, [3, 0, 1, 2]])


@pytest.mark.parametrize("order", [[0, 1, 2], [0, 1, 1, 2], [1, 2, 3, 4]])
def test_an_order_that_is_none_is_refused(order):
    with pytest.raises(ValueError, match="pixel_order must hold each number from 0 to 3 once"):
        probes.reorder(random_images(5), 2, pixel_order=order)


def test_weights_that_follow_the_orders_give_the_same_logits(model):
    images = random_images(5)
    draw = np.random.default_rng(3)
    patch_order, pixel_order = draw.permutation(16), draw.permutation(4)
    before = np.asarray(model(images))
    moved = probes.reorder(images, 2, patch_order, pixel_order)
    assert np.abs(np.asarray(model(moved)) - before).max() > 1e-2
    probes.follow_orders(model, patch_order, pixel_order)
    assert np.abs(np.asarray(model(moved)) - before).max() < 1e-5
    assert np.abs(np.asarray(model(images)) - before).max() > 1e-2


def test_a_map_holds_the_weights_of_a_unit_where_its_patches_lie(model):
    maps = probes.token_maps(model, 1)
    kernel = model.get_layer("block_1").token_mixing.hidden.get_weights()[0]
    assert maps.shape == (5, 4, 4)
    assert maps[3, 1, 2] == kernel[1 * 4 + 2, 3]


@pytest.mark.parametrize("block", [2, -1, "0"])
def test_a_block_that_is_not_there_is_refused(model, block):
    with pytest.raises(ValueError, match="blocks 0 to 1"):
        probes.token_maps(model, block)


def test_a_filter_holds_the_weights_of_a_channel_where_its_pixels_lie(model):
    filters = probes.embedding_filters(model)
    kernel = model.get_layer("embed").get_weights()[0]
    assert filters.shape == (6, 2, 2, 3)
    assert filters[4, 1, 0, 2] == kernel[(1 * 2 + 0) * 3 + 2, 4]


def test_roughness_is_about_one_for_noise_and_small_for_a_slope():
    noise = np.random.default_rng(0).normal(size=(400, 8, 8))
    slope = np.add.outer(np.arange(8.0), np.arange(8.0))[None]
    board = (np.add.outer(np.arange(8), np.arange(8)) % 2)[None]
    assert abs(probes.roughness(noise).mean() - 1) < 0.02
    assert probes.roughness(slope)[0] < 0.1
    assert probes.roughness(board)[0] > 1.9


def test_a_shift_moves_the_picture_and_repeats_its_edge():
    images = random_images(5)
    moved = probes.shift_images(images, 2, -1)
    assert np.array_equal(moved[:, 2:, :-1], images[:, :-2, 1:])
    assert np.array_equal(moved[:, 0, :-1], images[:, 0, 1:])
    assert np.array_equal(moved[:, 2:, -1], images[:, :-2, -1])
    assert np.array_equal(probes.shift_images(images, 0, 0), images)


def test_the_accuracy_on_moved_pictures_is_the_mean_of_four_directions(model):
    images, labels = random_images(40), np.random.default_rng(3).integers(0, TINY.num_classes, 40)

    def right(down, across):
        moved = probes.shift_images(images, down, across)
        return np.mean(np.asarray(model(moved)).argmax(axis=1) == labels)

    assert probes.accuracy_when_moved(model, images, labels, 0) == pytest.approx(right(0, 0))
    expected = [right(3, 0), right(-3, 0), right(0, 3), right(0, -3)]
    assert len({*expected}) > 1
    assert probes.accuracy_when_moved(model, images, labels, 3) == pytest.approx(np.mean(expected))


def test_noise_has_the_given_deviation_and_stays_within_the_colours():
    grey = np.full((20, 8, 8, 3), 128, "uint8")
    found = probes.add_noise(grey, 10)
    assert found.dtype == np.uint8
    assert abs((found.astype(float) - 128).std() / 10 - 1) < 0.05
    assert np.array_equal(found, probes.add_noise(grey, 10))
    assert not np.array_equal(found, probes.add_noise(grey, 10, seed=1))
    black = probes.add_noise(np.zeros((2, 8, 8, 3), "uint8"), 50)
    assert black.min() == 0 and black.max() < 255


def test_all_pixels_can_change_places():
    images = random_images(5)
    order = np.random.default_rng(4).permutation(64)
    moved = probes.shuffle_pixels(images, order)
    assert np.array_equal(moved.reshape(5, 64, 3), images.reshape(5, 64, 3)[:, order])


@pytest.mark.parametrize("wrong", [[0] * 16, range(15), range(1, 17), np.arange(16) / 2])
def test_an_order_that_is_no_permutation_is_refused_wherever_one_is_taken(model, wrong):
    images, before = random_images(2), model.get_weights()
    small = random_images(2, side=4)
    takers = (
        lambda: probes.reorder(images, 2, patch_order=wrong),
        lambda: probes.shuffle_pixels(small, wrong),
        lambda: probes.follow_orders(model, patch_order=wrong),
    )
    for take in takers:
        with pytest.raises(ValueError, match="must hold each number from 0 to 15 once"):
            take()
    assert all(np.array_equal(one, other) for one, other in zip(model.get_weights(), before, strict=True))
