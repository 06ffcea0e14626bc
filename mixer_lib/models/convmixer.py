"""ConvMixer: both mixings as convolutions, depthwise over positions, 1x1 over channels (Trockman and Kolter 2022).

Shapes: B images in a batch, h x w patches, C channels.
"""

import dataclasses

import keras
from keras.layers import Add, BatchNormalization, Conv2D, DepthwiseConv2D, Reshape

from ..classifier import classify, embed_patches
from ..validation import positive_integer
from .base import TableConfig

LAST = {"data_format": "channels_last"}  # whatever a program has set


def convmixer_block(x, kernel_size, name):
    """x + BN(GELU(depthwise(x))), then BN(GELU(1x1(.))): (B, h, w, C) -> (B, h, w, C). Source: equations 2 and 3."""

    def activate(y, part):
        y = keras.layers.Activation("gelu", name=f"{name}_{part}_gelu")(y)
        return BatchNormalization(name=f"{name}_{part}_norm")(y)

    y = activate(DepthwiseConv2D(kernel_size, padding="same", **LAST, name=f"{name}_depthwise")(x), "depthwise")
    x = Add(name=f"{name}_add")([x, y])
    return activate(Conv2D(x.shape[-1], 1, **LAST, name=f"{name}_pointwise")(x), "pointwise")


@dataclasses.dataclass(frozen=True)
class ConvMixerConfig(TableConfig):
    """Sizes of a ConvMixer: `TableConfig`'s fields, and kernel_size, the side of the depthwise kernels, in patches."""

    num_blocks: int = 5
    kernel_size: int = 5
    convolutions = True  # no field: what `speedups.devices.Execution` asks

    def __post_init__(self):
        super().__post_init__()
        positive_integer("kernel_size", self.kernel_size)

    def block_multiply_adds(self):
        return self.num_patches * self.hidden_dim * (self.kernel_size**2 + self.hidden_dim)

    def build(self, adapt_to=None, augment=None):
        """The model of these sizes, as a `keras.Model` like that of `build_classifier`, whose arguments it takes."""
        images, x = embed_patches(self, adapt_to, augment)  # x: (B, S, C)
        side, patches = self.image_size // self.patch_size, self.num_patches
        x = Reshape((side, side, self.hidden_dim), name="as_picture")(x)
        x = BatchNormalization(name="embed_norm")(keras.layers.Activation("gelu", name="embed_gelu")(x))
        for block in range(self.num_blocks):
            x = convmixer_block(x, self.kernel_size, f"block_{block}")
        return classify(self, images, Reshape((patches, self.hidden_dim), name="as_table")(x))
