"""Keras's Dense and LayerNormalization, written so that a training step takes less time.

To a reader, and to a weights file, both are Keras's own; what differs is the way to the same numbers.

- A bias, a scale or an offset serves every row of a table, so its gradient is a sum over all rows. On a CPU, XLA adds
  up such columns number after number; a product with a row of ones is the same sum in less time.
- `Dense.along_first` multiplies from the left, as the paper's equation does for token mixing, and so needs no turned
  copy of the table: (x^T K)^T = K^T x.
"""

import keras

from .worlds import custom_gradient, ops, sizes


def _summed(rows):
    """The sum of the rows of an (N, C) table, as a matrix product: (C,)."""
    return ops.matmul(ops.ones((1, ops.shape(rows)[0]), rows.dtype), rows)[0]


@custom_gradient
def plus(rows, vector):
    """Add a vector (C,) to each row of an (N, C) table."""

    def gradient(*args, upstream=None):
        upstream = args[0] if upstream is None else upstream
        return upstream, _summed(upstream)

    return rows + vector, gradient


@custom_gradient
def times(rows, vector):
    """Multiply each row of an (N, C) table by a vector (C,)."""

    def gradient(*args, upstream=None):
        upstream = args[0] if upstream is None else upstream
        return upstream * vector, _summed(upstream * rows)

    return rows * vector, gradient


@keras.utils.register_keras_serializable("mixer_lib")
class Dense(keras.layers.Dense):
    """Keras's Dense layer, on tables: (..., C) -> (..., units), without activation."""

    def call(self, inputs, training=None):
        out = ops.matmul(ops.reshape(inputs, (-1, inputs.shape[-1])), ops.cast(self.kernel, inputs.dtype))
        if self.use_bias:
            out = plus(out, ops.cast(self.bias, inputs.dtype))
        return ops.reshape(out, [*sizes(inputs)[:-1], self.units])

    def along_first(self, inputs):
        """The same layer along the first axis: (S, B, C) -> (units, B, C), without turning the table."""
        columns = ops.reshape(inputs, (inputs.shape[0], -1))  # (S, B C)
        out = ops.matmul(ops.transpose(ops.cast(self.kernel, inputs.dtype)), columns)
        if self.use_bias:
            out = out + ops.cast(self.bias, inputs.dtype)[:, None]
        return ops.reshape(out, [self.units, *sizes(inputs)[1:]])


@keras.utils.register_keras_serializable("mixer_lib")
class LayerNormalization(keras.layers.LayerNormalization):
    """Keras's LayerNormalization along the last axis: (..., C) -> (..., C)."""

    def call(self, inputs):
        rows = ops.reshape(ops.cast(inputs, "float32"), (-1, inputs.shape[-1]))  # (N, C)
        rows = rows - ops.mean(rows, axis=-1, keepdims=True)
        rows = rows * (ops.mean(rows * rows, axis=-1, keepdims=True) + self.epsilon) ** -0.5
        out = plus(times(rows, ops.cast(self.gamma, "float32")), ops.cast(self.beta, "float32"))
        return ops.reshape(ops.cast(out, self.compute_dtype), sizes(inputs))
