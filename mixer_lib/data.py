"""Data: images and their labels, every data set in one form."""

import hashlib
import math
import os
from dataclasses import dataclass, field

import numpy as np

from .checks.arrays import check_names, image_array, label_array
from .checks.split import check_parts
from .datasets import cifar, digits, mnist
from .pictures.folder import read_folder
from .validation import user_path

SIDE = 32  # height and width of every named data set's images, in pixels


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set in memory: images uint8 (N, H, W, 3), labels int64 (N,).

    `coarse_*` hold the superclasses, None where the data have none. `fingerprint` is the first 16 hex digits
    of the SHA-256 of the four arrays, computed if left empty. `validation_count`: how many of the last training images
    are the validation set; 0 for a tenth.
    Errors: ValueError for arrays of another shape or type, labels outside the classes, fewer than two classes,
    images that are all black or all the same, training images of one class; a message says what to do.
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
    validation_count: int = 0

    def __post_init__(self):
        names = check_names(self.name, self.class_names)
        found = {"class_names": names}
        for part in ("train", "test"):
            found[f"x_{part}"] = images = image_array(f"x_{part}", getattr(self, f"x_{part}"))
            found[f"y_{part}"] = label_array(f"y_{part}", getattr(self, f"y_{part}"), len(images), names)
        for key, value in found.items():  # NumPy's arrays, also of tensors, lists and HDF5 data sets
            object.__setattr__(self, key, value)
        if self.x_train.shape[1:] != self.x_test.shape[1:]:
            raise ValueError(
                "x_train and x_test must hold images of one size. Received: "
                f"{self.x_train.shape[1:]} and {self.x_test.shape[1:]}. Resize one of them."
            )
        check_parts(self)
        if not self.fingerprint:
            object.__setattr__(self, "fingerprint", self._compute_fingerprint())

    def validation_split(self, fraction: float | None = None) -> tuple:
        """(x, y) to train on and (x, y) to validate on: the training set's last part, a tenth as Keras splits it."""
        if not 0 < (0.1 if fraction is None else fraction) < 1:
            raise ValueError(f"fraction must be a number between 0 and 1, such as 0.1. Received: {fraction!r}.")
        cut = math.floor(len(self.x_train) * (1 - (fraction or 0.1)))
        if fraction is None and self.validation_count:
            cut = len(self.x_train) - self.validation_count
        return (self.x_train[:cut], self.y_train[:cut]), (self.x_train[cut:], self.y_train[cut:])

    def _compute_fingerprint(self) -> str:
        digest = hashlib.sha256()
        for array in (self.x_train, self.y_train, self.x_test, self.y_test):
            digest.update(np.ascontiguousarray(array))
        digest.update(str(self.validation_count or "").encode())
        return digest.hexdigest()[:16]


LOADERS = {
    "cifar100": cifar.load_cifar100,
    "cifar10": cifar.load_cifar10,
    "mnist": mnist.load_mnist,
    "digits": digits.load_digits,
}


def load_dataset(name: str, data_dir: str | os.PathLike | None = None) -> Dataset:
    """A data set by name: "cifar100", "cifar10", "mnist" or "digits" (embedded, needs no file); images 32x32.

    `data_dir`: a folder or archive that holds the files, else the environment's MIXER_DATA, else Keras's
    cache, Kaggle's inputs, a download (see `datasets.locate.find_files`). Every file's checksum is verified.
    Errors: ValueError for an unknown name or a file with a wrong checksum, FileNotFoundError if nothing is found.
    """
    if name not in tuple(LOADERS):
        known = ", ".join(repr(known) for known in LOADERS)
        raise ValueError(f"name must be one of {known}. Received: {name!r}.")
    return Dataset(name=name, **LOADERS[name](data_dir))


def dataset_from_folder(
    folder: str | os.PathLike, image_size: int = SIDE, test_fraction: float = 0.2, seed: int = 0
) -> Dataset:
    """A `Dataset`, named as the folder, of images in one subfolder for each class.

    Args:
        folder: its subfolders' names are the classes, in alphabetical order, or by number where all are numbers. Where
            these lie in train/ and test/ (or valid/, val/), that split is taken; with all three, to validate, too.
        image_size: side of the square images, in pixels; a multiple of the model's patch size.
        test_fraction: part of each class to test on, at least one image; a tenth of the rest is to validate.
        seed: decides which images these are, together with the file names, and the order of those to train on.

    Copies of an image are left out, and the same photograph in other sizes stays on one side, with a warning.
    ValueError names the folder or file: fewer than 2 classes, fewer than 5 images in one, a broken file, the same image
    in two classes, a class that is missing in train/ or test/.
    """
    folder = user_path(folder).resolve()
    return Dataset(name=folder.name, **read_folder(folder, image_size, test_fraction, seed))
