"""The family beside the Mixer: blocks against NumPy, sizes, saving, and what they refuse."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_models import count_parameters, dense, gelu, mlp, norm, random_images, random_table, randomize

from mixer_lib import build_classifier, multiply_adds, train
from mixer_lib.compat import needs_whole_batches, seed_generators, sublayers
from mixer_lib.models.cnn import CnnConfig
from mixer_lib.models.convmixer import ConvMixerConfig
from mixer_lib.models.family import FAMILY, TOLERANCE
from mixer_lib.models.gmlp import GmlpBlock, GmlpConfig, SpatialGatingUnit
from mixer_lib.models.resmlp import ResMlpBlock, ResMlpConfig
from mixer_lib.models.vit import TransformerBlock, VitConfig

TINY_GMLP = GmlpConfig(image_size=8, patch_size=2, num_blocks=2, hidden_dim=6, num_classes=3, ffn_dim=8)
TINY_VIT = VitConfig(image_size=8, patch_size=2, num_blocks=2, hidden_dim=6, num_classes=3, num_heads=2, mlp_dim=5)
TINY_RESMLP = ResMlpConfig(image_size=8, patch_size=2, num_blocks=2, hidden_dim=6, num_classes=3, mlp_dim=5)
TINY_CONVMIXER = ConvMixerConfig(image_size=8, patch_size=2, num_blocks=2, hidden_dim=6, num_classes=3, kernel_size=3)
TINY_CNN = CnnConfig(image_size=8, widths=(4, 6), num_classes=3)
TINIES = {"gmlp": TINY_GMLP, "vit": TINY_VIT, "resmlp": TINY_RESMLP, "convmixer": TINY_CONVMIXER, "cnn": TINY_CNN}
every = pytest.mark.parametrize("config", TINIES.values(), ids=TINIES)


def softmax(x):
    x = np.exp(x - x.max(-1, keepdims=True))
    return x / x.sum(-1, keepdims=True)


def built(block):
    """The block with random weights, for tables of five patches and six channels."""
    block.build((None, 5, 6))
    return randomize(block, scale=0.5)


# --- gMLP -----------------------------------------------------------------------------------------


def gmlp_by_hand(block, x):
    """Section 2 of the gMLP paper in NumPy."""
    kept, gate = np.split(gelu(dense(norm(x, block.norm), block.widen)), 2, axis=-1)
    gate = dense(norm(gate, block.gating.norm).swapaxes(1, 2), block.gating.along_patches).swapaxes(1, 2)
    return x + dense(kept * gate, block.out)


def test_at_the_start_the_gate_is_nearly_open_for_everything():
    unit = SpatialGatingUnit()
    x = random_table(3, 5, 8)
    found = np.asarray(unit(x))
    assert np.abs(found - x[..., :4]).max() < 0.01 * np.abs(x).max()
    assert not np.array_equal(found, x[..., :4])


def test_a_gmlp_patch_hears_of_the_others_only_through_the_gate():
    block, x = built(GmlpBlock(8)), random_table(1, 5, 6)
    changed = x.copy()
    changed[0, 3, 0] += 1  # one channel: a change of all alike is taken away by the norm
    moved = np.abs(np.asarray(block(changed)) - np.asarray(block(x))).max(axis=-1)[0]
    assert moved.min() > 0
    unit = block.gating.along_patches
    unit.set_weights([np.zeros_like(w) for w in unit.get_weights()])
    moved = np.abs(np.asarray(block(changed)) - np.asarray(block(x))).max(axis=-1)[0]
    assert (moved > 0).tolist() == [False, False, False, True, False]


def test_the_default_gmlp_is_about_as_large_as_the_article_s_mixer():
    count = count_parameters(build_classifier(GmlpConfig()))
    block = 2 * 128 + (128 * 104 + 104) + 2 * 52 + (64 * 64 + 64) + (52 * 128 + 128)
    assert count == (48 * 128 + 128) + 4 * block + (128 * 100 + 100)
    assert abs(count / 119_780 - 1) < 0.02


# --- ViT ------------------------------------------------------------------------------------------


def vit_by_hand(block, x):
    """Equations 2 and 3 of the ViT paper in NumPy, head by head."""
    width, heads = x.shape[-1] // block.num_heads, []
    queries, keys, values = np.split(dense(norm(x, block.attention_norm), block.to_heads), 3, axis=-1)
    for head in range(block.num_heads):
        part = slice(head * width, head * width + width)
        attention = softmax(queries[..., part] @ keys[..., part].swapaxes(1, 2) / np.sqrt(width))
        heads.append(attention @ values[..., part])
    x = x + dense(np.concatenate(heads, axis=-1), block.from_heads)
    return x + mlp(norm(x, block.mlp_norm), block.mlp)


def test_positions_tell_a_vit_where_a_patch_is():
    model, images = build_classifier(TINY_VIT), random_images(7)
    randomize(model.get_layer("positions"))
    turned = images[:, ::-1].copy()  # rows of pixels in another order: whole patches moved and turned over
    assert np.abs(np.asarray(model(images)) - np.asarray(model(turned))).max() > 1e-3


# --- ResMLP, ConvMixer, CNN ---------------------------------------------------------------------------


def resmlp_by_hand(block, x):
    """Equations 2 and 3 of the ResMLP paper in NumPy."""

    def affine(layer, y):
        scale, *bias = (np.asarray(weight, "float64") for weight in layer.get_weights())
        return y * scale + (bias[0] if bias else 0)

    mixed = dense(affine(block.token_affine, x).swapaxes(1, 2), block.along_patches).swapaxes(1, 2)
    x = x + affine(block.token_scale, mixed)
    return x + affine(block.channel_scale, mlp(affine(block.channel_affine, x), block.mlp))


def convolved(x, kernel):
    """A convolution with zeros around, in NumPy: (h, w, C) with a kernel (k, k, C, D)."""
    k = kernel.shape[0]
    padded = np.pad(x, ((k // 2, k // 2), (k // 2, k // 2), (0, 0)))
    rows, columns = x.shape[:2]
    windows = np.stack([[padded[i : i + k, j : j + k] for j in range(columns)] for i in range(rows)])
    return np.einsum("xyijc,ijcd->xyd", windows, kernel)


def test_a_convmixer_block_is_two_convolutions_of_which_the_first_has_a_residual():
    from mixer_lib.models.convmixer import convmixer_block

    images = keras.Input((5, 5, 4))
    model = randomize(keras.Model(images, convmixer_block(images, 3, "b")), scale=0.5)
    x = random_table(1, 5, 5, 4).astype("float64")
    weights = {layer.name: [np.asarray(w, "float64") for w in layer.get_weights()] for layer in model.layers}

    def activate(y, name):
        scale, bias, mean, variance = weights[name]
        exact = (
            keras.activations.gelu(keras.ops.convert_to_tensor(y.astype("float32")))
            if hasattr(keras, "ops")
            else tf.nn.gelu(y)
        )
        return (np.asarray(exact, "float64") - mean) / np.sqrt(variance + 1e-3) * scale + bias

    kernel, bias = weights["b_depthwise"]
    depthwise = (
        sum(convolved(x[0], kernel * (np.arange(4) == c)[:, None] * (np.arange(4) == c)) for c in range(4)) + bias
    )
    y = x[0] + activate(depthwise, "b_depthwise_norm")
    kernel, bias = weights["b_pointwise"]
    expected = activate(y @ kernel[0, 0] + bias, "b_pointwise_norm")
    assert np.abs(np.asarray(model(x.astype("float32")))[0] - expected).max() < 1e-4 * np.abs(expected).max()


def test_a_residual_block_adds_what_two_convolutions_find_to_its_input():
    from mixer_lib.models.cnn import residual_block

    images = keras.Input((4, 4, 3))
    model = randomize(keras.Model(images, residual_block(images, 3, 1, "b")), scale=0.5)
    x = random_table(1, 4, 4, 3).astype("float64")
    weights = {layer.name: [np.asarray(w, "float64") for w in layer.get_weights()] for layer in model.layers}

    def normed(y, name):
        scale, bias, mean, variance = weights[name]
        return (y - mean) / np.sqrt(variance + 1e-3) * scale + bias

    y = np.maximum(normed(convolved(x[0], weights["b_first"][0]), "b_first_norm"), 0)
    expected = np.maximum(x[0] + normed(convolved(y, weights["b_second"][0]), "b_second_norm"), 0)
    assert np.abs(np.asarray(model(x.astype("float32")))[0] - expected).max() < 1e-4


def test_batch_normalization_is_trained_on_whole_batches(monkeypatch):
    from mixer_lib.speedups.devices import Execution

    for config, name in ((TINY_CNN, "stem_norm"), (TINY_CONVMIXER, "embed_norm"), (TINY_RESMLP, "")):
        assert needs_whole_batches(build_classifier(config)) == name
    execution = Execution()
    execution.strategy, execution.devices = object(), 2
    with pytest.raises(ValueError, match="devices=2 would normalize each share.*stem_norm.*Leave devices out"):
        execution.train_step(build_classifier(TINY_CNN))


# --- all ------------------------------------------------------------------------------------------


BLOCKS = [(GmlpBlock(8), gmlp_by_hand), (TransformerBlock(2, 5), vit_by_hand), (ResMlpBlock(5), resmlp_by_hand)]


@pytest.mark.parametrize(("block", "by_hand"), BLOCKS, ids=["gmlp", "vit", "resmlp"])
def test_a_block_computes_what_its_paper_says_and_is_made_again_from_its_config(block, by_hand):
    x = random_table(3, 5, 6)
    expected = by_hand(built(block), x.astype("float64"))
    assert np.abs(np.asarray(block(x)) - expected).max() < 1e-5 * np.abs(expected).max()
    again = keras.layers.deserialize(keras.layers.serialize(block))
    assert type(again) is type(block) and again.get_config() == block.get_config()


@every
def test_multiply_adds_are_those_of_the_weights_and_the_products_of_activations(config):
    s, c, counted = getattr(config, "num_patches", 0), getattr(config, "hidden_dim", 0), 0
    for layer in (layer for top in build_classifier(config).layers for layer in sublayers(top)):
        if isinstance(layer, keras.layers.Dense):
            mixed = getattr(config, "ffn_dim", 0) // 2 or c  # channels that a layer along the patches is applied to
            rows = {"head": 1, "along_patches": mixed}.get(layer.name, s)
            counted += rows * int(np.prod(layer.kernel.shape))
        elif isinstance(layer, (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)):
            counted += int(np.prod(layer.output.shape[1:3])) * int(np.prod(layer.get_weights()[0].shape))
    if isinstance(config, VitConfig):
        counted += config.num_blocks * 2 * s * s * c  # the scores, and the sums of values they weigh
    assert multiply_adds(config) == counted


@every
def test_only_training_is_random_and_weights_are_saved_and_read_again(config, tmp_path):
    images = random_images(7)
    model, again = build_classifier(config, adapt_to=images), build_classifier(config)
    logits = np.asarray(model(images))
    assert np.array_equal(np.asarray(model(images)), logits)
    assert not np.array_equal(np.asarray(model(images, training=True)), np.asarray(model(images, training=True)))
    logits = np.asarray(model(images))  # training has moved the statistics of batch normalization
    model.save_weights(tmp_path / "a.weights.h5")
    again.load_weights(tmp_path / "a.weights.h5")
    assert np.array_equal(np.asarray(again(images)), logits)
    model.save(tmp_path / "a.keras")
    assert np.array_equal(np.asarray(keras.models.load_model(tmp_path / "a.keras")(images)), logits)


@every
def test_every_weight_learns_and_every_random_layer_is_reseeded(config):
    images, model = random_images(24), build_classifier(config)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(images, training=True)[:, 0])
    gradients = tape.gradient(loss, model.trainable_weights)
    assert all(np.abs(gradient).max() > 0 for gradient in gradients)
    draws_in_blocks = {GmlpConfig: 1, VitConfig: 2, ResMlpConfig: 1}.get(type(config), 0) * 2
    assert len(seed_generators(model)) == 2 + draws_in_blocks  # augmentation, and the head's


@pytest.mark.parametrize(
    ("config", "changes", "message"),
    [
        (GmlpConfig, {"ffn_dim": 7}, "even.*7"),
        (GmlpConfig, {"num_blocks": 0}, "num_blocks.*0"),
        (GmlpConfig, {"patch_size": 5}, "image_size=32, patch_size=5"),
        (GmlpConfig, {"dropout": 1.0}, "dropout.*1.0"),
        (VitConfig, {"num_heads": 3}, "hidden_dim=128, num_heads=3"),
        (VitConfig, {"mlp_dim": "64"}, "mlp_dim.*'64'"),
        (ResMlpConfig, {"mlp_dim": 0}, "mlp_dim.*0"),
        (ConvMixerConfig, {"kernel_size": 2.5}, "kernel_size.*2.5"),
        (CnnConfig, {"widths": 16}, "widths must be the channels of each stage.*16"),
        (CnnConfig, {"widths": (16, 0)}, "widths.*0"),
        (CnnConfig, {"image_size": 30}, "multiple of 4.*30"),
    ],
)
def test_invalid_sizes_are_refused_by_name(config, changes, message):
    with pytest.raises(ValueError, match=message):
        config(**changes)


@pytest.mark.parametrize("name", FAMILY)
def test_each_of_the_family_has_about_as_many_parameters_as_the_mixer(name):
    count = count_parameters(build_classifier(FAMILY[name]))
    assert abs(count / count_parameters(build_classifier(FAMILY["mixer"])) - 1) <= TOLERANCE, count


@every
def test_a_run_of_any_family_is_known_again_and_goes_on(config, tmp_path):
    from small_runs import QUICK, small_digits

    config = dataclasses.replace(config, num_classes=10)
    first = train(config, small_digits(), tmp_path, epochs=1, recipe=QUICK)
    assert train(config, small_digits(), tmp_path, epochs=1, recipe=QUICK) == first
    assert train(config, small_digits(), tmp_path, epochs=2, recipe=QUICK).epochs_run == 2
