"""The data room: what readers get, where it is looked for, and what is refused."""

import dataclasses
import gzip
import hashlib
import http.server
import io
import os
import pickle
import shutil
import socket
import ssl
import subprocess
import sys
import tarfile
import threading
import time

import numpy as np
import pytest
from ordinary import without_root_rights

from mixer_lib import data, data_files, downloads, trusted_files
from mixer_lib.data import Dataset, load_dataset

REAL_DATA = os.environ.get("MIXER_DATA")
ask_the_host, SECONDS_TO_ANSWER = downloads._answer, downloads.SECONDS_TO_ANSWER
PROXIES = [name for kind in ("http", "https", "all", "no") for name in (f"{kind}_proxy", f"{kind}_proxy".upper())]
realdata = [
    pytest.mark.realdata,
    pytest.mark.skipif(not REAL_DATA, reason="needs real CIFAR-100 (MIXER_DATA)"),
]


@pytest.fixture(autouse=True)
def bare_machine(monkeypatch, tmp_path):
    """No data named, empty caches, no network."""

    def no_network(url, *_):
        raise ConnectionError(f"{url}: no network in tests")

    for name in ("MIXER_DATA", *PROXIES):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("MIXER_KAGGLE_INPUT", str(tmp_path / "kaggle"))
    monkeypatch.setattr(downloads, "_answer", no_network)


def md5(content):
    return hashlib.md5(content).hexdigest()


def cifar100_files(pictures=6):
    """Files in CIFAR-100's format, as bytes by name: pickles with bytes as keys."""
    random = np.random.RandomState(0)

    def part(count):
        return {
            b"data": random.randint(0, 256, (count, 3072)).astype("uint8"),
            b"fine_labels": [index % 3 for index in range(count)],
            b"coarse_labels": [index % 2 for index in range(count)],
        }

    names = {b"fine_label_names": [b"apple", b"bear", b"cup"], b"coarse_label_names": [b"fruit", b"beast"]}
    parts = {"train": part(pictures), "test": part(2), "meta": names}
    return {name: pickle.dumps(content, protocol=3) for name, content in parts.items()}


def tar_gz(files, folder="cifar-100-python"):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(f"{folder}/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def publish(monkeypatch, files, archive=b""):
    """Let these bytes be the published CIFAR-100."""
    published = dataclasses.replace(
        data.CIFAR100,
        files={name: md5(content) for name, content in files.items()},
        archive_sum=hashlib.sha256(archive).hexdigest(),
    )
    monkeypatch.setattr(data, "CIFAR100", published)
    return published


def write(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def small(monkeypatch):
    """A small CIFAR-100: its files and its archive, with their sums in place of the published ones."""
    files = cifar100_files()
    archive = tar_gz({**files, "../../escaped": b"x", "file.txt~": b"junk"})
    publish(monkeypatch, files, archive)
    return files, archive


# What readers get


def test_digits_are_colour_pictures_with_a_fixed_split():
    digits = load_dataset("digits")
    assert digits.x_train.shape == (1433, 32, 32, 3) and digits.x_test.shape == (364, 32, 32, 3)
    assert digits.x_train.dtype == np.uint8 and digits.y_train.dtype == np.int64
    assert digits.x_train.min() == 0 and digits.x_train.max() == 255
    assert digits.class_names == tuple("0123456789")
    assert digits.coarse_train is digits.coarse_test is digits.coarse_names is None


def test_digits_are_the_same_in_every_world():
    assert load_dataset("digits").fingerprint == "c1c13f3887e099e3"


def test_each_digit_has_its_fifth_in_the_test_set():
    digits = load_dataset("digits")
    test = np.bincount(digits.y_test)
    both = test + np.bincount(digits.y_train)
    assert (test == -(-both // 5)).all()


def test_a_digit_keeps_its_shape_when_enlarged():
    from sklearn.datasets import load_digits

    original = {(image * 255 // 16).astype("uint8").tobytes() for image in load_digits().images.astype(int)}
    picture = load_dataset("digits").x_test[0]
    assert (picture == picture[..., :1]).all()
    assert picture[::4, ::4, 0].tobytes() in original
    assert (picture == picture[::4, ::4].repeat(4, axis=0).repeat(4, axis=1)).all()


def test_cifar100_comes_with_fine_and_coarse_labels(small, tmp_path):
    files, _ = small
    cifar = load_dataset("cifar100", write(tmp_path / "cifar-100-python", files))
    assert cifar.x_train.shape == (6, 32, 32, 3) and cifar.x_train.dtype == np.uint8
    assert cifar.y_train.tolist() == [0, 1, 2, 0, 1, 2] and cifar.y_train.dtype == np.int64
    assert cifar.coarse_test.tolist() == [0, 1] and cifar.coarse_test.dtype == np.int64
    assert cifar.class_names == ("apple", "bear", "cup") and cifar.coarse_names == ("fruit", "beast")


def test_the_colours_of_a_cifar_row_become_the_last_axis(small, tmp_path):
    files, _ = small
    row = pickle.loads(files["train"], encoding="bytes")[b"data"][0]
    picture = load_dataset("cifar100", write(tmp_path, files)).x_train[0]
    assert picture[0, 1].tolist() == [row[1], row[1024 + 1], row[2048 + 1]]
    assert picture[1, 0].tolist() == [row[32], row[1024 + 32], row[2048 + 32]]


def test_cifar10_is_its_five_batches_in_order(monkeypatch, tmp_path):
    files = {}
    for number, name in enumerate(data.CIFAR10.files):
        batch = {b"data": np.full((2, 3072), number, "uint8"), b"labels": [number, 9]}
        files[name] = pickle.dumps(batch, protocol=3)
    files["batches.meta"] = pickle.dumps({b"label_names": [str(number).encode() for number in range(10)]}, protocol=3)
    sums = {name: md5(content) for name, content in files.items()}
    monkeypatch.setattr(data, "CIFAR10", dataclasses.replace(data.CIFAR10, files=sums))
    write(tmp_path / "cifar-10-batches-py", files)
    cifar = load_dataset("cifar10", tmp_path)
    assert cifar.x_train.shape == (10, 32, 32, 3) and cifar.x_test.shape == (2, 32, 32, 3)
    assert cifar.x_train[::2, 0, 0, 0].tolist() == cifar.y_train[::2].tolist() == [0, 1, 2, 3, 4]
    assert cifar.y_test.tolist() == [5, 9] and cifar.y_test.dtype == np.int64
    assert cifar.class_names == tuple("0123456789") and cifar.coarse_names is None


def test_mnist_is_framed_to_32x32_in_three_colours(monkeypatch, tmp_path):
    pictures = np.random.RandomState(0).randint(0, 256, (3, 28, 28)).astype("uint8")
    labels = np.array([7, 2, 1], "uint8")
    header = bytes([0, 0, 8])
    images = gzip.compress(header + bytes([3]) + np.array([3, 28, 28], ">u4").tobytes() + pictures.tobytes())
    numbers = gzip.compress(header + bytes([1]) + np.array([3], ">u4").tobytes() + labels.tobytes())
    files = dict(zip(data.MNIST.files, (images, numbers, images, numbers), strict=True))
    sums = {name: md5(content) for name, content in files.items()}
    monkeypatch.setattr(data, "MNIST", dataclasses.replace(data.MNIST, files=sums))
    mnist = load_dataset("mnist", write(tmp_path, files))
    assert mnist.x_train.shape == (3, 32, 32, 3) and mnist.x_train.dtype == np.uint8
    assert (mnist.x_train[:, 2:-2, 2:-2] == pictures[..., np.newaxis]).all()
    assert mnist.x_train.sum() == 3 * pictures.sum(dtype=int)  # so the rim is black
    assert mnist.y_test.tolist() == [7, 2, 1] and mnist.y_test.dtype == np.int64


def test_the_fingerprint_changes_with_a_single_pixel(small, tmp_path):
    files, _ = small
    cifar = load_dataset("cifar100", write(tmp_path, files))
    changed = cifar.x_test.copy()
    changed[0, 0, 0, 0] ^= 1
    other = dataclasses.replace(cifar, x_test=changed, fingerprint="")
    assert len(cifar.fingerprint) == 16 and other.fingerprint != cifar.fingerprint
    assert load_dataset("cifar100", tmp_path).fingerprint == cifar.fingerprint


@pytest.mark.parametrize("count", [7, 10, 1433, 50_000])
def test_validation_is_the_last_tenth_as_keras_cuts_it(count):
    x, y = np.zeros((count, 1, 1, 3), "uint8"), np.arange(count)
    dataset = Dataset("numbers", x, y, x[:1], y[:1], range(count), fingerprint="-")
    (x_train, y_train), (x_validation, y_validation) = dataset.validation_split()
    assert len(x_train) == len(y_train) == int(count * 0.9)
    assert len(x_train) + len(x_validation) == count
    assert y_validation.tolist() == list(range(int(count * 0.9), count))


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5])
def test_a_validation_share_outside_0_to_1_is_refused(fraction):
    with pytest.raises(ValueError, match=f"Received: {fraction}"):
        load_dataset("digits").validation_split(fraction)


@pytest.mark.parametrize("name", ["cifar-100", "CIFAR100", "", None, ["digits"]])
def test_an_unknown_name_is_answered_with_the_known_ones(name):
    with pytest.raises(ValueError, match="'cifar100', 'cifar10', 'mnist', 'digits'") as refused:
        load_dataset(name)
    assert repr(name) in str(refused.value)


def test_importing_the_room_loads_nothing_heavy():
    heavy = "{'sklearn', 'requests', 'tqdm', 'tensorflow', 'keras'}"
    code = f"import sys\nfrom mixer_lib.data import load_dataset\nprint(sorted({heavy} & set(sys.modules)))"
    # A package whose __init__ imports the other rooms would hide what this room does by itself.
    bare = "import sys, types\npackage = types.ModuleType('mixer_lib')\n"
    bare += f"package.__path__ = [{os.path.dirname(data.__file__)!r}]\nsys.modules['mixer_lib'] = package\n"
    done = subprocess.run([sys.executable, "-c", bare + code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# Where the files are looked for


def places_of_a_named_folder(tmp_path, files, archive):
    write(tmp_path / "itself", files)
    write(tmp_path / "parent" / "cifar-100-python", files)
    write(tmp_path / "archived", {"cifar-100-python.tar.gz": archive})
    return {
        "itself": tmp_path / "itself",
        "parent": tmp_path / "parent",
        "archived": tmp_path / "archived",
        "archive": tmp_path / "archived" / "cifar-100-python.tar.gz",
    }


@pytest.mark.parametrize("place", ["itself", "parent", "archived", "archive"])
@pytest.mark.parametrize("how", ["argument", "environment"])
def test_a_reader_can_name_the_folder_its_parent_or_the_archive(small, tmp_path, monkeypatch, place, how):
    named = places_of_a_named_folder(tmp_path, *small)[place]
    if how == "environment":
        monkeypatch.setenv("MIXER_DATA", str(named))
        named = None
    assert len(load_dataset("cifar100", named).x_train) == 6


def test_the_argument_goes_before_the_environment(small, tmp_path, monkeypatch):
    monkeypatch.setenv("MIXER_DATA", str(tmp_path / "nowhere"))
    assert len(load_dataset("cifar100", write(tmp_path / "here", small[0])).x_train) == 6


def test_a_named_folder_without_the_data_is_an_error_though_a_cache_has_them(small, tmp_path):
    write(tmp_path / "keras" / "datasets" / "cifar-100-python", small[0])
    lacking = write(tmp_path / "named", {"train": small[0]["train"]})
    with pytest.raises(FileNotFoundError) as absent:
        load_dataset("cifar100", lacking)
    for hint in (str(lacking), "cifar-100-python.tar.gz", "train, test, meta", "DATA="):
        assert hint in str(absent.value)


KERAS_PLACES = [
    "cifar-100-python",
    "cifar-100-python-target/cifar-100-python",
    "cifar-100-python.tar.gz",
    "cifar-100-python-target_archive",
]


@pytest.mark.parametrize("place", KERAS_PLACES)
def test_every_layout_of_keras_cache_is_known(small, tmp_path, place):
    files, archive = small
    cache = tmp_path / "keras" / "datasets"
    if place.endswith("python"):
        write(cache / place, files)
    else:
        write(cache, {place: archive})
    assert len(load_dataset("cifar100").x_train) == 6


KAGGLE_PLACES = [
    "cifar100",
    "cifar100/cifar-100-python",
    "datasets/owner/cifar100",
    "datasets/owner/cifar100/cifar-100-python/cifar-100-python",
]


@pytest.mark.parametrize("place", KAGGLE_PLACES)
@pytest.mark.parametrize("packed", [False, True])
def test_both_layouts_of_kaggle_inputs_are_known(small, tmp_path, place, packed):
    files, archive = small
    write(tmp_path / "kaggle" / "another" / "train", {"picture.png": b"not data"})
    write(tmp_path / "kaggle" / place, {"cifar-100-python.tar.gz": archive} if packed else files)
    assert len(load_dataset("cifar100").x_train) == 6


def test_other_data_under_the_same_file_names_are_passed_over(small, tmp_path):
    write(tmp_path / "kaggle" / "a-first", {name: b"something else" for name in small[0]})
    write(tmp_path / "kaggle" / "b-second", small[0])
    assert len(load_dataset("cifar100").x_train) == 6


def test_the_search_of_kaggle_inputs_ends_in_deep_or_crowded_folders(tmp_path):
    (tmp_path / "kaggle" / "/".join("abcdefghij")).mkdir(parents=True)
    for number in range(150):
        (tmp_path / "kaggle" / "classes" / str(number)).mkdir(parents=True)
    seen = {str(folder.relative_to(tmp_path / "kaggle")) for folder in data_files.kaggle_folders()}
    assert seen == {".", "a", "a/b", "a/b/c", "a/b/c/d", "a/b/c/d/e", "classes"}


def test_keras_cache_goes_before_kaggle_and_kaggle_before_a_download(small, tmp_path, monkeypatch):
    asked = []

    def read(published, place):
        asked.append(place)
        raise FileNotFoundError

    monkeypatch.setattr(data_files, "_read_place", read)
    monkeypatch.setattr(data_files, "download", lambda url, *_: asked.append(url))
    (tmp_path / "kaggle").mkdir()
    with pytest.raises(FileNotFoundError):
        load_dataset("cifar100")
    cache = tmp_path / "keras" / "datasets"
    archive = cache / "cifar-100-python.tar.gz"
    assert asked == [cache, tmp_path / "kaggle", data.CIFAR100.url, archive]


def test_a_broken_folder_does_not_hide_the_archive_beside_it(small, tmp_path):
    write(tmp_path / "cifar-100-python", {**small[0], "train": small[0]["train"][:-10]})
    write(tmp_path, {"cifar-100-python.tar.gz": small[1]})
    assert len(load_dataset("cifar100", tmp_path).x_train) == 6


def test_a_broken_copy_in_the_cache_does_not_hide_a_good_one(small, tmp_path):
    write(tmp_path / "keras" / "datasets", {"cifar-100-python.tar.gz": small[1][:-10]})
    write(tmp_path / "kaggle" / "cifar100", small[0])
    assert len(load_dataset("cifar100").x_train) == 6


# What is refused


@pytest.mark.parametrize("named", [5, b"\xff", "~nobody-of-this-name/data"])
def test_what_is_no_path_is_refused_by_its_value(named):
    with pytest.raises(
        ValueError if named != b"\xff" else (ValueError, FileNotFoundError), match="data_dir is the path"
    ):
        load_dataset("cifar100", named)


SPOILT = {
    "x_train": (lambda x: x.astype("float32") / 255, "x_train must be .*uint8 .*Received: float32"),
    "x_test": (lambda x: x[..., 0], r"x_test must be .*\(N, H, W, 3\).*Received: uint8 \(364, 32, 32\)"),
    "y_train": (lambda y: y[:-1], r"one for each of the 1433 pictures.*Received: int64 \(1432,\)"),
    "y_test": (lambda y: y + 1, "y_test must be from 0 to 9.*Received: 1 to 10"),
}


@pytest.mark.parametrize("spoilt", SPOILT)
def test_wrong_shapes_and_labels_are_refused(spoilt):
    spoil, told = SPOILT[spoilt]
    digits = load_dataset("digits")
    with pytest.raises(ValueError, match=told):
        dataclasses.replace(digits, **{spoilt: spoil(getattr(digits, spoilt))}, fingerprint="")


@pytest.mark.parametrize("array", [[[0]], None, np.zeros((0, 8, 8, 3), "uint8"), np.zeros((2, 8, 8, 4), "uint8")])
def test_what_is_no_pictures_is_refused(array):
    with pytest.raises(ValueError, match="x_test must be an array of at least one colour picture"):
        dataclasses.replace(load_dataset("digits"), x_test=array)


@pytest.mark.parametrize("labels", [["0"] * 364, np.zeros(364), np.full(364, -1), None])
def test_what_is_no_class_numbers_is_refused(labels):
    with pytest.raises(ValueError, match="y_test must be"):
        dataclasses.replace(load_dataset("digits"), y_test=labels)


@pytest.mark.parametrize("form", ["folder", "archive"])
def test_a_single_flipped_bit_anywhere_is_noticed(small, tmp_path, form):
    files = small[0] if form == "folder" else {"cifar-100-python.tar.gz": small[1]}
    draw = np.random.default_rng(0)
    for _ in range(60):
        name = draw.choice(list(files))
        flipped = bytearray(files[name])
        flipped[draw.integers(len(flipped))] ^= 1 << draw.integers(8)
        with pytest.raises(ValueError, match="not the published file"):
            load_dataset("cifar100", write(tmp_path, {**files, name: bytes(flipped)}))


@pytest.mark.parametrize("name", ["train", "test", "meta"])
@pytest.mark.parametrize("part", [0, 0.5, 0.999])
def test_a_truncated_file_is_refused(small, tmp_path, name, part):
    whole = small[0][name]
    with pytest.raises(ValueError, match="not the published file.*Delete it and fetch it again"):
        load_dataset("cifar100", write(tmp_path, {**small[0], name: whole[: int(len(whole) * part)]}))


def test_a_folder_that_may_not_be_read_is_told(tmp_path):
    program = "import sys; from mixer_lib.data_files import *; find_files(CIFAR100, sys.argv[1])"
    program = "from mixer_lib.published import CIFAR100; " + program
    write(tmp_path / "data" / "cifar-100-python", {name: b"" for name in ("train", "test", "meta")})
    (tmp_path / "data" / "cifar-100-python").chmod(0)
    package = PROGRAM.split("from mixer_lib")[0].replace("sys.argv[1]", "sys.argv[2]")
    command = [sys.executable, "-c", package + program, tmp_path / "data", os.path.dirname(data.__file__)]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=without_root_rights)
    assert "cannot be read: Permission denied. Allow it, or name another place." in done.stderr


class Trap:
    """Unpickled without limits, it would create a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("name", ["train", "test", "meta"])
def test_a_file_with_a_wrong_sum_is_refused_before_it_is_unpickled(small, tmp_path, monkeypatch, name):
    monkeypatch.setattr(data, "unpickle_arrays", lambda *_: pytest.fail("unpickled"))
    folder = write(tmp_path / "data", {**small[0], name: small[0][name] + b"!"})
    with pytest.raises(ValueError, match="not the published file") as refused:
        load_dataset("cifar100", folder)
    for fact in (str(folder / name), md5(small[0][name] + b"!"), md5(small[0][name])):
        assert fact in str(refused.value)


def test_an_archive_with_a_wrong_sum_is_refused_before_it_is_opened(small, tmp_path, monkeypatch):
    monkeypatch.setattr(tarfile, "open", lambda *_, **__: pytest.fail("opened"))
    write(tmp_path, {"cifar-100-python.tar.gz": small[1] + b"!"})
    with pytest.raises(ValueError, match="not the published file"):
        load_dataset("cifar100", tmp_path)


def test_a_web_page_in_place_of_the_archive_is_called_one(small, tmp_path):
    write(tmp_path, {"cifar-100-python.tar.gz": b"\n<!DOCTYPE html><title>Sign in</title>"})
    with pytest.raises(ValueError, match="looks like a web page"):
        load_dataset("cifar100", tmp_path)


def test_a_truncated_archive_is_refused(small, tmp_path):
    write(tmp_path, {"cifar-100-python.tar.gz": small[1][: len(small[1]) // 2]})
    with pytest.raises(ValueError, match="not the published file"):
        load_dataset("cifar100", tmp_path)


@pytest.mark.parametrize("spoil", [lambda good: good[: len(good) // 2], lambda good: b"plain text"])
def test_an_archive_that_cannot_be_read_is_refused_even_with_the_right_sum(tmp_path, monkeypatch, spoil):
    files = cifar100_files()
    broken = spoil(tar_gz(files))
    publish(monkeypatch, files, broken)
    write(tmp_path, {"cifar-100-python.tar.gz": broken})
    with pytest.raises(ValueError, match="Fetch it again"):
        load_dataset("cifar100", tmp_path)


def test_a_member_of_the_archive_with_a_wrong_sum_is_refused(tmp_path, monkeypatch):
    files = cifar100_files()
    archive = tar_gz({**files, "meta": b"else"})
    publish(monkeypatch, files, archive)
    write(tmp_path, {"cifar-100-python.tar.gz": archive})
    with pytest.raises(ValueError, match="cifar-100-python/meta as published"):
        load_dataset("cifar100", tmp_path)


def add(archive, name, kind, content=b"", link="", size=None):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, len(content) if size is None else size
    archive.addfile(info, io.BytesIO(content))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE])
@pytest.mark.parametrize("target", ["{outside}", "../../outside"])
def test_a_member_that_is_no_plain_file_is_never_followed(tmp_path, monkeypatch, kind, target):
    files = cifar100_files()
    write(tmp_path, {"outside": files["train"]})  # what it points to would even have the right sum
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        add(archive, "cifar-100-python/train", kind, link=target.format(outside=tmp_path / "outside"))
        for name in ("test", "meta"):
            add(archive, f"cifar-100-python/{name}", tarfile.REGTYPE, files[name])
    publish(monkeypatch, files, buffer.getvalue())
    with pytest.raises(ValueError, match="does not hold cifar-100-python/train as published"):
        load_dataset("cifar100", write(tmp_path / "a" / "b", {"cifar-100-python.tar.gz": buffer.getvalue()}))


@pytest.mark.parametrize("name", ["{outside}", "../outside", "cifar-100-python/../../outside", "cifar-100-python/more"])
def test_other_members_of_an_archive_are_neither_read_nor_written(tmp_path, monkeypatch, name):
    files = cifar100_files()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        add(archive, name.format(outside=tmp_path / "outside"), tarfile.REGTYPE, b"x")
        for known in files:
            add(archive, f"cifar-100-python/{known}", tarfile.REGTYPE, files[known])
    published = publish(monkeypatch, files, buffer.getvalue())
    place = write(tmp_path / "place", {"cifar-100-python.tar.gz": buffer.getvalue()})
    assert set(trusted_files.read_archive(published, place / "cifar-100-python.tar.gz")) == set(files)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["cifar-100-python.tar.gz"]


BOMBS = {
    "a large member": (tarfile.REGTYPE, "cifar-100-python/train"),
    "a large member of no interest": (tarfile.REGTYPE, "else"),
    "a large name": (tarfile.GNUTYPE_LONGNAME, "name"),
    "a large header": (tarfile.XHDTYPE, "header"),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_an_archive_that_unpacks_to_very_much_is_refused_on_the_way(tmp_path, monkeypatch, bomb):
    import tracemalloc

    kind, name = BOMBS[bomb]
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="w", compresslevel=1) as out:
        info = tarfile.TarInfo(name)
        info.type, info.size = kind, 64 * 2**20
        out.write(info.tobuf() + bytes(info.size))
    published = publish(monkeypatch, cifar100_files(), buffer.getvalue())
    path = write(tmp_path, {"cifar-100-python.tar.gz": buffer.getvalue()}) / "cifar-100-python.tar.gz"
    monkeypatch.setattr(trusted_files, "LARGEST_FILE", 2**20)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="unpacks to more than 1,048,576 bytes"):
            trusted_files.read_archive(published, path)
        assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    finally:
        tracemalloc.stop()


def test_a_gzip_file_that_unpacks_to_very_much_is_refused(monkeypatch):
    monkeypatch.setattr(trusted_files, "LARGEST_FILE", 1000)
    assert trusted_files.unpacked(gzip.compress(bytes(1000)), "labels") == bytes(1000)
    with pytest.raises(ValueError, match="labels unpacks to more than 1,000 bytes"):
        trusted_files.unpacked(gzip.compress(bytes(1001)), "labels")
    with pytest.raises(ValueError, match="labels cannot be read as a .gz file"):
        trusted_files.unpacked(gzip.compress(bytes(1000))[:-9], "labels")


def test_reading_an_archive_writes_nothing_to_disk(small, tmp_path):
    place = write(tmp_path / "a" / "b" / "data", {"cifar-100-python.tar.gz": small[1]})
    load_dataset("cifar100", place)
    found = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    assert found == ["cifar-100-python.tar.gz"]


def test_a_file_larger_than_any_published_one_is_not_read_to_its_end(small, tmp_path, monkeypatch):
    monkeypatch.setattr(trusted_files, "LARGEST_FILE", 100)
    with pytest.raises(ValueError, match=r"\(101 bytes\)"):
        load_dataset("cifar100", write(tmp_path, small[0]))


def test_a_pickle_that_wants_to_run_code_is_refused(tmp_path, monkeypatch):
    trap = pickle.dumps({b"data": Trap(tmp_path / "sprung")})
    files = {**cifar100_files(), "train": trap}
    publish(monkeypatch, files)
    with pytest.raises(ValueError, match=r"train is not a pickle of arrays .*open"):
        load_dataset("cifar100", write(tmp_path / "data", files))
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("wanted", [print, eval, getattr, np.load, np.lib.format.open_memmap, np.random.seed])
def test_the_unpickler_hands_out_no_function(wanted):
    with pytest.raises(ValueError, match=f"asks for .*{wanted.__name__}"):
        trusted_files.unpickle_arrays(pickle.dumps(wanted), "file")


@pytest.mark.parametrize("content", [b"", b"no pickle", pickle.dumps([1, 2])[:-2]])
def test_what_is_no_pickle_is_a_plain_error(content):
    with pytest.raises(ValueError, match="file is not a pickle"):
        trusted_files.unpickle_arrays(content, "file")


@pytest.mark.parametrize("module", [b"numpy.core.multiarray", b"numpy._core.multiarray"])
def test_arrays_pickled_by_numpy_1_and_by_numpy_2_are_read(module):
    array = np.arange(6, dtype="uint8").reshape(2, 3)
    content = pickle.dumps({b"data": array, b"names": ["a", 1, 2.5, None, True]}, protocol=3)
    for written in (b"numpy.core.multiarray", b"numpy._core.multiarray"):
        content = content.replace(b"c" + written + b"\n", b"c" + module + b"\n")
    assert module in content
    read = trusted_files.unpickle_arrays(content, "file")
    assert (read[b"data"] == array).all() and read[b"names"] == ["a", 1, 2.5, None, True]


# The download


@pytest.fixture
def host(monkeypatch):
    """A web server on this machine; `host.pages` maps paths to (headers, body).

    It breaks off after so many bytes as `breaks` says, one number a request, and knows HTTP Range if `resumes`.
    """
    monkeypatch.setattr(downloads, "_answer", ask_the_host)
    monkeypatch.setattr(downloads, "SECONDS_TO_ANSWER", 60)  # a busy machine is not a silent host
    monkeypatch.setattr(downloads, "CHUNK", 100)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            begin = int(self.headers.get("Range", "bytes=0-")[6:-1]) if self.server.resumes else 0
            self.server.asked.append(self.path)
            self.server.begun.append(begin)
            if self.path not in self.server.pages:
                return self.send_error(404)
            headers, body = self.server.pages[self.path]
            if begin >= len(body) > 0:
                return self.send_error(416)
            body = body[begin:]
            self.send_response(302 if "Location" in headers else 206 if begin else 200)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.server.breaks:  # send so many bytes, then wait or break off
                self.wfile.write(body[: self.server.breaks.pop(0)])
                self.server.sent.release()
                self.server.gate.wait(60)
                if not self.server.goes_on:
                    return None
                body = body[self.server.goes_on :]
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.pages, server.asked, server.begun = {}, [], []
    server.resumes, server.breaks, server.goes_on = True, [], 0
    server.sent, server.gate = threading.Semaphore(0), threading.Event()
    server.gate.set()
    server.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.gate.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def published_there(host, small, monkeypatch):
    """The small CIFAR-100, published on this machine's web server."""
    published = dataclasses.replace(data.CIFAR100, url=f"{host.url}/cifar-100-python.tar.gz")
    monkeypatch.setattr(data, "CIFAR100", published)
    host.pages["/cifar-100-python.tar.gz"] = ({}, small[1])
    return published


def cache_files(tmp_path):
    return sorted(path.name for path in (tmp_path / "keras").rglob("*") if path.is_file())


def test_what_nobody_has_is_downloaded_once_with_progress(host, published_there, tmp_path, capsys):
    first = load_dataset("cifar100")
    assert "cifar-100-python.tar.gz: 100%" in capsys.readouterr().err
    assert load_dataset("cifar100").fingerprint == first.fingerprint
    assert host.asked == ["/cifar-100-python.tar.gz"]
    assert cache_files(tmp_path) == ["cifar-100-python.tar.gz"]


def test_mnist_is_downloaded_file_by_file(host, monkeypatch, tmp_path):
    files = {name: name.encode() for name in data.MNIST.files}
    sums = {name: md5(content) for name, content in files.items()}
    published = dataclasses.replace(data.MNIST, files=sums, url=f"{host.url}/mnist/")
    host.pages.update({f"/mnist/{name}": ({}, content) for name, content in files.items()})
    assert data_files.find_files(published) == files
    assert data_files.find_files(published) == files  # from the cache
    assert len(host.asked) == 4


def test_an_archive_stays_packed_though_its_host_declares_it_compressed(host, published_there, small):
    host.pages["/cifar-100-python.tar.gz"] = ({"Content-Encoding": "x-gzip"}, small[1])
    assert len(load_dataset("cifar100").x_train) == 6


BAD_ANSWERS = {
    "a web page": ({}, b"<html>Sign in to the network</html>", "looks like a web page"),
    "a web page that says so": (
        {"Content-Type": "text/html; charset=utf-8"},
        b"Sign in",
        "a web page came in its place",
    ),
    "half of the archive": ({}, None, "not the published file"),
    "another page": ({"Location": "/sign-in"}, b"", "a web page came in its place, from http.*/sign-in"),
    "a page that is not there": ({"Location": "/nowhere"}, b"", "404"),
}


@pytest.mark.parametrize("bad", BAD_ANSWERS)
def test_a_bad_download_leaves_nothing_in_the_cache(host, published_there, small, tmp_path, bad):
    headers, body, reason = BAD_ANSWERS[bad]
    host.pages["/sign-in"] = ({"Content-Type": "text/html"}, b"<html>Sign in to the network</html>")
    host.pages["/cifar-100-python.tar.gz"] = (headers, small[1][: len(small[1]) // 2] if body is None else body)
    with pytest.raises(FileNotFoundError, match=reason):
        load_dataset("cifar100")
    assert cache_files(tmp_path) == []
    host.pages["/cifar-100-python.tar.gz"] = ({}, small[1])
    assert len(load_dataset("cifar100").x_train) == 6
    assert cache_files(tmp_path) == ["cifar-100-python.tar.gz"]


def test_a_download_that_breaks_off_goes_on_by_itself(host, published_there, small, tmp_path):
    host.breaks = [10_000, 5_000]
    assert len(load_dataset("cifar100").x_train) == 6
    assert host.begun == [0, 10_000, 15_000]
    assert cache_files(tmp_path) == ["cifar-100-python.tar.gz"]


def test_a_host_that_cannot_go_on_is_asked_for_the_whole(host, published_there, small, tmp_path):
    host.resumes, host.breaks = False, [10_000]
    assert len(load_dataset("cifar100").x_train) == 6
    assert (tmp_path / "keras" / "datasets" / "cifar-100-python.tar.gz").read_bytes() == small[1]


def test_a_host_that_breaks_off_again_and_again_is_told_and_the_next_call_goes_on(host, published_there, tmp_path):
    host.breaks = [10_000, 1_000, 100]
    with pytest.raises(
        FileNotFoundError, match="broke off 3 times: .*11,100 bytes are kept in .*the same call goes on"
    ):
        load_dataset("cifar100")
    assert cache_files(tmp_path) == ["cifar-100-python.tar.gz.part"]
    assert len(load_dataset("cifar100").x_train) == 6
    assert host.begun[3:] == [11_100]


@pytest.mark.parametrize("kept", ["of another file", "longer than the file"])
def test_a_part_that_does_not_fit_is_thrown_away(host, published_there, small, tmp_path, kept):
    other = b"x" * (100 if kept == "of another file" else len(small[1]) + 100)
    write(tmp_path / "keras" / "datasets", {"cifar-100-python.tar.gz.part": other})
    assert len(load_dataset("cifar100").x_train) == 6
    assert host.begun == [len(other), 0]


def test_a_whole_part_is_not_fetched_again(host, published_there, small, tmp_path):
    write(tmp_path / "keras" / "datasets", {"cifar-100-python.tar.gz.part": small[1]})
    assert len(load_dataset("cifar100").x_train) == 6
    assert cache_files(tmp_path) == ["cifar-100-python.tar.gz"]


def test_a_web_page_in_between_does_not_cost_what_has_arrived(host, published_there, small, tmp_path):
    write(tmp_path / "keras" / "datasets", {"cifar-100-python.tar.gz.part": small[1][:10_000]})
    host.pages["/cifar-100-python.tar.gz"] = ({"Content-Type": "text/html"}, b"<html>" + b"Sign in" * 10_000)
    with pytest.raises(FileNotFoundError, match="must you sign in to the network"):
        load_dataset("cifar100")
    host.pages["/cifar-100-python.tar.gz"] = ({}, small[1])
    assert len(load_dataset("cifar100").x_train) == 6
    assert host.begun[-1] == 10_000


# A program of its own: the package's other rooms, which take seconds to import, are left out.
PROGRAM = """
import resource, sys, types
from pathlib import Path
package = types.ModuleType("mixer_lib")
package.__path__ = [sys.argv[1]]
sys.modules["mixer_lib"] = package
from mixer_lib import downloads
downloads.CHUNK = 100
if len(sys.argv) > 5:  # room for so many bytes
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[5]), resource.RLIM_INFINITY))
try:
    downloads.download(sys.argv[2], sys.argv[3], Path(sys.argv[4]))
except OSError as error:
    sys.exit(str(error))
"""


@pytest.fixture
def start(host, published_there, tmp_path):
    """Starts a process that downloads the archive into the cache."""
    started = []

    def begin(*more, **options):
        target = tmp_path / "keras" / "datasets" / "cifar-100-python.tar.gz"
        place = os.path.dirname(data.__file__)
        command = [sys.executable, "-c", PROGRAM, place, published_there.url, published_there.archive_sum, target]
        command = [*map(str, (*command, *more))]
        started.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **options))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def test_a_killed_download_is_gone_on_with(host, start, small, tmp_path):
    host.breaks = [10_000]
    host.gate.clear()
    process = start()
    assert host.sent.acquire(timeout=60)
    part = tmp_path / "keras" / "datasets" / "cifar-100-python.tar.gz.part"
    while not part.exists() or part.stat().st_size < 10_000:
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert cache_files(tmp_path) == ["cifar-100-python.tar.gz.part"]
    assert len(load_dataset("cifar100").x_train) == 6
    assert host.begun == [0, 10_000]
    assert cache_files(tmp_path) == ["cifar-100-python.tar.gz"]


def test_of_two_processes_one_downloads_and_the_other_waits_and_takes_its_file(host, start, small, tmp_path):
    host.breaks, host.goes_on = [10_000], 10_000
    host.gate.clear()
    first = start()
    assert host.sent.acquire(timeout=60)
    second = start()
    assert "waiting for it" in second.stderr.readline()
    host.gate.set()
    assert (first.wait(60), second.wait(60)) == (0, 0)
    assert host.asked == ["/cifar-100-python.tar.gz"]
    assert cache_files(tmp_path) == ["cifar-100-python.tar.gz"]


def test_a_full_disk_is_told_and_gets_its_room_back(start, tmp_path):
    process = start(10_000)
    assert process.wait(60) == 1
    told = process.stderr.read()
    assert "could not be written (File too large): make room on that disk" in told
    assert "KERAS_HOME" in told
    assert cache_files(tmp_path) == []


def test_a_cache_that_cannot_be_written_is_told_before_the_host_is_asked(host, start, tmp_path):
    (tmp_path / "keras").mkdir()
    (tmp_path / "keras").chmod(0o555)
    process = start(preexec_fn=without_root_rights)
    assert process.wait(60) == 1
    told = process.stderr.read()
    assert "cannot be written (Permission denied): let KERAS_HOME name a folder that can" in told
    assert host.asked == []


def test_a_proxy_of_the_environment_is_asked(host, small, monkeypatch):
    url = "http://data.invalid/cifar-100-python.tar.gz"
    monkeypatch.setattr(data, "CIFAR100", dataclasses.replace(data.CIFAR100, url=url))
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.setenv("HTTP_PROXY", host.url)
    host.pages[url] = ({}, small[1])  # a proxy is asked by the whole address
    assert len(load_dataset("cifar100").x_train) == 6
    assert host.asked == [url]


@pytest.mark.parametrize("proxy", ["refuses", "is silent"])
def test_a_proxy_that_cannot_be_reached_is_named_without_its_password(host, monkeypatch, proxy):
    monkeypatch.setattr(downloads, "SECONDS_TO_ANSWER", 0.5)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if proxy == "is silent":
            listener.listen()
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        monkeypatch.setenv("HTTPS_PROXY", f"http://someone:secret@{address}")
        begun = time.monotonic()
        with pytest.raises(
            FileNotFoundError, match=rf"\(through the proxy {address}\): .*(refused|no answer|timed out)"
        ) as told:
            load_dataset("cifar100")
        assert time.monotonic() - begun < 25  # silence lasts 30 seconds
    assert "secret" not in str(told.value)


def test_a_broken_cache_is_repaired_when_the_host_answers(host, published_there, small, tmp_path):
    cache = tmp_path / "keras" / "datasets"
    write(cache / "cifar-100-python", {**small[0], "test": b"broken"})
    write(cache, {"cifar-100-python.tar.gz": small[1][:-1]})
    assert len(load_dataset("cifar100").x_train) == 6
    assert len(load_dataset("cifar100").x_train) == 6  # from the cache, which is whole now
    assert host.asked == ["/cifar-100-python.tar.gz"]


def test_only_the_broken_file_of_a_cache_is_fetched_again(host, monkeypatch, tmp_path):
    files = {name: name.encode() for name in data.MNIST.files}
    sums = {name: md5(content) for name, content in files.items()}
    published = dataclasses.replace(data.MNIST, files=sums, url=f"{host.url}/mnist/")
    host.pages.update({f"/mnist/{name}": ({}, content) for name, content in files.items()})
    broken = next(iter(files))
    write(tmp_path / "keras" / "datasets" / "mnist", {**files, broken: b"broken"})
    assert data_files.find_files(published) == files
    assert host.asked == [f"/mnist/{broken}"]


def test_a_bad_download_does_not_replace_what_the_cache_holds(host, published_there, small, tmp_path):
    write(tmp_path / "keras" / "datasets", {"cifar-100-python.tar.gz": b"the old one"})
    host.pages["/cifar-100-python.tar.gz"] = ({}, b"a bad one")
    with pytest.raises(FileNotFoundError, match="Passed over"):
        load_dataset("cifar100")
    assert (tmp_path / "keras" / "datasets" / "cifar-100-python.tar.gz").read_bytes() == b"the old one"


def test_a_host_that_sends_without_end_is_cut_off(host, published_there, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "LARGEST_FILE", 100)
    with pytest.raises(FileNotFoundError, match="sends more than 100 bytes"):
        load_dataset("cifar100")
    assert cache_files(tmp_path) == []


def test_a_file_that_the_host_does_not_have_is_told(host, published_there):
    host.pages.clear()
    with pytest.raises(FileNotFoundError, match="404"):
        load_dataset("cifar100")


def test_without_network_and_data_the_error_names_the_ways_out(monkeypatch):
    with pytest.raises(FileNotFoundError) as absent:
        load_dataset("cifar100")
    for way in ("DATA=<folder>", "data_dir=", data.CIFAR100.url, "`make quick`"):
        assert way in str(absent.value)


def test_a_refused_connection_is_told_by_its_cause(monkeypatch, host, published_there):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # and does not listen; nobody else can take the port meanwhile
        address = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        monkeypatch.setattr(data, "CIFAR100", dataclasses.replace(published_there, url=address))
        with pytest.raises(FileNotFoundError, match=r"failed \(http://127.*refused\)"):
            load_dataset("cifar100")


def silent_name_server(*_, **__):
    time.sleep(30)
    raise socket.gaierror("nobody answered")


@pytest.mark.parametrize("silent", ["host", "name server"])
def test_silence_is_not_waited_for(monkeypatch, host, published_there, silent):
    assert SECONDS_TO_ANSWER <= 8  # which leaves time to start, within ten seconds
    monkeypatch.setattr(downloads, "SECONDS_TO_ANSWER", 0.3)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        if silent == "host":
            address = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        else:
            address = "http://no-such-host.invalid/"
            monkeypatch.setattr(socket, "getaddrinfo", silent_name_server)
        monkeypatch.setattr(data, "CIFAR100", dataclasses.replace(published_there, url=address))
        begun = time.monotonic()
        with pytest.raises(FileNotFoundError, match="no answer within 0.3 seconds"):
            load_dataset("cifar100")
        assert time.monotonic() - begun < 25  # silence lasts 30 seconds


def test_the_host_must_prove_who_it_is(monkeypatch):
    import requests

    def get(url, **options):
        assert url.startswith("https://") and options.get("verify", True) is True
        raise requests.exceptions.SSLError("certificate verify failed")

    monkeypatch.setattr(requests, "get", get)
    monkeypatch.setattr(downloads, "_answer", ask_the_host)
    for name in ("cifar100", "cifar10", "mnist"):
        with pytest.raises(FileNotFoundError, match="certificate verify failed"):
            load_dataset(name)


needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl here to make certificates with")


@pytest.fixture
def certified(host, published_there, tmp_path, monkeypatch):
    """Let the web server speak TLS, with a certificate for a name, which this machine trusts or not."""

    def speak(name, trusted):
        key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        command += ["-days", "2", "-subj", "/CN=test", "-addext", f"subjectAltName={name}"]
        command += ["-keyout", key, "-out", certificate]
        subprocess.run(command, check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        host.socket = context.wrap_socket(host.socket, server_side=True)
        url = published_there.url.replace("http://", "https://")
        monkeypatch.setattr(data, "CIFAR100", dataclasses.replace(published_there, url=url))
        monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
        monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
        if trusted:
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))

    return speak


@needs_openssl
def test_a_host_that_proves_who_it_is_is_believed(host, certified):
    certified("IP:127.0.0.1", trusted=True)
    assert len(load_dataset("cifar100").x_train) == 6
    assert host.asked == ["/cifar-100-python.tar.gz"]


@needs_openssl
@pytest.mark.parametrize(
    ("name", "trusted", "why"),
    [("IP:127.0.0.1", False, "self.signed certificate"), ("DNS:elsewhere.example", True, "not valid for '127.0.0.1'")],
    ids=["signed by itself", "another host's"],
)
def test_a_host_with_a_bad_certificate_is_refused_before_anything_is_asked_of_it(
    host, certified, tmp_path, name, trusted, why
):
    certified(name, trusted)
    with pytest.raises(FileNotFoundError, match=f"certificate verify failed: .*{why}"):
        load_dataset("cifar100")
    assert host.asked == [] and cache_files(tmp_path) == []


# The published data themselves


@pytest.fixture(scope="module")
def real():
    return load_dataset("cifar100", REAL_DATA)


class TestRealCifar100:
    pytestmark = realdata

    def test_it_has_the_published_sizes(self, real):
        assert real.x_train.shape == (50_000, 32, 32, 3) and real.x_test.shape == (10_000, 32, 32, 3)
        assert real.x_train.dtype == np.uint8 and real.y_train.dtype == np.int64
        assert (np.bincount(real.y_train) == 500).all() and (np.bincount(real.y_test) == 100).all()
        assert len(real.class_names) == 100 and len(real.coarse_names) == 20

    def test_each_superclass_has_five_classes(self, real):
        pairs = set(zip(real.y_train.tolist(), real.coarse_train.tolist(), strict=True))
        assert len(pairs) == 100 and pairs == set(zip(real.y_test.tolist(), real.coarse_test.tolist(), strict=True))
        assert (np.bincount([coarse for _, coarse in pairs]) == 5).all()

    def test_its_fingerprint_is_the_recorded_one(self, real):
        assert real.fingerprint == "ce046832bab115dd"

    def test_it_trains_on_45000_pictures(self, real):
        (x_train, _), (_, y_validation) = real.validation_split()
        assert len(x_train) == 45_000 and len(y_validation) == 5_000
