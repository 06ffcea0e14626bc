"""AdamW with the weight decay of tensorflow-addons, on every supported Keras."""

import keras

from .addons import AddonsAdamW
from .validation import check_rates

EPSILON = 1e-7  # both libraries' default
ADAMW_SHARE = 0.15  # of Muon's learning rate, for what Muon leaves to AdamW


@keras.utils.register_keras_serializable("mixer_lib")
class TfaAdamW(keras.optimizers.AdamW):
    """Keras's AdamW with the decay of tensorflow-addons.

    At each step w <- w - weight_decay * w. Keras multiplies the decay by the learning rate: 200 times weaker at a
    learning rate of 0.005, and weaker still after each cut. The paper multiplies it by the schedule's multiplier;
    the docstring of tensorflow-addons asks its users to do so by hand.

    Source: tensorflow-addons 0.23, `DecoupledWeightDecayExtension`; Loshchilov and Hutter 2019, algorithm 2.
    """

    def _apply_weight_decay(self, variables):
        if self.weight_decay:
            for variable in filter(self._use_weight_decay, variables):  # see `exclude_from_weight_decay`
                variable.assign(variable * (1 - self.weight_decay))


def _rate(value):
    """What stands for a learning rate when it is checked: 1 for one of Keras's schedules."""
    return 1 if isinstance(value, keras.optimizers.schedules.LearningRateSchedule) else value


def adamw(learning_rate: float, weight_decay: float) -> keras.optimizers.Optimizer:
    """AdamW whose decay is not multiplied by the learning rate.

    Args:
        learning_rate: step size, above 0, or one of Keras's schedules.
        weight_decay: fraction of every trainable variable that a step removes, whatever the learning rate; the
            optimizer's `exclude_from_weight_decay` names variables to spare.

    Returns tensorflow-addons' own optimizer where it imports (Python 3.10 and 3.11), else an equal Keras one. Raises
    ValueError, naming the invalid value.
    """
    check_rates(_rate(learning_rate), weight_decay)
    return (AddonsAdamW or TfaAdamW)(learning_rate=learning_rate, weight_decay=weight_decay, epsilon=EPSILON)


def keras_adamw(learning_rate, weight_decay):
    """Keras's own AdamW, whose decay is multiplied by the learning rate and shrinks with it."""
    check_rates(_rate(learning_rate), weight_decay, decay_follows_lr=True)
    return keras.optimizers.AdamW(learning_rate=learning_rate, weight_decay=weight_decay, epsilon=EPSILON)


def muon(learning_rate, weight_decay):
    """Keras's Muon (Keras 3): orthogonalized momentum for the matrices of the blocks, AdamW for all else.

    Stem, head, biases and norms take AdamW at `ADAMW_SHARE` of the learning rate. The decay is multiplied by the
    learning rate, for both.

    Source: Keller Jordan 2024, https://kellerjordan.github.io/posts/muon/; scaled as by Liu et al. 2025, arXiv
    2502.16982.
    """
    check_rates(_rate(learning_rate), weight_decay, decay_follows_lr=True)
    return keras.optimizers.Muon(
        learning_rate,
        weight_decay=weight_decay,
        adam_weight_decay=weight_decay,
        epsilon=EPSILON,
        exclude_layers=["embed", "head"],
        adam_lr_ratio=ADAMW_SHARE,
    )
