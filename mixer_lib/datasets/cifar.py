"""CIFAR-10 and CIFAR-100, from the pickles that their authors publish."""

import numpy as np

from .locate import find_files
from .safe_load import unpickle_arrays
from .sources import CIFAR10, CIFAR100


def load_cifar100(data_dir=None) -> dict:
    """`Dataset`'s fields of CIFAR-100: 100 classes in 20 superclasses, 50,000 + 10,000 images of 32x32."""
    files = find_files(CIFAR100, data_dir)
    train, test, meta = (unpickle_arrays(files[name], name) for name in ("train", "test", "meta"))
    return {
        "x_train": rows_to_images(train[b"data"]),
        "y_train": np.array(train[b"fine_labels"], "int64"),
        "x_test": rows_to_images(test[b"data"]),
        "y_test": np.array(test[b"fine_labels"], "int64"),
        "class_names": _decode(meta[b"fine_label_names"]),
        "coarse_train": np.array(train[b"coarse_labels"], "int64"),
        "coarse_test": np.array(test[b"coarse_labels"], "int64"),
        "coarse_names": _decode(meta[b"coarse_label_names"]),
    }


def load_cifar10(data_dir=None) -> dict:
    """`Dataset`'s fields of CIFAR-10: 10 classes, 50,000 + 10,000 images of 32x32."""
    files = find_files(CIFAR10, data_dir)
    *train, test, meta = (unpickle_arrays(files[name], name) for name in CIFAR10.files)
    return {
        "x_train": rows_to_images(np.concatenate([batch[b"data"] for batch in train])),
        "y_train": np.concatenate([np.array(batch[b"labels"], "int64") for batch in train]),
        "x_test": rows_to_images(test[b"data"]),
        "y_test": np.array(test[b"labels"], "int64"),
        "class_names": _decode(meta[b"label_names"]),
    }


def rows_to_images(rows: np.ndarray) -> np.ndarray:
    """CIFAR's rows (N, 3072), first red, then green, then blue, as (N, 32, 32, 3)."""
    return np.ascontiguousarray(rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))


def _decode(names: list) -> tuple:
    return tuple(name.decode("ascii") for name in names)
