"""MNIST, from the gzipped IDX files that its authors publish."""

import numpy as np

from .locate import find_files
from .safe_load import gunzip
from .sources import MNIST


def load_mnist(data_dir=None) -> dict:
    """`Dataset`'s fields of MNIST: 60,000 + 10,000 digits of 28x28, padded with black to 32x32, in three channels."""
    files = find_files(MNIST, data_dir)
    x_train, y_train, x_test, y_test = (parse_idx(files[name], name) for name in MNIST.files)
    return {
        "x_train": _pad_to_rgb(x_train),
        "y_train": y_train.astype("int64"),
        "x_test": _pad_to_rgb(x_test),
        "y_test": y_test.astype("int64"),
        "class_names": tuple("0123456789"),
    }


def parse_idx(content: bytes, name: str) -> np.ndarray:
    """The uint8 array in a gzipped IDX file: two zeros, a type, the number of axes, their sizes, then bytes."""
    raw = gunzip(content, name)
    shape = np.frombuffer(raw, ">u4", count=raw[3], offset=4)
    return np.frombuffer(raw, "uint8", offset=4 + 4 * raw[3]).reshape(shape)


def _pad_to_rgb(images: np.ndarray) -> np.ndarray:
    """(N, 28, 28) -> (N, 32, 32, 3)"""
    return np.repeat(np.pad(images, ((0, 0), (2, 2), (2, 2)))[..., np.newaxis], 3, axis=-1)
