"""What computes, and how finely: half precision, and several devices that share each batch.

Both change how a model is trained and not what it is: weights are float32 on disk, and whoever loads them computes
in float32 on one device. So that is also how a run is judged (`as_loaded`).
"""

import contextlib
import os

import keras
import numpy as np

from . import worlds
from .checks import positive_integer
from .classifier import build_classifier
from .halves import HalvesStep, filled_up, part_of_a_step

PRECISIONS = ("float32", "mixed_float16", "mixed_bfloat16")
STEPS_WORTH_COMPILING = 100  # in an epoch


def has_xla():
    """Whether XLA can compile a step here. On the torch backend, Keras takes `jit_compile` for torch.compile."""
    return worlds.backend_name() != "torch"


def worth_compiling(steps):
    """Whether XLA pays in epochs of so many steps: always on JAX, which compiles each operation by itself otherwise."""
    return has_xla() and (steps >= STEPS_WORTH_COMPILING or worlds.backend_name() == "jax")


def strategy_for(precision, devices, batch_size, jit_compile):
    """How `devices` devices share a batch: a `tf.distribute.MirroredStrategy`, or None for a single one.

    GPUs where there are any, else TensorFlow's logical CPUs.

    Raises:
        ValueError: for an unknown precision; if there are not so many devices, the batch can't be cut into equal parts
            for them, XLA is asked for too or where there is none, or the backend is not TensorFlow.
    """
    if precision not in PRECISIONS:
        raise ValueError(
            f"precision must be one of {', '.join(PRECISIONS)} (mixed_float16 is the fast one on a T4, mixed_bfloat16 "
            f"needs a newer card). Received: {precision!r}."
        )
    if jit_compile and not has_xla():
        raise ValueError(
            f"The {worlds.backend_name()} backend has no XLA. Received: jit_compile=True. Leave jit_compile out, or "
            f"set KERAS_BACKEND to jax or tensorflow."
        )
    devices = positive_integer("devices", devices)
    if devices == 1:
        return None
    if worlds.backend_name() != "tensorflow":
        raise ValueError(
            f"devices must be 1 on the {worlds.backend_name()} backend: sharing a batch is TensorFlow's. "
            f"Received: {devices}. Set KERAS_BACKEND=tensorflow, or leave devices out."
        )
    if jit_compile:
        raise ValueError(f"XLA compiles a step for one device. Received: jit_compile=True, devices={devices}.")
    if batch_size % devices:
        shares = [n for n in range(1, batch_size + 1) if batch_size % n == 0]
        raise ValueError(
            f"A batch of {batch_size} images can't be shared by {devices} devices in equal parts. Let devices be one "
            f"of {shares}, or give the recipe a batch_size that is a multiple of {devices}."
        )
    import tensorflow as tf

    found = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    if len(found) < devices:
        raise ValueError(
            f"devices={devices} was asked for, and TensorFlow sees {len(found)} ({found[0].device_type}). Ask for "
            f"devices={len(found)}, or choose a machine with more (on Kaggle: accelerator GPU T4 x2)."
        )
    return tf.distribute.MirroredStrategy([device.name for device in found[:devices]])


def cores():
    """How many processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def share_cores():
    """Leave each half of a batch one of two cores, in a process that only trains; before anything is computed.

    TensorFlow 2.15 would divide each of a half's operations among both cores, and both halves would wait for each other
    after every one. Elsewhere this does nothing: newer ones do it better by themselves.
    """
    if worlds.KERAS_3 or cores() != 2:
        return
    import tensorflow as tf

    with contextlib.suppress(RuntimeError):  # something has been computed: then all stays as it is
        tf.config.threading.set_intra_op_parallelism_threads(1)


@contextlib.contextmanager
def setting(precision="float32", strategy=None):
    """While it lasts, layers that are built compute in `precision` and lie on the devices of `strategy`."""
    before = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy(precision)
    try:
        with strategy.scope() if strategy else contextlib.nullcontext():
            yield
    finally:
        keras.mixed_precision.set_global_policy(before)


def takes_halves(precision, strategy, jit_compile):
    """Whether a step computes both halves of a batch at once (halves.py): where XLA compiles it for one CPU."""
    if not jit_compile or strategy or precision != "float32" or worlds.backend_name() != "tensorflow":
        return False
    import tensorflow as tf

    return not tf.config.list_logical_devices("GPU")


def prepare(model, config, images, precision, strategy, jit_compile):
    """Give a compiled model what `as_loaded` and `worlds.train_on_batch` need away from the plain case."""
    if precision != "float32" or strategy:
        twin = build_classifier(config, adapt_to=images)
        model.twin = lambda: twin  # in a function: Keras would take it for a layer of the model
    if strategy:
        with strategy.scope():
            worlds.optimizer_variables(model)
        model.shared_step = SharedStep(model, strategy)
    elif takes_halves(precision, strategy, jit_compile):
        model.shared_step = HalvesStep(model)


def as_loaded(model):
    """The model as whoever loads its weights has it: in float32, on one device. The model itself if it is so."""
    if not hasattr(model, "twin"):
        return model
    twin = model.twin()
    twin.set_weights(model.get_weights())
    return twin


class SharedStep:
    """One step of training on several devices, equal to the step of one device on the whole batch.

    Each device takes an equal part. The last batch of an epoch may not divide: it is filled up.
    """

    def __init__(self, model, strategy):
        import tensorflow as tf

        self.model, self.strategy = model, strategy

        @tf.function(reduce_retracing=True)
        def run(images, labels, weights):
            found = strategy.run(self.on_one_device, args=(images, labels, weights))
            return {key: strategy.reduce("SUM", value, axis=None) for key, value in found.items()}

        self.run = run

    def on_one_device(self, images, labels, weights):
        gradients, found = part_of_a_step(self.model, images, labels, weights)
        worlds.apply_gradients(self.model.optimizer, gradients, self.model.trainable_variables)
        return found

    def __call__(self, images, labels):
        whole = filled_up(images, labels, self.strategy.num_replicas_in_sync)
        return self.run(*(self.shared(part) for part in whole))

    def shared(self, array):
        """An array's equal parts, one for each device."""
        parts = np.split(array, self.strategy.num_replicas_in_sync)
        return self.strategy.experimental_distribute_values_from_function(
            lambda context: parts[context.replica_id_in_sync_group]
        )
