"""Dense and LayerNormalization whose gradients are added up by matrix products.

A bias, a scale or an offset serves every row of a table, so its gradient is a sum over all rows. On a CPU, XLA adds up
such a column number after number. A product with a row of ones is the same sum, and takes less of its time. To a
reader, and to a weights file, both layers are Keras's own.
"""

import keras

from .worlds import ops


def repeated(vector, rows):
    """A vector (C,) as each of the rows of an (N, C) table; the gradient of the vector is then a matrix product."""
    return ops.matmul(ops.ones((rows, 1), vector.dtype), vector[None, :])


@keras.utils.register_keras_serializable("mixer_lib")
class Dense(keras.layers.Dense):
    """Keras's Dense layer, on tables: (..., C) -> (..., units), without activation."""

    def call(self, inputs, training=None):
        shape = [ops.shape(inputs)[0], *inputs.shape[1:-1], self.units]
        rows = ops.reshape(inputs, (-1, inputs.shape[-1]))  # (N, C)
        out = ops.matmul(rows, self.kernel)
        if self.use_bias:
            out = out + repeated(ops.cast(self.bias, out.dtype), ops.shape(rows)[0])
        return ops.reshape(out, shape)


@keras.utils.register_keras_serializable("mixer_lib")
class LayerNormalization(keras.layers.LayerNormalization):
    """Keras's LayerNormalization along the last axis: (..., C) -> (..., C)."""

    def call(self, inputs):
        shape, width = [ops.shape(inputs)[0], *inputs.shape[1:]], inputs.shape[-1]
        rows = ops.reshape(ops.cast(inputs, "float32"), (-1, width))  # (N, C)
        centered = rows - ops.einsum("nc->n", rows)[:, None] / width
        variance = ops.einsum("nc->n", centered * centered)[:, None] / width  # (N, 1)
        gamma, beta = (repeated(ops.cast(weight, "float32"), ops.shape(rows)[0]) for weight in (self.gamma, self.beta))
        out = centered * (variance + self.epsilon) ** -0.5 * gamma + beta
        return ops.reshape(ops.cast(out, self.compute_dtype), shape)
