"""The layers of `mixer_lib.layers` in less time: same names, same weights, another `call` (Keras 3).

- A bias, a scale or an offset serves every row of a table, so its gradient is a sum over all rows. On a CPU, XLA adds
  such columns number by number; a product with a row of ones is the same sum in less time.
- Within a block, tables are (S, B, C). Token mixing then multiplies from the left, as the paper's equation does, and
  needs no transposed copy: (x^T K)^T = K^T x.

Keras 3 finds weights in a file by class name, so a faster layer keeps the name of the plain one.
"""

import keras
from keras import ops
from keras.ops import custom_gradient
from keras.random import uniform

from .. import compat, layers
from ..models import resmlp
from .dropout import Dropout, dropout

__all__ = ["Affine", "Dense", "Dropout", "LayerNormalization", "MixerBlock", "speed_up"]


def _sum(table, axis):
    """The sum of an (N, M) table along one axis, as a matrix product with ones."""
    if axis == 0:
        return ops.matmul(ops.ones((1, ops.shape(table)[0]), table.dtype), table)[0]
    return ops.matmul(table, ops.ones((ops.shape(table)[1], 1), table.dtype))[:, 0]


def _gradient(rule):
    """A gradient function that takes the upstream gradient in either way in which Keras's backends pass it."""
    return lambda *args, upstream=None: rule(args[0] if upstream is None else upstream)


@custom_gradient
def add_to_rows(table, vector):
    """Add a vector (C,) to each row of an (N, C) table."""
    return table + vector, _gradient(lambda upstream: (upstream, _sum(upstream, axis=0)))


@custom_gradient
def scale_rows(table, vector):
    """Multiply each row of an (N, C) table by a vector (C,)."""
    return table * vector, _gradient(lambda upstream: (upstream * vector, _sum(upstream * table, axis=0)))


@custom_gradient
def add_to_columns(table, vector):
    """Add a vector (S,) to each column of an (S, N) table."""
    return table + vector[:, None], _gradient(lambda upstream: (upstream, _sum(upstream, axis=1)))


@custom_gradient
def outer(column, vector):
    """All products of a column (N, 1) and a vector (C,): an (N, C) table."""
    return column * vector, _gradient(
        lambda upstream: (ops.matmul(upstream, vector[:, None]), ops.matmul(ops.transpose(column), upstream)[0])
    )


def dense(layer, x):
    """A Keras Dense layer along the last axis: (..., C) -> (..., units)."""
    rows = ops.matmul(ops.reshape(x, (-1, x.shape[-1])), ops.cast(layer.kernel, x.dtype))
    if layer.use_bias:
        rows = add_to_rows(rows, ops.cast(layer.bias, x.dtype))
    return layer.activation(ops.reshape(rows, [*ops.shape(x)[:-1], layer.units]))


def dense_along_first(layer, x):
    """The same layer along the first axis: (S, B, C) -> (units, B, C)."""
    columns = ops.matmul(ops.transpose(ops.cast(layer.kernel, x.dtype)), ops.reshape(x, (x.shape[0], -1)))
    if layer.use_bias:
        columns = add_to_columns(columns, ops.cast(layer.bias, x.dtype))
    return layer.activation(ops.reshape(columns, [layer.units, *ops.shape(x)[1:]]))


def layer_norm(layer, x):
    """A Keras LayerNormalization along the last axis: (..., C) -> (..., C)."""
    rows = ops.reshape(ops.cast(x, "float32"), (-1, x.shape[-1]))  # (N, C)
    rows = rows - ops.mean(rows, axis=-1, keepdims=True)
    variance = ops.mean(rows * rows, axis=-1, keepdims=True)  # (N, 1)
    scale = outer(ops.rsqrt(variance + layer.epsilon), ops.cast(layer.gamma, "float32"))  # (N, C)
    out = add_to_rows(rows * scale, ops.cast(layer.beta, "float32"))
    return ops.reshape(ops.cast(out, layer.compute_dtype), ops.shape(x))


def mlp(block, x, product, training):
    """An `MlpBlock` with `dense` or `dense_along_first` as its product."""
    x = keras.activations.gelu(product(block.hidden, x), approximate=True)
    return dropout(block.drop, product(block.out, x), training)


def drop_branch(layer, x, training):
    """Stochastic depth on a table (S, B, C): one value of the mask for each image."""
    if not training or layer.rate == 0:
        return x
    keep = uniform((1, ops.shape(x)[1], 1), seed=layer.seed_generator) >= layer.rate
    return ops.where(keep, x * (1 / (1 - layer.rate)), ops.cast(0.0, x.dtype))


class Dense(keras.layers.Dense):
    """Keras's Dense."""

    def call(self, inputs, training=None):
        return dense(self, inputs)


class LayerNormalization(keras.layers.LayerNormalization):
    """Keras's LayerNormalization; faster along the last axis, with scale and offset."""

    def call(self, inputs):
        axes = [self.axis] if isinstance(self.axis, int) else list(self.axis)
        usual = axes in ([-1], [len(inputs.shape) - 1]) and self.scale and self.center
        usual = usual and not getattr(self, "rms_scaling", False)
        return layer_norm(self, inputs) if usual else super().call(inputs)


class Affine(resmlp.Affine):
    """ResMLP's scale and offset."""

    def call(self, x):
        rows = scale_rows(ops.reshape(x, (-1, x.shape[-1])), ops.cast(self.scale, x.dtype))
        if self.offset:
            rows = add_to_rows(rows, ops.cast(self.bias, x.dtype))
        return ops.reshape(rows, ops.shape(x))


class MixerBlock(layers.MixerBlock):
    """The Mixer layer on tables (S, B, C): transposed once at either end, and not for each mixing."""

    def call(self, x, training=None):
        x = ops.transpose(x, (1, 0, 2))  # (S, B, C)
        y = mlp(self.token_mixing, layer_norm(self.token_norm, x), dense_along_first, training)
        x = x + drop_branch(self.token_depth, y, training)
        norm = self.token_norm if self.shared_norm else self.channel_norm
        y = mlp(self.channel_mixing, layer_norm(norm, x), dense, training)
        x = x + drop_branch(self.channel_depth, y, training)
        return ops.transpose(x, (1, 0, 2))  # (B, S, C)


FASTER = {
    keras.layers.Dense: Dense,
    keras.layers.LayerNormalization: LayerNormalization,
    compat.Dropout: Dropout,
    layers.MixerBlock: MixerBlock,
    resmlp.Affine: Affine,
}


def speed_up(model):
    """Let a model's layers compute as those of this module: each becomes an instance of the faster class.

    Weights, names and seeds stay as they are. Layers of other classes, subclasses too, are left alone.
    """
    for layer in compat.layers_of(model):
        if faster := FASTER.get(type(layer)):
            object.__setattr__(layer, "__class__", faster)
