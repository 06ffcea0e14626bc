"""gMLP: a patch's channels are gated by a mixture of other patches (Liu et al. 2021).

Shapes: B images in a batch, S patches, C channels, F channels within a block.
"""

import dataclasses

import keras
from keras.layers import Dense, LayerNormalization

from ..classifier import classify, embed_patches
from ..compat import Dropout, SameShape
from ..layers import EPSILON
from ..validation import positive_integer, rate
from .base import TableConfig


@keras.utils.register_keras_serializable("mixer_lib")
class SpatialGatingUnit(keras.layers.Layer):
    """Half of the channels, mixed along the patches, multiplies the other half.

    Initially the gate is nearly one everywhere (weights near zero, biases one): a block starts as an MLP of each patch.
    Input shape: (B, S, F), F even. Output shape: (B, S, F/2). Source: Liu et al. 2021, section 2.1.
    """

    def build(self, input_shape):
        (batch, patches, width), same = input_shape, {"dtype": self.dtype_policy}
        self.norm = LayerNormalization(epsilon=EPSILON, name="norm", **same)
        self.norm.build((batch, patches, width // 2))
        largest = 1e-3 / patches
        small = keras.initializers.RandomUniform(-largest, largest)
        first = {"kernel_initializer": small, "bias_initializer": "ones"}
        self.along_patches = Dense(patches, **first, name="along_patches", **same)
        self.along_patches.build((batch, width // 2, patches))
        self.transpose = keras.layers.Permute((2, 1), **same)
        self.built = True

    def call(self, x):
        half = x.shape[-1] // 2
        kept, gate = x[..., :half], x[..., half:]
        gate = self.transpose(self.norm(gate))  # (B, F/2, S)
        return kept * self.transpose(self.along_patches(gate))  # (B, S, F/2)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], input_shape[-1] // 2)


@keras.utils.register_keras_serializable("mixer_lib")
class GmlpBlock(SameShape):
    """One gMLP block: widen each patch's channels, gate them along the patches, project back; with a residual.

    The residual connection adds the block's input before the norm; Keras's example adds the normalized input.
    `ffn_dim` is F, even. Input and output shape: (B, S, C). Source: Liu et al. 2021, section 2.
    """

    def __init__(self, ffn_dim, dropout=0.0, **kwargs):
        super().__init__(**kwargs)
        self.ffn_dim, self.dropout = positive_integer("ffn_dim", ffn_dim), rate("dropout", dropout)

    def build(self, input_shape):
        (*table, channels), same = input_shape, {"dtype": self.dtype_policy}
        self.norm = LayerNormalization(epsilon=EPSILON, name="norm", **same)
        self.norm.build(input_shape)
        self.widen = Dense(self.ffn_dim, name="widen", **same)
        self.widen.build(input_shape)
        self.gating = SpatialGatingUnit(name="gating", **same)
        self.gating.build((*table, self.ffn_dim))
        self.out = Dense(channels, name="out", **same)
        self.out.build((*table, self.ffn_dim // 2))
        self.drop = Dropout(self.dropout, name="drop", **same)
        self.built = True

    def call(self, x, training=None):
        y = keras.activations.gelu(self.widen(self.norm(x)), approximate=True)  # (B, S, F)
        return x + self.drop(self.out(self.gating(y)), training=training)  # (B, S, C)

    def get_config(self):
        return {**super().get_config(), "ffn_dim": self.ffn_dim, "dropout": self.dropout}


@dataclasses.dataclass(frozen=True)
class GmlpConfig(TableConfig):
    """Sizes of a gMLP: `TableConfig`'s fields, and ffn_dim, the channels F within a block, of which half gate the other
    half. With the default of 104, it has about as many parameters as the article's Mixer."""

    ffn_dim: int = 104

    def __post_init__(self):
        super().__post_init__()
        if self.ffn_dim % 2:
            raise ValueError(
                f"ffn_dim must be even, such as {self.ffn_dim + 1}, since half of it gates the rest. Received: "
                f"{self.ffn_dim}."
            )

    def block_multiply_adds(self):
        patches, half = self.num_patches, self.ffn_dim // 2
        return patches * self.hidden_dim * (self.ffn_dim + half) + half * patches**2

    def build(self, adapt_to=None, augment=None):
        """The model of these sizes, as a `keras.Model` like that of `build_classifier`, whose arguments it takes."""
        images, x = embed_patches(self, adapt_to, augment)  # x: (B, S, C)
        for block in range(self.num_blocks):
            x = GmlpBlock(self.ffn_dim, self.dropout, name=f"block_{block}")(x)  # (B, S, C)
        return classify(self, images, x)
