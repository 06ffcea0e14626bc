"""ResMLP: one linear layer along the patches, an MLP along the channels, affine maps for norms (Touvron et al. 2021).

Shapes: B images in a batch, S patches, C channels.
"""

import dataclasses

import keras
from keras.layers import Dense, Permute

from ..classifier import classify, embed_patches
from ..compat import SameShape
from ..layers import MlpBlock
from ..validation import positive_integer, rate
from .base import TableConfig


@keras.utils.register_keras_serializable("mixer_lib")
class Affine(SameShape):
    """A scale and an offset for each channel, in place of a norm; without `offset`, the paper's LayerScale."""

    def __init__(self, initial=1.0, offset=True, **kwargs):
        super().__init__(**kwargs)
        self.initial, self.offset = float(initial), offset

    def build(self, input_shape):
        constant = keras.initializers.Constant(self.initial)
        self.scale = self.add_weight(name="scale", shape=(input_shape[-1],), initializer=constant)
        if self.offset:
            self.bias = self.add_weight(name="bias", shape=(input_shape[-1],), initializer="zeros")
        self.built = True

    def call(self, x):
        return x * self.scale + self.bias if self.offset else x * self.scale

    def get_config(self):
        return {**super().get_config(), "initial": self.initial, "offset": self.offset}


@keras.utils.register_keras_serializable("mixer_lib")
class ResMlpBlock(SameShape):
    """One ResMLP layer: X + s1 * A(Aff(X)^T)^T, then + s2 * MLP(Aff(.)), with s1 and s2 small at first.

    Input and output shape: (B, S, C). Source: Touvron et al. 2021, equations 2 and 3.
    """

    def __init__(self, mlp_dim, dropout=0.0, layer_scale=0.1, **kwargs):
        super().__init__(**kwargs)
        self.mlp_dim, self.dropout = positive_integer("mlp_dim", mlp_dim), rate("dropout", dropout)
        self.layer_scale = layer_scale

    def build(self, input_shape):
        (batch, patches, channels), same = input_shape, {"dtype": self.dtype_policy}
        self.token_affine = Affine(name="token_affine", **same)
        self.channel_affine = Affine(name="channel_affine", **same)
        self.token_scale = Affine(self.layer_scale, False, name="token_scale", **same)
        self.channel_scale = Affine(self.layer_scale, False, name="channel_scale", **same)
        self.mlp = MlpBlock(self.mlp_dim, self.dropout, name="mlp", **same)
        for layer in (self.token_affine, self.channel_affine, self.token_scale, self.channel_scale, self.mlp):
            layer.build(input_shape)
        self.along_patches = Dense(patches, name="along_patches", **same)
        self.along_patches.build((batch, channels, patches))
        self.transpose = Permute((2, 1), **same)
        self.built = True

    def call(self, x, training=None):
        y = self.transpose(self.along_patches(self.transpose(self.token_affine(x))))  # (B, S, C)
        x = x + self.token_scale(y)
        return x + self.channel_scale(self.mlp(self.channel_affine(x), training=training))

    def get_config(self):
        names = ("mlp_dim", "dropout", "layer_scale")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@dataclasses.dataclass(frozen=True)
class ResMlpConfig(TableConfig):
    """Sizes of a ResMLP: `TableConfig`'s fields, and mlp_dim, the hidden width of each block's MLP."""

    mlp_dim: int = 78

    def block_multiply_adds(self):
        patches, width = self.num_patches, self.hidden_dim
        return width * patches**2 + 2 * patches * width * self.mlp_dim

    def build(self, adapt_to=None, augment=None):
        """The model of these sizes, as a `keras.Model` like that of `build_classifier`, whose arguments it takes."""
        images, x = embed_patches(self, adapt_to, augment)  # x: (B, S, C)
        for block in range(self.num_blocks):
            x = ResMlpBlock(self.mlp_dim, self.dropout, name=f"block_{block}")(x)  # (B, S, C)
        return classify(self, images, Affine(name="pre_head_affine")(x))
