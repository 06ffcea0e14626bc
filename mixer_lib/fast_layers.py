"""Keras's Dense and LayerNormalization, written so that a training step takes less time.

To a reader, and to a weights file, both are Keras's own; what differs is the way to the same numbers.

- A bias, a scale or an offset serves every row of a table, so its gradient is a sum over all rows. On a CPU, XLA adds
  up such columns number after number; a product with a row of ones is the same sum in less time.
- `Dense.along_first` multiplies from the left, as the paper's equation does for token mixing, and so needs no turned
  copy of the table: (x^T K)^T = K^T x.
"""

import keras

from .worlds import custom_gradient, ops, sizes


def _summed(table, axis):
    """The sum of an (N, M) table along one axis, as a matrix product with ones."""
    if axis == 0:
        return ops.matmul(ops.ones((1, ops.shape(table)[0]), table.dtype), table)[0]
    return ops.matmul(table, ops.ones((ops.shape(table)[1], 1), table.dtype))[:, 0]


@custom_gradient
def add_to_rows(table, vector):
    """Add a vector (C,) to each row of an (N, C) table."""

    def gradient(*args, upstream=None):
        upstream = args[0] if upstream is None else upstream
        return upstream, _summed(upstream, axis=0)

    return table + vector, gradient


@custom_gradient
def add_to_columns(table, vector):
    """Add a vector (S,) to each column of an (S, N) table."""

    def gradient(*args, upstream=None):
        upstream = args[0] if upstream is None else upstream
        return upstream, _summed(upstream, axis=1)

    return table + vector[:, None], gradient


@custom_gradient
def outer(column, vector):
    """All products of a column (N, 1) and a vector (C,): an (N, C) table."""

    def gradient(*args, upstream=None):
        upstream = args[0] if upstream is None else upstream
        return ops.matmul(upstream, vector[:, None]), ops.matmul(ops.transpose(column), upstream)[0]

    return column * vector, gradient


@keras.utils.register_keras_serializable("mixer_lib")
class Dense(keras.layers.Dense):
    """Keras's Dense layer, on tables: (..., C) -> (..., units), without activation."""

    def call(self, inputs, training=None):
        out = ops.matmul(ops.reshape(inputs, (-1, inputs.shape[-1])), ops.cast(self.kernel, inputs.dtype))
        if self.use_bias:
            out = add_to_rows(out, ops.cast(self.bias, inputs.dtype))
        return ops.reshape(out, [*sizes(inputs)[:-1], self.units])

    def along_first(self, inputs):
        """The same layer along the first axis: (S, B, C) -> (units, B, C), without turning the table."""
        columns = ops.reshape(inputs, (inputs.shape[0], -1))  # (S, B C)
        out = ops.matmul(ops.transpose(ops.cast(self.kernel, inputs.dtype)), columns)
        if self.use_bias:
            out = add_to_columns(out, ops.cast(self.bias, inputs.dtype))
        return ops.reshape(out, [self.units, *sizes(inputs)[1:]])


@keras.utils.register_keras_serializable("mixer_lib")
class LayerNormalization(keras.layers.LayerNormalization):
    """Keras's LayerNormalization along the last axis: (..., C) -> (..., C)."""

    def call(self, inputs):
        rows = ops.reshape(ops.cast(inputs, "float32"), (-1, inputs.shape[-1]))  # (N, C)
        rows = rows - ops.mean(rows, axis=-1, keepdims=True)
        variance = ops.mean(rows * rows, axis=-1, keepdims=True)  # (N, 1)
        scale = outer(ops.rsqrt(variance + self.epsilon), ops.cast(self.gamma, "float32"))  # (N, C)
        out = add_to_rows(rows * scale, ops.cast(self.beta, "float32"))
        return ops.reshape(ops.cast(out, self.compute_dtype), sizes(inputs))
