"""A trained Mixer for larger pictures: appendix C of the paper."""

import dataclasses

import numpy as np
import pytest
from small_models import TINY, TINY_PAPER, random_images, randomize

from mixer_lib import build_classifier, load_pretrained
from mixer_lib.models.enlarge import enlarge
from mixer_lib.models.gmlp import GmlpConfig
from mixer_lib.models.released import load_released, save_released


def logits(model, images):
    return np.asarray(model(images.astype("float32")))


@pytest.mark.parametrize("factor", [2, 3])
@pytest.mark.parametrize("config", [TINY, TINY_PAPER], ids=["article", "paper"])
def test_an_enlarged_mixer_gives_the_mean_of_the_parts_of_the_picture(config, factor):
    small = randomize(build_classifier(config, adapt_to=random_images(9)))
    large, larger_config = enlarge(small, config, 8 * factor)
    images = random_images(5, side=8 * factor)
    parts = images.reshape(5, factor, 8, factor, 8, 3).transpose(1, 3, 0, 2, 4, 5).reshape(-1, 5, 8, 8, 3)
    expected = np.mean([logits(small, part) for part in parts], axis=0)
    assert np.allclose(logits(large, images), expected, rtol=1e-4, atol=1e-5)
    assert (larger_config.image_size, larger_config.tokens_mlp_dim) == (8 * factor, 5 * factor**2)


def test_token_mixing_holds_copies_on_the_block_diagonal_and_zeros_elsewhere():
    small = randomize(build_classifier(TINY))
    large, _ = enlarge(small, TINY, 16)
    kernel, bias = small.get_layer("block_0").token_mixing.hidden.get_weights()
    larger, larger_bias = large.get_layer("block_0").token_mixing.hidden.get_weights()
    assert larger.shape == (64, 20) and np.count_nonzero(larger) == 4 * kernel.size
    rows = np.arange(64).reshape(8, 8)[4:, :4].reshape(-1)  # the patches of the lower left part
    assert np.array_equal(larger[rows, 10:15], kernel)
    assert np.array_equal(larger_bias, np.tile(bias, 4))


def test_weights_of_the_authors_and_published_ones_are_loaded_for_larger_pictures(tmp_path):
    small = randomize(build_classifier(TINY_PAPER))
    save_released(small, tmp_path / "small.npz")
    assert load_released(tmp_path / "small.npz", image_size=16).input_shape == (None, 16, 16, 3)
    model, card = load_pretrained("article-digits", image_size=64)
    assert model.input_shape == (None, 64, 64, 3) and card.config["image_size"] == 32


@pytest.mark.parametrize("size", [12, 4, 9])
def test_another_size_is_refused_in_one_clear_sentence(size):
    model = build_classifier(TINY)
    with pytest.raises(ValueError, match=rf"pictures of 8x8, .*Received: image_size={size}.*multiple, such as 16"):
        enlarge(model, TINY, size)
    with pytest.raises(ValueError, match="image_size must be a whole number"):
        enlarge(model, TINY, 0.5)


def test_another_kind_of_model_is_not_enlarged():
    config = GmlpConfig(image_size=8, patch_size=4, num_blocks=1, hidden_dim=8, num_classes=3, ffn_dim=8)
    with pytest.raises(ValueError, match="GmlpConfig.*A Mixer can be enlarged"):
        enlarge(build_classifier(config), config, 16)


def test_training_goes_on_from_there():
    small = randomize(build_classifier(TINY))
    large, _ = enlarge(small, TINY, 16)
    large.compile("sgd", "mse")
    before = large.get_layer("block_0").token_mixing.hidden.get_weights()[0]
    large.train_on_batch(random_images(4, side=16).astype("float32"), np.ones((4, 3)))
    after = large.get_layer("block_0").token_mixing.hidden.get_weights()[0]
    assert ((before == 0) & (after != 0)).any()  # what was zero learns too


def test_a_size_of_its_own_changes_nothing():
    model = build_classifier(TINY)
    assert enlarge(model, dataclasses.replace(TINY), 8)[0] is model
