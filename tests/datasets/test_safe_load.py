"""What is refused before it is opened, and what is never done with an untrusted file."""

import gzip
import io
import pickle
import tarfile
import tracemalloc

import numpy as np
import pytest
from small_cifar import ARCHIVE, FILES, source_of, tar_gz, write

from mixer_lib.datasets import safe_load
from mixer_lib.datasets.locate import find_files
from mixer_lib.datasets.safe_load import gunzip, read_archive, unpickle_arrays

SMALL = source_of()
NAME = "cifar-100-python.tar.gz"


@pytest.mark.parametrize("form", ["folder", "archive"])
def test_a_single_flipped_bit_anywhere_is_noticed(tmp_path, form):
    files = FILES if form == "folder" else {NAME: ARCHIVE}
    draw = np.random.default_rng(0)
    for _ in range(30):
        name = draw.choice(list(files))
        flipped = bytearray(files[name])
        flipped[draw.integers(len(flipped))] ^= 1 << draw.integers(8)
        with pytest.raises(ValueError, match="not the published file"):
            find_files(SMALL, write(tmp_path, {**files, name: bytes(flipped)}))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("part", [0, 0.5, 0.999])
def test_a_truncated_file_is_refused(tmp_path, name, part):
    whole = FILES[name]
    with pytest.raises(ValueError, match="not the published file.*Delete it and download it again"):
        find_files(SMALL, write(tmp_path, {**FILES, name: whole[: int(len(whole) * part)]}))


@pytest.mark.parametrize("archive", [ARCHIVE + b"!", ARCHIVE[: len(ARCHIVE) // 2]], ids=["too long", "truncated"])
def test_an_archive_with_a_wrong_checksum_is_refused_before_it_is_opened(tmp_path, monkeypatch, archive):
    monkeypatch.setattr(tarfile, "open", lambda *_, **__: pytest.fail("opened"))
    with pytest.raises(ValueError, match="not the published file"):
        find_files(SMALL, write(tmp_path, {NAME: archive}))


def test_a_web_page_in_place_of_the_archive_is_called_one(tmp_path):
    write(tmp_path, {NAME: b"\n<!DOCTYPE html><title>Sign in</title>"})
    with pytest.raises(ValueError, match="looks like a web page"):
        find_files(SMALL, tmp_path)


@pytest.mark.parametrize("content", [ARCHIVE[: len(ARCHIVE) // 2], b"plain text"])
def test_an_archive_that_cannot_be_read_is_refused_even_with_the_right_checksum(tmp_path, content):
    with pytest.raises(ValueError, match="Download it again"):
        find_files(source_of(archive=content), write(tmp_path, {NAME: content}))


def test_a_member_of_the_archive_with_a_wrong_checksum_is_refused(tmp_path):
    archive = tar_gz({**FILES, "meta": b"else"})
    with pytest.raises(ValueError, match="cifar-100-python/meta as published"):
        find_files(source_of(archive=archive), write(tmp_path, {NAME: archive}))


def add(archive, name, kind, content=b"", link=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, len(content)
    archive.addfile(info, io.BytesIO(content))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE])
@pytest.mark.parametrize("target", ["{outside}", "../../outside"])
def test_a_member_that_is_not_a_regular_file_is_never_followed(tmp_path, kind, target):
    write(tmp_path, {"outside": FILES["train"]})  # what it points to would even have the right checksum
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        add(archive, "cifar-100-python/train", kind, link=target.format(outside=tmp_path / "outside"))
        for name in ("test", "meta"):
            add(archive, f"cifar-100-python/{name}", tarfile.REGTYPE, FILES[name])
    folder = write(tmp_path / "a" / "b", {NAME: buffer.getvalue()})
    with pytest.raises(ValueError, match="does not hold cifar-100-python/train as published"):
        read_archive(source_of(archive=buffer.getvalue()), folder / NAME)


@pytest.mark.parametrize("name", ["{outside}", "../outside", "cifar-100-python/../../outside", "cifar-100-python/more"])
def test_other_members_of_an_archive_are_neither_read_nor_written(tmp_path, name):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        add(archive, name.format(outside=tmp_path / "outside"), tarfile.REGTYPE, b"x")
        for known in FILES:
            add(archive, f"cifar-100-python/{known}", tarfile.REGTYPE, FILES[known])
    folder = write(tmp_path / "folder", {NAME: buffer.getvalue()})
    assert read_archive(source_of(archive=buffer.getvalue()), folder / NAME) == FILES
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [NAME]


BOMBS = {
    "a large member": (tarfile.REGTYPE, "cifar-100-python/train"),
    "another large member": (tarfile.REGTYPE, "else"),
    "a large name": (tarfile.GNUTYPE_LONGNAME, "name"),
    "a large header": (tarfile.XHDTYPE, "header"),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_an_archive_bomb_is_refused_while_reading_in_little_memory(tmp_path, monkeypatch, bomb):
    kind, name = BOMBS[bomb]
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, 16 * 2**20
    archive = gzip.compress(info.tobuf() + bytes(info.size), compresslevel=1)
    path = write(tmp_path, {NAME: archive}) / NAME
    monkeypatch.setattr(safe_load, "MAX_BYTES", 2**20)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="expands to more than 1,048,576 bytes"):
            read_archive(source_of(archive=archive), path)
        assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    finally:
        tracemalloc.stop()


def test_a_gzip_file_that_is_a_bomb_or_broken_is_refused(monkeypatch):
    monkeypatch.setattr(safe_load, "MAX_BYTES", 1000)
    assert gunzip(gzip.compress(bytes(1000)), "labels") == bytes(1000)
    with pytest.raises(ValueError, match="labels expands to more than 1,000 bytes"):
        gunzip(gzip.compress(bytes(1001)), "labels")
    with pytest.raises(ValueError, match="labels cannot be read as a .gz file"):
        gunzip(gzip.compress(bytes(1000))[:-9], "labels")


def test_a_file_larger_than_any_published_one_is_not_read_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr(safe_load, "MAX_BYTES", 100)
    with pytest.raises(ValueError, match=r"\(101 bytes\)"):
        find_files(SMALL, write(tmp_path, FILES))


@pytest.mark.parametrize("wanted", [print, eval, getattr, np.load, np.lib.format.open_memmap, np.random.seed])
def test_the_unpickler_gives_access_to_no_function(wanted):
    with pytest.raises(ValueError, match=f"asks for .*{wanted.__name__}"):
        unpickle_arrays(pickle.dumps(wanted), "file")


@pytest.mark.parametrize("content", [b"", b"no pickle", pickle.dumps([1, 2])[:-2]])
def test_what_is_not_a_pickle_is_a_plain_error(content):
    with pytest.raises(ValueError, match="file is not a pickle"):
        unpickle_arrays(content, "file")


@pytest.mark.parametrize("module", [b"numpy.core.multiarray", b"numpy._core.multiarray"])
def test_arrays_pickled_by_numpy_1_and_by_numpy_2_are_read(module):
    array = np.arange(6, dtype="uint8").reshape(2, 3)
    content = pickle.dumps({b"data": array, b"names": ["a", 1, 2.5, None, True]}, protocol=3)
    for written in (b"numpy.core.multiarray", b"numpy._core.multiarray"):
        content = content.replace(b"c" + written + b"\n", b"c" + module + b"\n")
    assert module in content
    read = unpickle_arrays(content, "file")
    assert (read[b"data"] == array).all() and read[b"names"] == ["a", 1, 2.5, None, True]
