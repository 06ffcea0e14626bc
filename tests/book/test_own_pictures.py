"""The page "Use your own pictures": its code runs, on scikit-learn's digits written as files, and draws its figures."""

import re
import warnings

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest

from tools.maintain.own_pictures import PAGE, run_page, steps
from tools.paths import ROOT

TEXT = PAGE.read_text(encoding="utf-8")
# a few pictures, a small model and one epoch take seconds
SMALL = TEXT
for usual, small in (
    ("load_digits()", "load_digits(n_class=3)"),
    ("digits.target)", "digits.target[:90])"),
    ("epochs=20", "epochs=1"),
    ('train("article"', "train(mixer_lib.MixerConfig(num_blocks=1, hidden_dim=16, num_classes=3)"),
    ("from mixer_lib import RECIPES", "import mixer_lib; from mixer_lib import RECIPES"),
):
    assert usual in SMALL
    SMALL = SMALL.replace(usual, small)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """(the names that the page's code left, {figure's file: figure}, what was warned of)"""
    figures, before = {}, matplotlib.get_backend()
    matplotlib.use("Agg")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        names = run_page(SMALL, tmp_path_factory.mktemp("page"), figures.__setitem__)
    yield names, figures, "\n".join(str(warning.message) for warning in caught)
    plt.close("all")
    matplotlib.use(before)


def test_every_figure_of_the_page_is_drawn_by_the_code_above_it(done):
    _, figures, _ = done
    shown = re.findall(r"\{figure\} (figures/\S+)", TEXT)
    assert list(figures) == shown and len(shown) == 5
    assert all((ROOT / "book" / name).stat().st_size < 100_000 for name in shown)
    assert all(figure.axes for figure in figures.values())


def test_the_copies_that_the_page_makes_are_found_and_kept_on_one_side(done):
    names, _, said = done
    assert len(names["groups"]) >= 4
    assert any("copy of 0000.jpg" in str(file) for file in names["shown"])
    assert "in several sizes, formats or qualities" in said


def test_the_run_is_loaded_and_names_what_it_sees(done):
    names, _, _ = done
    assert names["card"].class_names == ["one", "two", "zero"]
    assert names["counts"].sum() == len(names["data"].x_test)
    assert names["guesses"][0][0] in names["names"] and names["fall"].shape == (8, 8)


def test_covering_a_patch_that_already_has_the_mean_colour_changes_nothing(done):
    from mixer_lib.analysis.probes import occlusion

    picture, fall = occlusion(done[0]["model"], np.full((32, 32, 3), 90, "uint8"))
    assert picture.shape == (32, 32, 3) and np.abs(fall).max() < 1e-6
    half = np.zeros((32, 32, 3), "uint8")
    half[:, 16:] = 255
    assert np.abs(occlusion(done[0]["model"], half)[1]).max() > 1e-4


def test_the_split_of_each_class_is_drawn(done):
    names, figures, _ = done
    (ax,) = figures["figures/own_split.png"].axes
    widths = [[bar.get_width() for bar in bars] for bars in ax.containers]
    data = names["data"]
    (_, train), (_, validation) = data.validation_split()
    assert widths == [np.bincount(labels).tolist() for labels in (train, validation, data.y_test)]


def test_steps_are_read_with_their_figures():
    text = "## Train on them\n```python\na = 1\n```\n```{figure} figures/x.png\n:alt: a\n```\n```python\nb = 2\n```\n"
    assert steps(text) == [["a = 1\n", "figures/x.png"], ["b = 2\n", None]]
