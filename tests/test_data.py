"""What readers get: a data set by name, from a folder, or out of arrays, and what is refused."""

import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest

from mixer_lib import data
from mixer_lib.data import Dataset, load_dataset


def pictures(*shape):
    """Images whose values differ."""
    return np.random.default_rng(0).integers(0, 256, shape, dtype="uint8")


def by_hand(**changes):
    arrays = {
        "x_train": pictures(20, 8, 8, 3),
        "y_train": np.arange(20) % 2,
        "x_test": pictures(4, 8, 8, 3),
        "y_test": np.arange(4) % 2,
        "class_names": ("no", "yes"),
    }
    return Dataset(**{"name": "mine", **arrays, **changes})


def test_the_fingerprint_changes_with_a_single_pixel():
    dataset = by_hand()
    changed = dataset.x_test.copy()
    changed[0, 0, 0, 0] ^= 1
    assert len(dataset.fingerprint) == 16
    assert by_hand().fingerprint == dataset.fingerprint
    assert dataclasses.replace(dataset, x_test=changed, fingerprint="").fingerprint != dataset.fingerprint


@pytest.mark.parametrize("count", [7, 10, 1433, 50_000])
def test_validation_is_the_last_tenth_as_keras_splits_it(count):
    x, y = pictures(count, 1, 1, 3), np.arange(count)
    dataset = Dataset("numbers", x, y, x[:1], y[:1], range(count), fingerprint="-")
    (x_train, y_train), (x_validation, y_validation) = dataset.validation_split()
    assert len(x_train) == len(y_train) == int(count * 0.9)
    assert len(x_train) + len(x_validation) == count
    assert y_validation.tolist() == list(range(int(count * 0.9), count))


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5])
def test_a_validation_fraction_outside_0_to_1_is_refused(fraction):
    with pytest.raises(ValueError, match=f"Received: {fraction}"):
        by_hand().validation_split(fraction)


@pytest.mark.parametrize("name", ["cifar-100", "CIFAR100", "", None, ["digits"]])
def test_an_unknown_name_is_answered_with_the_known_ones(name):
    with pytest.raises(ValueError, match="'cifar100', 'cifar10', 'mnist', 'digits'") as refused:
        load_dataset(name)
    assert repr(name) in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"x_train": pictures(0, 8, 8, 3)}, ("x_train", "at least one RGB image")),
        ({"x_test": pictures(4, 4, 4, 3)}, ("one size", "(8, 8, 3)", "(4, 4, 3)", "Resize")),
        ({"x_train": pictures(20, 8, 6, 3)}, ("one size", "(8, 6, 3)")),
        ({"y_train": np.zeros(19, "int64")}, ("y_train", "one for each of the 20 images", "(19,)")),
        ({"y_test": np.array([0, 1, -1, 0])}, ("y_test", "-1 to 1")),
        ({"class_names": ("one",)}, ("class_names", "at least 2")),
        ({"class_names": ("same", "same")}, ("class_names", "each once")),
        ({"class_names": "ab"}, ("class_names", "list of names", "'ab'")),
        ({"name": 3}, ("name must be text", "3")),
    ],
)
def test_arrays_that_do_not_fit_are_refused_by_name_and_rule(changes, parts):
    with pytest.raises(ValueError) as refusal:
        by_hand(**changes)
    assert all(part in str(refusal.value) for part in parts), refusal.value


def test_importing_data_loads_nothing_heavy():
    heavy = "{'sklearn', 'pooch', 'requests', 'tqdm', 'PIL', 'tensorflow', 'keras'}"
    code = f"import sys\nfrom mixer_lib.data import load_dataset\nprint(sorted({heavy} & set(sys.modules)))"
    # A package whose __init__ imports the other modules would hide what this one does by itself.
    bare = "import sys, types\npackage = types.ModuleType('mixer_lib')\n"
    bare += f"package.__path__ = [{os.path.dirname(data.__file__)!r}]\nsys.modules['mixer_lib'] = package\n"
    done = subprocess.run([sys.executable, "-c", bare + code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
