"""A small residual network of 3x3 convolutions (He et al. 2016; three stages, as in section 4.2 on CIFAR).

Shapes: B images in a batch, H x W pixels, C channels.
"""

import dataclasses

from keras.layers import Add, BatchNormalization, Conv2D, ReLU, Reshape

from ..classifier import classify, normalize_images
from ..validation import check_fields, positive_integer

LAST = {"data_format": "channels_last"}  # whatever a program has set


def residual_block(x, width, stride, name):
    """Two 3x3 convolutions and a shortcut: (B, H, W, C) -> (B, H/stride, W/stride, width). Source: figure 2."""

    def convolve(y, kernel_size, stride, part):
        y = Conv2D(width, kernel_size, stride, padding="same", use_bias=False, **LAST, name=f"{name}_{part}")(y)
        return BatchNormalization(name=f"{name}_{part}_norm")(y)

    y = ReLU(name=f"{name}_relu")(convolve(x, 3, stride, "first"))
    y = convolve(y, 3, 1, "second")
    if (stride, width) != (1, x.shape[-1]):
        x = convolve(x, 1, stride, "shortcut")  # option B of the paper
    return ReLU(name=f"{name}_out")(Add(name=f"{name}_add")([x, y]))


@dataclasses.dataclass(frozen=True)
class CnnConfig:
    """Sizes of the residual network: the channels of each stage, all of `blocks_per_stage` blocks; each stage after the
    first halves the sides of the picture. ValueError for an invalid field."""

    image_size: int = 32
    widths: tuple = (20, 40, 76)
    blocks_per_stage: int = 1
    num_classes: int = 100
    dropout: float = 0.2
    convolutions = True  # no field: what `speedups.devices.Execution` asks

    def __post_init__(self):
        check_fields(self, dataclasses.fields(self), hint=" The default is {}.", widths=_widths)
        smallest = 2 ** (len(self.widths) - 1)
        if self.image_size % smallest:
            fits = smallest * max(1, self.image_size // smallest)
            raise ValueError(
                f"image_size must be a multiple of {smallest}, such as {fits}. Received: {self.image_size!r}."
            )

    def _blocks(self):
        """(width, stride) of each block."""
        for stage, width in enumerate(self.widths):
            for block in range(self.blocks_per_stage):
                yield width, 2 if stage and not block else 1

    def multiply_adds(self):
        """Multiply-adds for one image: convolutions and head."""
        side, before = self.image_size, self.widths[0]
        count = side**2 * 27 * before
        for width, stride in self._blocks():
            side //= stride
            shortcut = before if (stride, width) != (1, before) else 0
            count, before = count + side**2 * width * (9 * (before + width) + shortcut), width
        return count + before * self.num_classes

    def build(self, adapt_to=None, augment=None):
        """The model of these sizes, as a `keras.Model` like that of `build_classifier`, whose arguments it takes."""
        images, x = normalize_images(self, adapt_to, augment)
        x = Conv2D(self.widths[0], 3, padding="same", use_bias=False, **LAST, name="stem")(x)
        x = ReLU(name="stem_relu")(BatchNormalization(name="stem_norm")(x))
        for number, (width, stride) in enumerate(self._blocks()):
            x = residual_block(x, width, stride, f"block_{number}")
        return classify(self, images, Reshape((-1, x.shape[-1]), name="as_table")(x))


def _widths(name, value, hint):
    if not isinstance(value, (tuple, list)) or not value:
        raise ValueError(f"{name} must be the channels of each stage, such as (16, 32). Received: {value!r}.{hint}")
    return tuple(positive_integer(name, width, hint) for width in value)
