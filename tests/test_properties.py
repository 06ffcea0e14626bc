"""Whatever a reader passes: it trains, or one error names the value, the rule and the next step, before any work."""

import contextlib
import dataclasses
import json
import math
import os
import string
import tempfile
from pathlib import Path
from unittest import mock

import nbformat
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from small_runs import small_digits

import mixer_lib
from mixer_lib import MixerConfig, Recipe, RunResult, build_classifier, chapter_settings, train
from mixer_lib.__main__ import main
from mixer_lib.classifier import Preset
from mixer_lib.data import LOADERS, Dataset, load_dataset
from mixer_lib.models.gmlp import GmlpConfig
from mixer_lib.models.vit import VitConfig
from mixer_lib.runs.request import check_epochs, check_seed
from tools.chapters.notebooks import ChapterFailed, check_parameters
from tools.setup import options

# The same examples each time and nothing kept: a test run must not depend on the one before.
# what is drawn for a recipe may be one whose learning rate never falls: tests/test_recipe.py has the warning
pytestmark = pytest.mark.filterwarnings("ignore:With stop_patience=:UserWarning")
STEADY = dict(deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
quick = settings(max_examples=50, **STEADY)
trains = settings(max_examples=2, **STEADY)
DIGITS = small_digits()

whole = st.integers(1, 8) | st.integers(1, 8).map(np.int64) | st.integers(1, 8).map(np.uint8)
rates = st.floats(0, 0.9) | st.floats(0, 0.5, width=32).map(np.float32) | st.just(0)
yes_or_no = st.booleans()
no_whole = (
    st.integers(max_value=0)
    | st.booleans()
    | st.floats()
    | st.text(max_size=5)
    | st.none()
    | st.lists(st.integers(), max_size=2)
)
no_rate = (
    st.floats(min_value=1)
    | st.floats(max_value=0, exclude_max=True)
    | st.just(math.nan)
    | st.booleans()
    | st.text(max_size=5)
    | st.none()
    | st.integers(min_value=1)
)
no_bool = st.integers() | st.text(max_size=5) | st.none()

WHOLE = ("image_size", "patch_size", "num_blocks", "hidden_dim", "tokens_mlp_dim", "channels_mlp_dim", "num_classes")


@contextlib.contextmanager
def no_data_may_be_loaded():
    """Any loader that is called fails the test."""

    def called(*_):
        raise AssertionError("the data were loaded")

    with mock.patch.dict(LOADERS, dict.fromkeys(LOADERS, called)):
        yield


def refused(call, name, value):
    """Assert that `call` refuses `value` for `name` before data are loaded; the error's text."""
    with no_data_may_be_loaded(), pytest.raises(ValueError) as error:
        call()
    text = str(error.value)
    assert name in text
    assert repr(value) in text or f"Received: {value}." in text  # digits of the environment become numbers
    return text


# A model's configuration and a recipe


@st.composite
def configs(draw):
    patch = draw(st.integers(1, 4))
    values = {name: draw(whole) for name in WHOLE}
    values |= {
        "patch_size": patch,
        "image_size": patch * draw(st.integers(1, 3)),
        "num_blocks": draw(st.integers(1, 3)),
    }
    values["num_classes"] = draw(st.integers(2, 12))
    values |= {name: draw(yes_or_no) for name in ("shared_norm", "pre_head_norm", "zero_head")}
    return MixerConfig(**values, dropout=draw(rates), stochastic_depth=draw(rates))


recipes = st.builds(
    Recipe,
    learning_rate=st.floats(1e-8, 0.1) | st.floats(2**-13, 2**-3, width=32).map(np.float32),
    weight_decay=rates,
    decay_follows_lr=yes_or_no,
    batch_size=whole,
    schedule=st.sampled_from(["plateau", "cosine"]),
    lr_patience=whole,
    stop_patience=whole | st.none(),
    mirror=yes_or_no,
    zoom=rates,
    shift=st.sampled_from([0, 0.0, 0.25, np.float32(0.5)]),  # half of the smallest picture
)
families = st.builds(GmlpConfig, num_blocks=whole, num_classes=whole, dropout=rates) | st.builds(
    VitConfig, num_blocks=whole, mlp_dim=whole, dropout=rates
)


def pictures(config, count=6):
    draw = np.random.default_rng(0)
    x = draw.integers(0, 256, (count, config.image_size, config.image_size, 3)).astype("uint8")
    y = np.arange(count) % config.num_classes
    return Dataset("random", x, y, x[:2], y[:2], tuple(map(str, range(config.num_classes))))


@trains
@given(configs(), recipes, st.integers(0, 2**31 - 1))
@example(MixerConfig(2, 1, 1, 1, 1, 1, 2, dropout=0.999), Recipe(batch_size=1, weight_decay=0.999), 2**31 - 1)
def test_what_is_valid_builds_and_trains_and_leaves_a_card(config, recipe, seed):
    with tempfile.TemporaryDirectory() as folder:
        card = train(config, pictures(config), folder, epochs=1, seed=seed, recipe=recipe)
        assert (card.epochs_run, card.seed) == (1, seed)
        stored = RunResult.load(Path(folder) / "card.json")
        assert stored == card
        assert MixerConfig(**stored.config) == config
        assert Recipe(**stored.recipe) == recipe


@quick
@given(configs() | families, recipes)
def test_a_config_and_a_recipe_hold_plain_values(config, recipe):
    for values in (config, recipe):
        kinds = {type(value) for value in dataclasses.asdict(values).values()}
        assert kinds <= {int, float, bool, str, type(None)}
        assert type(values)(**json.loads(json.dumps(dataclasses.asdict(values)))) == values


@quick
@given(st.sampled_from(WHOLE), no_whole)
def test_a_size_that_is_no_whole_number_is_refused(name, value):
    text = refused(lambda: MixerConfig(**{name: value}), name, value)
    assert "must be a whole number of at least 1" in text
    assert f"The article has {getattr(MixerConfig(), name)}" in text


@quick
@given(st.sampled_from(["dropout", "stochastic_depth"]), no_rate)
def test_a_rate_outside_0_to_1_is_refused(name, value):
    text = refused(lambda: MixerConfig(**{name: value}), name, value)
    assert "must be a fraction from 0" in text
    assert f"The article has {getattr(MixerConfig(), name)}" in text


@quick
@given(st.sampled_from(["shared_norm", "pre_head_norm", "zero_head"]), no_bool)
def test_a_choice_that_is_neither_true_nor_false_is_refused(name, value):
    text = refused(lambda: MixerConfig(**{name: value}), name, value)
    assert "must be True or False" in text
    assert f"The article has {getattr(MixerConfig(), name)}" in text


@quick
@given(st.integers(1, 10**15), st.integers(1, 10**15))
@example(10**15, 7)
def test_patches_that_do_not_fill_the_image_are_refused_with_those_that_do(image_size, patch_size):
    assume(image_size % patch_size)
    text = refused(lambda: MixerConfig(image_size=image_size, patch_size=patch_size), "image_size", image_size)
    fitting = json.loads(text[text.index("any of") + 6 : -1])
    assert all(image_size % size == 0 for size in fitting)
    assert 1 in fitting and len(fitting) == len(set(fitting))


@quick
@given(st.integers() | st.none() | st.text(max_size=8) | st.lists(st.integers(), max_size=2))
def test_what_is_neither_a_config_nor_a_preset_is_not_built(value):
    refused(lambda: build_classifier(value), "preset", value)


@quick
@given(
    st.sampled_from(["config", "recipe"]), st.integers(min_value=1) | st.lists(st.integers(), min_size=1, max_size=2)
)
@example("config", {"hidden_dim": 128})
@example("config", None)
@example("recipe", "article")
def test_training_refuses_what_is_no_config_and_no_recipe(name, value):
    small = MixerConfig(2, 1, 1, 1, 1, 1, 2)
    asked = {"config": small, "recipe": Recipe(), name: value}
    refused(lambda: train(dataset=pictures(small), run_dir="never", **asked), f"{name} must be a", value)
    assert not os.path.exists("never")


BAD_RECIPES = {
    "learning_rate": (
        st.floats(max_value=0)
        | st.sampled_from([math.inf, math.nan, 10**400, None, True, "0.1", 1e39])
        | st.integers(max_value=0)
    ),
    "weight_decay": st.floats(max_value=0, exclude_max=True)
    | st.floats(min_value=1)
    | st.sampled_from([math.nan, "0", None]),
    "decay_follows_lr": no_bool,
    "batch_size": no_whole,
    "schedule": st.text(max_size=8) | st.none() | st.integers() | st.lists(st.text(max_size=2), max_size=2),
    "lr_patience": no_whole,
    "stop_patience": no_whole.filter(lambda value: value is not None),
    "mirror": no_bool,
    "zoom": no_rate,
    "shift": st.floats(max_value=0, exclude_max=True)
    | st.floats(min_value=2**15)
    | st.sampled_from([math.nan, 10**400, True, "4", None]),
}


@quick
@given(st.data(), st.sampled_from(list(BAD_RECIPES)))
def test_a_recipe_s_bad_value_is_refused_with_the_article_s(data, name):
    value = data.draw(BAD_RECIPES[name])
    text = refused(lambda: Recipe(**{name: value}), name, value)
    assert " must be " in text
    assert "article" in text or '"plateau" or "cosine"' in text


# A chapter's parameters, the environment, the verbs' options

WORDS = st.text(max_size=6) | st.text(string.digits + " -_.e+", max_size=6) | st.integers(-5, 2**32).map(str)
words_of_the_environment = WORDS.filter(lambda text: "\0" not in text and text.isprintable())
BARE = {f"MIXER_{name}": "" for name in ("PROFILE", "DATASET", "DATA", "EPOCHS", "SEED", "RUN_DIR")}
RULES = {
    "profile": lambda value: value in ("full", "fast"),
    "dataset": lambda value: value in ("cifar100", "cifar10", "mnist", "digits"),
    "epochs": lambda value: is_whole(value, 1, 2**63 - 1),
    "seed": lambda value: is_whole(value, 0, 2**31 - 1),
}


def is_whole(text, least, most):
    return bool(text) and set(text) <= set(string.digits) and len(text) < 20 and least <= int(text) <= most


def settings_with(environment=None, **parameters):
    with mock.patch.dict(os.environ, {**BARE, **(environment or {})}), no_data_may_be_loaded():
        return chapter_settings(**parameters)


valid_values = {
    "profile": st.sampled_from(["full", "fast"]),
    "dataset": st.sampled_from(list(LOADERS)),
    "epochs": st.integers(1, 10**6),
    "seed": st.integers(0, 2**31 - 1),
    "data_dir": st.none() | st.text(min_size=1, max_size=9),
    "run_dir": st.text(min_size=1, max_size=9),
}


@quick
@given(st.fixed_dictionaries(valid_values))
def test_right_parameters_are_taken_as_they_are(parameters):
    usual = {"jit_compile": None, "precision": "float32", "devices": 1}
    assert dataclasses.asdict(settings_with(**parameters)) == {**parameters, **usual}


@quick
@given(
    st.sampled_from(list(RULES)), WORDS | st.floats(allow_nan=False) | st.lists(st.integers(), min_size=1, max_size=2)
)
def test_a_parameter_is_right_or_refused_by_name_and_value(name, value):
    assume(value != "" or name != "dataset")  # which counts as not named
    if RULES[name](str(value)):
        assert str(getattr(settings_with(**{name: value}), name)) == str(int(value) if value.isdigit() else value)
        return
    text = refused(lambda: settings_with(**{name: value}), f"{name} must be", value)
    assert ". Received: " in text


@quick
@given(st.sampled_from(["data_dir", "run_dir"]), st.integers() | st.lists(st.text(), min_size=1) | st.booleans())
def test_a_place_that_is_no_path_is_refused(name, value):
    assume(value)  # 0, False and the like count as not named
    refused(lambda: settings_with(**{name: value}), f"{name} must be a path in quotes", value)


@quick
@given(st.sampled_from(list(RULES)), words_of_the_environment)
def test_the_environment_s_words_obey_the_same_rules(name, value):
    environment = {f"MIXER_{name.upper()}": value}
    if not value:
        assert settings_with(environment) == settings_with()
    elif RULES[name](value):
        assert str(getattr(settings_with(environment, **{name: "overruled"}), name)) == str(
            int(value) if value.isdigit() else value
        )
    else:
        refused(lambda: settings_with(environment), f"{name} must be", value)


@quick
@given(st.sampled_from(["DATASET", "EPOCHS", "SEED"]), words_of_the_environment)
@example("EPOCHS", "9" * 5000)
@example("SEED", "²")
def test_a_verb_s_options_obey_the_same_rules_as_the_chapters(name, value):
    if not value:
        assert options.read_options({name: value})[name.lower()] is None
    elif RULES[name.lower()](value):
        assert str(options.read_options({name: value})[name.lower()]) == str(int(value) if value.isdigit() else value)
    else:
        with pytest.raises(ValueError) as error:
            options.read_options({name: value})
        assert f"{name}={value}" in str(error.value)
        assert "give a whole number" in str(error.value) or "use one of" in str(error.value)


@quick
@given(st.integers(-(2**40), 2**40))
def test_training_takes_the_epochs_and_seeds_that_the_chapters_take(number):
    for name, check in (("epochs", check_epochs), ("seed", check_seed)):
        if RULES[name](str(number)):
            check(number)
            settings_with(**{name: number})
        else:
            refused(lambda check=check: check(number), name, number)
            refused(lambda name=name: settings_with(**{name: number}), name, number)


CELL = 'profile = "full"\ndataset = "cifar100"\ndata_dir = None\nepochs = 100\nseed = 0\nrun_dir = None'


@settings(max_examples=20, **STEADY)
@given(
    st.dictionaries(st.sampled_from(["profile", "seed", "sed", "epoch", "Profile", "lr"]), st.integers(), min_size=1)
)
def test_a_parameter_that_a_chapter_does_not_know_is_refused(parameters):
    cell = nbformat.v4.new_code_cell(CELL, metadata={"tags": ["parameters"]})
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "01_small.ipynb"
        nbformat.write(nbformat.v4.new_notebook(cells=[cell], metadata={"kernelspec": kernel}), path)
        unknown = sorted(set(parameters) - {"profile", "seed"})
        if not unknown:
            check_parameters(path, parameters)
            return
        with pytest.raises(ChapterFailed) as error:
            check_parameters(path, parameters)
        assert f"unknown parameter {', '.join(unknown)}" in str(error.value)
        assert "data_dir, dataset, epochs, profile, run_dir, seed" in str(error.value)


# The command line


def command_line(**asked):
    """What `python -m mixer_lib train` ends with: (the arguments that train got, or None; the error's text)."""
    seen = []

    def trained(*arguments, **_):
        seen.append(arguments)
        raise FloatingPointError("far enough")

    words = ["train", *(f"--{name}={value}" for name, value in asked.items())]
    told = mock.Mock(return_value=DIGITS)
    with mock.patch.object(mixer_lib, "train", trained), mock.patch("mixer_lib.choices.load_dataset", told):
        with pytest.raises(SystemExit) as end:
            main(words)
        assert bool(seen) == bool(told.called)  # refused before the data are looked for, or trained on them
    return (seen[0] if seen else None), str(end.value.code)


def fits(convert, value, allowed):
    try:
        return convert(value) in allowed
    except ValueError:
        return False


@quick
@given(st.sampled_from(["epochs", "seed", "preset"]), WORDS | st.sampled_from(list(mixer_lib.PRESETS)))
@example("preset", "article")
@example("preset", "mixer-b/16")
@example("seed", str(2**31))
def test_the_command_line_trains_or_refuses_before_data_are_looked_for(name, value):
    right = {
        "epochs": lambda: fits(int, value, range(1, 2**63)),
        "seed": lambda: fits(int, value, range(2**31)),
        "preset": lambda: value in ("article", "article-plus"),  # those whose pictures are of 32 pixels
    }[name]()
    arguments, text = command_line(dataset="digits", **{name: value})
    assert (arguments is not None) == right, text
    if not right:
        assert text.startswith("error: ")
        assert name in text or (name == "preset" and "There is no model" in text)
        assert value in text or repr(value) in text or str(int(value)) in text


@settings(max_examples=30, **STEADY)
@given(WORDS.filter(lambda value: value not in LOADERS))
def test_an_unknown_data_set_is_refused_before_any_is_loaded(name):
    refused(lambda: load_dataset(name), "name", name)


def test_a_right_command_line_trains(tmp_path, monkeypatch, capsys):
    preset = Preset(32, 16, 1, 2, 2, 2, num_classes=10)
    monkeypatch.setitem(mixer_lib.PRESETS, "article", preset)
    data = {field: getattr(pictures(preset, 20), field) for field in ("x_train", "y_train", "x_test", "y_test")}
    monkeypatch.setitem(LOADERS, "digits", lambda _: {**data, "class_names": tuple("0123456789")})
    main(["train", "--dataset", "digits", "--epochs", "1", "--seed", "7", "--run-dir", str(tmp_path / "run")])
    assert RunResult.load(tmp_path / "run" / "card.json").seed == 7
    assert "after 1 epochs" in capsys.readouterr().out
