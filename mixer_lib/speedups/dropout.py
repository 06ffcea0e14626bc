"""Dropout with cheap masks: bits from an integer hash instead of a random generator."""

import math

from keras import ops
from keras.random import randint

from .. import compat


def hash_bits(numbers):
    """Hash whole numbers (int32) to 32 random-looking bits each: same in, same out.

    The hash "lowbias32" of C. Wellons's hash-prospector (2018). Drawing every value of a mask from a random generator
    takes a third of a training step on a CPU; this takes a few instructions, which a compiler fuses with the masking.
    """

    def shifted(x, bits):  # a right shift that fills with zeros, as for unsigned numbers
        return ops.bitwise_and(ops.right_shift(x, bits), 2 ** (32 - bits) - 1)

    numbers = ops.bitwise_xor(numbers, shifted(numbers, 16)) * 0x7FEB352D
    numbers = ops.bitwise_xor(numbers, shifted(numbers, 15)) * (0x846CA68B - 2**32)
    return ops.bitwise_xor(numbers, shifted(numbers, 16))


def dropout(layer, inputs, training=None):
    """What a `keras.layers.Dropout` does, with its rate (exact to 1/32768) and its seed generator, by hashed masks.

    Each call draws one random key; value i is kept or dropped by 15 bits of the hash of the key and i.
    Source: Srivastava et al. 2014.
    """
    if not training or layer.rate == 0:
        return inputs
    key = randint((2,), 0, 2**31 - 1, dtype="int32", seed=layer.seed_generator)
    length, *others = ops.shape(inputs)
    shape = [-(-length // 2), *others]
    places = ops.reshape(ops.arange(math.prod(shape), dtype="int32"), shape)
    bits = hash_bits(ops.bitwise_xor(places * (0x9E3779B1 - 2**32) + key[0], key[1]))  # two masks' bits in one
    threshold = round(layer.rate * 2**15)
    low = ops.bitwise_and(bits, 2**15 - 1) >= threshold
    high = ops.bitwise_and(ops.right_shift(bits, 16), 2**15 - 1) >= threshold
    keep = ops.concatenate([high, low], axis=0)[:length]
    return ops.where(keep, inputs * (1 / (1 - layer.rate)), ops.cast(0.0, inputs.dtype))


class Dropout(compat.Dropout):
    """Keras's Dropout with hashed masks."""

    def call(self, inputs, training=None):
        return dropout(self, inputs, training)
