"""A training step in parts: a batch is split, the parts are computed at once, their gradients are added.

The parts are the shares of several devices or hosts, or the two halves of a batch on one CPU: cores that share each
operation of a small model mostly wait for each other, and two halves are independent until their gradients are added.
"""

import keras
import numpy as np

from ..compat import optimizer_variables, seed_generators

KEYS_APART = 2**20  # between the random keys of two parts; an epoch draws less often than that
KEYS_PER_STEP = 16  # random keys reserved for each layer in a step

# loss and metrics for class numbers (B,), and for probabilities (B, num_classes)
_LOSSES, _METRICS = keras.losses, keras.metrics
HARD = (
    _LOSSES.sparse_categorical_crossentropy,
    _METRICS.sparse_categorical_accuracy,
    _METRICS.sparse_top_k_categorical_accuracy,
)
SOFT = _LOSSES.categorical_crossentropy, _METRICS.categorical_accuracy, _METRICS.top_k_categorical_accuracy


def pad_batch(images, labels, parts):
    """A batch that divides into `parts` equal ones: (images, labels, weights), with weight zero for the padding.

    An image's weight is one over the size of the *whole* batch, so that sums over parts are means over the batch.
    """
    weights = np.full(len(images), 1 / len(images), "float32")
    missing = -len(images) % parts
    padded = [np.concatenate([part, np.repeat(part[:1], missing, axis=0)]) for part in (images, labels)]
    return (*padded, np.concatenate([weights, np.zeros(missing, "float32")]))


class _Parts:
    """What both kinds of step share: a part's gradients, and the random state of each layer that draws."""

    def __init__(self, model):
        optimizer_variables(model)  # no variable may be created while a step is compiled
        self.model = model
        self.states = [generator.state for generator in seed_generators(model)]

    def gradients(self, part, images, labels, weights):
        """Gradients of one part's (scaled) loss, and its loss and metrics by name. `part` counts from 0.

        Parts that run at once all read the generators' states, so none may change them: each draws from states of its
        own, in a scope that keeps Keras from writing; `advance` moves the real ones.
        """
        import tensorflow as tf

        offset = tf.stack([0, part * KEYS_APART])
        own = [(state, state + tf.cast(offset, state.dtype)) for state in self.states]
        with tf.GradientTape() as tape:
            with keras.StatelessScope(state_mapping=own):
                logits = self.model(images, training=True)
            cross_entropy, accuracy, top5 = HARD if len(labels.shape) == 1 else SOFT
            losses = cross_entropy(labels, logits, from_logits=True)
            loss = tf.reduce_sum(losses * weights)
            scaled = self.model.optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, self.model.trainable_variables)
        found = {"acc": accuracy(labels, logits), "top5-acc": top5(labels, logits, k=min(5, logits.shape[-1]))}
        found = {key: tf.reduce_sum(tf.cast(hit, "float32") * weights) for key, hit in found.items()}
        return gradients, {"loss": loss, **found}

    def apply(self, gradients):
        self.model.optimizer.apply_gradients(list(zip(gradients, self.model.trainable_variables, strict=True)))

    def advance(self):
        """Move the random states past what a step has drawn."""
        for state in self.states:
            state.assign_add(np.asarray([0, KEYS_PER_STEP]))


def halves_step(model):
    """A step (images, labels) -> loss and metrics that computes both halves of the batch at once, compiled by XLA."""
    run = halves_in_graph(model)
    return lambda images, labels: run(*pad_batch(images, labels, parts=2))


def halves_in_graph(model):
    """The same as a `tf.function` of (images, labels, weights) that divide by two."""
    import tensorflow as tf

    parts = _Parts(model)
    half = tf.function(parts.gradients, jit_compile=True)

    @tf.function(jit_compile=True)
    def apply(first, second):
        parts.apply([a + b for a, b in zip(first, second, strict=True)])

    @tf.function
    def run(*batch):
        split = zip(*(tf.split(array, 2) for array in batch), strict=True)
        (first, found), (second, other) = (half(tf.constant(part), *arrays) for part, arrays in enumerate(split))
        apply(first, second)
        parts.advance()
        return {key: found[key] + other[key] for key in found}

    return run


def devices_step(model, strategy):
    """A step (images, labels) -> loss and metrics on the devices of a `tf.distribute` strategy, a part on each."""
    import tensorflow as tf

    count = strategy.num_replicas_in_sync
    with strategy.scope():
        parts = _Parts(model)

    def on_one_device(images, labels, weights):
        part = tf.distribute.get_replica_context().replica_id_in_sync_group
        gradients, found = parts.gradients(part, images, labels, weights)
        parts.apply(gradients)
        return found

    @tf.function(reduce_retracing=True)
    def run(images, labels, weights):
        found = strategy.run(on_one_device, args=(images, labels, weights))
        parts.advance()
        return {key: strategy.reduce("SUM", value, axis=None) for key, value in found.items()}

    def distribute(array):
        shares = np.split(array, count)
        return strategy.experimental_distribute_values_from_function(
            lambda context: shares[context.replica_id_in_sync_group]
        )

    return lambda images, labels: run(*(distribute(array) for array in pad_batch(images, labels, count)))


def sharded_step(model, distribution):
    """A step (images, labels) -> loss and metrics on the devices of a `keras.distribution` (JAX), a part on each.

    A batch that does not divide is computed whole on every device: so its random draws are those of a single device.
    """
    import jax

    devices, hosts, host = distribution.num_model_replicas, jax.process_count(), jax.process_index()
    with distribution.scope():
        optimizer_variables(model)

    def step(images, labels):
        distribution.whole = len(images) % devices > 0
        share = len(images) // hosts
        part = slice(None) if distribution.whole else slice(host * share, (host + 1) * share)
        with distribution.scope():
            return model.train_on_batch(images[part], labels[part], return_dict=True)

    return step
