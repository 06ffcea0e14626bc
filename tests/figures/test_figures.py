"""What figures show, read from their axes."""

import json
import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.text import Text
from small_runs import python_environment

from mixer_lib import figures
from mixer_lib.analysis import benchmarks
from mixer_lib.figures.style import PICTURES, png_options
from mixer_lib.figures.training import learning_rate_drops
from mixer_lib.runs import recorded

TIMES = {"article": 200, "loop": 180, "zoom": 190, "mixer_lib": 50, "torch": 250}  # milliseconds; the zoom costs
BENCHMARK = {
    "stages": {name: name for name in ("article", "loop", "zoom", "mixer_lib")},
    "train": {name: {"milliseconds_a_step": time} for name, time in TIMES.items()},
    "batch": 128,
    "device": "a CPU",
    "versions": {"python": "3.13.0", "keras": "3.15.0", "backend": "tensorflow", "tensorflow": "2.21.0"},
}


def test_the_waterfall_goes_from_the_article_s_step_to_ours():
    (ax,) = figures.step_waterfall({"one": BENCHMARK}).axes
    bars = [(bar.get_x(), bar.get_width()) for bar in ax.patches]
    assert bars == [(0, 200), (180, 20), (180, 10), (50, 140), (0, 50), (0, 250)]
    assert [text.get_text() for text in ax.texts][:4] == ["200", "-20", "+10", "-140"]
    assert "a CPU" in ax.get_title()


def test_learning_curves_of_several_seeds_are_a_mean_and_a_band_for_each_path():
    columns = [("epoch", float), ("loss", float), ("val_top1", float)]
    paths = {
        "plain": np.array([[(1, 2.9, 0.1), (2, 2.8, 0.2)], [(1, 2.9, 0.1), (2, 2.7, 0.3)]], columns),
        "fast": np.array([[(1, 2.9, 0.1), (2, 2.8, 0.2)], [(1, 2.9, 0.1), (2, 2.5, 0.5)]], columns),
    }
    losses, accuracies = figures.seed_bands(paths).axes
    means = [line.get_ydata().tolist() for line in accuracies.lines]
    assert means == [pytest.approx([10, 25]), pytest.approx([10, 35])]
    assert len(losses.collections) == 2 and all("2 seeds" in line.get_label() for line in losses.lines)


def test_runs_that_run_close_together_are_told_apart_by_their_differences():
    history = recorded.history("article")
    shorter = history[:20].copy()
    shorter["top1"] += 0.01
    above, below = figures.compare_histories({"one": history, "two": shorter}, {"top1": "x"}, minus="one").axes
    assert [len(line.get_xdata()) for line in above.lines] == [len(history), 20]
    zero, difference = (line.get_ydata() for line in below.lines)
    assert (zero == 0).all() and difference == pytest.approx(np.ones(20))  # a point, as far as both go


def test_where_the_seeds_of_both_ways_agree_both_curves_are_seen():
    """The one below is much wider, and of another colour, than the one drawn over it."""
    (below, above), *_ = (ax.lines for ax in figures.seed_bands(benchmarks.learning_curves()).axes)
    assert below.get_linewidth() > 3 * above.get_linewidth() and below.get_color() != above.get_color()


def test_the_best_trials_of_a_search_have_a_colour_and_the_others_end_in_a_cross():
    columns = [("epoch", float), ("val_top1", float)]
    epochs = {name: np.array([(1, 0.1), (2, 0.2 + i)], columns) for i, name in enumerate(("a", "b", "c"))}
    (ax,) = figures.trial_curves(epochs, ["c"]).axes
    assert [line.get_label() for line in ax.lines if not line.get_label().startswith("_")] == ["c"]
    assert [line.get_marker() for line in ax.lines].count("x") == 2


def test_every_block_of_the_family_is_drawn_and_adds_its_input():
    axes = figures.block_family().axes
    assert [ax.get_title() for ax in axes] == ["Mixer", "gMLP", "ResMLP", "ViT", "ConvMixer", "residual CNN"]
    assert all("+ input" in [text.get_text() for text in ax.texts] for ax in axes)


def test_each_model_has_a_point_for_each_run_over_its_work():
    (ax,) = figures.accuracy_against_work({"a": (2e6, [0.3, 0.4]), "b": (5e6, [0.5])}).axes
    drawn = {line.get_label(): line.get_xydata().tolist() for line in ax.lines}
    assert drawn == {"a": [[2, 30], [2, 40]], "b": [[5, 50]]}


def test_maps_of_reach_are_three_in_a_row_and_what_is_not_reached_is_blank():
    maps = {str(i): np.array([[1.0, 0.1], [0.0, 0.1]]) for i in range(5)}
    panels = [ax for ax in figures.reach_maps(maps).axes if ax.images and ax.get_title()]
    assert len(panels) == 5 and np.isnan(panels[0].images[0].get_array().filled(np.nan)[1, 0])


PHONE, SMALLEST = 400, 9  # pixels: the width that a figure has there, and the height of letters that are read there


def test_letters_are_large_enough_on_a_phone():
    article = recorded.history("article")
    names = ("article", "article-as-written", "article-plus", "keras-decay")
    with plt.rc_context():
        figures.use_style()
        drawn = [
            figures.learning_curves(article),
            figures.seed_bands(benchmarks.learning_curves()),
            figures.step_waterfall({"one": BENCHMARK}),
            figures.compare_histories({name: recorded.history(name) for name in names}, {"top1": "x"}, minus="article"),
            figures.line_plot([0, 1], {"a curve": [0, 1]}, "x", "y", marks={1: "a mark"}),
            figures.block_family(),
            figures.accuracy_against_work({"a model": (2e6, [0.3, 0.4])}),
            figures.stacked_bars({"a part": [1, 2], "another part": [2, 1]}, ["one", "two"]),
        ]
        for figure in drawn:
            width = png_options(figure)["bbox_inches"].width
            texts = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
            letters = min(text.get_fontsize() for text in texts) / 72  # inches
            assert letters / width * PHONE >= SMALLEST, [text.get_text() for text in texts]


def test_a_png_says_where_pictures_and_maps_lie_and_nothing_else():
    with plt.rc_context():
        figures.use_style()
        plain = figures.line_plot([0, 1], {"a curve": [0, 1]}, "x", "y")
        image = figures.top_k_bars(np.zeros((8, 8, 3)), [("cat", 0.7), ("dog", 0.2)])
        both = figures.reach_maps({"a": np.ones((2, 2)), "b": np.full((2, 2), 0.1)})
        found = [json.loads(png_options(figure)["metadata"][PICTURES]) for figure in (plain, image, both)]
    assert [len(boxes) for boxes in found] == [0, 1, 3]  # two maps and the bar of their colours
    for left, top, right, bottom in found[1] + found[2]:
        assert 0 <= left < right <= 1 and 0 <= top < bottom <= 1


def test_only_a_plateau_s_halvings_are_called_halvings():
    halved = learning_rate_drops(recorded.history("article"))
    rates = dict(zip(*(recorded.history("article")[name] for name in ("epoch", "lr")), strict=True))
    assert len(halved) and all(rates[epoch] == pytest.approx(rates[epoch - 1] / 2, rel=0.02) for epoch in halved)
    assert len(learning_rate_drops(recorded.history("article-plus"))) == 0  # whose last epochs halve it, too


def test_more_runs_than_can_be_told_apart_are_refused():
    histories = {f"run {number}": recorded.history("article") for number in range(7)}
    with pytest.raises(ValueError, match="One figure shows 6 runs at most. Received: run 0"):
        figures.compare_histories(histories, {"val_top1": "validation top-1"})


def test_accuracies_of_runs_have_a_point_for_each_run_and_column():
    first, again = {"val_top5": 0.5, "top5": 0.625}, {"val_top5": 0.75, "top5": 0.5}
    runs = {"the first": [first, again], "the second": [{"val_top5": 0.25, "top5": 0.75}]}
    columns = {"val_top5": "validation", "top5": "test"}
    ax = figures.run_accuracies(runs, columns, line=(0.7, "claimed")).axes[0]
    validation, test, claimed = ax.lines
    assert (list(validation.get_xdata()), list(test.get_xdata())) == ([50, 75, 25], [62.5, 50, 75])
    assert list(test.get_ydata()) == [0, 0, 1] and ax.yaxis_inverted()  # the first on top
    assert [label.get_text() for label in ax.get_yticklabels()] == ["the first", "the second"]
    assert claimed.get_xdata()[0] == pytest.approx(70) and claimed.get_label() == "claimed"


STYLED = """
import builtins, sys
import matplotlib
from mixer_lib import figures
before = dict(matplotlib.rcParams), sys.displayhook, sys.excepthook, set(vars(builtins))
with matplotlib.rc_context():
    figures.use_style()
    assert matplotlib.rcParams["figure.figsize"] == [6.5, 3.4]
assert (dict(matplotlib.rcParams), sys.displayhook, sys.excepthook, set(vars(builtins))) == before
assert "IPython" not in sys.modules
"""


def test_the_style_is_for_the_process_until_rc_context_ends_and_starts_no_ipython(tmp_path):
    values = python_environment(HOME=str(tmp_path), MPLBACKEND="agg", MPLCONFIGDIR=str(tmp_path / "mpl"))
    done = subprocess.run([sys.executable, "-c", STYLED], capture_output=True, text=True, env=values, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / ".ipython").exists()
