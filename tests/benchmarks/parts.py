"""Where the milliseconds of a training step go: the library's step without one part, and its matrix products alone.

A part's time is what a step takes less without it. The parts overlap where XLA fuses them, so they need not add up.
"""

import dataclasses
from unittest import mock

import keras
from keras import ops

from mixer_lib import Augment, adamw, build_classifier
from mixer_lib.speedups import layers
from mixer_lib.speedups.devices import Execution

PARTS = {
    "GELU": "no activation function",
    "LayerNorm": "its input in place of its output",
    "dropout": "a rate of zero",
    "augmentation": "no mirroring and no zoom",
    "AdamW": "plain gradient descent in its place",
}


@ops.custom_gradient
def _same(x, scale, offset):
    """The first argument; the others, which a layer must have, get a gradient of zero."""

    def gradient(*args, upstream=None):
        return (args[0] if upstream is None else upstream), ops.zeros_like(scale), ops.zeros_like(offset)

    return x, gradient


def step_without(part, config, images):
    """(model, step): the library's compiled training step, without one of PARTS, or whole where `part` is None."""
    if part == "dropout":
        config = dataclasses.replace(config, dropout=0.0)
    execution = Execution(jit_compile=True)
    augment = Augment(0.0, mirror=False) if part == "augmentation" else None
    model = execution.speed_up(build_classifier(config, images, augment))
    model.compile(
        keras.optimizers.SGD(0.005) if part == "AdamW" else adamw(0.005, 0.0001),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["acc", keras.metrics.SparseTopKCategoricalAccuracy(5, name="top5-acc")],
        jit_compile=True,
    )
    step = execution.train_step(model)

    def traced(pictures, labels):
        """The step; what is left out has to be away while the first call traces it."""
        with mock.patch.object(layers, "layer_norm", _identity_norm if part == "LayerNorm" else layers.layer_norm):
            gelu = (lambda x, approximate: x) if part == "GELU" else keras.activations.gelu
            with mock.patch.object(keras.activations, "gelu", gelu):
                return step(pictures, labels)

    return model, traced


def _identity_norm(layer, x):
    return _same(x, layer.gamma, layer.beta)


def product_shapes(config, batch):
    """The matrix products (M, K) x (K, N) of a forward pass: [(M, K, N)], as the faster layers compute them."""
    table, values = batch * config.num_patches, batch * config.hidden_dim
    tokens, channels = config.tokens_mlp_dim, config.channels_mlp_dim
    block = [
        (tokens, config.num_patches, values),
        (config.num_patches, tokens, values),
        (table, config.hidden_dim, channels),
        (table, channels, config.hidden_dim),
    ]
    embed = (table, 3 * config.patch_size**2, config.hidden_dim)
    return [embed, *block * config.num_blocks, (batch, config.hidden_dim, config.num_classes)]


def products_step(config, batch):
    """A function that computes a step's matrix products and nothing else: one forward and two backward for each.

    As in the library's step, those of each half of a batch are one XLA program, and both programs run at once.
    """
    import tensorflow as tf

    def tables():
        shapes = product_shapes(config, batch // 2)
        return [tuple(map(tf.random.normal, ((m, k), (k, n), (m, n)))) for m, k, n in shapes]

    @tf.function(jit_compile=True)
    def half(operands):
        products = [tf.matmul(left, right) for left, right, _ in operands]
        products += [tf.matmul(left, upstream, transpose_a=True) for left, _, upstream in operands]
        # nothing needs the gradient of the pixels
        return products + [tf.matmul(upstream, right, transpose_b=True) for _, right, upstream in operands[1:]]

    first, second = tables(), tables()

    @tf.function
    def both():
        return half(first), half(second)  # all of them: TensorFlow leaves out what nobody asks for

    return lambda *batch: {"loss": both()[0][0][0, 0]}
