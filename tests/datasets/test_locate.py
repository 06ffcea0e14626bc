"""Where data are looked for, in which order, and what is said when they are not found."""

import subprocess
import sys

import pytest
from ordinary import without_root_rights
from small_cifar import ARCHIVE, FILES, ONLY_DATASETS, isolate, source_of, write

from mixer_lib.datasets import locate
from mixer_lib.datasets.locate import find_files, is_available
from mixer_lib.datasets.sources import MNIST

SMALL = source_of()
NAME = "cifar-100-python.tar.gz"


@pytest.fixture(autouse=True)
def isolated(monkeypatch, tmp_path):
    """Empty caches; every download fails."""

    def no_network(url, *_):
        raise ConnectionError(f"{url}: no network in tests")

    isolate(monkeypatch, tmp_path)
    monkeypatch.setattr(locate, "fetch", no_network)


NAMED_PLACES = [  # (where the data are, as which files, what the reader names)
    ("data", FILES, "data"),
    ("data/cifar-100-python", FILES, "data"),
    ("data", {NAME: ARCHIVE}, "data"),
    ("data", {NAME: ARCHIVE}, f"data/{NAME}"),
]


@pytest.mark.parametrize(("place", "files", "named"), NAMED_PLACES, ids=["itself", "parent", "packed", "archive"])
@pytest.mark.parametrize("how", ["argument", "environment"])
def test_a_reader_can_name_the_folder_its_parent_or_the_archive(tmp_path, monkeypatch, place, files, named, how):
    write(tmp_path / place, files)
    if how == "environment":
        monkeypatch.setenv("MIXER_DATA", str(tmp_path / named))
    assert find_files(SMALL, tmp_path / named if how == "argument" else None) == FILES


def test_the_argument_takes_precedence_over_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("MIXER_DATA", str(tmp_path / "nowhere"))
    assert find_files(SMALL, write(tmp_path / "here", FILES)) == FILES


def test_a_named_folder_without_the_data_is_an_error_though_a_cache_has_them(tmp_path):
    write(tmp_path / "keras" / "datasets" / "cifar-100-python", FILES)
    incomplete = write(tmp_path / "named", {"train": FILES["train"]})
    with pytest.raises(FileNotFoundError) as absent:
        find_files(SMALL, incomplete)
    for hint in (str(incomplete), NAME, "train, test, meta", "DATA="):
        assert hint in str(absent.value)


KERAS_PLACES = ["cifar-100-python", "cifar-100-python-target/cifar-100-python", NAME, "cifar-100-python-target_archive"]


@pytest.mark.parametrize("place", KERAS_PLACES)
def test_every_layout_of_keras_cache_is_known(tmp_path, place):
    cache = tmp_path / "keras" / "datasets"
    if place.endswith("python"):
        write(cache / place, FILES)
    else:
        write(cache, {place: ARCHIVE})
    assert find_files(SMALL) == FILES


KAGGLE_PLACES = [
    "cifar100",
    "cifar100/cifar-100-python",
    "datasets/owner/cifar100",
    "datasets/owner/cifar100/cifar-100-python/cifar-100-python",
]


@pytest.mark.parametrize("place", KAGGLE_PLACES)
@pytest.mark.parametrize("packed", [False, True])
def test_both_layouts_of_kaggle_inputs_are_known(tmp_path, place, packed):
    write(tmp_path / "kaggle" / "another" / "train", {"picture.png": b"not data"})
    assert not is_available(SMALL)
    write(tmp_path / "kaggle" / place, {NAME: ARCHIVE} if packed else FILES)
    assert find_files(SMALL) == FILES
    assert is_available(SMALL)


def test_other_data_with_the_same_file_names_are_skipped(tmp_path):
    write(tmp_path / "kaggle" / "a-first", {name: b"something else" for name in FILES})
    write(tmp_path / "kaggle" / "b-second", FILES)
    assert find_files(SMALL) == FILES


def test_the_search_of_kaggle_inputs_stops_in_deep_or_crowded_folders(tmp_path):
    (tmp_path / "kaggle" / "/".join("abcdefghij")).mkdir(parents=True)
    for number in range(150):
        (tmp_path / "kaggle" / "classes" / str(number)).mkdir(parents=True)
    seen = {str(folder.relative_to(tmp_path / "kaggle")) for folder in locate.kaggle_folders()}
    assert seen == {".", "a", "a/b", "a/b/c", "a/b/c/d", "a/b/c/d/e", "classes"}


def test_keras_cache_comes_before_kaggle_and_kaggle_before_a_download(tmp_path, monkeypatch):
    asked = []

    def read(source, location):
        asked.append(location)
        raise FileNotFoundError

    monkeypatch.setattr(locate, "_read_location", read)
    monkeypatch.setattr(locate, "fetch", lambda url, *_: asked.append(url))
    (tmp_path / "kaggle").mkdir()
    with pytest.raises(FileNotFoundError):
        find_files(SMALL)
    cache = tmp_path / "keras" / "datasets"
    assert asked == [cache, tmp_path / "kaggle", SMALL.url, cache / NAME]


def test_a_broken_folder_does_not_hide_the_archive_beside_it(tmp_path):
    write(tmp_path / "cifar-100-python", {**FILES, "train": FILES["train"][:-10]})
    write(tmp_path, {NAME: ARCHIVE})
    assert find_files(SMALL, tmp_path) == FILES


def test_a_broken_copy_in_the_cache_does_not_hide_a_good_one(tmp_path):
    write(tmp_path / "keras" / "datasets", {NAME: ARCHIVE[:-10]})
    write(tmp_path / "kaggle" / "cifar100", FILES)
    assert find_files(SMALL) == FILES


@pytest.mark.parametrize("source", [SMALL, MNIST], ids=["archive", "files"])
def test_without_network_and_data_the_error_names_the_next_steps(tmp_path, source):
    write(tmp_path / "keras" / "datasets", {NAME: b"a broken copy"})
    with pytest.raises(FileNotFoundError) as absent:
        find_files(source)
    steps = ["DATA=<folder>", "data_dir=", source.url, "`make quick`", "no network in tests"]
    for step in steps + ["Rejected: "] * (source is SMALL):
        assert step in str(absent.value)


@pytest.mark.parametrize("named", [5, b"\xff", "~nobody-of-this-name/data"])
def test_what_is_not_a_path_is_refused_by_its_value(named):
    with pytest.raises(ValueError, match="data_dir must be the path"):
        find_files(SMALL, named)


def test_a_folder_that_may_not_be_read_is_reported(tmp_path):
    program = "from mixer_lib.datasets.locate import *; from mixer_lib.datasets.sources import CIFAR100\n"
    folder = write(tmp_path / "data" / "cifar-100-python", dict.fromkeys(FILES, b""))
    folder.chmod(0)
    command = [sys.executable, "-c", f"{ONLY_DATASETS}{program}find_files(CIFAR100, {str(tmp_path / 'data')!r})"]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=without_root_rights)
    assert "cannot be read: Permission denied. Allow reading it, or name another location." in done.stderr
