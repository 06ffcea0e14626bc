"""What the configs of all families share."""

import dataclasses

from ..validation import check_fields


@dataclasses.dataclass(frozen=True)
class TableConfig:
    """Sizes of a model on a table of patches; the fields mean what they mean in `MixerConfig`.

    A family adds its own fields, `build(adapt_to, augment)` and `block_multiply_adds()`. ValueError names a bad field.
    """

    image_size: int = 32
    patch_size: int = 4
    num_blocks: int = 4
    hidden_dim: int = 128
    num_classes: int = 100
    dropout: float = 0.2

    def __post_init__(self):
        check_fields(self, dataclasses.fields(self), hint=" The default is {}.")
        if self.image_size % self.patch_size:
            sizes = f"image_size={self.image_size}, patch_size={self.patch_size}"
            fitting = [size for size in range(1, min(self.image_size, 512) + 1) if self.image_size % size == 0]
            hint = f"patch_size could be any of {fitting}"
            raise ValueError(f"image_size must be a multiple of patch_size. Received: {sizes}; {hint}.")

    @property
    def num_patches(self):
        """S, the number of rows in the table of patches."""
        return (self.image_size // self.patch_size) ** 2

    def multiply_adds(self):
        """Multiply-adds for one image: stem, blocks and head."""
        stem = self.num_patches * 3 * self.patch_size**2 * self.hidden_dim
        return stem + self.num_blocks * self.block_multiply_adds() + self.hidden_dim * self.num_classes
