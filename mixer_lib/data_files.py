"""Where the files of a published data set are looked for: the reader's folder, caches, a download."""

import os
import threading
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from .published import Published
from .trusted_files import LARGEST_FILE, checked, read_archive

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
    for folder in chain([keras_cache()], kaggle_folders()):
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
    if place.is_file() and published.archives:
        return read_archive(published, place)
    inner = published.folder
    for folder in (place, place / inner, place / f"{inner}-target" / inner):
        if all((folder / name).is_file() for name in published.files):
            return {name: checked(folder / name, md5) for name, md5 in published.files.items()}
    for name in published.archives:
        if (place / name).is_file():
            return read_archive(published, place / name)
    raise FileNotFoundError(
        f"{published.name} was looked for in {place} and is not there: expected {published.wanted}. "
        f"Name another folder (DATA=<folder>, data_dir=... or MIXER_DATA), or none to use {published.url}."
    )


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


def download(url: str, published_sum: str, target: Path) -> None:
    """Fetch `url` with a progress bar; `target` appears only when complete and with the published sum."""
    from tqdm import tqdm

    answer = _answer(url)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    answer.raw.headers.pop("content-encoding", None)  # some hosts declare it; an archive stays as it is
    total = int(answer.headers.get("content-length", 0)) or None
    try:
        bar = tqdm(desc=target.name, total=total, unit="B", unit_scale=True)
        with answer, part.open("wb") as out, bar:
            for chunk in answer.iter_content(2**18):
                if out.write(chunk) and out.tell() > LARGEST_FILE:
                    raise ValueError(f"{url} sends more than {LARGEST_FILE:,} bytes")
                bar.update(len(chunk))
        checked(part, published_sum)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)


def _answer(url: str):
    """A host's open answer, or ConnectionError within SECONDS_TO_ANSWER.

    Asked in a thread, because no timeout of `requests` covers a name server that never answers.
    """
    import requests

    outcome = {"error": f"no answer within {SECONDS_TO_ANSWER} seconds"}

    def ask():
        try:
            outcome["answer"] = requests.get(
                url, stream=True, timeout=(SECONDS_TO_ANSWER, 30), headers={"Accept-Encoding": "identity"}
            )
        except requests.RequestException as error:
            while error.__context__:  # the first cause says it best: no such host, refused, bad certificate
                error = error.__context__
            outcome["error"] = error

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(SECONDS_TO_ANSWER)
    if "answer" not in outcome:
        raise ConnectionError(f"{url}: {outcome['error']}")
    outcome["answer"].raise_for_status()
    return outcome["answer"]
