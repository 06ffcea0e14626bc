"""A CIFAR-100 of a few images, in the published formats, for the tests of data."""

import dataclasses
import hashlib
import io
import os
import pickle
import tarfile

import numpy as np

import mixer_lib
from mixer_lib.datasets.sources import CIFAR100

PROXIES = [name for kind in ("http", "https", "all", "no") for name in (f"{kind}_proxy", f"{kind}_proxy".upper())]

# For a program of its own: `mixer_lib.datasets` without the rest of the package, which takes seconds to import.
ONLY_DATASETS = f"""
import sys, types
package = types.ModuleType("mixer_lib")
package.__path__ = [{os.path.dirname(mixer_lib.__file__)!r}]
sys.modules["mixer_lib"] = package
"""


def isolate(monkeypatch, tmp_path):
    """No data named, empty caches, no proxy."""
    for name in ("MIXER_DATA", *PROXIES):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("MIXER_KAGGLE_INPUT", str(tmp_path / "kaggle"))


def md5(content):
    return f"md5:{hashlib.md5(content).hexdigest()}"


def sha256(content):
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def cifar100_files(images=6):
    """Files in CIFAR-100's format, as bytes by name: pickles with bytes as keys."""
    random = np.random.RandomState(0)

    def part(count):
        return {
            b"data": random.randint(0, 256, (count, 3072)).astype("uint8"),
            b"fine_labels": [index % 3 for index in range(count)],
            b"coarse_labels": [index % 2 for index in range(count)],
        }

    names = {b"fine_label_names": [b"apple", b"bear", b"cup"], b"coarse_label_names": [b"fruit", b"beast"]}
    parts = {"train": part(images), "test": part(2), "meta": names}
    return {name: pickle.dumps(content, protocol=3) for name, content in parts.items()}


def tar_gz(files, folder="cifar-100-python"):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(f"{folder}/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


FILES = cifar100_files()
ARCHIVE = tar_gz({**FILES, "../../escaped": b"x", "file.txt~": b"junk"})


def source_of(files=FILES, archive=ARCHIVE, like=CIFAR100, **changes):
    """A `Source` with these bytes as the published ones."""
    hashes = {name: md5(content) for name, content in files.items()}
    archive_hash = sha256(archive) if like.archive_hash else None
    return dataclasses.replace(like, files=hashes, archive_hash=archive_hash, **changes)


def write(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder
