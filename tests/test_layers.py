"""Patches, the two mixings, and what is random in training."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from mixer_lib import Augment, MixerBlock, MlpBlock, Patches, layers, noise
from mixer_lib.noise import Dropout, StochasticDepth, scramble


def random_array(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def refill(layer, seed=7):
    """Give every weight random values, so that no two of them are alike and no bias is zero."""
    draw = np.random.default_rng(seed)
    layer.set_weights([draw.normal(scale=0.5, size=w.shape).astype("float32") for w in layer.get_weights()])


# --- patches --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("height", "width", "channels", "size"), [(32, 32, 3, 4), (12, 20, 1, 2), (14, 7, 5, 7)])
def test_patches_are_exactly_those_of_extract_patches(height, width, channels, size):
    images = random_array(2, height, width, channels)
    theirs = tf.image.extract_patches(images, [1, size, size, 1], [1, size, size, 1], [1, 1, 1, 1], "VALID")
    ours = np.asarray(Patches(size)(images))
    assert ours.shape == (2, height // size * (width // size), size * size * channels)
    assert np.array_equal(ours, np.reshape(theirs, ours.shape))


def test_a_patch_size_that_does_not_divide_the_image_is_refused_with_both_named():
    with pytest.raises(ValueError, match=r"32x32 .*5x5"):
        Patches(5)(random_array(1, 32, 32, 3))
    with pytest.raises(ValueError, match=r"32x30 .*4x4"):
        Patches(4)(random_array(1, 32, 30, 3))


@pytest.mark.parametrize("size", [0, -4, 2.5, "4", True, None])
def test_a_patch_size_that_is_no_positive_whole_number_is_refused(size):
    with pytest.raises(ValueError, match=f"patch_size .*Received: {size!r}"):
        Patches(size)


# --- mixing ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(2, 9, 6), (1, 16, 4)])
def test_mlp_and_mixer_blocks_give_back_the_shape_they_get(shape):
    for layer in (MlpBlock(5), MixerBlock(3, 7)):
        assert np.asarray(layer(random_array(*shape))).shape == shape
        assert tuple(layer.compute_output_shape(shape)) == shape


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def norm(x, gamma, beta):
    spread = np.sqrt(x.var(axis=-1, keepdims=True) + 1e-6)
    return (x - x.mean(axis=-1, keepdims=True)) / spread * gamma + beta


def mlp(x, layer):
    (w1, b1), (w2, b2) = layer.hidden.get_weights(), layer.out.get_weights()
    return gelu(x @ w1 + b1) @ w2 + b2


@pytest.mark.parametrize("patches_first", [True, False])
@pytest.mark.parametrize("shared_norm", [True, False])
def test_a_mixer_block_equals_its_formula_in_numpy(shared_norm, patches_first, monkeypatch):
    monkeypatch.setattr(layers, "PATCHES_FIRST", patches_first)  # the table's order within a block: either will do
    x = random_array(3, 8, 6)
    block = MixerBlock(5, 9, dropout=0.3, shared_norm=shared_norm)
    block(x)
    refill(block)
    token_norm = block.token_norm.get_weights()
    channel_norm = token_norm if shared_norm else block.channel_norm.get_weights()
    u = x + mlp(norm(x, *token_norm).transpose(0, 2, 1), block.token_mixing).transpose(0, 2, 1)
    expected = u + mlp(norm(u, *channel_norm), block.channel_mixing)
    assert np.allclose(np.asarray(block(x)), expected, atol=1e-4)


def test_an_mlp_along_the_first_axis_is_one_along_the_last_of_the_turned_table():
    layer, x = MlpBlock(5), random_array(8, 3, 6)
    layer(x.T)
    refill(layer)
    assert np.allclose(np.asarray(layer.along_first(tf.constant(x))), np.asarray(layer(x.T)).T, atol=1e-5)


def test_the_hidden_activation_is_the_tanh_gelu_and_not_the_exact_one():
    layer = MlpBlock(1)
    layer(np.zeros((1, 1, 1), "float32"))
    layer.set_weights([np.ones(w.shape, "float32") if w.ndim == 2 else np.zeros(w.shape) for w in layer.get_weights()])
    x = np.float32(2.2)  # where the two differ by about 5e-4
    got = float(np.asarray(layer(np.full((1, 1, 1), x))).item())
    assert got == pytest.approx(float(gelu(x)), abs=2e-6)
    assert abs(got - float(keras.activations.gelu(tf.constant([x]), approximate=False)[0])) > 1e-4


def norms_in(layer):
    return sum(isinstance(part, keras.layers.LayerNormalization) for part in vars(layer).values())


def test_shared_norm_uses_one_layer_norm_for_both_mixings():
    shared, own = MixerBlock(3, 3, shared_norm=True), MixerBlock(3, 3, shared_norm=False)
    for block in (shared, own):
        block(random_array(1, 4, 6))
    assert (norms_in(shared), norms_in(own)) == (1, 2)
    assert own.count_params() - shared.count_params() == 2 * 6


def test_token_mixing_shares_its_weights_over_channels_and_channel_mixing_over_patches():
    block = MixerBlock(3, 5)
    block(random_array(1, 4, 6))
    assert block.token_mixing.hidden.kernel.shape == (4, 3)
    assert block.channel_mixing.hidden.kernel.shape == (6, 5)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: MlpBlock(0), "mlp_dim"),
        (lambda: MlpBlock(4, dropout=1.0), "dropout"),
        (lambda: MlpBlock(4, dropout=-0.1), "dropout"),
        (lambda: MixerBlock(0, 4), "tokens_mlp_dim"),
        (lambda: MixerBlock(4, 1.5), "channels_mlp_dim"),
        (lambda: MixerBlock(4, 4, dropout="much"), "dropout"),
        (lambda: MixerBlock(4, 4, stochastic_depth=2), "stochastic_depth"),
        (lambda: Augment(zoom=1), "zoom"),
        (lambda: Augment(shift=-1), "shift"),
        (lambda: Augment(shift=float("nan")), "shift"),
        (lambda: Augment(shift="4"), "shift"),
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
        Dropout(0.3),
        StochasticDepth(0.4),
        Augment(0.15),
        Augment(0.15, shift=2.5),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_a_layer_made_from_its_config_is_the_same_layer(layer):
    config = layer.get_config()
    assert type(layer).from_config(config).get_config() == config
    written = keras.layers.serialize(layer)
    assert keras.layers.deserialize(written).get_config() == config


# --- dropout --------------------------------------------------------------------------------------


def dropped(layer, shape=(64, 16, 128)):
    return np.asarray(layer(np.ones(shape, "float32"), training=True)) == 0


@pytest.fixture
def seeded():
    keras.utils.set_random_seed(3)


@pytest.mark.parametrize("rate", [0.05, 0.2, 0.5, 0.9])
def test_dropout_drops_the_fraction_asked_for(seeded, rate):
    mask = dropped(Dropout(rate), (64, 32, 128))
    error = np.sqrt(rate * (1 - rate) / mask.size)
    assert abs(mask.mean() - rate) < 4 * error + 2**-15


def test_dropout_draws_places_apart_from_one_another(seeded):
    layer = Dropout(0.2)
    first, second = dropped(layer), dropped(layer)
    pairs = {
        "next channel": (first[:, :, :-1], first[:, :, 1:]),
        "other half of the images": (first[:32], first[32:]),
        "next row": (first[:, :-1], first[:, 1:]),
        "next image": (first[:-1], first[1:]),
        "next call": (first, second),
    }
    for name, (a, b) in pairs.items():
        correlation = np.corrcoef(a.ravel(), b.ravel())[0, 1]
        assert abs(correlation) < 5 / np.sqrt(a.size), name
    for axes in ((0, 1), (0, 2), (1, 2)):  # no row, channel or image is dropped more than chance allows
        fractions = first.mean(axis=axes)
        expected = np.sqrt(0.16 * fractions.size / first.size)
        assert 0.5 * expected < fractions.std() < 2 * expected


def test_dropout_keeps_the_mean_by_scaling_what_stays(seeded):
    values = np.asarray(Dropout(0.2)(np.ones((64, 32, 128), "float32"), training=True))
    assert set(np.unique(values)) == {np.float32(0), np.float32(1 / 0.8)}
    assert values.mean() == pytest.approx(1, abs=0.005)


@pytest.mark.parametrize("layer", [Dropout(0.5), StochasticDepth(0.5), Augment(0.2)], ids=lambda x: type(x).__name__)
@pytest.mark.parametrize("training", [False, None])
def test_noise_is_off_outside_training(layer, training):
    x = random_array(4, 8, 8, 3) if isinstance(layer, Augment) else random_array(4, 8, 6)
    given = {} if training is None else {"training": training}
    assert np.array_equal(np.asarray(layer(x, **given)), x)


def test_dropout_works_on_an_odd_number_of_images(seeded):
    mask = dropped(Dropout(0.2), (49, 16, 64))
    assert abs(mask.mean() - 0.2) < 4 * np.sqrt(0.16 / mask.size) + 2**-15
    assert mask[-1].any() and not mask[-1].all()


def test_stochastic_depth_drops_whole_images_and_scales_the_others(seeded):
    x = random_array(2000, 3, 4)  # image, patch, channel
    for images in (0, 1):
        y = np.asarray(StochasticDepth(0.25, images)(x.swapaxes(0, images), training=True)).swapaxes(0, images)
        gone = (y == 0).all(axis=(1, 2))
        assert np.allclose(y[~gone], x[~gone] / 0.75, rtol=1e-6)
        assert abs(gone.mean() - 0.25) < 4 * np.sqrt(0.25 * 0.75 / 2000)


def bits_of(numbers):
    numbers = np.asarray(scramble(tf.constant(numbers, "int32"))).view("uint32")
    return (numbers[:, None] >> np.arange(32, dtype="uint32")) & 1


def test_scrambling_sets_every_bit_half_of_the_time():
    numbers = np.arange(2**16, dtype="int32")
    assert np.abs(bits_of(numbers).mean(axis=0) - 0.5).max() < 5 * 0.5 / 2**8


def test_scrambling_flips_half_of_the_bits_when_one_bit_changes():
    numbers = np.random.default_rng(1).integers(0, 2**31 - 1, 2**14).astype("int32")
    for bit in range(31):
        flipped = bits_of(numbers) != bits_of(numbers ^ np.int32(1 << bit))
        assert np.abs(flipped.mean(axis=0) - 0.5).max() < 0.06, bit


def test_scrambling_gives_no_number_twice():
    numbers = np.arange(-(2**15), 2**15, dtype="int32")
    assert len(np.unique(np.asarray(scramble(tf.constant(numbers))))) == len(numbers)


# --- augmentation ---------------------------------------------------------------------------------


def zoomed_by_keras(images, tall, wide, down=0.0, right=0.0):
    """Keras's RandomZoom on given factors, and a move: its matrix and the TensorFlow operation that it calls."""
    height, width = images.shape[1:3]
    zero = np.zeros_like(tall)
    columns = [
        wide,
        zero,
        (width - 1) / 2 * (1 - wide) + right,
        zero,
        tall,
        (height - 1) / 2 * (1 - tall) + down,
        zero,
        zero,
    ]
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=np.stack(columns, axis=1).astype("float32"),
        output_shape=[height, width],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="REFLECT",
    ).numpy()


def augmented(monkeypatch, images, tall, wide, coins, *shifts):
    draws = iter([tall, wide, coins, *shifts])
    monkeypatch.setattr(noise, "uniform", lambda *shape, **options: tf.constant(next(draws), "float32"))
    result = np.asarray(Augment(0.2, shift=4 if shifts else 0)(images, training=True))
    assert list(draws) == []
    return result


@pytest.mark.parametrize("shape", [(64, 32, 32, 3), (64, 9, 14, 2)])
def test_augmentation_equals_flip_and_then_zoom_of_keras(monkeypatch, shape):
    draw = np.random.default_rng(5)
    images = draw.uniform(-2, 2, shape).astype("float32")
    tall, wide = draw.uniform(0.8, 1.2, (2, len(images))).astype("float32")
    coins = draw.uniform(0, 1, len(images)).astype("float32")
    flipped = np.where(coins[:, None, None, None] < 0.5, images[:, :, ::-1], images)
    expected = zoomed_by_keras(flipped, tall, wide)
    assert np.abs(augmented(monkeypatch, images, tall, wide, coins) - expected).max() < 1e-4


def test_a_zoom_by_one_is_the_image_itself_or_its_mirror_image(monkeypatch):
    images, one = random_array(2, 8, 8, 3), np.ones(2, "float32")
    result = augmented(monkeypatch, images, one, one, np.float32([0.9, 0.1]))
    assert np.allclose(result[0], images[0], atol=1e-5)
    assert np.allclose(result[1], images[1, :, ::-1], atol=1e-5)


def test_a_shift_by_whole_pixels_takes_the_picture_s_mirror_image_for_what_lies_outside_of_it(monkeypatch):
    images, one = random_array(81, 8, 10, 3), np.ones(81, "float32")
    down, right = np.meshgrid(np.arange(-4, 5), np.arange(-4, 5))
    down, right = down.ravel(), right.ravel()
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
    expected = zoomed_by_keras(images, tall, wide, down, right)
    result = augmented(monkeypatch, images, tall, wide, np.ones(len(images)), down, right)
    assert np.abs(result - expected).max() < 1e-4


def drawn_by(layer, monkeypatch):
    """All that a layer draws for 4,000 images."""
    drawn, uniform = [], noise.uniform

    def recorded(*shape, **options):
        drawn.append(uniform(*shape, **options))
        return drawn[-1]

    monkeypatch.setattr(noise, "uniform", recorded)
    layer(np.zeros((4000, 2, 2, 1), "float32"), training=True)
    return [np.asarray(values) for values in drawn]


def test_shifts_are_drawn_evenly_for_each_axis_and_after_all_else(monkeypatch, seeded):
    tall, wide, _, down, right = drawn_by(Augment(0.2, shift=4), monkeypatch)
    for shifts in (down, right):
        assert -4 <= shifts.min() < -3.98 and 3.98 < shifts.max() <= 4
        counts = np.histogram(shifts, bins=10, range=(-4, 4))[0]
        assert np.abs(counts - 400).max() < 5 * np.sqrt(400)
    for one, other in ((down, right), (down, tall), (right, wide)):
        assert abs(np.corrcoef(one, other)[0, 1]) < 5 / np.sqrt(4000)


def test_augmentation_draws_factors_evenly_for_each_axis_and_flips_half_of_the_images(monkeypatch, seeded):
    tall, wide, coins = drawn_by(Augment(0.2), monkeypatch)  # and no shifts: the article has none
    for factors in (tall, wide):
        assert 0.8 <= factors.min() < 0.801 and 1.199 < factors.max() <= 1.2
        counts = np.histogram(factors, bins=10, range=(0.8, 1.2))[0]
        assert np.abs(counts - 400).max() < 5 * np.sqrt(400)
    assert abs(np.corrcoef(tall, wide)[0, 1]) < 5 / np.sqrt(4000)
    assert abs((coins < 0.5).mean() - 0.5) < 4 * 0.5 / np.sqrt(4000)


def test_augmentation_differs_from_call_to_call():
    images, layer = random_array(4, 8, 8, 3), Augment(0.2)
    first, second = (np.asarray(layer(images, training=True)) for _ in range(2))
    assert np.abs(first - second).max() > 0.1
