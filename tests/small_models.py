"""Small models, random images and weights, and the functions of the papers in NumPy."""

import dataclasses

import numpy as np

from mixer_lib import MixerConfig

TINY = MixerConfig(
    image_size=8, patch_size=2, num_blocks=2, hidden_dim=6, tokens_mlp_dim=5, channels_mlp_dim=7, num_classes=3
)
TINY_PAPER = dataclasses.replace(
    TINY, shared_norm=False, pre_head_norm=True, stochastic_depth=0.1, zero_head=True, dropout=0.0
)


def random_images(count, side=8, seed=0):
    """(count, side, side, 3) uint8 images."""
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def random_table(*shape, seed=0):
    """A float32 array, normally distributed."""
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def randomize(model, seed=1, scale=0.3):
    """Random values in every trainable weight, so that biases and norms have a say; returns the model."""
    draw = np.random.default_rng(seed)
    for weight in model.trainable_weights:
        weight.assign(draw.normal(scale=scale, size=weight.shape).astype("float32"))
    return model


def count_parameters(model):
    """How many trainable parameters a model has."""
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


def gelu(x):
    """The tanh approximation."""
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def layer_norm(x, scale, bias):
    x = x - x.mean(axis=-1, keepdims=True)
    return x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + 1e-6) * scale + bias


def dense(x, layer):
    kernel, bias = (np.asarray(weight, "float64") for weight in layer.get_weights())
    return x @ kernel + bias


def norm(x, layer):
    return layer_norm(x, *(np.asarray(weight, "float64") for weight in layer.get_weights()))


def mlp(x, block):
    """What an `MlpBlock` computes."""
    return dense(gelu(dense(x, block.hidden)), block.out)
