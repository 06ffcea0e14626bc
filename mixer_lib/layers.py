"""Patches and the two mixings: the pieces of a Mixer.

Shapes: B images in a batch, H x W pixels, C channels, P the side of a patch, S = H/P * W/P patches.
"""

import keras

from .checks import positive_integer, rate
from .fast_layers import Dense, LayerNormalization
from .noise import Dropout, StochasticDepth
from .worlds import PATCHES_FIRST, ops

LAYER_NORM_EPSILON = 1e-6


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
        self.patch_size = positive_integer("patch_size", patch_size)

    def build(self, input_shape):
        _, height, width, channels = input_shape
        size = self.patch_size
        if height % size or width % size:
            raise ValueError(
                f"Images of {height}x{width} pixels can't be cut into patches of {size}x{size}: both sides must be "
                f"multiples of the patch size. Choose another patch_size, or resize the images."
            )
        rows, columns = height // size, width // size
        self.split_sides = keras.layers.Reshape((rows, size, columns, size * channels), name="split_sides")
        self.patch_first = keras.layers.Permute((1, 3, 2, 4), name="patch_first")
        self.flatten_patch = keras.layers.Reshape((rows * columns, size * size * channels), name="flatten_patch")
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
        self.mlp_dim = positive_integer("mlp_dim", mlp_dim)
        self.dropout = rate("dropout", dropout)

    def build(self, input_shape):
        self.hidden = Dense(self.mlp_dim, name="hidden")
        self.hidden.build(input_shape)
        self.out = Dense(input_shape[-1], name="out")
        self.out.build((*input_shape[:-1], self.mlp_dim))
        self.drop = Dropout(self.dropout, name="drop")
        self.built = True

    def call(self, x, training=None):
        x = keras.activations.gelu(self.hidden(x), approximate=True)  # (B, S, mlp_dim)
        return self.drop(self.out(x), training=training)  # (B, S, C)

    def along_first(self, x, training=None):
        """The same MLP along the first axis, (S, B, C) -> (S, B, C): transpose, call, transpose back, at once."""
        x = keras.activations.gelu(self.hidden.along_first(x), approximate=True)  # (mlp_dim, B, C)
        return self.drop(self.out.along_first(x), training=training)  # (S, B, C)

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
        self.tokens_mlp_dim = positive_integer("tokens_mlp_dim", tokens_mlp_dim)
        self.channels_mlp_dim = positive_integer("channels_mlp_dim", channels_mlp_dim)
        self.dropout = rate("dropout", dropout)
        self.shared_norm = bool(shared_norm)
        self.stochastic_depth = rate("stochastic_depth", stochastic_depth)

    def build(self, input_shape):
        batch, patches, channels = input_shape
        self.token_norm = LayerNormalization(epsilon=LAYER_NORM_EPSILON, name="token_norm")
        self.token_norm.build(input_shape)
        if not self.shared_norm:
            self.channel_norm = LayerNormalization(epsilon=LAYER_NORM_EPSILON, name="channel_norm")
            self.channel_norm.build(input_shape)
        self.token_mixing = MlpBlock(self.tokens_mlp_dim, self.dropout, name="token_mixing")
        self.token_mixing.build((batch, channels, patches))
        self.channel_mixing = MlpBlock(self.channels_mlp_dim, self.dropout, name="channel_mixing")
        self.channel_mixing.build(input_shape)
        images = 1 if PATCHES_FIRST else 0  # the axis
        self.token_depth = StochasticDepth(self.stochastic_depth, images, name="token_depth")
        self.channel_depth = StochasticDepth(self.stochastic_depth, images, name="channel_depth")
        self.built = True

    def call(self, x, training=None):
        x = self.swap(x)  # (S, B, C): no mixing turns the table
        y = self.mix_tokens(self.token_norm(x), training)  # (S, B, C)
        x = x + self.token_depth(y, training=training)
        norm = self.token_norm if self.shared_norm else self.channel_norm
        y = self.channel_mixing(norm(x), training=training)  # (S, B, C)
        x = x + self.channel_depth(y, training=training)
        return self.swap(x)  # (B, S, C)

    def swap(self, x):
        """Swap images and patches, where that is faster (worlds.py)."""
        return ops.transpose(x, (1, 0, 2)) if PATCHES_FIRST else x

    def mix_tokens(self, x, training=None):
        """The token-mixing MLP along the patches of what `swap` gives."""
        if PATCHES_FIRST:
            return self.token_mixing.along_first(x, training=training)
        columns = self.token_mixing(ops.transpose(x, (0, 2, 1)), training=training)  # (B, C, S)
        return ops.transpose(columns, (0, 2, 1))  # (B, S, C)

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
