"""Patches, the two mixings, dropout and augmentation: the pieces of a Mixer.

Shapes: B images in a batch, H x W pixels, C channels, P the side of a patch, S = H/P * W/P patches.
"""

import keras
import numpy as np

from .worlds import SeedGenerator, ops, randint, uniform

LAYER_NORM_EPSILON = 1e-6


def _positive_integer(name, value):
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1. Received: {value!r}.")
    return int(value)


def _rate(name, value):
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1:
        raise ValueError(
            f"{name} must be a fraction from 0 up to, but not including, 1 (0.2 drops a fifth). Received: {value!r}."
        )
    return float(value)


@keras.utils.register_keras_serializable("mixer_lib")
class Patches(keras.layers.Layer):
    """Cut images into square patches that don't overlap: one row of the table per patch.

    Args:
        patch_size: side P of a patch, in pixels. H and W must be multiples of it.

    Input shape: (B, H, W, C). Output shape: (B, H/P * W/P, P*P*C), rows from left to right and top to bottom,
    values within a row in the order of `tf.image.extract_patches` (pixel rows, pixel columns, channels).

    Raises:
        ValueError: if the patch size is not a positive whole number, or does not divide height and width.

    Source: Tolstikhin et al. 2021, section 2.
    """

    def __init__(self, patch_size, **kwargs):
        super().__init__(**kwargs)
        self.patch_size = _positive_integer("patch_size", patch_size)

    def build(self, input_shape):
        _, height, width, channels = input_shape
        size = self.patch_size
        if height % size or width % size:
            raise ValueError(
                f"Images of {height}x{width} pixels can't be cut into patches of {size}x{size}: both sides must be "
                f"multiples of the patch size. Choose another patch_size, or resize the images."
            )
        rows, columns = height // size, width // size
        self.split_sides = keras.layers.Reshape((rows, size, columns, size * channels))
        self.patch_first = keras.layers.Permute((1, 3, 2, 4))
        self.flatten_patch = keras.layers.Reshape((rows * columns, size * size * channels))
        self.built = True

    def call(self, images):
        x = self.split_sides(images)  # (B, H/P, P, W/P, P*C)
        x = self.patch_first(x)  # (B, H/P, W/P, P, P*C)
        return self.flatten_patch(x)  # (B, S, P*P*C)

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        size = self.patch_size
        return (batch, (height // size) * (width // size), size * size * channels)

    def get_config(self):
        return {**super().get_config(), "patch_size": self.patch_size}


@keras.utils.register_keras_serializable("mixer_lib")
class Dropout(keras.layers.Layer):
    """Dropout whose masks cost half the random numbers of Keras's layer.

    One random whole number below 2**30 decides two values, 15 bits each, so the rate is exact to 1/32768. Drawing
    masks is a third of a training step on a CPU; halving it changes nothing that is learned.

    Args:
        rate: fraction of values set to zero in training; the others are scaled by 1 / (1 - rate).

    Input and output shape: the same, any; the last axis must be even.

    Source: Srivastava et al. 2014.
    """

    def __init__(self, rate, **kwargs):
        super().__init__(**kwargs)
        self.rate = _rate("dropout", rate)
        self.seed_generator = SeedGenerator()

    def call(self, inputs, training=None):
        if not training or self.rate == 0:
            return inputs
        shape = [ops.shape(inputs)[axis] for axis in range(len(inputs.shape) - 1)]
        draws = randint((*shape, inputs.shape[-1] // 2), 0, 2**30, dtype="int32", seed=self.seed_generator)
        threshold = round(self.rate * 2**15)
        high, low = draws >= threshold * 2**15, ops.bitwise_and(draws, 2**15 - 1) >= threshold
        keep = ops.concatenate([high, low], axis=-1)
        return ops.where(keep, inputs * (1 / (1 - self.rate)), ops.cast(0.0, inputs.dtype))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "rate": self.rate}


@keras.utils.register_keras_serializable("mixer_lib")
class StochasticDepth(keras.layers.Layer):
    """Leave a whole branch out, for some images of the batch, in training.

    Args:
        rate: fraction of images for which the branch is dropped; the others are scaled by 1 / (1 - rate).

    Input and output shape: (B, S, C). Source: Huang et al. 2016, as in the paper's code.
    """

    def __init__(self, rate, **kwargs):
        super().__init__(**kwargs)
        self.rate = _rate("stochastic_depth", rate)
        self.seed_generator = SeedGenerator()

    def call(self, inputs, training=None):
        if not training or self.rate == 0:
            return inputs
        keep = uniform((ops.shape(inputs)[0], 1, 1), seed=self.seed_generator) >= self.rate
        return ops.where(keep, inputs * (1 / (1 - self.rate)), ops.cast(0.0, inputs.dtype))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "rate": self.rate}


@keras.utils.register_keras_serializable("mixer_lib")
class MlpBlock(keras.layers.Layer):
    """Two dense layers with a GELU between them, along the last axis; the width comes back as it was.

    Args:
        mlp_dim: width of the hidden layer.
        dropout: dropout rate after the second dense layer.

    Input and output shape: (B, S, C). The GELU is the tanh approximation, as in the paper's code and in
    tensorflow-addons. Source: Tolstikhin et al. 2021, equation 1.
    """

    def __init__(self, mlp_dim, dropout=0.0, **kwargs):
        super().__init__(**kwargs)
        self.mlp_dim = _positive_integer("mlp_dim", mlp_dim)
        self.dropout = _rate("dropout", dropout)

    def build(self, input_shape):
        self.hidden = keras.layers.Dense(self.mlp_dim, name="hidden")
        self.hidden.build(input_shape)
        self.out = keras.layers.Dense(input_shape[-1], name="out")
        self.out.build((*input_shape[:-1], self.mlp_dim))
        self.drop = Dropout(self.dropout, name="drop")
        self.built = True

    def call(self, x, training=None):
        x = keras.activations.gelu(self.hidden(x), approximate=True)  # (B, S, mlp_dim)
        return self.drop(self.out(x), training=training)  # (B, S, C)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "mlp_dim": self.mlp_dim, "dropout": self.dropout}


@keras.utils.register_keras_serializable("mixer_lib")
class MixerBlock(keras.layers.Layer):
    """One Mixer layer: mix along the patches, then along the channels, each with a skip connection.

    Args:
        tokens_mlp_dim: hidden width of the token-mixing MLP, which reads a column of the table.
        channels_mlp_dim: hidden width of the channel-mixing MLP, which reads a row.
        dropout: dropout rate after each MLP.
        shared_norm: use one LayerNorm for both mixings (the article) instead of one each (the paper).
        stochastic_depth: fraction of images for which a mixing is left out in training.

    Input and output shape: (B, S, C). Source: Tolstikhin et al. 2021, equation 1 and figure 1.
    """

    def __init__(
        self, tokens_mlp_dim, channels_mlp_dim, dropout=0.0, shared_norm=False, stochastic_depth=0.0, **kwargs
    ):
        super().__init__(**kwargs)
        self.tokens_mlp_dim = _positive_integer("tokens_mlp_dim", tokens_mlp_dim)
        self.channels_mlp_dim = _positive_integer("channels_mlp_dim", channels_mlp_dim)
        self.dropout = _rate("dropout", dropout)
        self.shared_norm = bool(shared_norm)
        self.stochastic_depth = _rate("stochastic_depth", stochastic_depth)

    def build(self, input_shape):
        batch, patches, channels = input_shape
        self.token_norm = keras.layers.LayerNormalization(epsilon=LAYER_NORM_EPSILON, name="token_norm")
        self.token_norm.build(input_shape)
        if not self.shared_norm:
            self.channel_norm = keras.layers.LayerNormalization(epsilon=LAYER_NORM_EPSILON, name="channel_norm")
            self.channel_norm.build(input_shape)
        self.transpose = keras.layers.Permute((2, 1))
        self.token_mixing = MlpBlock(self.tokens_mlp_dim, self.dropout, name="token_mixing")
        self.token_mixing.build((batch, channels, patches))
        self.channel_mixing = MlpBlock(self.channels_mlp_dim, self.dropout, name="channel_mixing")
        self.channel_mixing.build(input_shape)
        self.token_depth = StochasticDepth(self.stochastic_depth, name="token_depth")
        self.channel_depth = StochasticDepth(self.stochastic_depth, name="channel_depth")
        self.built = True

    def call(self, x, training=None):
        y = self.transpose(self.token_norm(x))  # (B, C, S)
        y = self.transpose(self.token_mixing(y, training=training))  # (B, S, C)
        x = x + self.token_depth(y, training=training)
        norm = self.token_norm if self.shared_norm else self.channel_norm
        y = self.channel_mixing(norm(x), training=training)  # (B, S, C)
        return x + self.channel_depth(y, training=training)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "tokens_mlp_dim": self.tokens_mlp_dim,
            "channels_mlp_dim": self.channels_mlp_dim,
            "dropout": self.dropout,
            "shared_norm": self.shared_norm,
            "stochastic_depth": self.stochastic_depth,
        }


def zoom_matrix(factors, mirrored, size):
    """The linear map that zooms (and may mirror) one axis of an image, as a matrix for each image.

    Args:
        factors: (B,) floats; above 1 zooms out, below 1 zooms in.
        mirrored: (B,) floats, 1 to reverse the axis, else 0.
        size: number of pixels along the axis.

    Returns:
        (B, size, size): row i holds the weights with which the old pixels make the new pixel i, by linear
        interpolation, with the image reflected beyond its edges (d c b a | a b c d | d c b a).
    """
    pixel = ops.cast(ops.arange(size), "float32")
    center = (size - 1) / 2
    scale = (factors * (1 - 2 * mirrored))[:, None]  # a mirrored axis is a zoom by a negative factor
    at = center + scale * (pixel[None, :] - center)  # (B, size): where each new pixel looks
    at = ops.where(at < 0, -at - 1, at)
    at = ops.where(at > size - 1, 2 * size - 1 - at, at)
    at = ops.minimum(ops.maximum(at, 0.0), size - 1.0)
    return ops.maximum(0.0, 1 - ops.abs(at[:, :, None] - pixel[None, None, :]))


@keras.utils.register_keras_serializable("mixer_lib")
class Augment(keras.layers.Layer):
    """Mirror half of the images left to right and zoom each by a random factor; in training only.

    Height and width are zoomed independently, by factors uniform in [1 - zoom, 1 + zoom], bilinearly, reflecting
    at the edges: what Keras's RandomFlip and RandomZoom(zoom, zoom) do. A zoom acts on rows and columns apart, so
    it is two small matrix products for each image here, which XLA can compile (RandomZoom keeps it from doing so).
    Called bare, the layer leaves the images alone; Keras's random layers would change them.

    Args:
        zoom: largest relative zoom, below 1.

    Input and output shape: (B, H, W, C).
    """

    def __init__(self, zoom=0.2, **kwargs):
        super().__init__(**kwargs)
        self.zoom = _rate("zoom", zoom)
        self.seed_generator = SeedGenerator()

    def call(self, images, training=None):
        if not training:
            return images
        batch, (height, width) = ops.shape(images)[0], images.shape[1:3]
        low, high = 1 - self.zoom, 1 + self.zoom
        tall = uniform((batch,), low, high, seed=self.seed_generator)
        wide = uniform((batch,), low, high, seed=self.seed_generator)
        mirrored = ops.cast(uniform((batch,), seed=self.seed_generator) < 0.5, "float32")
        rows = ops.cast(zoom_matrix(tall, 0 * mirrored, height), images.dtype)
        columns = ops.cast(zoom_matrix(wide, mirrored, width), images.dtype)
        images = ops.einsum("bhr,brwc->bhwc", rows, images)
        return ops.einsum("bwq,bhqc->bhwc", columns, images)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "zoom": self.zoom}
