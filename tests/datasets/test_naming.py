"""What a word means: the name of a data set, or a folder of one's own."""

import pathlib

import pytest

from mixer_lib.datasets.naming import folder_named

KNOWN = ("digits", "mnist")


@pytest.fixture
def here(tmp_path, monkeypatch):
    for name in ("digits", "pictures", "my pictures"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.parametrize("word", ["./digits", "pictures", "my pictures", "a/b", pathlib.Path("pictures")])
def test_a_path_with_a_separator_or_a_folder_that_is_here_is_a_folder(here, word):
    assert folder_named(word, KNOWN) == pathlib.Path(word)


def test_a_folder_of_one_s_home_is_a_folder(here, tmp_path):
    assert folder_named("~/digits", KNOWN) == tmp_path / "digits"


def test_a_name_of_a_data_set_is_that_and_a_folder_that_it_hides_is_named(here, capsys):
    assert folder_named("digits", KNOWN) is None
    assert capsys.readouterr().out == "digits is the data set of that name; the folder here is ./digits\n"
    assert folder_named("mnist", KNOWN) is None
    assert capsys.readouterr().out == ""


def test_a_word_for_nothing_is_no_folder(here):
    assert folder_named("imagenet", KNOWN) is None
