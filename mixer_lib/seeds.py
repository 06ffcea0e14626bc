"""Random draws that depend on a seed and a counter alone, in both worlds.

Keras 3 has `keras.random` and its `SeedGenerator`; in Keras 2.15 the same few names are given by TensorFlow. Where a
batch is shared, by devices or by two halves that are computed at once, each part draws numbers of its own.
"""

import collections
import contextlib

import keras
import numpy as np

from .worlds import KERAS_3, backend_name

PARTS_APART = 2**20  # on the counter; an epoch draws less often than that
DRAWS_A_STEP = 16  # of one generator at most, for one part of a batch
_part = None  # the part of a batch that is being traced, and how often each generator has drawn for it


def shared_by_devices():
    """Whether what is built or run now is shared by several devices (see devices.py)."""
    if backend_name() != "tensorflow":
        return False
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync > 1


def own_draw(seed):
    """A seed (2,) of this device's own, where several share a batch: each draws other noise."""
    if not shared_by_devices():
        return seed
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    if context is None:  # called for all devices together, not by one of them
        return seed
    return seed + tf.cast(tf.stack([0, context.replica_id_in_sync_group * PARTS_APART]), seed.dtype)


@contextlib.contextmanager
def drawing_for(part):
    """While it lasts, generators draw for one part of a batch, by its number, and keep their state.

    Parts that are computed at once may not change what both read: `advance` does, after them. TensorFlow.
    """
    global _part
    _part = (part, collections.Counter())
    try:
        yield
    finally:
        _part = None


def draw_for_part(generator):
    """The next seed (2,) of a generator within `drawing_for`."""
    import tensorflow as tf

    part, drawn = _part
    number = drawn[id(generator)]
    if number == DRAWS_A_STEP:
        raise RuntimeError(f"A layer draws more than {DRAWS_A_STEP} times in a step: raise DRAWS_A_STEP in seeds.py.")
    drawn[id(generator)] += 1
    seed = tf.convert_to_tensor(generator.state)
    return seed + tf.cast(tf.stack([0, part * PARTS_APART + number]), seed.dtype)


def advance(generators):
    """Move generators on behind what the parts of a step have drawn."""
    import tensorflow as tf

    for generator in generators:
        seed = tf.convert_to_tensor(generator.state)
        generator.state.assign(seed + tf.cast(tf.stack([0, DRAWS_A_STEP]), seed.dtype))


if KERAS_3:
    from keras.random import randint, uniform

    class SeedGenerator(keras.random.SeedGenerator):
        """Keras's own, whose state each device keeps for itself where several share a batch.

        Keras declares no way in which devices could agree on a new state, and then refuses to draw.
        """

        def __init__(self, seed=None, **kwargs):
            super().__init__(seed, **kwargs)
            if shared_by_devices():
                first = np.asarray(self.state)
                self.state = keras.Variable(
                    first,
                    dtype=self.state.dtype,
                    trainable=False,
                    aggregation="only_first_replica",
                    synchronization="on_read",
                    name="seed_generator_state",
                )

        def next(self, ordered=True):
            return draw_for_part(self) if _part else own_draw(super().next(ordered))
else:
    import tensorflow as tf

    class SeedGenerator:
        """Keras 3's seed generator: a state (seed, counter), so that draws depend on nothing else."""

        def __init__(self, seed=None):
            first = np.random.randint(2**31 - 1) if seed is None else seed
            self.state = tf.Variable(
                [first, 0],
                dtype=tf.int64,
                trainable=False,
                name="seed_generator_state",
                aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
                synchronization=tf.VariableSynchronization.ON_READ,
            )

        def next(self):
            if _part:
                return draw_for_part(self)
            seed = tf.identity(self.state)
            self.state.assign_add([0, 1])
            return own_draw(seed)

    def uniform(shape, minval=0.0, maxval=1.0, dtype="float32", seed=None):
        return tf.random.stateless_uniform(shape, seed.next(), minval, maxval, dtype)

    def randint(shape, minval, maxval, dtype="int32", seed=None):
        return tf.random.stateless_uniform(shape, seed.next(), minval, maxval, dtype)


def seed_generators(model):
    """Every `SeedGenerator` in a model, in the order of its layers.

    Keras 2.15 and 3 track sublayers differently, so this walks a layer's own attributes; torch has them in `_modules`.
    """
    found, seen = [], set()

    def visit(layer):
        if id(layer) in seen:
            return
        seen.add(id(layer))
        if isinstance(getattr(layer, "seed_generator", None), SeedGenerator):
            found.append(layer.seed_generator)
        for sublayer in (*vars(layer).values(), *vars(layer).get("_modules", {}).values()):
            if isinstance(sublayer, keras.layers.Layer):
                visit(sublayer)

    for layer in model.layers:
        visit(layer)
    return found
