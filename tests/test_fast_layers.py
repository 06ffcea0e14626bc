"""Dense and LayerNormalization are Keras's own but for the way in which their gradients are added up."""

import keras
import numpy as np
import pytest

from mixer_lib import worlds
from mixer_lib.fast_layers import Dense, LayerNormalization

if worlds.backend_name() != "tensorflow":
    pytest.skip("gradients are taken with TensorFlow here", allow_module_level=True)

import tensorflow as tf

PAIRS = {
    "dense": (lambda: Dense(5), lambda: keras.layers.Dense(5)),
    "dense without bias": (lambda: Dense(5, use_bias=False), lambda: keras.layers.Dense(5, use_bias=False)),
    "norm": (lambda: LayerNormalization(epsilon=1e-6), lambda: keras.layers.LayerNormalization(epsilon=1e-6)),
}


def values(variables):
    """Variables as what a tape of TensorFlow knows: Keras 3 wraps them."""
    return [one.value if worlds.KERAS_3 else one for one in variables]


def weighted(out):
    """A loss that weighs every output differently."""
    return tf.reduce_sum(out * tf.reshape(tf.range(tf.size(out), dtype="float32") % 7, tf.shape(out)))


def results(layer, x, weights=None, call=None):
    """What a layer gives, its gradients, and its weights; `call` is a built layer's other way."""
    if not layer.built:
        layer.build(x.shape)
    if weights is None:
        draw = np.random.default_rng(1)
        weights = [draw.normal(size=w.shape).astype("float32") for w in layer.get_weights()]
    layer.set_weights(weights)
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        out = (call or layer)(x)
        loss = weighted(out)
    gradients = tape.gradient(loss, [x, *values(layer.trainable_variables)])
    return out.numpy(), [np.asarray(gradient) for gradient in gradients], weights


@pytest.mark.parametrize("shape", [(6, 8), (3, 4, 8), (2, 3, 4, 8)])
@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_values_and_gradients_are_those_of_keras(pair, shape):
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    out, gradients, weights = results(pair[0](), x)
    expected, expected_gradients, _ = results(pair[1](), x, weights)
    assert np.allclose(out, expected, atol=1e-5)
    for found, wanted in zip(gradients, expected_gradients, strict=True):
        assert np.allclose(found, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_weights_have_the_names_and_shapes_of_keras(pair):
    ours, theirs = (make() for make in pair)
    for layer in (ours, theirs):
        layer.build((None, 4, 8))
    assert [(w.name.split("/")[-1], tuple(w.shape)) for w in ours.weights] == [
        (w.name.split("/")[-1], tuple(w.shape)) for w in theirs.weights
    ]


def test_along_the_first_axis_values_and_gradients_are_those_of_the_turned_table():
    ours, keras_own = Dense(5), keras.layers.Dense(5)
    for layer in (ours, keras_own):
        layer.build((None, 3, 8))
    x = np.random.default_rng(0).normal(size=(8, 3, 4)).astype("float32")
    found, gradients, weights = results(ours, x, call=ours.along_first)
    out, expected, _ = results(keras_own, x, weights, call=lambda table: tf.transpose(keras_own(tf.transpose(table))))
    assert np.allclose(found, out, atol=1e-5)
    for one, other in zip(gradients, expected, strict=True):
        assert np.allclose(one, other, rtol=1e-4, atol=1e-4)


def operations_of_a_bias_s_gradient(layer, call, shape):
    """The kinds of operations in a graph that works out the gradient of a layer's bias."""

    @tf.function
    def gradient(x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(call(x) ** 2)
        return tape.gradient(loss, values([layer.bias]))

    graph = gradient.get_concrete_function(tf.TensorSpec(shape)).graph
    return {operation.type for operation in graph.get_operations()}


def test_a_bias_s_gradient_is_added_up_by_no_reduction():
    reductions = {"BiasAddGrad", "Sum"}
    ours, keras_own = Dense(5), keras.layers.Dense(5)
    for layer in (ours, keras_own):
        layer.build((None, 8))
    assert not reductions & operations_of_a_bias_s_gradient(ours, ours, (None, 8))
    assert not reductions & operations_of_a_bias_s_gradient(ours, ours.along_first, (8, 3, 4))
    assert reductions & operations_of_a_bias_s_gradient(keras_own, keras_own, (None, 8))
