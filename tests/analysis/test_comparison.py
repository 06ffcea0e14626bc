"""Comparing runs: an interval that has the luck of seeds and of test pictures in it."""

import json

import numpy as np
import pytest

from mixer_lib.analysis import comparison
from mixer_lib.analysis.comparison import difference, hits, recorded_ranks, summary
from mixer_lib.runs import recorded

PICTURES = 2_000


def runs(count, accuracy, draw, spread=0.0, difficulty=None):
    """Ranks of `count` runs: pictures of a difficulty that all runs share, and a spread of skill between seeds."""
    difficulty = draw.normal(size=PICTURES) if difficulty is None else difficulty
    skill = np.quantile(difficulty, accuracy) + draw.normal(scale=spread, size=(count, 1))
    return ((difficulty + draw.normal(scale=0.3, size=(count, PICTURES))) > skill).astype("uint8")


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(comparison, "RESAMPLES", 300)


def test_hits_count_the_right_class_among_the_first_k():
    assert hits([[0, 1, 4, 5]], k=1).tolist() == [[True, False, False, False]]
    assert hits([[0, 1, 4, 5]], k=5).tolist() == [[True, True, True, False]]


def test_a_group_has_a_mean_and_one_run_no_deviation():
    assert summary([[0, 1], [0, 0]]) == (0.75, pytest.approx(np.sqrt(0.125)), 2)
    assert summary([[0, 1]]) == (0.5, None, 1)


@pytest.mark.parametrize("claim", [0.5, np.float32(0.5), 1, 0])
def test_a_claim_is_a_fraction_of_any_type_and_percents_are_refused(quick, claim):
    draw = np.random.default_rng(0)
    group = runs(2, 0.5, draw)
    assert difference(group, claim).value == pytest.approx(hits(group).mean() - float(claim))
    with pytest.raises(ValueError, match="fraction from 0 to 1. Received: 78.04. Divide percents by 100"):
        difference(group, 78.04)


def test_a_large_difference_is_found_and_has_a_sign(quick):
    draw = np.random.default_rng(0)
    better, worse = runs(3, 0.7, draw), runs(3, 0.5, draw)
    found = difference(better, worse)
    assert found.low < found.value < found.high and found.found and found.words == "higher"
    assert found.value == pytest.approx(hits(better).mean() - hits(worse).mean())
    assert difference(worse, better).words == "lower"
    assert found.seeds == (3, 3)


def test_the_same_runs_do_not_differ(quick):
    group = runs(3, 0.5, np.random.default_rng(0))
    found = difference(group, group)
    assert found.value == 0 and found.words == "no difference found"


def test_one_run_never_proves_a_difference(quick):
    draw = np.random.default_rng(0)
    found = difference(runs(1, 0.9, draw), runs(3, 0.2, draw))
    assert found.low > 0 and not found.found and found.words == "higher in these runs"
    assert difference(runs(1, 0.9, draw), runs(1, 0.2, draw)).seeds == (1, 1)


def test_runs_on_the_same_pictures_are_told_apart_more_easily_than_on_others(quick):
    draw = np.random.default_rng(1)
    hard = draw.normal(size=PICTURES)
    paired = difference(runs(4, 0.5, draw, difficulty=hard), runs(4, 0.5, draw, difficulty=hard))
    unpaired = difference(runs(4, 0.5, draw), runs(4, 0.5, draw))
    assert paired.high - paired.low < 0.7 * (unpaired.high - unpaired.low)


def test_a_spread_between_seeds_widens_the_interval(quick):
    draw = np.random.default_rng(2)
    hard = draw.normal(size=PICTURES)
    widths = []
    for spread in (0.0, 0.3):
        groups = [runs(5, 0.5, draw, spread, hard) for _ in range(2)]
        found = difference(*groups)
        widths.append(found.high - found.low)
    assert widths[1] > 2 * widths[0]


def test_the_interval_of_equal_groups_holds_zero_about_as_often_as_it_says(monkeypatch):
    monkeypatch.setattr(comparison, "RESAMPLES", 200)
    monkeypatch.setattr(f"{__name__}.PICTURES", 400)
    draw, inside = np.random.default_rng(3), 0
    for _ in range(100):
        hard = draw.normal(size=400)
        found = difference(*(runs(4, 0.5, draw, 0.1, hard) for _ in range(2)))
        inside += found.low <= 0 <= found.high
    assert 86 <= inside <= 100


def test_a_group_is_compared_with_a_claim(quick):
    group = runs(4, 0.5, np.random.default_rng(0))
    found = difference(group, 0.8107)
    assert found.value == pytest.approx(hits(group).mean() - 0.8107) and found.words == "lower" and found.seeds == (4,)
    assert difference(group, float(hits(group).mean())).words == "no difference found"


def test_runs_on_different_pictures_are_refused():
    with pytest.raises(ValueError, match="same test pictures. Received shapes"):
        difference([[0, 1]], [[0, 1, 2]])
    with pytest.raises(ValueError, match="same test pictures"):
        difference([], [[0, 1, 2]])


def keep(folder, name, seed, ranks):
    """Card and ranks of a run as if it were recorded in `folder`."""
    from mixer_lib.runs.ranks import pack_ranks

    (folder / f"{name}.json").write_text(json.dumps({"seed": seed}))
    (folder / f"{name}.ranks.npy").write_bytes(pack_ranks(np.asarray(ranks)))


def test_recorded_runs_are_found_by_name_and_seed(tmp_path, monkeypatch):
    monkeypatch.setattr(recorded, "FOLDERS", (tmp_path,))
    keep(tmp_path, "article", 1, [1, 300])  # the published run
    keep(tmp_path, "article-seed0", 0, [0, 300])
    keep(tmp_path, "article-plus", 0, [2, 300])
    (tmp_path / "article-seed2.json").write_text('{"seed": 2}')  # kept no ranks
    assert {seed: ranks.tolist() for seed, ranks in recorded_ranks("article").items()} == {0: [0, 255], 1: [1, 255]}
    assert [ranks[0] for ranks in recorded_ranks("article-plus").values()] == [2]
    with pytest.raises(ValueError, match="No recorded run 'vit' has ranks"):
        recorded_ranks("vit")


def test_a_sentence_tells_means_difference_interval_and_what_they_show(tmp_path, monkeypatch, quick):
    monkeypatch.setattr(recorded, "FOLDERS", (tmp_path,))
    draw = np.random.default_rng(0)
    for name, accuracy in (("good", 0.7), ("bad", 0.5)):
        for seed, ranks in enumerate(runs(2, accuracy, draw)):
            keep(tmp_path, f"{name}-seed{seed}", seed, ranks)
    text = comparison.describe("good", "bad")
    assert text.startswith("good has ") and "(mean of 2 seeds), bad has " in text
    assert ": higher (+" in text and "95 % interval +" in text
    assert "the claim is 70.00%: " in comparison.describe("bad", 0.7)
    (tmp_path / "bad-seed1.ranks.npy").unlink()
    assert ": higher in these runs (+" in comparison.describe("good", "bad")
    assert "a single run does not show how far seeds differ" in comparison.describe("good", "bad")


def test_a_table_of_means_has_a_row_for_each_name_over_all_its_seeds(monkeypatch):
    runs = {"a": 0.5, "a-seed1": 0.52, "a-plus": 0.1}
    keys = ("top1", "top5", "val_top1", "val_top5")
    monkeypatch.setattr(recorded, "cards", lambda: {name: dict.fromkeys(keys, value) for name, value in runs.items()})
    assert list(recorded.seeds("a")) == ["a", "a-seed1"] and list(recorded.seeds("a-seed1")) == ["a-seed1"]
    rows = comparison.means({"both": "a", "one": "a-plus"}).rows
    assert rows == [["both", *["51.00 ± 1.41%"] * 4, "2"], ["one", *["10.00%"] * 4, "1"]]
    assert comparison.means(["a-plus"]).rows[0][0] == "a-plus"
    with pytest.raises(ValueError, match="'b'.*a-seed1"):
        comparison.means(["b"])
