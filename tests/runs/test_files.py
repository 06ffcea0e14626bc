"""Files of a run are written whole or not at all."""

import hashlib
import os

import pytest

from mixer_lib.runs.files import atomic_write, sha256_of


def test_a_file_appears_when_it_is_complete_in_a_folder_that_is_made_for_it(tmp_path):
    path = tmp_path / "deep" / "file"
    with atomic_write(path) as part:
        part.write_bytes(b"new")
        assert not path.exists()
    assert os.listdir(tmp_path / "deep") == ["file"]
    assert sha256_of(path) == hashlib.sha256(b"new").hexdigest()


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(OSError, match="no space"), atomic_write(path) as part:
        part.write_bytes(b"ne")
        raise OSError("no space left on device")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]
