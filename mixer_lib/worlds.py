"""The one place where Keras 2.15 and Keras 3 differ; for random draws it is seeds.py.

Everything else in this library is written once. Keras 3 has `keras.ops`, which runs on TensorFlow, JAX and torch
alike; Keras 2.15 has not, so the same few names are given by TensorFlow there.
"""

import contextlib

import keras

KERAS_3 = int(keras.__version__.split(".")[0]) >= 3
# Within a block, tables are (S, B, C), so that no mixing turns them. TensorFlow 2.15 multiplies from the left so slowly
# that turning takes less time: there they stay (B, S, C).
PATCHES_FIRST = KERAS_3


if KERAS_3:
    from keras import ops
    from keras.ops import custom_gradient

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
        rsqrt=tf.math.rsqrt,
        softmax=tf.nn.softmax,
    )
    custom_gradient = tf.custom_gradient

    def backend_name():
        """Name of the library that computes: always "tensorflow" in this world."""
        return "tensorflow"


def sizes(x):
    """The shape of a tensor, as a list: numbers where they are known, else what will be known when it is computed."""
    return [ops.shape(x)[axis] if known is None else known for axis, known in enumerate(x.shape)]


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
    Where several devices share a batch, or both halves of it are computed at once, the step is that of devices.py or
    halves.py.
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
