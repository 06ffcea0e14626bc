"""A script: train EPOCHS on JAX, which writes a line to stderr for each array that goes to the device."""

import dataclasses
import sys
import tempfile

import jax
from small_runs import QUICK, TINY, small_digits

from mixer_lib import train

with tempfile.TemporaryDirectory() as folder, jax.transfer_guard_host_to_device("log"):
    recipe = dataclasses.replace(QUICK, batch_size=8)
    train(TINY, small_digits(640), f"{folder}/run", epochs=int(sys.argv[1]), recipe=recipe, jit_compile=True)
