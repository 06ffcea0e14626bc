"""Where a result comes from: versions, device, commit."""

import contextlib
import importlib.metadata
import os
import pathlib
import platform

import keras
import numpy as np

from ..compat import backend_name
from .commit import commit

__all__ = ["commit", "cores", "cpu_name", "device_name", "limit_threads", "versions"]
# the variable that limits a backend's threads on a CPU
THREADS = {"tensorflow": "TF_NUM_INTRAOP_THREADS", "jax": "NPROC", "torch": "OMP_NUM_THREADS"}


def cores():
    """How many processor cores this process may use, or is limited to by its backend's number of threads."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    limit = os.environ.get(THREADS[backend_name()], "")
    return min(allowed, int(limit)) if limit.isdecimal() and int(limit) else allowed


def limit_threads(count):
    """The environment variables that limit a process's backend, whichever it is, to so many threads."""
    return dict.fromkeys((*THREADS.values(), "TF_NUM_INTEROP_THREADS"), str(count))


def device_name(used=None, hosts=1):
    """The device that computes: the GPU's name, or the CPU's and how many cores this process may use.

    `used` is how many GPUs compute, None for all that are seen; on several hosts, what this one has stands for all.
    """
    if backend_name() == "tensorflow":
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
        names = [tf.config.experimental.get_device_details(gpu).get("device_name", "GPU") for gpu in gpus]
    elif backend_name() == "jax":
        import jax

        names = [device.device_kind for device in jax.local_devices() if device.platform != "cpu"]
    else:
        import torch

        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    names, several = names[:used], "s" if cores() != 1 else ""
    if hosts > 1:
        each = f"{len(names)} {names[0]}" if names else f"{cores()} CPU core{several} ({_cpu_model()})"
        return f"{hosts} hosts x {each}"
    if names:
        return f"{len(names)} x {names[0]}" if len(names) > 1 else names[0]
    return cpu_name(cores())


def cpu_name(count):
    """The device that computes on so many cores of this machine's CPU."""
    return f"CPU, {count} core{'s' if count != 1 else ''} ({_cpu_model()})"


def _cpu_model():
    with contextlib.suppress(OSError, StopIteration):
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        return next(line for line in lines if line.startswith("model name")).split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def versions():
    """Versions of what decides a result: Python, Keras, its backend, NumPy."""
    found = {"python": platform.python_version(), "keras": keras.__version__, "backend": backend_name()}
    for package in (backend_name(), "tensorflow-cpu", "tensorflow-addons"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return {**found, "numpy": np.__version__}
