"""The blocks of gMLP and of the Vision Transformer, to set beside the Mixer's.

Shapes: B images in a batch, S patches, C channels, F channels within a gMLP block.
"""

import keras

from .checks import positive_integer, rate
from .fast_layers import Dense, LayerNormalization
from .layers import LAYER_NORM_EPSILON, MlpBlock
from .noise import Dropout
from .worlds import ops


@keras.utils.register_keras_serializable("mixer_lib")
class SpatialGatingUnit(keras.layers.Layer):
    """Half of the channels, mixed along the patches, multiplies the other half.

    At the start the mixing gives nearly one for everything (weights near zero, biases one), so that a block begins
    as a plain MLP of each patch and learns to look around.

    Args:
        init_scale: the mixing's weights are drawn uniformly from -init_scale / S to init_scale / S.

    Input shape: (B, S, F), F even. Output shape: (B, S, F/2).

    Source: Liu et al. 2021, section 2.1.
    """

    def __init__(self, init_scale=1e-3, **kwargs):
        super().__init__(**kwargs)
        self.init_scale = init_scale

    def build(self, input_shape):
        batch, patches, width = input_shape
        self.norm = LayerNormalization(epsilon=LAYER_NORM_EPSILON, name="norm")
        self.norm.build((batch, patches, width // 2))
        largest = self.init_scale / patches
        small = keras.initializers.RandomUniform(-largest, largest)
        self.along_patches = Dense(patches, kernel_initializer=small, bias_initializer="ones", name="along_patches")
        self.along_patches.build((batch, width // 2, patches))
        self.transpose = keras.layers.Permute((2, 1))
        self.built = True

    def call(self, x):
        half = x.shape[-1] // 2
        kept, gate = x[..., :half], x[..., half:]
        gate = self.transpose(self.norm(gate))  # (B, F/2, S)
        return kept * self.transpose(self.along_patches(gate))  # (B, S, F/2)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], input_shape[-1] // 2)

    def get_config(self):
        return {**super().get_config(), "init_scale": self.init_scale}


@keras.utils.register_keras_serializable("mixer_lib")
class GmlpBlock(keras.layers.Layer):
    """One gMLP block: widen each patch's channels, gate them along the patches, come back; with a skip connection.

    The skip adds the block's input as it was, before the norm; Keras's example adds the normalized input.

    Args:
        ffn_dim: channels F within the block, even.
        dropout: dropout rate at the block's end.

    Input and output shape: (B, S, C). Source: Liu et al. 2021, section 2.
    """

    def __init__(self, ffn_dim, dropout=0.0, **kwargs):
        super().__init__(**kwargs)
        self.ffn_dim = positive_integer("ffn_dim", ffn_dim)
        self.dropout = rate("dropout", dropout)

    def build(self, input_shape):
        *table, channels = input_shape
        self.norm = LayerNormalization(epsilon=LAYER_NORM_EPSILON, name="norm")
        self.norm.build(input_shape)
        self.widen = Dense(self.ffn_dim, name="widen")
        self.widen.build(input_shape)
        self.gating = SpatialGatingUnit(name="gating")
        self.gating.build((*table, self.ffn_dim))
        self.out = Dense(channels, name="out")
        self.out.build((*table, self.ffn_dim // 2))
        self.drop = Dropout(self.dropout, name="drop")
        self.built = True

    def call(self, x, training=None):
        y = keras.activations.gelu(self.widen(self.norm(x)), approximate=True)  # (B, S, F)
        return x + self.drop(self.out(self.gating(y)), training=training)  # (B, S, C)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "ffn_dim": self.ffn_dim, "dropout": self.dropout}


@keras.utils.register_keras_serializable("mixer_lib")
class TransformerBlock(keras.layers.Layer):
    """One block of a Vision Transformer: every patch attends to every patch, then an MLP on each; two skips.

    Args:
        num_heads: attention heads, which share C among them.
        mlp_dim: hidden width of the MLP.
        dropout: dropout rate after attention and MLP.

    Input and output shape: (B, S, C). Source: Dosovitskiy et al. 2021, equations 2 and 3.
    Keras's own MultiHeadAttention is built in other ways in Keras 2.15 and 3, so its weights could not cross over.
    """

    def __init__(self, num_heads, mlp_dim, dropout=0.0, **kwargs):
        super().__init__(**kwargs)
        self.num_heads = positive_integer("num_heads", num_heads)
        self.mlp_dim = positive_integer("mlp_dim", mlp_dim)
        self.dropout = rate("dropout", dropout)

    def build(self, input_shape):
        channels = input_shape[-1]
        self.attention_norm = LayerNormalization(epsilon=LAYER_NORM_EPSILON, name="attention_norm")
        self.attention_norm.build(input_shape)
        self.mlp_norm = LayerNormalization(epsilon=LAYER_NORM_EPSILON, name="mlp_norm")
        self.mlp_norm.build(input_shape)
        self.to_heads = Dense(3 * channels, name="to_heads")  # queries, keys and values at once
        self.to_heads.build(input_shape)
        self.from_heads = Dense(channels, name="from_heads")
        self.from_heads.build(input_shape)
        self.mlp = MlpBlock(self.mlp_dim, self.dropout, name="mlp")
        self.mlp.build(input_shape)
        self.drop = Dropout(self.dropout, name="drop")
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

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "mlp_dim": self.mlp_dim,
            "dropout": self.dropout,
        }


@keras.utils.register_keras_serializable("mixer_lib")
class Positions(keras.layers.Layer):
    """Add a learned vector to each patch, which tells attention where the patch is.

    Input and output shape: (B, S, C). Source: Dosovitskiy et al. 2021, equation 1.
    """

    def build(self, input_shape):
        normal = keras.initializers.RandomNormal(stddev=0.02)
        self.table = self.add_weight(name="table", shape=tuple(input_shape[1:]), initializer=normal)
        self.built = True

    def call(self, x):
        return x + self.table

    def compute_output_shape(self, input_shape):
        return input_shape
