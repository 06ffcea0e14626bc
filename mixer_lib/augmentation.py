"""Augmentation: what training does to pictures, and evaluation does not."""

from typing import Any

import keras

from .compat import SameShape, SeedGenerator, ops, uniform
from .validation import pixels, rate, yes_or_no


def zoom_matrix(factors, mirrored, size, shifts=None):
    """The linear map that zooms, mirrors and shifts one axis: one matrix per image.

    Args:
        factors: (B,) floats; above 1 zooms out, below 1 zooms in.
        mirrored: (B,) floats, 1 to reverse the axis, else 0.
        size: number of pixels along the axis.
        shifts: (B,) floats, pixels by which content moves towards index 0; None for no shift.

    Returns:
        (B, size, size): row i holds the weights of the old pixels in the new pixel i,
        by linear interpolation, with the image reflected at its edges
        (d c b a | a b c d | d c b a).
    """
    pixel = ops.cast(ops.arange(size), "float32")
    center = (size - 1) / 2
    # a mirrored axis is a zoom by a negative factor
    scale = (factors * (1 - 2 * mirrored))[:, None]
    # where each new pixel looks: (B, size)
    at = center + scale * (pixel[None, :] - center)
    if shifts is not None:
        at = at + shifts[:, None]
    at = ops.where(at < 0, -at - 1, at)
    at = ops.where(at > size - 1, 2 * size - 1 - at, at)
    at = ops.minimum(ops.maximum(at, 0.0), size - 1.0)
    return ops.maximum(0.0, 1 - ops.abs(at[:, :, None] - pixel[None, None, :]))


@keras.utils.register_keras_serializable("mixer_lib")
class Augment(SameShape):
    """Random mirroring, zoom and shift of each image, in training only.

    Height and width are zoomed independently, by factors uniform in [1 - zoom, 1 + zoom], bilinearly, with reflection
    at the edges, as by Keras's RandomFlip and RandomZoom(zoom, zoom). All of it is linear and acts on rows and columns
    separately: two small matrix products per image, which XLA can compile (RandomZoom prevents that). Called without
    `training=True`, the layer returns the images unchanged, where Keras's random layers would augment them.

    Args:
        zoom: largest relative zoom, from 0 to below 1.
        shift: largest shift along each axis, in pixels, uniform in [-shift, shift].
        mirror: mirror half of the images left to right.

    Input and output shape: (B, H, W, C). Raises ValueError for a value outside its range.
    """

    def __init__(self, zoom: float = 0.2, shift: float = 0.0, mirror: bool = True, **kwargs: Any):
        super().__init__(**kwargs)
        self.zoom = rate("zoom", zoom)
        self.shift = pixels("shift", shift)
        self.mirror = yes_or_no("mirror", mirror)
        self.seed_generator = SeedGenerator()

    def call(self, images, training=None):
        if not training:
            return images
        batch, (height, width) = ops.shape(images)[0], images.shape[1:3]
        tall = self._draw(batch, 1 - self.zoom, 1 + self.zoom)
        wide = self._draw(batch, 1 - self.zoom, 1 + self.zoom)
        mirrored = ops.cast(self._draw(batch, 0.0, 1.0) < (0.5 if self.mirror else 0.0), "float32")
        down = self._draw(batch, -self.shift, self.shift) if self.shift else None
        right = self._draw(batch, -self.shift, self.shift) if self.shift else None
        rows = ops.cast(zoom_matrix(tall, 0 * mirrored, height, down), images.dtype)  # (B, H, H)
        columns = ops.cast(zoom_matrix(wide, mirrored, width, right), images.dtype)  # (B, W, W)
        images = ops.einsum("bhr,brwc->bhwc", rows, images)
        return ops.einsum("bwq,bhqc->bhwc", columns, images)

    def _draw(self, batch, low, high):
        """One number for each image, uniform in [low, high): (B,)."""
        return uniform((batch,), low, high, "float32", seed=self.seed_generator)

    def get_config(self):
        return {**super().get_config(), "zoom": self.zoom, "shift": self.shift, "mirror": self.mirror}
