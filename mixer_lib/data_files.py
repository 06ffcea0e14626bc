"""The files a data set is published as: where they are looked for, how they are checked and read.

No file is trusted: its published sum is checked first, and pickles are read by an unpickler that knows
only NumPy arrays and plain containers.
"""

import hashlib
import io
import os
import pickle
import tarfile
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .published import Published

LARGEST_FILE = 256 * 2**20  # bytes; the largest file of these data sets, an archive, has 170 million
SECONDS_TO_ANSWER = 6  # of a download's host, so that a missing network is told within ten seconds


def find_files(published: Published, data_dir=None) -> dict:
    """Bytes of every file of a data set, by name, each with its published sum.

    Sources in order: the folder or archive `data_dir`, else the environment's MIXER_DATA (when one is named,
    nothing else is tried); Keras's cache; Kaggle's inputs; a download into Keras's cache.
    Errors: FileNotFoundError when the data are not to be had, ValueError when a named file has a wrong sum.
    """
    named = data_dir or os.environ.get("MIXER_DATA")
    if named:
        return _read_place(published, Path(named).expanduser())
    refused = []
    for folder in [keras_cache(), *_kaggle_folders()]:
        try:
            return _read_place(published, folder)
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:  # a broken copy must not hide a good one further on
            refused.append(str(error))
    return _downloaded(published, refused)


def keras_cache() -> Path:
    """The folder where Keras keeps downloaded data sets; KERAS_HOME moves it."""
    return Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser() / "datasets"


def kaggle_root() -> Path:
    """The folder under which Kaggle mounts a notebook's inputs; MIXER_KAGGLE_INPUT moves it."""
    return Path(os.environ.get("MIXER_KAGGLE_INPUT") or "/kaggle/input")


def _kaggle_folders(deepest: int = 5, most_subfolders: int = 100) -> Iterator[Path]:
    # Mounts are <slug>/... or datasets/<owner>/<slug>/...; a folder of very many folders is another
    # data set's classes, and listing them all can take minutes.
    root = kaggle_root()
    for folder, subfolders, _ in os.walk(root, followlinks=True):
        yield Path(folder)
        subfolders.sort()
        if len(Path(folder).relative_to(root).parts) >= deepest or len(subfolders) > most_subfolders:
            subfolders.clear()


def _read_place(published: Published, place: Path) -> dict:
    """The files from one archive or folder (which may hold the data set's own folder or its archive)."""
    if place.is_file() and published.archives:
        return _read_archive(published, place)
    inner = published.folder
    for folder in (place, place / inner, place / f"{inner}-target" / inner):
        if all((folder / name).is_file() for name in published.files):
            return {name: _checked(folder / name, md5) for name, md5 in published.files.items()}
    for name in published.archives:
        if (place / name).is_file():
            return _read_archive(published, place / name)
    raise FileNotFoundError(
        f"{published.name} was looked for in {place} and is not there: expected {published.wanted}. "
        f"Name another folder (DATA=<folder>, data_dir=... or MIXER_DATA), or none to use {published.url}."
    )


def _checked(path: Path, published_sum: str) -> bytes:
    """A file's bytes, if they have the published sum (MD5 or SHA-256, told apart by length)."""
    size = path.stat().st_size
    content = path.read_bytes() if size <= LARGEST_FILE else b""
    algorithm = "md5" if len(published_sum) == 32 else "sha256"
    found = hashlib.new(algorithm, content, usedforsecurity=False).hexdigest()
    if found != published_sum:
        page = " It looks like a web page." if content.lstrip()[:1] == b"<" else ""
        raise ValueError(
            f"{path} ({size:,} bytes) is not the published file: its {algorithm} is {found}, "
            f"not {published_sum}.{page} Delete it and fetch it again."
        )
    return content


def _read_archive(published: Published, path: Path) -> dict:
    """The data set's own files out of its archive; nothing is extracted to disk."""
    content = _checked(path, published.archive_sum)
    names = {f"{published.folder}/{name}": name for name in published.files}
    files = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
            for member in archive:
                if member.name in names and member.isfile() and member.size <= LARGEST_FILE:
                    files[names[member.name]] = archive.extractfile(member).read()
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} cannot be read as a .tar.gz archive: {error}. Fetch it again.") from error
    for name, md5 in published.files.items():
        if hashlib.md5(files.get(name, b""), usedforsecurity=False).hexdigest() != md5:
            raise ValueError(f"{path} does not hold {published.folder}/{name} as published. Fetch it again.")
    return files


def _downloaded(published: Published, refused: list) -> dict:
    cache = keras_cache()
    try:
        if published.archive_sum:
            path = cache / published.archives[0]
            download(published.url, published.archive_sum, path)
        else:
            path = cache / published.folder
            for name, md5 in published.files.items():
                download(published.url + name, md5, path / name)
    except (OSError, ValueError) as error:  # the exceptions of requests are OSErrors
        also = "".join(f"\nPassed over: {reason}" for reason in refused)
        raise FileNotFoundError(
            f"{published.name} is not to be had: it is neither in Keras's cache ({cache}) nor under "
            f"{kaggle_root()}, and its download failed ({error}).{also}\nWays out: name a folder that holds "
            f"{published.wanted}, with DATA=<folder> for make or data_dir=... in Python; fetch "
            f"{published.url} in another way and name its folder; or run every chapter on embedded data with `make quick`."
        ) from error
    return _read_place(published, path)


def download(url: str, published_sum: str, target: Path) -> None:
    """Fetch `url` with a progress bar; `target` appears only when complete and with the published sum."""
    from tqdm import tqdm

    answer = _answer(url)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    total = int(answer.headers.get("content-length", 0)) or None
    try:
        with answer, part.open("wb") as out:
            with tqdm(desc=target.name, total=total, unit="B", unit_scale=True) as bar:
                for chunk in answer.iter_content(2**18):
                    if out.write(chunk) and out.tell() > LARGEST_FILE:
                        raise ValueError(f"{url} sends more than {LARGEST_FILE:,} bytes")
                    bar.update(len(chunk))
        _checked(part, published_sum)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)


def _answer(url: str):
    """The open answer of a host, or ConnectionError in time.

    A thread, because no timeout of `requests` covers a name server that never answers.
    """
    import requests

    outcome = {}

    def ask():
        try:
            outcome["answer"] = requests.get(url, stream=True, timeout=(SECONDS_TO_ANSWER, 30))
        except requests.RequestException as error:
            outcome["error"] = error

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(SECONDS_TO_ANSWER)
    if "answer" not in outcome:
        raise ConnectionError(outcome.get("error") or f"{url} gave no answer in {SECONDS_TO_ANSWER} seconds")
    outcome["answer"].raise_for_status()
    return outcome["answer"]


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
