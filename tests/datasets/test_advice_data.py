"""What is said where data are missing, damaged or not readable, followed: the next try finds them."""

import os
import re
import shutil
import subprocess
import sys

import pytest
from ordinary import without_root_rights
from small_cifar import ARCHIVE, FILES, isolate, source_of, write

from mixer_lib import load_dataset
from mixer_lib.datasets import download, locate
from mixer_lib.datasets.locate import find_files
from mixer_lib.datasets.sources import MNIST

SMALL, NAME = source_of(), "cifar-100-python.tar.gz"


@pytest.fixture(autouse=True)
def isolated(monkeypatch, tmp_path):
    """Empty caches; a host that can be reached when `published` is there."""
    isolate(monkeypatch, tmp_path)

    def fetch(url, known_hash, path):
        if not (tmp_path / "published").exists():
            raise ConnectionError(f"{url}: no network")
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(tmp_path / "published" / NAME, path)

    monkeypatch.setattr(locate, "fetch", fetch)


def said(act, kind=ValueError):
    with pytest.raises(kind) as refused:
        act()
    return str(refused.value)


def test_a_folder_without_the_data_becomes_another_one_or_none(tmp_path, monkeypatch):
    message = said(lambda: find_files(SMALL, tmp_path), FileNotFoundError)
    assert "Name another folder (DATA=<folder>, data_dir=... or MIXER_DATA), or none to download" in message
    wanted = re.search(r"expected (\S+) or a folder with ([\w, ]+)\.", message)
    assert wanted[1] == NAME and wanted[2].split(", ") == list(FILES)
    write(tmp_path / "files", FILES)
    write(tmp_path / "packed", {wanted[1]: ARCHIVE})
    assert find_files(SMALL, tmp_path / "files") == find_files(SMALL, tmp_path / "packed") == FILES
    monkeypatch.setenv("MIXER_DATA", str(tmp_path / "files"))
    assert find_files(SMALL) == FILES
    monkeypatch.delenv("MIXER_DATA")
    write(tmp_path / "published", {NAME: ARCHIVE})
    assert find_files(SMALL) == FILES


@pytest.mark.parametrize("how", ["DATA", "elsewhere", "digits"])
def test_each_next_step_after_a_failed_download_works(how, tmp_path):
    message = said(lambda: find_files(SMALL), FileNotFoundError)
    assert "Next steps: give the location of" in message
    if how == "DATA":
        assert find_files(SMALL, write(tmp_path / "here", FILES)) == FILES
    elif how == "elsewhere":  # downloaded in another way, under the name in the address
        url = re.search(r"download (\S+) in another way and name its folder", message)[1]
        assert find_files(SMALL, write(tmp_path / "downloads", {url.rpartition("/")[2]: ARCHIVE})) == FILES
    else:
        assert "on embedded data with `make quick`" in message
        assert len(load_dataset("digits").x_train) > 1000


DAMAGED = {
    "files": {**FILES, "test": b"other"},
    "an archive": {NAME: ARCHIVE[:-9]},
    "a web page": {NAME: b"<html>sign in</html>"},
}


@pytest.mark.parametrize("name", DAMAGED)
def test_what_is_not_the_published_file_is_deleted_and_downloaded_again(name, tmp_path):
    folder = write(tmp_path / "here", DAMAGED[name])
    message = said(lambda: find_files(SMALL, folder))
    assert "Delete it and download it again" in message
    for line in message.splitlines():
        os.unlink(re.match(r"(\S+) \(", line)[1])
    write(folder, {NAME: ARCHIVE})
    assert find_files(SMALL, folder) == FILES


def test_a_word_that_is_no_path_and_a_name_that_is_none_have_right_ones_beside_them(tmp_path):
    assert "must be the path of a folder or archive" in said(lambda: find_files(SMALL, 5))
    names = re.findall(r"'(\w+)'", said(lambda: load_dataset("imagenet")).partition("Received")[0])
    assert names == ["cifar100", "cifar10", "mnist", "digits"]


READABLE = """
import os, sys
sys.path[:0] = {path!r}
from mixer_lib.datasets.locate import find_files
from small_cifar import FILES, source_of
try:
    find_files(source_of(), {folder!r})
    raise SystemExit("it was read")
except ValueError as error:
    assert "Allow reading it, or name another location" in str(error), error
    os.chmod(str(error).partition(" cannot be read")[0], 0o644)
assert find_files(source_of(), {folder!r}) == FILES
assert find_files(source_of(), {other!r}) == FILES
"""


def test_a_file_that_may_not_be_read_is_allowed_or_another_place_named(tmp_path):
    folder, other = write(tmp_path / "here", FILES), write(tmp_path / "other", FILES)
    (folder / "test").chmod(0)
    script = READABLE.format(path=sys.path, folder=str(folder), other=str(other))
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=without_root_rights)
    assert done.returncode == 0, done.stderr


def test_a_cache_that_can_not_be_written_moves_with_keras_home(tmp_path, monkeypatch):
    monkeypatch.setattr(locate, "fetch", download.fetch)
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "file"))
    message = said(lambda: find_files(MNIST), FileNotFoundError)
    assert "or set KERAS_HOME to a folder on another disk" in message
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "another"))
    assert locate.keras_cache() == tmp_path / "another" / "datasets"
    message = said(lambda: find_files(SMALL), FileNotFoundError)
    assert "cannot be written" not in message
