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


def results(layer, x, weights=None):
    """What a layer gives, its gradients, and its weights, for a loss that weighs every output differently."""
    layer.build(x.shape)
    if weights is None:
        draw = np.random.default_rng(1)
        weights = [draw.normal(size=w.shape).astype("float32") for w in layer.get_weights()]
    layer.set_weights(weights)
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        out = layer(x)
        loss = tf.reduce_sum(out * tf.reshape(tf.range(tf.size(out), dtype="float32") % 7, tf.shape(out)))
    sources = [x, *layer.trainable_variables]
    gradients = tape.gradient(loss, [getattr(one, "value", one) if worlds.KERAS_3 else one for one in sources])
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


def test_no_gradient_is_added_up_by_a_reduction():
    layer = Dense(5)
    layer.build((None, 8))

    @tf.function
    def gradient(x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(layer(x) ** 2)
        return tape.gradient(loss, [getattr(layer.bias, "value", layer.bias) if worlds.KERAS_3 else layer.bias])

    graph = gradient.get_concrete_function(tf.TensorSpec((None, 8))).graph
    assert "BiasAddGrad" not in {operation.type for operation in graph.get_operations()}
