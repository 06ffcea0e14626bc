"""The layers that train compute what the plain ones do, with the same weights; their gradients are added up faster."""

import dataclasses
import functools

import keras
import numpy as np
import pytest
from small_runs import TINY

from mixer_lib import MixerBlock, build_classifier, compat
from mixer_lib.layers import EPSILON
from mixer_lib.models.gmlp import GmlpConfig
from mixer_lib.models.resmlp import ResMlpConfig
from mixer_lib.models.vit import VitConfig

if not compat.KERAS_3:
    pytest.skip("only on Keras 3", allow_module_level=True)
if compat.backend_name() != "tensorflow":
    pytest.skip("gradients are taken with TensorFlow here", allow_module_level=True)

import tensorflow as tf

from mixer_lib.speedups import layers as fast
from mixer_lib.speedups.devices import Execution

CONFIGS = {
    "article": dataclasses.replace(TINY, num_blocks=2, shared_norm=True),
    "paper": dataclasses.replace(TINY, num_blocks=2, shared_norm=False, pre_head_norm=True, stochastic_depth=0.1),
    "gmlp": GmlpConfig(8, 4, 2, 8, 5, ffn_dim=6),
    "resmlp": ResMlpConfig(8, 4, 2, 8, 5, mlp_dim=6),
    "vit": VitConfig(8, 4, 2, 8, 5, num_heads=2, mlp_dim=6),
}


def random_weights(layer):
    draw = np.random.default_rng(1)
    return [draw.normal(size=w.shape).astype("float32") for w in layer.get_weights()]


def results(layer, x, call=None):
    """What a built layer gives with random weights, and its gradients; `call` is another way to compute it."""
    layer.set_weights(random_weights(layer))
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        out = (call or layer)(x)
        weight = tf.reshape(tf.range(tf.size(out), dtype="float32") % 7, tf.shape(out))
        loss = tf.reduce_sum(out * weight)  # which weighs every output differently
    gradients = tape.gradient(loss, [x, *(variable.value for variable in layer.trainable_variables)])
    return [out.numpy(), *(np.asarray(gradient) for gradient in gradients)]


def assert_close(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert np.allclose(one, other, rtol=1e-4, atol=1e-4 * max(1, np.abs(other).max()))


def table(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


@pytest.fixture
def dense():
    layer = keras.layers.Dense(5)
    layer.build((None, 3, 8))
    return layer


@pytest.mark.parametrize("shape", [(6, 8), (3, 4, 8), (2, 3, 4, 8)])
def test_values_and_gradients_are_those_of_keras(shape, dense):
    norm, x = keras.layers.LayerNormalization(epsilon=EPSILON), table(*shape)
    norm.build(shape)
    assert_close(results(dense, x, lambda x: fast.dense(dense, x)), results(dense, x))
    assert_close(results(norm, x, lambda x: fast.layer_norm(norm, x)), results(norm, x))


def test_a_row_of_one_value_has_no_deviation_to_divide_by():
    norm, x = keras.layers.LayerNormalization(epsilon=EPSILON), np.full((4, 8), 3, "float32")
    norm.build(x.shape)
    found, expected = results(norm, x, lambda x: fast.layer_norm(norm, x)), results(norm, x)
    assert all(np.isfinite(values).all() for values in found)
    assert_close(found[:1], expected[:1])


def test_along_the_first_axis_a_dense_layer_is_that_of_the_transposed_table(dense):
    x = table(8, 3, 4)
    expected = results(dense, x, lambda x: tf.transpose(dense(tf.transpose(x))))
    assert_close(results(dense, x, lambda x: fast.dense_along_first(dense, x)), expected)


@pytest.mark.parametrize("shared_norm", [True, False])
def test_a_mixer_block_has_the_values_and_gradients_of_the_plain_one(shared_norm):
    blocks = [kind(6, 7, shared_norm=shared_norm) for kind in (MixerBlock, fast.MixerBlock)]
    for block in blocks:
        block.build((None, 4, 8))
    expected, found = (results(block, table(3, 4, 8)) for block in blocks)
    assert_close(found, expected)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_a_model_that_is_sped_up_has_the_plain_one_s_weights_file_logits_and_gradients(config, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (16, 8, 8, 3)).astype("uint8")
    plain, faster = build_classifier(config, images), Execution().speed_up(build_classifier(config, images))
    kinds = {type(layer) for layer in compat.layers_of(faster)}
    assert kinds & set(fast.FASTER.values()) and not kinds & set(fast.FASTER)
    assert {type(layer).__name__ for layer in faster.layers} == {type(layer).__name__ for layer in plain.layers}
    for variable in plain.trainable_variables:
        variable.assign(np.random.default_rng(1).normal(0, 0.3, variable.shape))
    expected = np.asarray(plain(images))
    for source, target in ((plain, faster), (faster, plain)):
        source.save_weights(tmp_path / "made.weights.h5")
        target.set_weights([w * 0 for w in target.get_weights()])
        target.load_weights(tmp_path / "made.weights.h5")
        apart = np.abs(np.asarray(target(images)) - expected).max()
        assert apart < 4e-6 * np.abs(expected).max()
    assert_close(results(faster, images.astype("float32")), results(plain, images.astype("float32")))


@pytest.mark.parametrize("options", [{"axis": 1}, {"axis": (1, 2)}, {"scale": False}, {"center": False}], ids=str)
def test_a_norm_of_a_reader_s_own_model_stays_what_it_is(options):
    shape, made = (4, 8), []
    for _ in range(2):
        images = keras.Input(shape)
        made.append(keras.Model(images, keras.layers.LayerNormalization(**options)(images)))
    plain, faster = made[0], Execution().speed_up(made[1])
    assert type(faster.layers[1]) is fast.LayerNormalization
    assert_close(results(faster, table(3, *shape)), results(plain, table(3, *shape)))


def operations_of_a_bias_s_gradient(layer, call, shape):
    """The kinds of operations in a graph that computes the gradient of a layer's bias."""

    @tf.function
    def gradient(x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(call(x) ** 2)
        return tape.gradient(loss, layer.bias.value)

    graph = gradient.get_concrete_function(tf.TensorSpec(shape)).graph
    return {operation.type for operation in graph.get_operations()}


def test_a_bias_s_gradient_is_added_up_by_no_reduction(dense):
    reductions = {"BiasAddGrad", "Sum"}
    assert reductions & operations_of_a_bias_s_gradient(dense, dense, (None, 8))
    for ours, shape in ((fast.dense, (None, 8)), (fast.dense_along_first, (8, 3, 4))):
        assert not reductions & operations_of_a_bias_s_gradient(dense, functools.partial(ours, dense), shape)
