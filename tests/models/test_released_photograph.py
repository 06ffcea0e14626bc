"""The released weights in the chapter on the paper: on a small archive, and where there are none."""

import hashlib
import json

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
from small_models import randomize

import mixer_lib
from mixer_lib import MixerConfig, build_classifier, figures
from mixer_lib.models import released
from tools.paths import NOTEBOOKS

NAME = "b/16-imagenet1k"
SMALL = MixerConfig(32, 8, 3, 12, 16, 20, 1000, dropout=0.0, shared_norm=False, pre_head_norm=True)
WORDS = [f"thing_{number}" for number in range(1000)]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Keras's cache, empty; no host is reached."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    for address in ("IMAGENET_WORDS", "HOST"):
        monkeypatch.setattr(released, address, "http://127.0.0.1:9/nothing")
    return tmp_path


@pytest.fixture
def weights(cache):
    file = cache / "released-mixers" / "b_16-imagenet1k.npz"
    file.parent.mkdir()
    released.save_released(randomize(build_classifier(SMALL)), file)
    return file


@pytest.fixture
def words(cache, monkeypatch):
    text = json.dumps({str(number): [f"n{number:08}", word] for number, word in enumerate(WORDS)})
    (cache / "models").mkdir()
    (cache / "models" / "imagenet_class_index.json").write_text(text)
    monkeypatch.setattr(released, "IMAGENET_WORDS_HASH", f"md5:{hashlib.md5(text.encode()).hexdigest()}")


def run_the_cell(capsys):
    """What the chapter's cell prints, and the figure it draws or None."""
    chapter = nbformat.read(next(NOTEBOOKS.glob("*_paper.ipynb")), 4)
    source = next(cell.source for cell in chapter.cells if cell.id == "paper-photograph")
    names = {"mixer_lib": mixer_lib, "released": released, "figures": figures, "np": np}
    names |= {"settings": mixer_lib.chapter_settings("fast"), "paper": mixer_lib.PRESETS["mixer-b/16"]}
    names["weights_in"] = lambda config: 59_880_472
    exec(source, names)  # one name space, as in a notebook
    return capsys.readouterr().out, names.get("figure")


def test_without_weights_the_chapter_says_so_and_how_to_fetch_them(cache, capsys):
    printed, figure = run_the_cell(capsys)
    assert "not at hand" in printed and "240 MB" in printed and f'fetch_released("{NAME}")' in printed
    assert figure is None


def test_with_weights_the_chapter_names_the_photograph_and_draws_the_units(weights, words, capsys):
    printed, figure = run_the_cell(capsys)
    assert len(printed.splitlines()) == 5
    assert all(line.startswith("thing_") for line in printed.splitlines())
    drawn = [ax for part in figure.subfigs for ax in part.axes if ax.images]
    assert len(drawn) == 3 * 16
    assert drawn[0].images[0].get_array().shape == (4, 4)
    plt.close(figure)


def test_without_words_the_classes_keep_their_numbers(weights, capsys):
    assert released.imagenet_words() is None
    printed, figure = run_the_cell(capsys)
    assert all(0 <= int(line.split()[0]) < 1000 for line in printed.splitlines())
    plt.close(figure)


def test_words_are_read_from_the_cache_in_the_order_of_their_numbers(words):
    assert released.imagenet_words() == WORDS


def test_a_released_file_is_found_where_it_was_fetched_to(weights):
    assert released.find_released(NAME) == weights
    assert released.find_released("l/16-imagenet1k") is None
    with pytest.raises(ValueError, match="b/16-imagenet1k.*'b/17'"):
        released.find_released("b/17")
