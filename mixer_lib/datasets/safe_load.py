"""Reading untrusted files: the checksum first, then a reader that can only build plain data."""

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

from .sources import Source

MAX_BYTES = 256 * 2**20  # the largest file of these data sets, an archive, has 170 million


def read_checked(path: Path, known_hash: str) -> bytes:
    """Content of a file, if its hash is `known_hash` ("md5:..." or "sha256:..."), else ValueError."""
    if not path.is_file():  # nor a pipe, where reading would block
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    found = _hash(content, known_hash)
    if found != known_hash:
        page = " It looks like a web page." if content.lstrip()[:1] == b"<" else ""
        raise ValueError(
            f"{path} ({len(content):,} bytes) is not the published file: its checksum is {found}, "
            f"not {known_hash}.{page} Delete it and download it again."
        )
    return content


def _hash(content: bytes, known_hash: str) -> str:
    algorithm = known_hash.partition(":")[0]
    return f"{algorithm}:{hashlib.new(algorithm, content, usedforsecurity=False).hexdigest()}"


class _Decompressed:
    """Gzipped bytes as a stream; ValueError after MAX_BYTES, since few bytes can expand to very many."""

    def __init__(self, content: bytes, name):
        self.stream, self.name, self.left = gzip.GzipFile(fileobj=io.BytesIO(content)), name, MAX_BYTES

    def read(self, size: int = -1) -> bytes:
        content = self.stream.read(size if 0 <= size <= self.left else self.left + 1)
        self.left -= len(content)
        if self.left < 0:
            raise ValueError(f"{self.name} expands to more than {MAX_BYTES:,} bytes: it is not the published file.")
        return content


def gunzip(content: bytes, name) -> bytes:
    """Content of a gzip file; ValueError if it is broken or expands to more than MAX_BYTES."""
    try:
        return _Decompressed(content, name).read()
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{name} cannot be read as a .gz file: {error}. Download it again.") from error


def read_archive(source: Source, path: Path) -> dict:
    """{file name: content} of a data set's files in its archive, without extracting; ValueError for another hash."""
    content = read_checked(path, source.archive_hash)
    names, files = {f"{source.folder}/{name}": name for name in source.files}, {}
    try:
        with tarfile.open(fileobj=_Decompressed(content, path), mode="r|") as archive:
            for member in archive:
                if member.name in names and member.isfile():
                    files[names[member.name]] = archive.extractfile(member).read()
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} cannot be read as a .tar.gz archive: {error}. Download it again.") from error
    for name, known_hash in source.files.items():
        if _hash(files.get(name, b""), known_hash) != known_hash:
            raise ValueError(f"{path} does not hold {source.folder}/{name} as published. Download it again.")
    return files


# NumPy 1 and 2 name the module of this function differently; pickles may hold either name.
_rebuild_array = np.empty(0).__reduce__()[0]
_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): _rebuild_array,
    ("numpy._core.multiarray", "_reconstruct"): _rebuild_array,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module, name):
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return _ALLOWED[module, name]


def unpickle_arrays(content: bytes, name: str):
    """What a pickle of arrays and plain containers holds (strings as bytes); ValueError for anything else, unrun."""
    try:
        return _ArrayUnpickler(io.BytesIO(content), encoding="bytes").load()
    except Exception as error:  # a broken pickle can raise nearly anything
        raise ValueError(f"{name} is not a pickle of arrays and plain containers: {error}.") from error
