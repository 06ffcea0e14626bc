"""The one place where Keras 2.15 and Keras 3 differ.

Everything else in this library is written once. Keras 3 has `keras.ops` and `keras.random`, which run on
TensorFlow, JAX and torch alike; Keras 2.15 has neither, so the same few names are given by TensorFlow there.
"""

import contextlib

import keras
import numpy as np

KERAS_3 = int(keras.__version__.split(".")[0]) >= 3


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
    device = context.replica_id_in_sync_group
    return seed + tf.cast(tf.stack([0, device * 2**20]), seed.dtype)  # a step draws far less often than that


if KERAS_3:
    from keras import ops
    from keras.ops import custom_gradient
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
            return own_draw(super().next(ordered))

    def backend_name():
        """Name of the library that computes: "tensorflow", "jax" or "torch"."""
        return keras.backend.backend()
else:
    from types import SimpleNamespace

    import tensorflow as tf

    ALIKE = ("abs", "cast", "einsum", "matmul", "maximum", "minimum", "ones", "reshape", "shape", "transpose", "where")
    ops = SimpleNamespace(
        **{name: getattr(tf, name) for name in ALIKE},
        arange=lambda stop, dtype="int32": tf.range(tf.cast(stop, dtype)),
        bitwise_and=tf.bitwise.bitwise_and,
        bitwise_xor=tf.bitwise.bitwise_xor,
        concatenate=tf.concat,
        mean=tf.reduce_mean,
        right_shift=tf.bitwise.right_shift,
        softmax=tf.nn.softmax,
    )
    custom_gradient = tf.custom_gradient

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
            seed = tf.identity(self.state)
            self.state.assign_add([0, 1])
            return own_draw(seed)

    def uniform(shape, minval=0.0, maxval=1.0, dtype="float32", seed=None):
        return tf.random.stateless_uniform(shape, seed.next(), minval, maxval, dtype)

    def randint(shape, minval, maxval, dtype="int32", seed=None):
        return tf.random.stateless_uniform(shape, seed.next(), minval, maxval, dtype)

    def backend_name():
        """Name of the library that computes: always "tensorflow" in this world."""
        return "tensorflow"


def sizes(x):
    """The shape of a tensor, as a list: numbers where they are known, else what will be known when it is computed."""
    return [ops.shape(x)[axis] if known is None else known for axis, known in enumerate(x.shape)]


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


def optimizer_variables(model):
    """Everything the model's optimizer remembers, created if it isn't yet."""
    optimizer = model.optimizer
    scale = getattr(optimizer, "_loss_scale", None)  # of float16: Keras 2.15 leaves it out of `variables`
    beside = [scale.current_loss_scale, scale.counter] if scale else []
    if hasattr(optimizer, "_create_all_weights"):  # tensorflow-addons builds on Keras's legacy optimizers
        optimizer._create_all_weights(model.trainable_variables)
        return optimizer.variables() + beside
    if not getattr(optimizer, "built", False):  # Keras 2.15 has no such attribute; building twice does no harm there
        optimizer.build(model.trainable_variables)
    return list(optimizer.variables) + beside


@contextlib.contextmanager
def steady_sums():
    """Make TensorFlow add gradients in the order of the program, so that a step repeats to the last bit.

    Where a step takes much memory, its graph optimizer turns a sum of several tensors into additions that happen as
    the terms arrive. Only a setting below the public interface turns that off alone; XLA never does it.
    """
    if backend_name() != "tensorflow":
        yield
        return
    from tensorflow.python.eager import context as eager

    context = eager.context()
    before, config = context.function_call_options, context.config
    config.graph_options.rewrite_options.memory_optimization = 1  # NO_MEM_OPT
    context.function_call_options = eager.FunctionCallOptions(config_proto=config)
    try:
        yield
    finally:
        context.function_call_options = before


def train_on_batch(model, images, labels):
    """One step of training; returns the batch's own loss and metrics by name.

    Some versions of Keras start the metrics anew at each call and some go on with them, so they are reset here.
    Where several devices share a batch, the step is that of devices.py.
    """
    if hasattr(model, "shared_step"):
        return model.shared_step(images, labels)
    model.reset_metrics()
    return model.train_on_batch(images, labels, return_dict=True)


def scale_loss(optimizer, loss):
    """The loss times the scale that keeps float16 gradients from vanishing; itself where the optimizer has none."""
    scale = getattr(optimizer, "scale_loss" if KERAS_3 else "get_scaled_loss", None)
    return scale(loss) if scale else loss


def apply_gradients(optimizer, gradients, variables):
    """Apply gradients of the scaled loss; each device calls it, and their gradients are added up."""
    if hasattr(optimizer, "get_unscaled_gradients"):  # Keras 2.15; in Keras 3 the optimizer does it itself
        gradients = optimizer.get_unscaled_gradients(gradients)
    optimizer.apply_gradients(list(zip(gradients, variables, strict=True)))
