"""Where the files of a published data set are looked for: a named folder, caches, a download."""

import os
import tempfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from .download import fetch
from .safe_load import read_archive, read_checked
from .sources import Source


def find_files(source: Source, data_dir=None) -> dict:
    """{file name: content} of a data set, every file with its known hash.

    Searched in order: `data_dir`, a folder or archive, else the environment's MIXER_DATA (and if named, nothing else);
    Keras's cache; Kaggle's inputs; a download into the cache. FileNotFoundError, or ValueError for another hash.
    """
    named = data_dir or os.environ.get("MIXER_DATA")
    if named:
        return _read_location(source, _as_path(named))
    rejected = []
    for folder in chain([keras_cache()], kaggle_folders()):
        try:
            return _read_location(source, folder)
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:  # a broken copy must not hide a good one elsewhere
            rejected.append(str(error))
    return _download(source, rejected)


def is_available(source: Source) -> bool:
    """Whether Keras's cache or Kaggle's inputs have files of these names; their hashes are checked when read."""
    names = (source.files, *({archive: ""} for archive in source.archives))
    folders = chain([keras_cache(), keras_cache() / source.folder], kaggle_folders())
    return any(all((folder / name).is_file() for name in group) for folder in folders for group in names)


def keras_cache() -> Path:
    """The folder where Keras keeps downloaded data sets; KERAS_HOME moves it."""
    home = os.path.expanduser("~")
    usual = os.path.join(tempfile.gettempdir() if home == "~" else home, ".keras")  # "~": an account without a home
    return Path(os.path.expanduser(os.environ.get("KERAS_HOME") or usual)) / "datasets"


def kaggle_root() -> Path:
    """The folder under which Kaggle mounts a notebook's inputs; MIXER_KAGGLE_INPUT moves it."""
    return Path(os.environ.get("MIXER_KAGGLE_INPUT") or "/kaggle/input")


def kaggle_folders(max_depth: int = 5, max_subfolders: int = 100) -> Iterator[Path]:
    """Every folder among Kaggle's inputs (<slug>/..., datasets/<owner>/<slug>/...) that may hold something of ours."""
    # a folder of very many folders is another data set's classes, and listing them all can take minutes
    root = kaggle_root()
    for folder, subfolders, _ in os.walk(root, followlinks=True):
        yield Path(folder)
        subfolders.sort()
        if len(Path(folder).relative_to(root).parts) >= max_depth or len(subfolders) > max_subfolders:
            subfolders.clear()


def _as_path(named) -> Path:
    try:
        return Path(named).expanduser()
    except (TypeError, RuntimeError) as error:  # not a path at all; "~someone" who is unknown
        raise ValueError(f"data_dir must be the path of a folder or archive. Received: {named!r} ({error}).") from error


def _read_location(source: Source, location: Path) -> dict:
    """The files from an archive or a folder (which may hold the data set's own folder or its archive)."""
    inner = source.folder
    folders = (location, location / inner, location / f"{inner}-target" / inner)
    archives = (location, *(location / name for name in source.archives)) if source.archives else ()
    readers = [*((path, _read_folder) for path in folders), *((path, read_archive) for path in archives)]
    rejected = []
    for path, read in readers:
        try:
            return read(source, path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except ValueError as error:  # a broken folder must not hide the whole archive beside it
            rejected.append(str(error))
        except OSError as error:
            hint = "Allow reading it, or name another location"
            rejected.append(f"{error.filename or path} cannot be read: {error.strerror}. {hint}.")
    if rejected:
        raise ValueError("\n".join(rejected))
    raise FileNotFoundError(
        f"{source.name} was not found in {location}: expected {source.expected}. "
        f"Name another folder (DATA=<folder>, data_dir=... or MIXER_DATA), or none to download {source.url}."
    )


def _read_folder(source: Source, folder: Path) -> dict:
    if not all((folder / name).is_file() for name in source.files):
        raise FileNotFoundError(folder)
    return {name: read_checked(folder / name, known_hash) for name, known_hash in source.files.items()}


def _download(source: Source, rejected: list) -> dict:
    cache = keras_cache()
    try:
        if source.archive_hash:
            path = cache / source.archives[0]
            fetch(source.url, source.archive_hash, path)
        else:
            path = cache / source.folder
            for name, known_hash in source.files.items():
                fetch(source.url + name, known_hash, path / name)
    except (OSError, ValueError) as error:
        rejections = "".join(f"\nRejected: {reason}" for reason in rejected)
        raise FileNotFoundError(
            f"{source.name} was not found in Keras's cache ({cache}) or under {kaggle_root()}, and its download "
            f"failed ({error}).{rejections}\n"
            f"Next steps: give the location of {source.expected}, as DATA=<folder> for make or data_dir=... in "
            f"Python; download {source.url} in another way and name its folder; or run every chapter on "
            "embedded data with `make quick`."
        ) from error
    return _read_location(source, path)
