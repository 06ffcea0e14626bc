"""Patches, the two mixings, and what is random in them during training."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_models import gelu, mlp, norm, random_table, randomize

from mixer_lib import Augment, MixerBlock, MlpBlock, Patches
from mixer_lib.compat import Dropout, SeedGenerator


@pytest.mark.parametrize(("height", "width", "channels", "size"), [(32, 32, 3, 4), (12, 20, 1, 2), (14, 7, 5, 7)])
def test_patches_are_exactly_those_of_extract_patches(height, width, channels, size):
    images = random_table(2, height, width, channels)
    theirs = tf.image.extract_patches(images, [1, size, size, 1], [1, size, size, 1], [1, 1, 1, 1], "VALID")
    ours = np.asarray(Patches(size)(images))
    assert ours.shape == (2, height // size * (width // size), size * size * channels)
    assert np.array_equal(ours, np.reshape(theirs, ours.shape))


def test_a_patch_size_that_does_not_divide_the_image_is_refused_with_both_named():
    with pytest.raises(ValueError, match=r"32x32 .*5x5"):
        Patches(5)(random_table(1, 32, 32, 3))
    with pytest.raises(ValueError, match=r"32x30 .*4x4"):
        Patches(4)(random_table(1, 32, 30, 3))


@pytest.mark.parametrize("shared_norm", [True, False])
def test_a_mixer_block_is_equation_1_of_the_paper(shared_norm):
    x = random_table(3, 8, 6)
    block = MixerBlock(5, 9, dropout=0.3, shared_norm=shared_norm)
    found = np.asarray(block(x))
    assert found.shape == x.shape
    assert block.token_mixing.hidden.kernel.shape == (8, 5)  # the same for all channels
    assert block.channel_mixing.hidden.kernel.shape == (6, 9)  # the same for all patches
    randomize(block, scale=0.5)
    u = x + mlp(norm(x, block.token_norm).transpose(0, 2, 1), block.token_mixing).transpose(0, 2, 1)
    expected = u + mlp(norm(u, block.token_norm if shared_norm else block.channel_norm), block.channel_mixing)
    assert np.allclose(np.asarray(block(x)), expected, atol=1e-4)


def test_shared_norm_uses_one_layer_norm_for_both_mixings():
    shared, own = MixerBlock(3, 3, shared_norm=True), MixerBlock(3, 3, shared_norm=False)
    for block in (shared, own):
        block(random_table(1, 4, 6))
    assert own.count_params() - shared.count_params() == 2 * 6


def test_the_hidden_activation_is_the_tanh_gelu_and_not_the_exact_one():
    layer = MlpBlock(1)
    layer(np.zeros((1, 1, 1), "float32"))
    layer.set_weights([np.ones(w.shape, "float32") if w.ndim == 2 else np.zeros(w.shape) for w in layer.get_weights()])
    x = np.float32(2.2)  # where the two differ by about 5e-4
    found = float(np.asarray(layer(np.full((1, 1, 1), x))).item())
    assert found == pytest.approx(float(gelu(x)), abs=2e-6)
    assert abs(found - float(keras.activations.gelu(tf.constant([x]), approximate=False)[0])) > 1e-4


@pytest.mark.parametrize(
    ("make", "name"),
    [
        *((lambda size=size: Patches(size), "patch_size") for size in (0, -4, 2.5, "4", True, None)),
        (lambda: MlpBlock(0), "mlp_dim"),
        (lambda: MlpBlock(4, dropout=1.0), "dropout"),
        (lambda: MixerBlock(0, 4), "tokens_mlp_dim"),
        (lambda: MixerBlock(4, 1.5), "channels_mlp_dim"),
        (lambda: MixerBlock(4, 4, dropout="much"), "dropout"),
        (lambda: MixerBlock(4, 4, stochastic_depth=2), "stochastic_depth"),
        (lambda: Augment(zoom=1), "zoom"),
        (lambda: Augment(shift=-1), "shift"),
        (lambda: Augment(shift=float("nan")), "shift"),
        (lambda: Augment(mirror="yes"), "mirror"),
    ],
)
def test_a_layer_refuses_a_bad_value_by_name(make, name):
    with pytest.raises(ValueError, match=f"^{name} must be .*Received: "):
        make()


@pytest.mark.parametrize(
    "layer",
    [
        Patches(4),
        MlpBlock(7, 0.1),
        MixerBlock(3, 5, 0.1, True, 0.2),
        Dropout(0.3, noise_shape=(None, 1, 1)),
        Dropout(0),
        Augment(0.15, shift=2.5, mirror=False),
    ],
    ids=lambda layer: layer.name,
)
def test_a_layer_made_from_its_config_is_the_same_layer(layer):
    config = layer.get_config()
    assert type(layer).from_config(config).get_config() == config
    again = keras.layers.deserialize(keras.layers.serialize(layer))
    assert type(again) is type(layer) and again.get_config() == config


# --- what is random -------------------------------------------------------------------------------


def test_dropout_zeroes_the_given_fraction_and_keeps_the_mean_by_scaling_the_rest():
    keras.utils.set_random_seed(3)
    values = np.asarray(Dropout(0.2)(np.ones((64, 32, 128), "float32"), training=True))
    assert set(np.unique(values)) == {np.float32(0), np.float32(1 / 0.8)}
    assert abs((values == 0).mean() - 0.2) < 4 * np.sqrt(0.16 / values.size)


def test_dropout_draws_from_a_seed_generator_of_its_own_whatever_the_rate():
    assert all(isinstance(Dropout(rate).seed_generator, SeedGenerator) for rate in (0, 0.5))
    x, layer = random_table(4, 8, 6), Dropout(0.5)
    first, second = (np.asarray(layer(x, training=True)) for _ in range(2))
    assert not np.array_equal(first, second)
    assert np.array_equal(np.asarray(Dropout(0)(x, training=True)), x)


@pytest.mark.parametrize("layer", [Dropout(0.5), Augment(0.2), MixerBlock(3, 3, 0.5, False, 0.5)], ids=lambda x: x.name)
def test_nothing_is_random_outside_training(layer):
    x = random_table(4, 8, 8, 3) if isinstance(layer, Augment) else random_table(4, 8, 6)
    plain = np.asarray(layer(x))
    assert np.array_equal(plain, np.asarray(layer(x, training=False)))
    assert np.array_equal(plain, np.asarray(layer(x)))
    assert not np.array_equal(plain, np.asarray(layer(x, training=True)))


def test_stochastic_depth_drops_a_mixing_for_whole_images_and_scales_it_for_the_others():
    keras.utils.set_random_seed(3)
    x, rate = random_table(2000, 3, 4), 0.25
    block = MixerBlock(3, 5, stochastic_depth=rate)
    block(x[:1])
    randomize(block, scale=0.5)
    tokens = mlp(norm(x, block.token_norm).transpose(0, 2, 1), block.token_mixing).transpose(0, 2, 1)
    found, matches = np.asarray(block(x, training=True)), []
    for u in (x, x + tokens / (1 - rate)):
        channels = mlp(norm(u, block.channel_norm), block.channel_mixing)
        matches += [np.isclose(found, y, atol=1e-4).all(axis=(1, 2)) for y in (u, u + channels / (1 - rate))]
    assert (np.sum(matches, axis=0) == 1).all()  # each image has one of four outcomes
    expected = [rate * rate, rate * (1 - rate), (1 - rate) * rate, (1 - rate) ** 2]
    for match, part in zip(matches, expected, strict=True):
        assert abs(match.mean() - part) < 4 * np.sqrt(part * (1 - part) / len(x))
