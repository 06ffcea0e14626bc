"""Keras 2.15, Keras 3 and its backends: the one place where they differ.

Keras 3 has `keras.ops` and `keras.random`; for Keras 2.15, the same few names are defined here on TensorFlow.
"""

import contextlib
import random
import threading
import weakref

import keras
import numpy as np

KERAS_3 = int(keras.__version__.split(".")[0]) >= 3

if KERAS_3:
    from keras import ops
    from keras.random import SeedGenerator, uniform
    from keras.src.random import seed_generator as keras_seeds
else:
    from types import SimpleNamespace

    import tensorflow as tf
    from keras.src import backend as keras_seeds

    SAME = ("abs", "cast", "einsum", "maximum", "minimum", "reshape", "shape", "where")
    ops = SimpleNamespace(**{name: getattr(tf, name) for name in SAME}, arange=tf.range, softmax=tf.nn.softmax)

    class SeedGenerator:
        """Keras 3's seed generator: a state (seed, counter), on which alone draws depend."""

        def __init__(self, seed=None):
            first = np.random.randint(2**31 - 1) if seed is None else seed
            self.state = tf.Variable([first, 0], dtype=tf.int64, trainable=False, name="seed_generator_state")

        def next(self):
            seed = tf.identity(self.state)
            self.state.assign_add([0, 1])
            return seed

    def uniform(shape, minval=0.0, maxval=1.0, dtype="float32", seed=None):
        return tf.random.stateless_uniform(shape, seed.next(), minval, maxval, dtype)


class SameShape(keras.layers.Layer):
    """A layer whose output has the shape of its input; Keras 3 doesn't find that out by itself."""

    def compute_output_shape(self, input_shape):
        return input_shape


@keras.utils.register_keras_serializable("mixer_lib")
class Dropout(keras.layers.Dropout):
    """Keras's Dropout, with a seed generator at any rate (0 changes no other layer's draws) and in any version."""

    def __init__(self, rate, **kwargs):
        super().__init__(rate or 0.5, **kwargs)  # Keras 3 makes a generator only for a rate above 0
        self.rate = rate
        if not KERAS_3:
            self.seed_generator = SeedGenerator(self.seed)

    def call(self, inputs, training=None):
        if KERAS_3 or not training or self.rate == 0:
            return super().call(inputs, training=training)
        shape = self._get_noise_shape(inputs)
        return tf.nn.experimental.stateless_dropout(inputs, self.rate, self.seed_generator.next(), noise_shape=shape)


def backend_name():
    """Name of the library that computes: "tensorflow", "jax" or "torch"."""
    return keras.backend.backend()


def has_gpu():
    """Whether the backend computes on something other than CPUs."""
    if backend_name() == "tensorflow":
        import tensorflow as tf

        return bool(tf.config.list_logical_devices("GPU"))
    if backend_name() == "jax":
        import jax

        return jax.default_backend() != "cpu"
    import torch

    return torch.cuda.is_available()


def sublayers(layer):
    """A layer and all inside it, in the order of its attributes: Keras 2.15, 3 and PyTorch track them differently."""
    found = {id(layer): layer}
    for value in (*vars(layer).values(), *vars(layer).get("_modules", {}).values()):
        if isinstance(value, keras.layers.Layer) and id(value) not in found:
            found.update((id(inner), inner) for inner in sublayers(value))
    return list(found.values())


def seed_generators(model):
    """The `SeedGenerator` of each layer that draws random numbers, in the order of the layers."""
    layers = {id(layer): layer for outer in model.layers for layer in sublayers(outer)}
    found = [getattr(layer, "seed_generator", None) for layer in layers.values()]
    return [generator for generator in found if isinstance(generator, SeedGenerator)]


def layers_of(model):
    """All layers of a model and of the models inside it."""
    for outer in getattr(model, "layers", ()):
        yield from sublayers(outer)
        yield from layers_of(outer)


_COLOURS = weakref.WeakKeyDictionary()  # of each model: the mean and variance with which it was compiled


def refresh_normalization(model):
    """Let a model normalize by the mean and variance among its weights, of which Keras compiles copies."""
    meant = []
    for layer in layers_of(model):
        if isinstance(layer, keras.layers.Normalization) and hasattr(layer, "adapt_mean"):
            layer.finalize_state()
            meant += [np.asarray(layer.mean).tobytes(), np.asarray(layer.variance).tobytes()]
    if meant and _COLOURS.get(model) != meant:
        model.make_predict_function(force=True)
        _COLOURS[model] = meant


def needs_whole_batches(model):
    """The name of a layer whose output for an image depends on the rest of the batch, or ""."""
    layers = (layer for outer in model.layers for layer in sublayers(outer))
    return next((layer.name for layer in layers if isinstance(layer, keras.layers.BatchNormalization)), "")


def reseed(model, seed, epoch):
    """Make every random draw of an epoch a function of (seed, epoch), so that a resumed run repeats it."""
    for place, generator in enumerate(seed_generators(model)):
        first = np.random.SeedSequence([seed, epoch, place]).generate_state(1)[0] % 2**31
        dtype = getattr(generator.state.dtype, "name", generator.state.dtype)
        generator.state.assign(np.asarray([first, 0], dtype))


_BUILDING = threading.Lock()


class _Draws:
    """Python's `random` as Keras sees it: one thread's draws come from a seed of its own, all others' from `before`."""

    def __init__(self, seed, before):
        self.own, self.before, self.thread = random.Random(seed), before, threading.get_ident()

    def __getattr__(self, name):
        return getattr(self.own if threading.get_ident() == self.thread else self.before, name)


@contextlib.contextmanager
def first_weights(seed):
    """Within it, models get the first weights that they get after `keras.utils.set_random_seed(seed)`.

    No global generator is read or left changed. Keras draws the seeds of its initializers from Python's, which any
    other thread may use meanwhile; only a private name lets them come from elsewhere (`test_isolation.py` watches it).
    """
    with _BUILDING:
        name = "python_random" if KERAS_3 else "_SEED_GENERATOR"
        before, numpy_state = getattr(keras_seeds, name), np.random.get_state()
        own = _Draws(seed, before) if KERAS_3 else type("", (), {"generator": random.Random(seed)})
        setattr(keras_seeds, name, own)
        try:
            yield
        finally:
            setattr(keras_seeds, name, before)
            if not KERAS_3:  # our own seed generator draws from NumPy's there, as `set_random_seed` makes repeatable
                np.random.set_state(numpy_state)


STANDARD = {"floatx": "float32", "image_data_format": "channels_last", "epsilon": 1e-7}


@contextlib.contextmanager
def standard_settings():
    """Within it, Keras's global settings are its defaults; what a program or ~/.keras/keras.json set comes back."""
    before = {name: getattr(keras.backend, name)() for name in STANDARD}
    policy = keras.mixed_precision.global_policy()
    try:
        for name, value in STANDARD.items():
            getattr(keras.backend, f"set_{name}")(value)
        keras.mixed_precision.set_global_policy("float32")
        yield
    finally:
        for name, value in before.items():
            getattr(keras.backend, f"set_{name}")(value)
        keras.mixed_precision.set_global_policy(policy)


def optimizer_variables(model):
    """All variables of the model's optimizer, created if need be."""
    optimizer = model.optimizer
    if hasattr(optimizer, "_create_all_weights"):  # tensorflow-addons builds on Keras's legacy optimizers
        optimizer._create_all_weights(model.trainable_variables)
        return optimizer.variables()
    if not getattr(optimizer, "built", False):  # Keras 2.15 has no such attribute; building twice does no harm there
        optimizer.build(model.trainable_variables)
    return list(optimizer.variables)


def averaged_weights(model):
    """The model's weights, those that train replaced by their moving averages if its optimizer keeps any."""
    weights = model.get_weights()
    if not getattr(model.optimizer, "use_ema", False):
        return weights
    model.optimizer.finalize_variable_values(model.trainable_variables)
    averaged = model.get_weights()
    model.set_weights(weights)
    return averaged


def train_step(model):
    """A function (images, labels) -> {"loss", "acc", "top5-acc"} that trains a compiled model on one batch."""
    on_device = KERAS_3 and backend_name() == "tensorflow"  # the values stay there; `train_on_batch` fetches them
    if on_device:
        model.make_train_function()

    def step(images, labels):
        model.reset_metrics()  # not every version of Keras starts them anew at each call
        if on_device:
            return model.train_function(iter([(images, labels)]))
        return model.train_on_batch(images, labels, return_dict=True)

    return step


@contextlib.contextmanager
def deterministic_reductions():
    """Make TensorFlow add gradients in program order, so that a step without XLA repeats to the last bit.

    Where a step needs much memory, its graph optimizer adds several tensors as they arrive. Only a private setting
    switches that off alone.
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
