"""What each loader makes of the published files."""

import gzip
import os
import pickle

import numpy as np
import pytest
from small_cifar import FILES, isolate, md5, source_of, write

from mixer_lib import load_dataset
from mixer_lib.datasets import cifar, mnist

REAL_DATA = os.environ.get("MIXER_DATA")
realdata = [
    pytest.mark.realdata,
    pytest.mark.skipif(not REAL_DATA, reason="needs real CIFAR-100 (MIXER_DATA)"),
]


@pytest.fixture(autouse=True)
def isolated(monkeypatch, tmp_path):
    isolate(monkeypatch, tmp_path)


@pytest.fixture
def small(monkeypatch, tmp_path):
    """A folder with a small CIFAR-100, known to the loader."""
    monkeypatch.setattr(cifar, "CIFAR100", source_of())
    return write(tmp_path / "cifar-100-python", FILES)


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits")


def test_digits_are_rgb_images_with_a_fixed_split(digits):
    assert digits.x_train.shape == (1433, 32, 32, 3) and digits.x_test.shape == (364, 32, 32, 3)
    assert digits.x_train.dtype == np.uint8 and digits.y_train.dtype == np.int64
    assert digits.x_train.min() == 0 and digits.x_train.max() == 255
    assert digits.class_names == tuple("0123456789")
    assert digits.coarse_train is digits.coarse_test is digits.coarse_names is None
    assert digits.fingerprint == "c1c13f3887e099e3"  # in every version of Python, NumPy and scikit-learn


def test_a_fifth_of_each_digit_is_in_the_test_set(digits):
    test = np.bincount(digits.y_test)
    both = test + np.bincount(digits.y_train)
    assert (test == -(-both // 5)).all()


def test_a_digit_keeps_its_shape_when_enlarged(digits):
    from sklearn.datasets import load_digits

    original = {(image * 255 // 16).astype("uint8").tobytes() for image in load_digits().images.astype(int)}
    image = digits.x_test[0]
    assert (image == image[..., :1]).all()
    assert image[::4, ::4, 0].tobytes() in original
    assert (image == image[::4, ::4].repeat(4, axis=0).repeat(4, axis=1)).all()


def test_cifar100_comes_with_fine_and_coarse_labels(small):
    found = load_dataset("cifar100", small)
    assert found.x_train.shape == (6, 32, 32, 3) and found.x_train.dtype == np.uint8
    assert found.y_train.tolist() == [0, 1, 2, 0, 1, 2] and found.y_train.dtype == np.int64
    assert found.coarse_test.tolist() == [0, 1] and found.coarse_test.dtype == np.int64
    assert found.class_names == ("apple", "bear", "cup") and found.coarse_names == ("fruit", "beast")


def test_the_channels_of_a_cifar_row_become_the_last_axis(small):
    row = pickle.loads(FILES["train"], encoding="bytes")[b"data"][0]
    image = load_dataset("cifar100", small).x_train[0]
    assert image[0, 1].tolist() == [row[1], row[1024 + 1], row[2048 + 1]]
    assert image[1, 0].tolist() == [row[32], row[1024 + 32], row[2048 + 32]]


def test_cifar10_is_its_five_batches_in_order(monkeypatch, tmp_path):
    files = {}
    for number, name in enumerate(cifar.CIFAR10.files):
        batch = {b"data": np.stack([np.full(3072, value, "uint8") for value in (number, 200)]), b"labels": [number, 9]}
        files[name] = pickle.dumps(batch, protocol=3)
    files["batches.meta"] = pickle.dumps({b"label_names": [str(number).encode() for number in range(10)]}, protocol=3)
    monkeypatch.setattr(cifar, "CIFAR10", source_of(files, like=cifar.CIFAR10))
    write(tmp_path / "cifar-10-batches-py", files)
    found = load_dataset("cifar10", tmp_path)
    assert found.x_train.shape == (10, 32, 32, 3) and found.x_test.shape == (2, 32, 32, 3)
    assert found.x_train[::2, 0, 0, 0].tolist() == found.y_train[::2].tolist() == [0, 1, 2, 3, 4]
    assert found.y_test.tolist() == [5, 9] and found.y_test.dtype == np.int64
    assert found.class_names == tuple("0123456789") and found.coarse_names is None


def test_mnist_is_padded_to_32x32_in_three_channels(monkeypatch, tmp_path):
    images = np.random.RandomState(0).randint(0, 256, (3, 28, 28)).astype("uint8")
    labels = np.array([7, 2, 1], "uint8")
    header = bytes([0, 0, 8])
    packed = gzip.compress(header + bytes([3]) + np.array([3, 28, 28], ">u4").tobytes() + images.tobytes())
    numbers = gzip.compress(header + bytes([1]) + np.array([3], ">u4").tobytes() + labels.tobytes())
    files = dict(zip(mnist.MNIST.files, (packed, numbers, packed, numbers), strict=True))
    monkeypatch.setattr(mnist, "MNIST", source_of(files, like=mnist.MNIST))
    found = load_dataset("mnist", write(tmp_path, files))
    assert found.x_train.shape == (3, 32, 32, 3) and found.x_train.dtype == np.uint8
    assert (found.x_train[:, 2:-2, 2:-2] == images[..., np.newaxis]).all()
    assert found.x_train.sum() == 3 * images.sum(dtype=int)  # so the padding is black
    assert found.y_test.tolist() == [7, 2, 1] and found.y_test.dtype == np.int64


@pytest.mark.parametrize("name", ["train", "test", "meta"])
def test_a_file_with_a_wrong_checksum_is_refused_before_it_is_unpickled(small, monkeypatch, name):
    monkeypatch.setattr(cifar, "unpickle_arrays", lambda *_: pytest.fail("unpickled"))
    changed = FILES[name] + b"!"
    with pytest.raises(ValueError, match="not the published file") as refused:
        load_dataset("cifar100", write(small, {name: changed}))
    for fact in (str(small / name), md5(changed), md5(FILES[name])):
        assert fact in str(refused.value)


class Trap:
    """Unpickled without limits, it would create a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_a_pickle_that_runs_code_is_refused(tmp_path, monkeypatch):
    files = {**FILES, "train": pickle.dumps({b"data": Trap(tmp_path / "sprung")})}
    monkeypatch.setattr(cifar, "CIFAR100", source_of(files))
    with pytest.raises(ValueError, match=r"train is not a pickle of arrays .*open"):
        load_dataset("cifar100", write(tmp_path / "data", files))
    assert not (tmp_path / "sprung").exists()


class TestRealCifar100:
    pytestmark = realdata

    @pytest.fixture(scope="class")
    def real(self):
        return load_dataset("cifar100", REAL_DATA)

    def test_it_has_the_published_sizes(self, real):
        assert real.x_train.shape == (50_000, 32, 32, 3) and real.x_test.shape == (10_000, 32, 32, 3)
        assert real.x_train.dtype == np.uint8 and real.y_train.dtype == np.int64
        assert (np.bincount(real.y_train) == 500).all() and (np.bincount(real.y_test) == 100).all()
        assert len(real.class_names) == 100 and len(real.coarse_names) == 20
        assert real.fingerprint == "ce046832bab115dd"

    def test_each_superclass_has_five_classes(self, real):
        pairs = set(zip(real.y_train.tolist(), real.coarse_train.tolist(), strict=True))
        assert len(pairs) == 100 and pairs == set(zip(real.y_test.tolist(), real.coarse_test.tolist(), strict=True))
        assert (np.bincount([coarse for _, coarse in pairs]) == 5).all()

    def test_45000_images_are_left_to_train_on(self, real):
        (x_train, _), (_, y_validation) = real.validation_split()
        assert len(x_train) == 45_000 and len(y_validation) == 5_000
