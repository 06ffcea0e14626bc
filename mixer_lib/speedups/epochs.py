"""Many steps in one call: the training set stays on the device, where batches are gathered, augmented and trained on.

Each step of the usual loop goes through Python, copies a batch to the device and now and then waits for a loss. Here a
compiled loop runs `steps_in_a_call` steps; what goes back and forth is their batches' row numbers and learning rates,
and their losses. The steps, their order and their random draws are those of the usual loop.
"""

import numpy as np

from .. import compat
from . import data_parallel

ON_CPU, ON_GPU = 16, 176  # steps in a call: a second or so, that progress and Ctrl-C may wait


def steps_together(model, images, labels, step, in_halves, steps):
    """A function that trains a compiled model on batches of a training set, `steps` in a call.

    It takes each batch's rows, the learning rates, and what mixes batches on the host, which must be nothing. It yields
    loss and metrics of each step. A batch of another size, the last of an epoch, is trained on by `step`.
    """
    make = _scan if compat.backend_name() == "jax" else _while_loop
    run = make(model, images, labels, in_halves)

    def train_on(batches, rates, mixed):
        whole = sum(len(rows) == len(batches[0]) for rows in batches)
        for first in range(0, whole, steps):
            chosen = slice(first, min(first + steps, whole))
            found = run(np.asarray(batches[chosen], "int32"), np.asarray(rates[chosen], "float32"))
            found = {key: np.asarray(values) for key, values in found.items()}  # waits for the device
            yield from ({key: values[k] for key, values in found.items()} for k in range(chosen.stop - first))
        for rows, rate in zip(batches[whole:], rates[whole:], strict=True):
            model.optimizer.learning_rate = rate
            yield step(images[rows], labels[rows])

    return train_on


def _scan(model, images, labels, in_halves):
    """Keras's own training step for JAX within `jax.lax.scan`."""
    import jax
    import jax.numpy as jnp

    compat.optimizer_variables(model)
    model._symbolic_build(data_batch=(images[:1], labels[:1].astype("int32")))  # creates the metrics' variables
    images, labels = jnp.asarray(images), jnp.asarray(labels.astype("int32"))
    rate_at = [v is model.optimizer._learning_rate for v in model.optimizer.variables].index(True)

    def variables():
        return (
            model.trainable_variables,
            model.non_trainable_variables,
            model.optimizer.variables,
            model.metrics_variables,
        )

    @jax.jit
    def run(state, images, labels, order, rates):
        *start, fresh = state  # each step starts its metrics anew

        def one(state, now):
            rows, rate = now
            trainable, others, optimizer = state
            optimizer = [rate if place == rate_at else value for place, value in enumerate(optimizer)]
            batch = (images[rows], labels[rows])
            found, (*state, _) = model.train_step((trainable, others, optimizer, fresh), batch)
            return tuple(map(list, state)), found

        return jax.lax.scan(one, tuple(start), (order, rates))

    def call(order, rates):
        model.reset_metrics()
        state = tuple([v.value for v in group] for group in variables())
        state, found = run(state, images, labels, order, rates)
        for group, values in zip(variables(), state, strict=False):
            for variable, value in zip(group, values, strict=True):
                variable.assign(value)
        return found

    return call


def _while_loop(model, images, labels, in_halves):
    """The step that `Execution` chooses, within a loop of a TensorFlow graph."""
    import tensorflow as tf

    step = _halves(model) if in_halves else _whole(model)
    images, labels = tf.constant(images), tf.constant(labels)
    rate = model.optimizer.learning_rate

    @tf.function
    def run(order, rates):
        names = ("loss", "acc", "top5-acc")
        found = [tf.TensorArray("float32", size=tf.shape(order)[0]) for _ in names]
        for k in tf.range(tf.shape(order)[0]):
            rate.assign(rates[k])
            values = step(tf.gather(images, order[k]), tf.gather(labels, order[k]))
            found = [array.write(k, values[name]) for array, name in zip(found, names, strict=True)]
        return {name: array.stack() for name, array in zip(names, found, strict=True)}

    return run


def _halves(model):
    import tensorflow as tf

    run = data_parallel.halves_in_graph(model)

    def step(images, labels):
        size = images.shape[0]
        return run(images, labels, tf.constant(np.full(size, 1 / size, "float32")))

    return step


def _whole(model):
    import tensorflow as tf

    compat.optimizer_variables(model)
    compiled = tf.function(model.train_step, jit_compile=model.jit_compile)

    def step(images, labels):
        model.reset_metrics()
        return compiled((images, labels))

    return step
