"""Recorded runs come with the library, and the variants of the article's run can be trained."""

import dataclasses
import json
import math
import subprocess
import sys

import keras
import numpy as np
import pytest
from quiet import said

from mixer_lib import (
    PRESETS,
    RECIPES,
    RunResult,
    build_classifier,
    evaluate,
    load_dataset,
    plots_runs,
    records,
    train,
    worlds,
)
from mixer_lib.baselines import GmlpConfig, VitConfig
from mixer_lib.variants import VARIANTS, WALK, walk

TINY = {"patch_size": 8, "num_blocks": 1, "hidden_dim": 12, "num_classes": 10}
OTHER_FAMILIES = [GmlpConfig(ffn_dim=8, **TINY), VitConfig(num_heads=2, mlp_dim=8, **TINY)]


def test_a_run_with_weights_and_one_without_are_both_found():
    cards = records.cards()
    assert {"article", "article-digits", "article-as-written"} <= set(cards)
    assert cards["article"]["top5"] == RunResult.load(records.FOLDERS[0] / "article.json").top5


@pytest.mark.parametrize("name", records.cards())
def test_a_recorded_run_has_as_many_epochs_as_its_card_says(name):
    history, card = records.history(name), records.cards()[name]
    assert len(history) == card["epochs_run"]
    assert history["epoch"].tolist() == list(range(1, card["epochs_run"] + 1))
    assert history["val_top1"][card["best_epoch"] - 1] == pytest.approx(card["val_top1"], abs=1e-9)


def test_a_run_that_is_not_recorded_is_refused_by_name():
    with pytest.raises(ValueError, match="'nothing'.*article"):
        records.history("nothing")


def test_a_table_has_a_line_for_each_run_and_says_which_is_not_recorded():
    lines = records.table(["article", "nothing", "article-as-written"]).splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["article", "nothing", "article-as-written"]
    assert lines[2].split(maxsplit=1)[1] == "not recorded"
    card = records.cards()["article"]
    assert f"{card['top1']:.2%}" in lines[1] and f"{card['val_top5']:.2%}" in lines[1]


def test_runs_of_a_few_epochs_are_left_out_of_the_table_of_all_runs(root, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(root / "book" / "_ext")
    from cards_table import read_cards

    card = json.dumps({"top1": 0.1, "top5": 0.3, "dataset": "cifar100"})
    for name in ("walk-1-one-norm-each", "gmlp"):
        (tmp_path / f"{name}.json").write_text(card)
    assert [name for name, _, _ in read_cards([tmp_path], "cifar100")] == ["gmlp"]


def test_a_table_of_named_runs_has_those_that_are_recorded_in_the_order_asked_for(root, monkeypatch):
    monkeypatch.syspath_prepend(root / "book" / "_ext")
    from cards_table import COMPARED, card_folders, compared_rows, read_cards

    rows = compared_rows(read_cards(card_folders(root), "cifar100"), ["no-dropout", "nothing", "article-as-written"])
    assert [row[0] for row, _ in rows] == ["no-dropout", "article-as-written"]
    card = records.cards()["no-dropout"]
    values = dict(zip(COMPARED, rows[0][0], strict=True))
    assert values["Validation top-5 %"] == f"{100 * card['val_top5']:.2f}"
    assert (values["Epochs"], values["Best epoch"]) == (str(card["epochs_run"]), str(card["best_epoch"]))


@pytest.mark.parametrize("config", OTHER_FAMILIES, ids=["gmlp", "vit"])
def test_a_model_of_another_family_is_trained_and_its_card_and_weights_can_be_read_again(config, tmp_path):
    digits = load_dataset("digits")
    result = train(config, digits, tmp_path, epochs=1, name="other")
    again = RunResult.load(tmp_path / "card.json")
    assert again == result
    assert type(config)(**again.config) == config
    model = build_classifier(type(config)(**again.config))
    model.load_weights(tmp_path / "best.weights.h5")
    assert evaluate(model, digits.x_test, digits.y_test)["top1"] == pytest.approx(result.top1, abs=1e-9)
    assert result.parameters == sum(math.prod(w.shape) for w in model.trainable_weights)


def test_a_stopped_gmlp_goes_on_and_ends_like_one_that_was_not_stopped(tmp_path):
    digits, config = load_dataset("digits"), OTHER_FAMILIES[0]
    train(config, digits, tmp_path / "stopped", epochs=1)
    train(config, digits, tmp_path / "stopped", epochs=2)
    train(config, digits, tmp_path / "straight", epochs=2)
    ends = [json.loads((tmp_path / name / "card.json").read_text())["val_top1"] for name in ("stopped", "straight")]
    assert ends[0] == pytest.approx(ends[1], abs=1e-3)
    with pytest.raises(ValueError, match="config"):
        train(OTHER_FAMILIES[1], digits, tmp_path / "stopped", epochs=2)


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_differs_from_the_article_as_its_name_says(name):
    variant = VARIANTS[name]
    if type(variant.config) is type(PRESETS["article"]) and name != "walk-0-article":
        same_model, same_recipe = variant.config == PRESETS["article"], variant.recipe == RECIPES["article"]
        assert not (same_model and same_recipe)
        assert name.startswith("walk") == (variant.epochs < 100)
    else:
        assert variant.recipe == RECIPES["article"]


def test_the_walk_goes_from_the_article_s_model_to_the_paper_s_one_change_at_a_time():
    configs = list(walk().values())
    assert configs[0] == PRESETS["article"]
    end, paper = configs[-1], PRESETS["mixer-b/16"]
    assert (end.tokens_mlp_dim, end.channels_mlp_dim) == (end.hidden_dim // 2, 4 * end.hidden_dim)
    for field in ("dropout", "shared_norm", "pre_head_norm", "stochastic_depth", "zero_head"):
        assert getattr(end, field) == getattr(paper, field), field
    for before, after, changes in zip(configs, configs[1:], list(WALK.values())[1:], strict=False):
        assert changes and after == dataclasses.replace(before, **changes) != before


def test_the_tool_trains_a_variant_by_name(root, tmp_path):
    command = [sys.executable, "tools/ablations.py", "gmlp", "--dataset", "digits", "--epochs", "1", "--runs", tmp_path]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, said(done.stderr)
    card = RunResult.load(tmp_path / "digits-gmlp-seed0" / "card.json")
    assert (card.preset, card.epochs_asked, card.dataset) == ("gmlp", 1, "digits")
    assert card.config == dataclasses.asdict(dataclasses.replace(GmlpConfig(), num_classes=10))
    assert np.isfinite(card.val_top1) and "ablations.py gmlp" in card.command


def test_the_tool_refuses_a_variant_that_is_not_there(root):
    command = [sys.executable, "tools/ablations.py", "nothing"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root)
    assert done.returncode == 2 and "shrinking-decay" in done.stderr


def test_a_published_model_laid_out_is_a_finished_run(tmp_path, monkeypatch):
    import record

    record.lay_out(tmp_path / "run", "article-digits")
    monkeypatch.setattr(worlds, "train_on_batch", lambda *arguments: pytest.fail("a step was trained"))
    card = RunResult.load(tmp_path / "run" / "card.json")
    monkeypatch.setattr(keras, "__version__", card.versions["keras"])  # a run belongs to the Keras it was made with
    assert train("article", load_dataset("digits"), tmp_path / "run", card.epochs_asked, card.seed) == card
    with pytest.raises(FileExistsError):
        record.lay_out(tmp_path / "run", "article-digits")


def test_a_figure_of_more_runs_than_can_be_told_apart_is_refused():
    histories = {f"run {number}": records.history("article") for number in range(7)}
    with pytest.raises(ValueError, match="One figure shows 6 runs at most. Received: run 0"):
        plots_runs.epochs(histories, {"val_top1": "validation top-1"})


def test_the_figure_of_dots_has_a_point_for_each_run_and_column():
    runs = {"the first": {"val_top5": 0.5, "top5": 0.625}, "the second": {"val_top5": 0.25, "top5": 0.75}}
    ax = plots_runs.dots(runs, {"val_top5": "validation", "top5": "test"}, line=(0.7, "claimed")).axes[0]
    validation, test, claimed = ax.lines
    assert (list(validation.get_xdata()), list(test.get_xdata())) == ([50, 25], [62.5, 75])
    assert list(test.get_ydata()) == [0, 1] and ax.yaxis_inverted()  # the first on top
    assert [label.get_text() for label in ax.get_yticklabels()] == ["the first", "the second"]
    assert claimed.get_xdata()[0] == pytest.approx(70) and claimed.get_label() == "claimed"
