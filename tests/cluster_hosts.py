"""Hosts on one machine. As a script: train a tiny model in RUN_DIR for EPOCHS, with "noise" or "quiet"."""

import contextlib
import dataclasses
import pathlib
import socket
import sys

from small_runs import QUICK, TINY, small_digits

from mixer_lib import train

DATA = small_digits(70)  # 63 to train on: the last of four steps has 15 images, which two hosts can't halve


def free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in sockets]


def run(run_dir, epochs, noise, **options):
    config = TINY if noise else dataclasses.replace(TINY, dropout=0.0)
    recipe = QUICK if noise else dataclasses.replace(QUICK, mirror=False, zoom=0.0)
    return train(config, DATA, pathlib.Path(run_dir), epochs=epochs, seed=1, recipe=recipe, **options)


if __name__ == "__main__":
    try:
        run(sys.argv[1], int(sys.argv[2]), sys.argv[3] == "noise")
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
