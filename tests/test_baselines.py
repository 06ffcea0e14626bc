"""gMLP and ViT: their blocks against NumPy, their sizes, saving, and what they refuse."""

import dataclasses

import keras
import numpy as np
import pytest

from mixer_lib import baselines, build_classifier, evaluate, multiply_adds
from mixer_lib.baseline_layers import GmlpBlock, SpatialGatingUnit, TransformerBlock
from mixer_lib.baselines import GmlpConfig, VitConfig

TINY_GMLP = GmlpConfig(image_size=8, patch_size=2, num_blocks=2, hidden_dim=6, num_classes=3, ffn_dim=8)
TINY_VIT = VitConfig(image_size=8, patch_size=2, num_blocks=2, hidden_dim=6, num_classes=3, num_heads=2, mlp_dim=5)
BUILDS = [(baselines.build_gmlp, TINY_GMLP), (baselines.build_vit, TINY_VIT)]
both = pytest.mark.parametrize(("build", "config"), BUILDS, ids=["gmlp", "vit"])


def table(count=3, patches=5, channels=6, seed=0):
    return np.random.default_rng(seed).normal(size=(count, patches, channels)).astype("float32")


def pictures(count=7):
    return np.random.default_rng(1).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)


def refill(layer, seed=2):
    draw = np.random.default_rng(seed)
    layer.set_weights([draw.normal(scale=0.5, size=w.shape).astype("float32") for w in layer.get_weights()])


def norm(x, scale, bias):
    x = x - x.mean(-1, keepdims=True)
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * scale + bias


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def softmax(x):
    x = np.exp(x - x.max(-1, keepdims=True))
    return x / x.sum(-1, keepdims=True)


# --- gMLP -----------------------------------------------------------------------------------------


def gmlp_by_hand(block, x):
    """Section 2 of the gMLP paper in NumPy."""
    weights = {
        name: [np.asarray(w, "float64") for w in layer.get_weights()]
        for name, layer in {
            "norm": block.norm,
            "widen": block.widen,
            "gate_norm": block.gating.norm,
            "along": block.gating.along_patches,
            "out": block.out,
        }.items()
    }
    y = gelu(norm(x, *weights["norm"]) @ weights["widen"][0] + weights["widen"][1])
    kept, gate = np.split(y, 2, axis=-1)
    gate = norm(gate, *weights["gate_norm"])
    kernel, bias = weights["along"]
    gate = np.einsum("bsf,st->btf", gate, kernel) + bias[:, None]
    return x + (kept * gate) @ weights["out"][0] + weights["out"][1]


def test_a_gmlp_block_computes_what_its_paper_says():
    block = GmlpBlock(8)
    block.build((None, 5, 6))
    refill(block)
    x = table()
    expected = gmlp_by_hand(block, x.astype("float64"))
    assert np.abs(np.asarray(block(x)) - expected).max() < 1e-5 * np.abs(expected).max()


def test_at_the_start_the_gate_is_nearly_open_for_everything():
    unit = SpatialGatingUnit()
    x = table(channels=8)
    found = np.asarray(unit(x))
    assert np.abs(found - x[..., :4]).max() < 0.01 * np.abs(x).max()
    assert not np.array_equal(found, x[..., :4])


def test_a_gmlp_patch_hears_of_the_others_only_through_the_gate():
    block = GmlpBlock(8)
    block.build((None, 5, 6))
    refill(block)
    x = table(count=1)
    changed = x.copy()
    changed[0, 3, 0] += 1  # one channel: a change of all alike is taken away by the norm
    moved = np.abs(np.asarray(block(changed)) - np.asarray(block(x))).max(axis=-1)[0]
    assert moved.min() > 0
    unit = block.gating.along_patches
    unit.set_weights([np.zeros_like(w) for w in unit.get_weights()])
    moved = np.abs(np.asarray(block(changed)) - np.asarray(block(x))).max(axis=-1)[0]
    assert (moved > 0).tolist() == [False, False, False, True, False]


def test_the_default_gmlp_is_about_as_large_as_the_article_s_mixer():
    model = baselines.build_gmlp(GmlpConfig())
    count = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
    block = 2 * 128 + (128 * 104 + 104) + 2 * 52 + (64 * 64 + 64) + (52 * 128 + 128)
    assert count == (48 * 128 + 128) + 4 * block + (128 * 100 + 100)
    assert abs(count / 119_780 - 1) < 0.02


# --- ViT ------------------------------------------------------------------------------------------


def vit_by_hand(block, x):
    """Equations 2 and 3 of the ViT paper in NumPy, head by head."""

    def weights(layer):
        return [np.asarray(w, "float64") for w in layer.get_weights()]

    width = x.shape[-1] // block.num_heads
    kernel, bias = weights(block.to_heads)
    queries, keys, values = np.split(norm(x, *weights(block.attention_norm)) @ kernel + bias, 3, axis=-1)
    heads = []
    for head in range(block.num_heads):
        part = slice(head * width, head * width + width)
        attention = softmax(queries[..., part] @ keys[..., part].swapaxes(1, 2) / np.sqrt(width))
        heads.append(attention @ values[..., part])
    kernel, bias = weights(block.from_heads)
    x = x + np.concatenate(heads, axis=-1) @ kernel + bias
    (first, first_bias), (second, second_bias) = weights(block.mlp.hidden), weights(block.mlp.out)
    return x + gelu(norm(x, *weights(block.mlp_norm)) @ first + first_bias) @ second + second_bias


def test_a_transformer_block_computes_what_its_paper_says():
    block = TransformerBlock(2, 5)
    block.build((None, 5, 6))
    refill(block)
    x = table()
    expected = vit_by_hand(block, x.astype("float64"))
    assert np.abs(np.asarray(block(x)) - expected).max() < 1e-5 * np.abs(expected).max()


def test_positions_tell_a_vit_where_a_patch_is():
    model = baselines.build_vit(dataclasses.replace(TINY_VIT, dropout=0.0))
    images = pictures()
    turned = images[:, ::-1].copy()  # rows of pixels in another order: whole patches moved and turned over
    refill(model.get_layer("positions"))
    assert np.abs(np.asarray(model(images)) - np.asarray(model(turned))).max() > 1e-3


# --- both -----------------------------------------------------------------------------------------


@both
def test_a_config_builds_itself_wherever_a_mixer_s_does(build, config):
    assert build_classifier(config).count_params() == build(config).count_params()


@both
def test_multiply_adds_are_those_of_the_dense_layers_and_the_products_of_activations(build, config):
    layers = [layer for top in build(config).layers for layer in (top, *sublayers(top)) if hasattr(layer, "kernel")]
    s, c = config.num_patches, config.hidden_dim
    found = 0
    for layer in layers:
        rows = {"head": 1, "along_patches": getattr(config, "ffn_dim", 0) // 2}.get(layer.name, s)
        found += rows * int(np.prod(layer.kernel.shape))
    if isinstance(config, VitConfig):
        found += config.num_blocks * 2 * s * s * c  # the scores, and the sums of values they weigh
    assert multiply_adds(config) == found


def sublayers(layer):
    for value in list(vars(layer).values()):
        if isinstance(value, keras.layers.Layer):
            yield value
            yield from sublayers(value)


@both
def test_a_plain_call_leaves_nothing_to_chance_and_a_training_call_does(build, config):
    model = build(config, adapt_to=pictures())
    images = pictures()
    assert np.array_equal(np.asarray(model(images)), np.asarray(model(images)))
    assert not np.array_equal(np.asarray(model(images, training=True)), np.asarray(model(images, training=True)))


@both
def test_weights_are_saved_and_read_again(build, config, tmp_path):
    model, again = build(config, adapt_to=pictures()), build(config)
    model.save_weights(tmp_path / "a.weights.h5")
    again.load_weights(tmp_path / "a.weights.h5")
    assert np.array_equal(np.asarray(model(pictures())), np.asarray(again(pictures())))


@both
def test_a_few_steps_bring_the_loss_down(build, config):
    keras.utils.set_random_seed(0)
    images, labels = pictures(24), np.arange(24) % 3
    model = build(config, adapt_to=images)
    before = evaluate(model, images, labels)["loss"]
    model.compile(
        keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False
    )
    for _ in range(30):
        model.train_on_batch(images, labels)
    assert evaluate(model, images, labels)["loss"] < before


@pytest.mark.parametrize(
    ("config", "changes", "said"),
    [
        (GmlpConfig, {"ffn_dim": 7}, "even.*7"),
        (GmlpConfig, {"num_blocks": 0}, "num_blocks.*0"),
        (GmlpConfig, {"patch_size": 5}, "image_size=32, patch_size=5"),
        (GmlpConfig, {"dropout": 1.0}, "dropout.*1.0"),
        (VitConfig, {"num_heads": 3}, "hidden_dim=128, num_heads=3"),
        (VitConfig, {"mlp_dim": "64"}, "mlp_dim.*'64'"),
    ],
)
def test_sizes_that_can_not_be_are_refused_by_name(config, changes, said):
    with pytest.raises(ValueError, match=said):
        config(**changes)
