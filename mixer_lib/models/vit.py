"""A small Vision Transformer: patches attend to one another (Dosovitskiy et al. 2021).

Shapes: B images in a batch, S patches, C channels.
"""

import dataclasses

import keras
from keras.layers import Dense, LayerNormalization

from ..classifier import classify, embed_patches
from ..compat import Dropout, SameShape, ops
from ..layers import EPSILON, MlpBlock
from ..validation import positive_integer, rate
from .base import TableConfig


@keras.utils.register_keras_serializable("mixer_lib")
class TransformerBlock(SameShape):
    """One block of a Vision Transformer: attention among all patches, then an MLP on each; two residuals.

    Input and output shape: (B, S, C). Source: Dosovitskiy et al. 2021, equations 2 and 3. The weights of Keras's own
    MultiHeadAttention are arranged differently in Keras 2.15 and 3, so they could not be loaded in both.
    """

    def __init__(self, num_heads, mlp_dim, dropout=0.0, **kwargs):
        super().__init__(**kwargs)
        self.num_heads = positive_integer("num_heads", num_heads)
        self.mlp_dim, self.dropout = positive_integer("mlp_dim", mlp_dim), rate("dropout", dropout)

    def build(self, input_shape):
        channels, same = input_shape[-1], {"dtype": self.dtype_policy}
        self.attention_norm = LayerNormalization(epsilon=EPSILON, name="attention_norm", **same)
        self.mlp_norm = LayerNormalization(epsilon=EPSILON, name="mlp_norm", **same)
        self.to_heads = Dense(3 * channels, name="to_heads", **same)  # queries, keys and values at once
        self.from_heads = Dense(channels, name="from_heads", **same)
        self.mlp = MlpBlock(self.mlp_dim, self.dropout, name="mlp", **same)
        for layer in (self.attention_norm, self.mlp_norm, self.to_heads, self.from_heads, self.mlp):
            layer.build(input_shape)
        self.drop = Dropout(self.dropout, name="drop", **same)
        self.built = True

    def _attend(self, x):
        _, patches, channels = x.shape
        each = channels // self.num_heads
        x = ops.reshape(self.to_heads(x), (-1, patches, 3, self.num_heads, each))
        queries, keys, values = x[:, :, 0], x[:, :, 1], x[:, :, 2]  # (B, S, heads, C/heads)
        scores = ops.einsum("bqhc,bkhc->bhqk", queries, keys) / each**0.5  # (B, heads, S, S): the quadratic part
        mixed = ops.einsum("bhqk,bkhc->bqhc", ops.softmax(scores), values)
        return self.from_heads(ops.reshape(mixed, (-1, patches, channels)))  # (B, S, C)

    def call(self, x, training=None):
        x = x + self.drop(self._attend(self.attention_norm(x)), training=training)
        return x + self.mlp(self.mlp_norm(x), training=training)

    def get_config(self):
        names = ("num_heads", "mlp_dim", "dropout")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.utils.register_keras_serializable("mixer_lib")
class Positions(SameShape):
    """Add a learned vector to each patch (B, S, C), which tells attention where it is: equation 1."""

    def build(self, input_shape):
        normal = keras.initializers.RandomNormal(stddev=0.02)
        self.table = self.add_weight(name="table", shape=tuple(input_shape[1:]), initializer=normal)
        self.built = True

    def call(self, x):
        return x + self.table


@dataclasses.dataclass(frozen=True)
class VitConfig(TableConfig):
    """Sizes of a Vision Transformer: `TableConfig`'s fields, and num_heads, which divides hidden_dim, and mlp_dim, the
    hidden width of each block's MLP. Raises ValueError for an invalid field."""

    num_heads: int = 4
    mlp_dim: int = 64

    def __post_init__(self):
        super().__post_init__()
        if self.hidden_dim % self.num_heads:
            nearest = self.num_heads * max(1, self.hidden_dim // self.num_heads)
            sizes = f"hidden_dim={self.hidden_dim}, num_heads={self.num_heads}"
            raise ValueError(f"hidden_dim must be a multiple of num_heads, such as {nearest}. Received: {sizes}.")

    def block_multiply_adds(self):
        patches, width = self.num_patches, self.hidden_dim
        attention = 4 * patches * width**2 + 2 * patches**2 * width  # four projections; scores and their use
        return attention + 2 * patches * width * self.mlp_dim

    def build(self, adapt_to=None, augment=None):
        """The model of these sizes, as a `keras.Model` like that of `build_classifier`, whose arguments it takes."""
        images, x = embed_patches(self, adapt_to, augment)  # x: (B, S, C)
        x = Positions(name="positions")(x)
        for block in range(self.num_blocks):
            x = TransformerBlock(self.num_heads, self.mlp_dim, self.dropout, name=f"block_{block}")(x)
        x = LayerNormalization(epsilon=EPSILON, name="pre_head_norm")(x)
        return classify(self, images, x)
