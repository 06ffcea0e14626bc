"""Patches and the two mixings: the pieces of a Mixer.

Shapes: B images in a batch, H x W pixels, C channels, P the side of a patch, S = H/P * W/P patches.
"""

from typing import Any

import keras
from keras.layers import Dense, LayerNormalization

from .compat import Dropout, SameShape
from .validation import positive_integer, rate, yes_or_no

EPSILON = 1e-6  # of every LayerNorm


@keras.utils.register_keras_serializable("mixer_lib")
class Patches(keras.layers.Layer):
    """Cut images into square patches that don't overlap: one row of the table per patch.

    `patch_size` is the side P of a patch, in pixels. H and W must be multiples of it.

    Input shape: (B, H, W, C). Output shape: (B, H/P * W/P, P*P*C), rows from left to right and top to bottom,
    values within a row in the order of `tf.image.extract_patches` (pixel rows, pixel columns, channels).

    ValueError if the patch size is not a positive whole number, or does not divide height and width.
    Source: Tolstikhin et al. 2021, section 2.
    """

    def __init__(self, patch_size: int, **kwargs: Any):
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
        rows, columns, same = height // size, width // size, {"dtype": self.dtype_policy}
        self.split_sides = keras.layers.Reshape((rows, size, columns, size * channels), name="split_sides", **same)
        self.patch_first = keras.layers.Permute((1, 3, 2, 4), name="patch_first", **same)
        flat = (rows * columns, size * size * channels)
        self.flatten_patch = keras.layers.Reshape(flat, name="flatten_patch", **same)
        self.built = True

    def call(self, images):
        x = self.split_sides(images)  # (B, H/P, P, W/P, P*C)
        x = self.patch_first(x)  # (B, H/P, W/P, P, P*C)
        return self.flatten_patch(x)  # (B, S, P*P*C)

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        return batch, (height // self.patch_size) * (width // self.patch_size), self.patch_size**2 * channels

    def get_config(self):
        return {**super().get_config(), "patch_size": self.patch_size}


@keras.utils.register_keras_serializable("mixer_lib")
class MlpBlock(SameShape):
    """Two dense layers with a GELU between them, along the last axis, which keeps its width.

    `mlp_dim` is the width of the hidden layer, `dropout` the rate after the second dense layer.

    Input and output shape: (B, S, C). The GELU is the tanh approximation, as in the paper's code and in
    tensorflow-addons. Source: Tolstikhin et al. 2021, equation 1.
    """

    def __init__(self, mlp_dim: int, dropout: float = 0.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.mlp_dim = positive_integer("mlp_dim", mlp_dim)
        self.dropout = rate("dropout", dropout)

    def build(self, input_shape):
        same = {"dtype": self.dtype_policy}
        self.hidden = Dense(self.mlp_dim, name="hidden", **same)
        self.hidden.build(input_shape)
        self.out = Dense(input_shape[-1], name="out", **same)
        self.out.build((*input_shape[:-1], self.mlp_dim))
        self.drop = Dropout(self.dropout, name="drop", **same)
        self.built = True

    def call(self, x, training=None):
        x = keras.activations.gelu(self.hidden(x), approximate=True)  # (..., mlp_dim)
        return self.drop(self.out(x), training=training)  # the shape of the input

    def get_config(self):
        return {**super().get_config(), "mlp_dim": self.mlp_dim, "dropout": self.dropout}


@keras.utils.register_keras_serializable("mixer_lib")
class MixerBlock(SameShape):
    """One Mixer layer: token mixing, then channel mixing, each with LayerNorm before it and a residual connection.

    Args:
        tokens_mlp_dim: hidden width of the token-mixing MLP, which reads a column of the table.
        channels_mlp_dim: hidden width of the channel-mixing MLP, which reads a row.
        dropout: dropout rate after each MLP.
        shared_norm: use one LayerNorm for both mixings (the article) instead of one each (the paper).
        stochastic_depth: fraction of images for which a mixing is dropped in training (Huang et al. 2016). The others
            are scaled by 1 / (1 - rate), as timm does; the authors' code in big_vision does not rescale.

    Input and output shape: (B, S, C). Source: Tolstikhin et al. 2021, equation 1 and figure 1.
    """

    def __init__(
        self,
        tokens_mlp_dim: int,
        channels_mlp_dim: int,
        dropout: float = 0.0,
        shared_norm: bool = False,
        stochastic_depth: float = 0.0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.tokens_mlp_dim = positive_integer("tokens_mlp_dim", tokens_mlp_dim)
        self.channels_mlp_dim = positive_integer("channels_mlp_dim", channels_mlp_dim)
        self.dropout = rate("dropout", dropout)
        self.shared_norm = yes_or_no("shared_norm", shared_norm)
        self.stochastic_depth = rate("stochastic_depth", stochastic_depth)

    def build(self, input_shape):
        (batch, patches, channels), same = input_shape, {"dtype": self.dtype_policy}
        self.transpose = keras.layers.Permute((2, 1), name="transpose", **same)
        self.token_norm = LayerNormalization(epsilon=EPSILON, name="token_norm", **same)
        self.token_norm.build(input_shape)
        if not self.shared_norm:
            self.channel_norm = LayerNormalization(epsilon=EPSILON, name="channel_norm", **same)
            self.channel_norm.build(input_shape)
        self.token_mixing = MlpBlock(self.tokens_mlp_dim, self.dropout, name="token_mixing", **same)
        self.token_mixing.build((batch, channels, patches))
        self.channel_mixing = MlpBlock(self.channels_mlp_dim, self.dropout, name="channel_mixing", **same)
        self.channel_mixing.build(input_shape)
        per_image = (None, 1, 1)  # stochastic depth is dropout with one mask value for a whole table
        self.token_depth = Dropout(self.stochastic_depth, noise_shape=per_image, name="token_depth", **same)
        self.channel_depth = Dropout(self.stochastic_depth, noise_shape=per_image, name="channel_depth", **same)
        self.built = True

    def call(self, x, training=None):
        y = self.transpose(self.token_norm(x))  # (B, C, S)
        y = self.transpose(self.token_mixing(y, training=training))  # (B, S, C)
        x = x + self.token_depth(y, training=training)
        norm = self.token_norm if self.shared_norm else self.channel_norm
        y = self.channel_mixing(norm(x), training=training)  # (B, S, C)
        return x + self.channel_depth(y, training=training)

    def get_config(self):
        names = ("tokens_mlp_dim", "channels_mlp_dim", "dropout", "shared_norm", "stochastic_depth")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
