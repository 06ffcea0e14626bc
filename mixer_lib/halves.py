"""Both halves of a batch at once: a training step that keeps the cores of a CPU busy.

XLA divides each operation among the cores, and they wait for each other at its end. A small model's operations are
short, so that is much waiting. Two halves of a batch have nothing to do with each other until their gradients are
added up: computed at once, they wait for each other once in a step.
"""

import keras
import numpy as np

from . import seeds, worlds


def filled_up(images, labels, parts):
    """A batch that divides into `parts` equal ones: (images, labels, weights), the filling with a weight of zero.

    An image's weight is one over the number of images in the *whole* batch, so that sums over the parts are means over
    the batch: of the loss, its gradients and the metrics.
    """
    weights = np.full(len(images), 1 / len(images), "float32")
    missing = -len(images) % parts
    fill = [np.concatenate([part, np.repeat(part[:1], missing, axis=0)]) for part in (images, labels)]
    return (*fill, np.concatenate([weights, np.zeros(missing, "float32")]))


def part_of_a_step(model, images, labels, weights):
    """What one part of a batch adds to a step: gradients of the (scaled) loss, and the loss and metrics by name."""
    import tensorflow as tf

    with tf.GradientTape() as tape:
        logits = model(images, training=True)
        losses = keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
        loss = tf.reduce_sum(losses * weights)
        scaled = worlds.scale_loss(model.optimizer, loss)
    gradients = tape.gradient(scaled, model.trainable_variables)
    found = {"acc": keras.metrics.sparse_categorical_accuracy(labels, logits)}
    found["top5-acc"] = keras.metrics.sparse_top_k_categorical_accuracy(labels, logits, k=5)
    found = {key: tf.reduce_sum(tf.cast(hit, "float32") * weights) for key, hit in found.items()}
    return gradients, {"loss": loss, **found}


class HalvesStep:
    """One step of training of a compiled model (TensorFlow), both halves of the batch at once, each compiled by XLA.

    The step is that of the whole batch up to rounding; each half draws noise of its own.
    """

    def __init__(self, model):
        import tensorflow as tf

        worlds.optimizer_variables(model)  # no variable may be made while a step is compiled
        generators = seeds.seed_generators(model)

        @tf.function(jit_compile=True)
        def half(number, images, labels, weights):
            with seeds.drawing_for(number):
                return part_of_a_step(model, images, labels, weights)

        @tf.function(jit_compile=True)
        def apply(first, second):
            gradients = [a + b for a, b in zip(first, second, strict=True)]
            worlds.apply_gradients(model.optimizer, gradients, model.trainable_variables)

        @tf.function
        def run(*batch):
            parts = zip(*(tf.split(part, 2) for part in batch), strict=True)
            (first, found), (second, other) = (half(tf.constant(number), *part) for number, part in enumerate(parts))
            apply(first, second)
            seeds.advance(generators)
            return {key: found[key] + other[key] for key in found}

        self.run = run

    def __call__(self, images, labels):
        return self.run(*filled_up(images, labels, parts=2))
