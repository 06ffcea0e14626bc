"""Variants change one thing of the article's run at a time, and a tool trains them by name."""

import dataclasses
import sys

import pytest

import mixer_lib
from mixer_lib import PRESETS, RECIPES, MixerConfig, RunResult
from mixer_lib.analysis.variants import STEPS_TO_PAPER, VARIANTS, steps_to_paper
from mixer_lib.models.gmlp import GmlpConfig
from tools.maintain import ablations

ARTICLE = PRESETS["article"].model


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_differs_from_the_article_as_its_name_says(name):
    variant = VARIANTS[name]
    if type(variant.config) is MixerConfig and name != "walk-0-article":
        assert variant.config != ARTICLE or variant.recipe != RECIPES["article"]
    else:
        assert variant.recipe == RECIPES["article"]
    assert name.startswith("walk") == (variant.epochs < 100)


def test_the_steps_go_from_the_article_s_model_to_the_paper_s_one_change_at_a_time():
    configs, paper = list(steps_to_paper().values()), PRESETS["mixer-b/16"]
    first, last = configs[0], configs[-1]
    assert first == ARTICLE
    assert (last.tokens_mlp_dim, last.channels_mlp_dim) == (last.hidden_dim // 2, 4 * last.hidden_dim)
    for field in ("dropout", "shared_norm", "pre_head_norm", "stochastic_depth", "zero_head"):
        assert getattr(last, field) == getattr(paper, field), field
    for before, after, changes in zip(configs, configs[1:], list(STEPS_TO_PAPER.values())[1:], strict=False):
        assert changes and after == dataclasses.replace(before, **changes) != before


def test_the_tool_trains_a_variant_by_name(monkeypatch, tmp_path, capsys):
    seen = []

    def train(*arguments, **options):
        seen.append((arguments, options))
        return RunResult(**{**dict.fromkeys(RunResult.__dataclass_fields__, 0), "val_top1": 0.25, "val_top5": 0.5})

    monkeypatch.setattr(mixer_lib, "train", train)
    words = ["ablations", "gmlp", "--dataset", "digits", "--epochs", "1", "--runs", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", words)
    ablations.main()
    (((config, dataset, run_dir), options),) = seen
    assert config == GmlpConfig(num_classes=10) and dataset.name == "digits"
    assert run_dir == tmp_path / "digits-gmlp-seed0"
    assert (options["name"], options["epochs"], options["recipe"]) == ("gmlp", 1, RECIPES["article"])
    assert "ablations gmlp --epochs 1" in options["command"] and "--dataset digits" in options["command"]
    assert "gmlp: validation top-1 25.00%, top-5 50.00%" in capsys.readouterr().out


def test_the_tool_refuses_an_unknown_variant_with_the_known_ones_named(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["ablations", "nothing"])
    with pytest.raises(SystemExit) as end:
        ablations.main()
    assert end.value.code == 2 and "shrinking-decay" in capsys.readouterr().err
