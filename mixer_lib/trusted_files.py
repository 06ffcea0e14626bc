"""Reading files that nobody vouches for: sums first, then a reader that can only build plain data."""

import errno
import gzip
import hashlib
import io
import os
import pickle
import tarfile
import zlib
from pathlib import Path

import numpy as np

from .published import Published

LARGEST_FILE = 256 * 2**20  # bytes; the largest file of these data sets, an archive, has 170 million


def checked(path: Path, published_sum: str) -> bytes:
    """A file's bytes, if they have the published sum (MD5 or SHA-256, told apart by length)."""
    if not path.is_file():  # nor a pipe, which would be waited for
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    with path.open("rb") as file:
        content = file.read(LARGEST_FILE + 1)
    algorithm = "md5" if len(published_sum) == 32 else "sha256"
    found = hashlib.new(algorithm, content, usedforsecurity=False).hexdigest()
    if found != published_sum:
        page = " It looks like a web page." if content.lstrip()[:1] == b"<" else ""
        raise ValueError(
            f"{path} ({len(content):,} bytes) is not the published file: its {algorithm} is {found}, "
            f"not {published_sum}.{page} Delete it and fetch it again."
        )
    return content


class _Unpacked:
    """What gzipped bytes hold, as a stream; an error after LARGEST_FILE, since few bytes can unpack to very many."""

    def __init__(self, content: bytes, name):
        self.stream, self.name, self.left = gzip.GzipFile(fileobj=io.BytesIO(content)), name, LARGEST_FILE

    def read(self, size: int = -1) -> bytes:
        content = self.stream.read(size if 0 <= size <= self.left else self.left + 1)
        self.left -= len(content)
        if self.left < 0:
            raise ValueError(f"{self.name} unpacks to more than {LARGEST_FILE:,} bytes: it is not the published file.")
        return content


def unpacked(content: bytes, name) -> bytes:
    """The bytes in a gzip file; ValueError where there are more than any published file has, or where it is broken."""
    try:
        return _Unpacked(content, name).read()
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{name} cannot be read as a .gz file: {error}. Fetch it again.") from error


def read_archive(published: Published, path: Path) -> dict:
    """The data set's own files out of its archive; nothing is extracted to disk."""
    content = checked(path, published.archive_sum)
    names = {f"{published.folder}/{name}": name for name in published.files}
    files = {}
    try:
        with tarfile.open(fileobj=_Unpacked(content, path), mode="r|") as archive:
            for member in archive:
                if member.name in names and member.isfile():
                    files[names[member.name]] = archive.extractfile(member).read()
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} cannot be read as a .tar.gz archive: {error}. Fetch it again.") from error
    for name, md5 in published.files.items():
        if hashlib.md5(files.get(name, b""), usedforsecurity=False).hexdigest() != md5:
            raise ValueError(f"{path} does not hold {published.folder}/{name} as published. Fetch it again.")
    return files


# NumPy 1 and 2 name the module of this function differently; pickles may hold either name.
_rebuild_array = np.empty(0).__reduce__()[0]
_KNOWN = {
    ("numpy.core.multiarray", "_reconstruct"): _rebuild_array,
    ("numpy._core.multiarray", "_reconstruct"): _rebuild_array,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module, name):
        if (module, name) not in _KNOWN:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return _KNOWN[module, name]


def unpickle_arrays(content: bytes, name: str):
    """What a pickle of arrays and plain containers holds; text of Python 2 comes as bytes.

    Errors: ValueError for anything else, before it could run.
    """
    try:
        return _ArrayUnpickler(io.BytesIO(content), encoding="bytes").load()
    except Exception as error:  # a broken pickle can raise nearly anything
        raise ValueError(f"{name} is not a pickle of arrays and plain containers: {error}.") from error
