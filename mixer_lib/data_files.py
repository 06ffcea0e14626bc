"""Where the files of a published data set are looked for: the reader's folder, caches, a download."""

import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from .downloads import download
from .published import Published
from .trusted_files import checked, read_archive


def find_files(published: Published, data_dir=None) -> dict:
    """Bytes of every file of a data set, by name, each with its published sum.

    Sources in order: the folder or archive `data_dir`, else the environment's MIXER_DATA (when one is named,
    nothing else is tried); Keras's cache; Kaggle's inputs; a download into Keras's cache.
    Errors: FileNotFoundError when the data are not to be had, ValueError when a named file has a wrong sum.
    """
    named = data_dir or os.environ.get("MIXER_DATA")
    if named:
        return _read_place(published, _path(named))
    refused = []
    for folder in chain([keras_cache()], kaggle_folders()):
        try:
            return _read_place(published, folder)
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:  # a broken copy must not hide a good one further on
            refused.append(str(error))
    return _downloaded(published, refused)


def _path(named) -> Path:
    try:
        return Path(named).expanduser()
    except (TypeError, RuntimeError) as error:  # no path at all; "~someone" whom nobody knows
        raise ValueError(f"data_dir is the path of a folder or an archive. Received: {named!r} ({error}).") from error


def keras_cache() -> Path:
    """The folder where Keras keeps downloaded data sets; KERAS_HOME moves it."""
    return Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser() / "datasets"


def kaggle_root() -> Path:
    """The folder under which Kaggle mounts a notebook's inputs; MIXER_KAGGLE_INPUT moves it."""
    return Path(os.environ.get("MIXER_KAGGLE_INPUT") or "/kaggle/input")


def kaggle_folders(deepest: int = 5, most_subfolders: int = 100) -> Iterator[Path]:
    """Every folder among Kaggle's inputs that may hold something of ours."""
    # Mounts are <slug>/... or datasets/<owner>/<slug>/...; a folder of very many folders is another
    # data set's classes, and listing them all can take minutes.
    root = kaggle_root()
    for folder, subfolders, _ in os.walk(root, followlinks=True):
        yield Path(folder)
        subfolders.sort()
        if len(Path(folder).relative_to(root).parts) >= deepest or len(subfolders) > most_subfolders:
            subfolders.clear()


def is_at_hand(published: Published) -> bool:
    """Whether Keras's cache or Kaggle's inputs have files of these names (their sums are checked when read)."""
    names = (published.files, *({archive: ""} for archive in published.archives))
    folders = chain([keras_cache(), keras_cache() / published.folder], kaggle_folders())
    return any(all((folder / name).is_file() for name in wanted) for folder in folders for wanted in names)


def _read_place(published: Published, place: Path) -> dict:
    """The files from one archive or folder (which may hold the data set's own folder or its archive)."""
    inner = published.folder
    folders = (place, place / inner, place / f"{inner}-target" / inner)
    archives = (place, *(place / name for name in published.archives)) if published.archives else ()
    ways = [*((folder, _read_folder) for folder in folders), *((path, read_archive) for path in archives)]
    refused = []
    for path, read in ways:
        try:
            return read(published, path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except ValueError as error:  # a broken folder must not hide the whole archive beside it
            refused.append(str(error))
        except OSError as error:
            refused.append(f"{path} cannot be read: {error.strerror}. Allow it, or name another place.")
    if refused:
        raise ValueError("\n".join(refused))
    raise FileNotFoundError(
        f"{published.name} was looked for in {place} and is not there: expected {published.wanted}. "
        f"Name another folder (DATA=<folder>, data_dir=... or MIXER_DATA), or none to use {published.url}."
    )


def _read_folder(published: Published, folder: Path) -> dict:
    if not all((folder / name).is_file() for name in published.files):
        raise FileNotFoundError(folder)
    return {name: checked(folder / name, md5) for name, md5 in published.files.items()}


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
            f"{kaggle_root()}, and its download failed ({error}).{also}\n"
            f"Ways out: name the place of {published.wanted}, with DATA=<folder> for make or data_dir=... in "
            f"Python; fetch {published.url} in another way and name its folder; or run every chapter on "
            "embedded data with `make quick`."
        ) from error
    return _read_place(published, path)
