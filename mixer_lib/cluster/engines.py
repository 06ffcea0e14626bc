"""The backend's engine for a batch on several devices and hosts: `tf.distribute`, or `keras.distribution` on JAX."""

import keras

from .. import compat


def check(devices, hosts, batch_size, jit_compile):
    """Raise ValueError unless the backend can share a batch of this size by so many devices of each host."""
    backend = compat.backend_name()
    if not compat.KERAS_3 or backend not in ("tensorflow", "jax"):
        raise ValueError(
            f"devices must be 1 with Keras {keras.__version__} on {backend}: several need Keras 3 on TensorFlow or "
            f"JAX. Received: {devices}. Set KERAS_BACKEND=tensorflow, or leave devices out."
        )
    on_hosts = f" on each of {hosts} hosts" if hosts > 1 else ""
    if jit_compile and backend == "tensorflow":
        received = f"jit_compile=True, devices={devices}{on_hosts}"
        raise ValueError(f"XLA compiles a step for one device. Received: {received}. Leave jit_compile out.")
    count = hosts * devices
    if batch_size % count:
        divisors = [n // hosts for n in range(hosts, batch_size + 1, hosts) if batch_size % n == 0]
        raise ValueError(
            f"A batch of {batch_size} images can't be shared by {devices} devices{on_hosts} in equal parts. Let "
            f"devices be one of {divisors}, or give the recipe a batch_size that is a multiple of {count}."
        )


def _check_seen(devices, found, kind):
    if len(found) < devices:
        library = {"tensorflow": "TensorFlow", "jax": "JAX"}[compat.backend_name()]
        raise ValueError(
            f"devices={devices} was requested, and {library} sees {len(found)} ({kind}). Request "
            f"devices={len(found)}, or choose a machine with more (on Kaggle: accelerator GPU T4 x2)."
        )


def of_one_host(devices):
    """A strategy for several devices of this machine; ValueError if there are fewer."""
    if compat.backend_name() == "jax":
        return _batches_over_processes(devices)
    import tensorflow as tf

    found = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    _check_seen(devices, found, found[0].device_type)
    return tf.distribute.MirroredStrategy([device.name for device in found[:devices]])


def of_hosts(cluster, devices, channel):
    """A strategy for so many devices of each host, when all are there; ValueError if this process can't start one."""
    try:
        if compat.backend_name() == "jax":
            import jax

            channel.grace = 0  # at a loss JAX aborts the process by itself, with a stack trace in place of what to do
            jax.config.update("jax_enable_recoverability", True)  # or a host that stops waits for the others
            addresses = ",".join(filter(None, cluster.addresses))
            keras.distribution.initialize(addresses, len(cluster), cluster.index)
            channel.leave = jax.distributed.shutdown  # at exit, a host that finds the chief gone aborts
            return _batches_over_processes(devices)
        return _multi_worker(devices, channel)
    except RuntimeError as error:  # both engines must start before anything is computed
        raise ValueError(
            f"The engine for several hosts can't start in this process: {error} Train first thing in a new process."
        ) from error


def _multi_worker(devices, channel):
    """TensorFlow's MultiWorkerMirroredStrategy, which reads TF_CONFIG; a loss ends what waits in it."""
    import tensorflow as tf
    from tensorflow.python.eager import context

    gpus = tf.config.list_physical_devices("GPU")
    _check_seen(devices, gpus or ["CPU"], "GPU" if gpus else "CPU")
    if gpus:  # the strategy takes all that are visible
        tf.config.set_visible_devices(gpus[:devices], "GPU")
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    # only a private function, the one that TensorFlow's own health check calls, frees a thread that waits for others
    channel.on_loss = lambda reason: context.context().abort_collective_ops(tf.errors.UNAVAILABLE, reason)
    return strategy


def _batches_over_processes(devices):
    """A `keras.distribution.DataParallel` over so many devices of each process (JAX)."""
    import jax

    found = jax.local_devices()
    _check_seen(devices, found, found[0].platform.upper())
    by_process = {}
    for device in jax.devices():
        by_process.setdefault(device.process_index, []).append(f"{device.platform}:{device.id}")

    class Batches(keras.distribution.DataParallel):
        """DataParallel with a switch: `whole` batches are computed by every device."""

        whole = False

        def get_data_layout(self, data_shape):
            layout = super().get_data_layout(data_shape)
            if self.whole:
                return keras.distribution.TensorLayout([None] * len(data_shape), self.device_mesh)
            return layout

    return Batches(devices=[name for names in by_process.values() for name in names[:devices]])
