"""Models to set beside the Mixer: gMLP, which gates instead of mixing, and ViT, which attends.

Both begin and end as the Mixer does (`embedded_patches`, `classified`), so that only the blocks differ.
"""

import dataclasses

from .baseline_layers import GmlpBlock, Positions, TransformerBlock
from .checks import positive_integer, rate
from .classifier import classified, embedded_patches
from .fast_layers import LayerNormalization
from .layers import LAYER_NORM_EPSILON


@dataclasses.dataclass(frozen=True)
class _TableConfig:
    """What the configs of this room share; the fields mean what they mean in `MixerConfig`."""

    image_size: int = 32
    patch_size: int = 4
    num_blocks: int = 4
    hidden_dim: int = 128
    num_classes: int = 100
    dropout: float = 0.2

    def __post_init__(self):
        for field in dataclasses.fields(self):
            check = rate if field.name == "dropout" else positive_integer
            check(field.name, getattr(self, field.name))
        if self.image_size % self.patch_size:
            raise ValueError(
                f"image_size must be a multiple of patch_size. Received: image_size={self.image_size}, "
                f"patch_size={self.patch_size}."
            )

    @property
    def num_patches(self):
        """S, the number of rows in the table of patches."""
        return (self.image_size // self.patch_size) ** 2

    def multiply_adds(self):
        """Multiply-adds for one image: stem and head, and what each block of the family needs."""
        stem = self.num_patches * 3 * self.patch_size**2 * self.hidden_dim
        return stem + self.num_blocks * self._block_multiply_adds() + self.hidden_dim * self.num_classes


@dataclasses.dataclass(frozen=True)
class GmlpConfig(_TableConfig):
    """Sizes of a gMLP.

    Attributes:
        ffn_dim: channels F within a block, an even number: half of them gate the other half. With the 104 of the
            default the model has about as many parameters as the article's Mixer.

    The other fields are `MixerConfig`'s. Raises ValueError as it does.
    """

    ffn_dim: int = 104

    def __post_init__(self):
        super().__post_init__()
        if self.ffn_dim % 2:
            raise ValueError(f"ffn_dim must be even, since half of it gates the rest. Received: {self.ffn_dim}.")

    def _block_multiply_adds(self):
        patches, half = self.num_patches, self.ffn_dim // 2
        return patches * self.hidden_dim * (self.ffn_dim + half) + half * patches**2

    def build(self, adapt_to=None, shift=0):
        """The model of these sizes: see `build_gmlp`."""
        return build_gmlp(self, adapt_to, shift)


@dataclasses.dataclass(frozen=True)
class VitConfig(_TableConfig):
    """Sizes of a Vision Transformer.

    Attributes:
        num_heads: attention heads; they share hidden_dim among them, so it must be a multiple.
        mlp_dim: hidden width of each block's MLP.

    The other fields are `MixerConfig`'s. Raises ValueError as it does.
    """

    num_heads: int = 4
    mlp_dim: int = 64

    def __post_init__(self):
        super().__post_init__()
        if self.hidden_dim % self.num_heads:
            raise ValueError(
                f"hidden_dim must be a multiple of num_heads. Received: hidden_dim={self.hidden_dim}, "
                f"num_heads={self.num_heads}."
            )

    def _block_multiply_adds(self):
        patches, width = self.num_patches, self.hidden_dim
        attention = 4 * patches * width**2 + 2 * patches**2 * width  # four projections; scores and their use
        return attention + 2 * patches * width * self.mlp_dim

    def build(self, adapt_to=None, shift=0):
        """The model of these sizes: see `build_vit`."""
        return build_vit(self, adapt_to, shift)


def build_gmlp(config, adapt_to=None, shift=0):
    """Build a gMLP as a Keras model.

    Args:
        config: a `GmlpConfig`.
        adapt_to: as for `build_classifier`.
        shift: as for `build_classifier`.

    Returns:
        `keras.Model`, used as that of `build_classifier`.
    """
    images, x = embedded_patches(config, adapt_to, shift)  # x: (B, S, C)
    for block in range(config.num_blocks):
        x = GmlpBlock(config.ffn_dim, config.dropout, name=f"block_{block}")(x)  # (B, S, C)
    return classified(config, images, x)


def build_vit(config, adapt_to=None, shift=0):
    """Build a small Vision Transformer as a Keras model: mean of the patches instead of a class token.

    Args:
        config: a `VitConfig`.
        adapt_to: as for `build_classifier`.
        shift: as for `build_classifier`.

    Returns:
        `keras.Model`, used as that of `build_classifier`.
    """
    images, x = embedded_patches(config, adapt_to, shift)  # x: (B, S, C)
    x = Positions(name="positions")(x)
    for block in range(config.num_blocks):
        x = TransformerBlock(config.num_heads, config.mlp_dim, config.dropout, name=f"block_{block}")(x)
    x = LayerNormalization(epsilon=LAYER_NORM_EPSILON, name="pre_head_norm")(x)
    return classified(config, images, x)
