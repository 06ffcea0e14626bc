"""What is random in training alone: dropout, stochastic depth, augmentation.

Each layer leaves its input alone unless it is called with `training=True`.
"""

import math

import keras

from .checks import pixels
from .checks import rate as rate_of
from .seeds import SeedGenerator, randint, uniform
from .worlds import ops, sizes


def scramble(numbers):
    """Turn whole numbers (int32) into numbers that look random: same in, same out.

    The integer hash "lowbias32" of C. Wellons's hash-prospector (2018): multiply, shift, exclusive or. A random
    generator for every value of a mask costs a third of a training step on a CPU; this costs a few instructions
    that a compiler fuses with the dropping itself.
    """

    def shifted(x, bits):  # a right shift that fills with zeros, as for unsigned numbers
        return ops.bitwise_and(ops.right_shift(x, bits), 2 ** (32 - bits) - 1)

    numbers = ops.bitwise_xor(numbers, shifted(numbers, 16)) * 0x7FEB352D
    numbers = ops.bitwise_xor(numbers, shifted(numbers, 15)) * (0x846CA68B - 2**32)
    return ops.bitwise_xor(numbers, shifted(numbers, 16))


@keras.utils.register_keras_serializable("mixer_lib")
class Dropout(keras.layers.Layer):
    """Dropout with cheap masks.

    Each call draws one random key; value i is kept or dropped by 15 bits of the key and i, scrambled. The rate is
    exact to 1/32768.

    Args:
        rate: fraction of values set to zero in training; the others are scaled by 1 / (1 - rate).

    Input and output shape: the same, any.

    Source: Srivastava et al. 2014.
    """

    def __init__(self, rate, **kwargs):
        super().__init__(**kwargs)
        self.rate = rate_of("dropout", rate)
        self.seed_generator = SeedGenerator()

    def call(self, inputs, training=None):
        if not training or self.rate == 0:
            return inputs
        key = randint((2,), 0, 2**31 - 1, dtype="int32", seed=self.seed_generator)
        length, *others = sizes(inputs)
        shape = [-(-length // 2), *others]
        places = ops.reshape(ops.arange(math.prod(shape), dtype="int32"), shape)
        bits = scramble(ops.bitwise_xor(places * (0x9E3779B1 - 2**32) + key[0], key[1]))  # two masks' bits in one
        threshold = round(self.rate * 2**15)
        low = ops.bitwise_and(bits, 2**15 - 1) >= threshold
        high = ops.bitwise_and(ops.right_shift(bits, 16), 2**15 - 1) >= threshold
        keep = ops.concatenate([high, low], axis=0)[:length]
        return ops.where(keep, inputs * (1 / (1 - self.rate)), ops.cast(0.0, inputs.dtype))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "rate": self.rate}


@keras.utils.register_keras_serializable("mixer_lib")
class StochasticDepth(keras.layers.Layer):
    """Leave a whole branch of a block out, for some images of the batch, in training.

    Args:
        rate: fraction of images for which the branch is dropped; the others are scaled by 1 / (1 - rate).
        images: the axis of the images.

    Input and output shape: the same, with three axes. Source: Huang et al. 2016, as in the paper's code.
    """

    def __init__(self, rate, images=0, **kwargs):
        super().__init__(**kwargs)
        self.rate, self.images = rate_of("stochastic_depth", rate), images
        self.seed_generator = SeedGenerator()

    def call(self, inputs, training=None):
        if not training or self.rate == 0:
            return inputs
        shape = [ops.shape(inputs)[axis] if axis == self.images else 1 for axis in range(3)]
        keep = uniform(shape, seed=self.seed_generator) >= self.rate
        return ops.where(keep, inputs * (1 / (1 - self.rate)), ops.cast(0.0, inputs.dtype))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "rate": self.rate, "images": self.images}


def zoom_matrix(factors, mirrored, size, shifts=None):
    """The linear map that zooms, mirrors and shifts one axis, a matrix for each image.

    Args:
        factors: (B,) floats; above 1 zooms out, below 1 zooms in.
        mirrored: (B,) floats, 1 to reverse the axis, else 0.
        size: number of pixels along the axis.
        shifts: (B,) floats, pixels to move towards lower places; None moves nothing.

    Returns:
        (B, size, size): row i holds the weights with which the old pixels make the new
        pixel i, by linear interpolation, with the image reflected beyond its edges
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
class Augment(keras.layers.Layer):
    """Mirror half of the images left to right, zoom each by a random factor and may shift it; in training only.

    Height and width are zoomed independently, by factors uniform in [1 - zoom, 1 + zoom], bilinearly, reflecting
    at the edges: what Keras's RandomFlip and RandomZoom(zoom, zoom) do. A zoom acts on rows and columns apart, so
    it is two small matrix products for each image here, which XLA can compile (RandomZoom keeps it from doing so).
    Called bare, the layer leaves the images alone; Keras's random layers would change them.

    Args:
        zoom: largest relative zoom, below 1.
        shift: largest move along each axis, in pixels, uniform in [-shift, shift]; the article moves nothing.

    Input and output shape: (B, H, W, C).
    """

    def __init__(self, zoom=0.2, shift=0.0, **kwargs):
        super().__init__(**kwargs)
        self.zoom = rate_of("zoom", zoom)
        self.shift = pixels("shift", shift)
        self.seed_generator = SeedGenerator()

    def call(self, images, training=None):
        if not training:
            return images
        batch, (height, width) = ops.shape(images)[0], images.shape[1:3]
        low, high = 1 - self.zoom, 1 + self.zoom
        tall = uniform((batch,), low, high, seed=self.seed_generator)
        wide = uniform((batch,), low, high, seed=self.seed_generator)
        mirrored = ops.cast(uniform((batch,), seed=self.seed_generator) < 0.5, "float32")
        down, right = self._shifts(batch), self._shifts(batch)
        rows = ops.cast(zoom_matrix(tall, 0 * mirrored, height, down), images.dtype)
        columns = ops.cast(zoom_matrix(wide, mirrored, width, right), images.dtype)
        images = ops.einsum("bhr,brwc->bhwc", rows, images)
        return ops.einsum("bwq,bhqc->bhwc", columns, images)

    def _shifts(self, batch):
        return uniform((batch,), -self.shift, self.shift, seed=self.seed_generator) if self.shift else None

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "zoom": self.zoom, "shift": self.shift}
