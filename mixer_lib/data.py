"""First room: the pictures and their labels.

`load_dataset` gives each data set in one form, whatever files it comes in: 32x32 colour pictures as
uint8 (N, 32, 32, 3) and int64 labels (N,).
"""

import hashlib
import math
from dataclasses import dataclass, field

import numpy as np

from . import checks
from .data_files import find_files
from .published import CIFAR10, CIFAR100, MNIST
from .trusted_files import unpacked, unpickle_arrays

SIDE = 32  # of every data set's pictures, in pixels


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set in memory: pictures uint8 (N, H, W, 3), labels int64 (N,).

    `coarse_*` hold the superclasses, None where the data have none. `fingerprint` is the first 16 hex digits
    of the SHA-256 of the four arrays; left empty, it is computed.
    Errors: ValueError for arrays of another shape or type, for a label that is no class, and for fewer than two.
    """

    name: str
    x_train: np.ndarray = field(repr=False)
    y_train: np.ndarray = field(repr=False)
    x_test: np.ndarray = field(repr=False)
    y_test: np.ndarray = field(repr=False)
    class_names: tuple = field(repr=False)
    coarse_train: np.ndarray | None = field(default=None, repr=False)
    coarse_test: np.ndarray | None = field(default=None, repr=False)
    coarse_names: tuple | None = field(default=None, repr=False)
    fingerprint: str = ""

    def __post_init__(self):
        names = tuple(self.class_names)
        if len(names) < 2 or len(set(names)) < len(names):
            raise ValueError(f"class_names must name at least 2 classes, each once. Received: {names!r}.")
        checks.pictures("x_train", self.x_train)
        checks.pictures("x_test", self.x_test)
        checks.labels("y_train", self.y_train, len(self.x_train), len(self.class_names))
        checks.labels("y_test", self.y_test, len(self.x_test), len(self.class_names))
        if self.x_train.shape[1:] != self.x_test.shape[1:]:
            sizes = f"{self.x_train.shape[1:]} and {self.x_test.shape[1:]}"
            raise ValueError(
                f"x_train and x_test must hold pictures of one size. Received: {sizes}. Resize one of them."
            )
        if not self.fingerprint:
            arrays = (self.x_train, self.y_train, self.x_test, self.y_test)
            object.__setattr__(self, "fingerprint", _fingerprint(arrays))

    def validation_split(self, fraction: float = 0.1) -> tuple:
        """(x, y) to train on and (x, y) to validate on: the training set's last part, as Keras cuts it."""
        if not 0 < fraction < 1:
            raise ValueError(f"fraction is a number between 0 and 1, such as 0.1. Received: {fraction!r}.")
        cut = math.floor(len(self.x_train) * (1 - fraction))
        return (self.x_train[:cut], self.y_train[:cut]), (self.x_train[cut:], self.y_train[cut:])


def load_dataset(name: str, data_dir=None) -> Dataset:
    """A data set by name: "cifar100", "cifar10", "mnist" or "digits" (embedded, needs no file).

    `data_dir`: a folder or archive that holds the files, else the environment's MIXER_DATA, else Keras's
    cache, Kaggle's inputs, a download (see `data_files.find_files`). Every file's published sum is checked.
    Errors: ValueError for an unknown name or a file with a wrong sum, FileNotFoundError for absent data.
    """
    if name not in tuple(LOADERS):
        known = ", ".join(repr(known) for known in LOADERS)
        raise ValueError(f"There is no data set of this name: use one of {known}. Received: {name!r}.")
    return LOADERS[name](data_dir)


def _load_cifar100(data_dir) -> Dataset:
    files = find_files(CIFAR100, data_dir)
    train, test, meta = (unpickle_arrays(files[name], name) for name in ("train", "test", "meta"))
    return Dataset(
        name="cifar100",
        x_train=_colour_pictures(train[b"data"]),
        y_train=np.array(train[b"fine_labels"], "int64"),
        x_test=_colour_pictures(test[b"data"]),
        y_test=np.array(test[b"fine_labels"], "int64"),
        class_names=_texts(meta[b"fine_label_names"]),
        coarse_train=np.array(train[b"coarse_labels"], "int64"),
        coarse_test=np.array(test[b"coarse_labels"], "int64"),
        coarse_names=_texts(meta[b"coarse_label_names"]),
    )


def _load_cifar10(data_dir) -> Dataset:
    files = find_files(CIFAR10, data_dir)
    *train, test, meta = (unpickle_arrays(files[name], name) for name in CIFAR10.files)
    return Dataset(
        name="cifar10",
        x_train=_colour_pictures(np.concatenate([batch[b"data"] for batch in train])),
        y_train=np.concatenate([np.array(batch[b"labels"], "int64") for batch in train]),
        x_test=_colour_pictures(test[b"data"]),
        y_test=np.array(test[b"labels"], "int64"),
        class_names=_texts(meta[b"label_names"]),
    )


def _load_mnist(data_dir) -> Dataset:
    files = find_files(MNIST, data_dir)
    x_train, y_train, x_test, y_test = (_idx_array(files[name], name) for name in MNIST.files)
    return Dataset(
        name="mnist",
        x_train=_grey_to_colour(np.pad(x_train, ((0, 0), (2, 2), (2, 2)))),  # 28x28 -> 32x32, a black rim
        y_train=y_train.astype("int64"),
        x_test=_grey_to_colour(np.pad(x_test, ((0, 0), (2, 2), (2, 2)))),
        y_test=y_test.astype("int64"),
        class_names=tuple("0123456789"),
    )


def _load_digits(data_dir) -> Dataset:
    """scikit-learn's 1,797 handwritten digits (8x8, values 0-16), every fifth of each class for the test."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    # The file is ordered by writer; RandomState draws the same order in every version of NumPy.
    order = np.random.RandomState(0).permutation(len(labels))
    labels = labels[order].astype("int64")
    pixels = images[order].astype("int64").reshape(-1, 8, 8) * 255 // 16
    images = _grey_to_colour(pixels.astype("uint8").repeat(4, axis=1).repeat(4, axis=2))
    is_test = np.zeros(len(labels), bool)
    for digit in range(10):
        is_test[np.flatnonzero(labels == digit)[::5]] = True
    return Dataset(
        name="digits",
        x_train=images[~is_test],
        y_train=labels[~is_test],
        x_test=images[is_test],
        y_test=labels[is_test],
        class_names=tuple("0123456789"),
    )


LOADERS = {
    "cifar100": _load_cifar100,
    "cifar10": _load_cifar10,
    "mnist": _load_mnist,
    "digits": _load_digits,
}


def _colour_pictures(rows: np.ndarray) -> np.ndarray:
    """CIFAR's rows (N, 3072), first red, then green, then blue, as (N, 32, 32, 3)."""
    return np.ascontiguousarray(rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))


def _grey_to_colour(pictures: np.ndarray) -> np.ndarray:
    """(N, H, W) -> (N, H, W, 3), the same value in each colour."""
    return np.repeat(pictures[..., np.newaxis], 3, axis=-1)


def _idx_array(content: bytes, name: str) -> np.ndarray:
    """The array in a gzipped IDX file: two zeros, a type, the number of axes, their sizes, then bytes."""
    raw = unpacked(content, name)
    shape = np.frombuffer(raw, ">u4", count=raw[3], offset=4)
    return np.frombuffer(raw, "uint8", offset=4 + 4 * raw[3]).reshape(shape)


def _texts(names: list) -> tuple:
    return tuple(name.decode("ascii") for name in names)


def _fingerprint(arrays: tuple) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()[:16]
