"""AdamW as tensorflow-addons means it, in both worlds."""

import numbers

import keras

from .worlds import KERAS_3

EPSILON = 1e-7  # both libraries' default
LARGEST = 3.4e38  # that a float32 can hold


class AddonsAdamW(keras.optimizers.AdamW):
    """Keras's AdamW with the decay of tensorflow-addons.

    At each step w <- w - weight_decay * w. Keras multiplies the decay by the learning
    rate, w <- w - learning_rate * weight_decay * w: 200 times weaker at a learning rate
    of 0.005, and weaker still after each cut.

    Source: tensorflow-addons 0.23, `DecoupledWeightDecayExtension`.
    """

    def _apply_weight_decay(self, variables):
        if self.weight_decay:
            for variable in variables:
                variable.assign(variable * (1 - self.weight_decay))


def check_rates(learning_rate, weight_decay, decay_follows_lr=False):
    """Refuse a learning rate or a weight decay that can't be one, by name and value."""
    if not _is_number(learning_rate) or not 0 < learning_rate < LARGEST:
        raise ValueError(f"learning_rate must be above 0 (the article uses 0.005). Received: {learning_rate!r}.")
    if decay_follows_lr and not (_is_number(weight_decay) and 0 <= weight_decay < LARGEST):
        raise ValueError(f"weight_decay must be 0 or more (0.02 is common). Received: {weight_decay!r}.")
    if not decay_follows_lr and not (_is_number(weight_decay) and 0 <= weight_decay < 1):
        raise ValueError(
            f"weight_decay must be from 0 to below 1: it is the part of each weight taken away at every step "
            f"(the article uses 0.0001). Received: {weight_decay!r}."
        )


def _is_number(value):
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def adamw(learning_rate, weight_decay):
    """AdamW whose decay is not multiplied by the learning rate.

    Args:
        learning_rate: step size, above 0.
        weight_decay: part of every trainable variable that a step takes away, whatever the learning rate.

    Returns:
        tensorflow-addons' own optimizer where it imports (Python 3.10 and 3.11), else an equal Keras one.

    Raises:
        ValueError: naming the value that can't be.
    """
    check_rates(learning_rate, weight_decay)
    if not KERAS_3:
        try:
            from tensorflow_addons.optimizers import AdamW
        except ImportError:
            pass
        else:
            return AdamW(learning_rate=learning_rate, weight_decay=weight_decay, epsilon=EPSILON)
    return AddonsAdamW(learning_rate=learning_rate, weight_decay=weight_decay, epsilon=EPSILON)


def keras_adamw(learning_rate, weight_decay):
    """Keras's own AdamW, whose decay is multiplied by the learning rate: it shrinks when the learning rate does."""
    check_rates(learning_rate, weight_decay, decay_follows_lr=True)
    return keras.optimizers.AdamW(learning_rate=learning_rate, weight_decay=weight_decay, epsilon=EPSILON)
