"""How a training step is computed: precision, devices, XLA. Weights on disk are float32, whatever it is."""

import contextlib

import keras

from .. import compat
from ..cluster import engines
from ..cluster.addresses import find_cluster
from ..cluster.shared_run import shared_run
from ..runs.folder import RunFolder
from ..validation import positive_integer, yes_or_no
from . import data_parallel, epochs

PRECISIONS = ("float32", "mixed_float16", "mixed_bfloat16")
STEPS_WORTH_COMPILING = 100  # in an epoch


def has_xla():
    """Whether XLA can compile a step here. On the torch backend, Keras takes `jit_compile` for torch.compile."""
    return compat.backend_name() != "torch"


class Execution:
    """How a training step is computed.

    Args:
        precision: "float32", "mixed_float16" or "mixed_bfloat16" (the last two need Keras 3).
        devices: how many of a host share each batch (Keras 3 on TensorFlow or JAX): GPUs, else logical CPUs. Where the
            environment names several hosts (`cluster.addresses`), they share it too.
        jit_compile: let XLA compile the step; None decides by the number of steps in an epoch and by the model.
        batch_size, steps: images in a step, and steps in an epoch.
        config: of the model. If its `convolutions` is True, XLA is left out by default: on a CPU its code for them is
            slower than TensorFlow's own.

    ValueError for what this machine, Keras or backend can't do, and for a batch that the devices can't share equally.
    """

    def __init__(self, precision="float32", devices=1, jit_compile=None, batch_size=128, steps=1, config=None):
        self.precision, self.devices = _check_precision(precision), positive_integer("devices", devices)
        if jit_compile is not None:
            jit_compile = yes_or_no("jit_compile", jit_compile, " Leave it out to let `train` decide.")
        if jit_compile and not has_xla():
            way = "Leave it out, or set KERAS_BACKEND to jax or tensorflow."
            raise ValueError(f"The {compat.backend_name()} backend has no XLA. Received: jit_compile=True. {way}")
        self.cluster, self.strategy = find_cluster(), None
        self.hosts = len(self.cluster) if self.cluster else 1
        if self.hosts * self.devices > 1:
            engines.check(self.devices, self.hosts, batch_size, jit_compile)
        if self.devices > 1 and not self.cluster:
            self.strategy = engines.of_one_host(self.devices)
        if jit_compile is None:  # on JAX always: it compiles each operation by itself otherwise
            worthwhile = steps >= STEPS_WORTH_COMPILING and self.hosts * self.devices == 1
            worthwhile = worthwhile and not getattr(config, "convolutions", False)
            jit_compile = has_xla() and (worthwhile or compat.backend_name() == "jax")
        self.jit_compile = jit_compile

    @property
    def identity(self):
        """What of it decides the last bits of a run."""
        several = {"hosts": self.hosts} if self.cluster else {}
        return {"xla": self.jit_compile, "precision": self.precision, "devices": self.devices, **several}

    @contextlib.contextmanager
    def run_folder(self, run_dir, identity, epochs):
        """The folder of a run; on several hosts once they agree, with their engine started (see `shared_run`)."""
        if not self.cluster:
            yield RunFolder(run_dir)
            return
        with shared_run(self.cluster, run_dir, identity, epochs) as folder:
            if not folder.completed:
                self.strategy = engines.of_hosts(self.cluster, self.devices, folder.channel)
            yield folder

    def speed_up(self, model):
        """The model itself; on Keras 3, its layers compute the same in less time from now on (`layers.speed_up`)."""
        if compat.KERAS_3:
            from . import layers

            layers.speed_up(model)
        return model

    @contextlib.contextmanager
    def scope(self):
        """Within it, layers are created with the precision and on the devices."""
        before = keras.mixed_precision.global_policy()
        keras.mixed_precision.set_global_policy(self.precision)
        try:
            with self.strategy.scope() if self.strategy else contextlib.nullcontext():
                yield
        finally:
            keras.mixed_precision.set_global_policy(before)

    def train_step(self, model):
        """A function (images, labels) -> {"loss", "acc", "top5-acc"} that trains the compiled model on one batch."""
        whole = compat.needs_whole_batches(model)
        if self.strategy and whole:
            raise ValueError(
                f"devices={self.devices} would normalize each share of a batch by itself: {whole} needs whole batches. "
                f"Leave devices out for this model."
            )
        if self.strategy and compat.backend_name() == "jax":
            return data_parallel.sharded_step(model, self.strategy)
        if self.strategy:
            return data_parallel.devices_step(model, self.strategy)
        if self._in_halves(model):
            return data_parallel.halves_step(model)
        return compat.train_step(model)

    def many_steps(self, model, recipe, images, labels):
        """What trains the compiled model on many batches in one call (`epochs.steps_together`), or None.

        None where that saves nothing (TensorFlow on a CPU), or batches are mixed or shared on the host.
        """
        mixed = recipe.soft_labels or recipe.erasing
        if not self.jit_compile or self.strategy or mixed or not self._gains_from_many_steps():
            return None
        step, steps = self.train_step(model), epochs.ON_GPU if compat.has_gpu() else epochs.ON_CPU
        return epochs.steps_together(model, images, labels, step, self._in_halves(model), steps)

    def _gains_from_many_steps(self):
        return compat.KERAS_3 and (compat.backend_name() == "jax" or compat.has_gpu())

    def _in_halves(self, model):
        """Whether both halves of a batch are computed at once: on one CPU, compiled by TensorFlow."""
        compiled = compat.KERAS_3 and compat.backend_name() == "tensorflow" and self.jit_compile
        exact = self.precision == "float32" and not compat.needs_whole_batches(model)
        return compiled and exact and not compat.has_gpu()

    def exact_sums(self):
        """A context in which a step repeats to the last bit: XLA's do by themselves."""
        return contextlib.nullcontext() if self.jit_compile else compat.deterministic_reductions()


def _check_precision(precision):
    if precision not in PRECISIONS:
        raise ValueError(
            f"precision must be one of {', '.join(PRECISIONS)} (mixed_float16 is the fast one on a T4, mixed_bfloat16 "
            f"needs a newer GPU). Received: {precision!r}."
        )
    if precision != "float32" and not compat.KERAS_3:
        way = "Use Python 3.12 or newer, which has Keras 3, or leave precision out."
        raise ValueError(f"precision must be float32 with Keras {keras.__version__}. Received: {precision!r}. {way}")
    return precision
