"""The settings of a chapter: defaults of each profile, the environment's last word, refusals."""

import os

import pytest

from mixer_lib import chapter_settings
from mixer_lib.notebook.settings import ChapterSettings


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch):
    for name in ("PROFILE", "DATASET", "DATA", "EPOCHS", "SEED", "RUN_DIR", "JIT_COMPILE", "PRECISION", "DEVICES"):
        monkeypatch.delenv(f"MIXER_{name}", raising=False)


FULL = ChapterSettings("full", "cifar100", None, 100, 0, os.path.join("runs", "cifar100-article-seed0"))
FAST = ChapterSettings("fast", "digits", None, 3, 0, os.path.join("runs", "digits-article-seed0"))


def test_the_full_profile_is_cifar100_and_100_epochs():
    assert chapter_settings() == chapter_settings(profile="full") == FULL


def test_the_fast_profile_is_digits_and_3_epochs():
    assert chapter_settings(profile="fast") == FAST


def test_what_is_named_is_taken():
    found = chapter_settings("fast", dataset="mnist", data_dir="/pictures", epochs=7, seed=4, run_dir="here")
    assert found == ChapterSettings("fast", "mnist", "/pictures", 7, 4, "here")


def test_a_run_is_kept_apart_by_data_and_seed():
    assert chapter_settings(dataset="mnist", seed=4).run_dir == os.path.join("runs", "mnist-article-seed4")


PUBLISHED_PAGE = {
    "profile": "full",
    "dataset": "cifar100",
    "data_dir": None,
    "epochs": 100,
    "seed": 0,
    "run_dir": None,
}


def test_a_published_page_s_own_parameters_are_the_full_profile():
    assert chapter_settings(**PUBLISHED_PAGE) == FULL


def test_the_environment_s_fast_profile_makes_a_published_page_fast(monkeypatch):
    monkeypatch.setenv("MIXER_PROFILE", "fast")
    assert chapter_settings(**PUBLISHED_PAGE) == FAST


def test_the_environment_s_profile_leaves_a_page_of_that_profile_as_it_is(monkeypatch):
    monkeypatch.setenv("MIXER_PROFILE", "fast")
    found = chapter_settings("fast", dataset="mnist", epochs=9)
    assert (found.dataset, found.epochs) == ("mnist", 9)


@pytest.mark.parametrize(
    ("name", "value", "field", "expected"),
    [
        ("MIXER_PROFILE", "fast", "profile", "fast"),
        ("MIXER_DATASET", "mnist", "dataset", "mnist"),
        ("MIXER_DATA", "/data", "data_dir", "/data"),
        ("MIXER_EPOCHS", "12", "epochs", 12),
        ("MIXER_SEED", "0", "seed", 0),
        ("MIXER_SEED", "8", "seed", 8),
        ("MIXER_RUN_DIR", "elsewhere", "run_dir", "elsewhere"),
        ("MIXER_JIT_COMPILE", "1", "jit_compile", True),
        ("MIXER_JIT_COMPILE", "0", "jit_compile", False),
        ("MIXER_PRECISION", "mixed_bfloat16", "precision", "mixed_bfloat16"),
    ],
)
def test_the_environment_has_the_last_word(monkeypatch, name, value, field, expected):
    monkeypatch.setenv(name, value)
    found = chapter_settings(**{**PUBLISHED_PAGE, "seed": 5, "data_dir": "/mine", "run_dir": "mine"})
    assert getattr(found, field) == expected


def test_an_empty_variable_counts_as_not_set(monkeypatch):
    for name in ("PROFILE", "DATASET", "DATA", "EPOCHS", "SEED", "RUN_DIR", "JIT_COMPILE", "PRECISION", "DEVICES"):
        monkeypatch.setenv(f"MIXER_{name}", "")
    assert chapter_settings() == FULL


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("profile", "slow"),
        ("dataset", "imagenet"),
        ("epochs", 0),
        ("epochs", -3),
        ("epochs", 2.5),
        ("epochs", "many"),
        ("epochs", True),
        ("seed", -1),
        ("seed", "x"),
        ("seed", None),
        ("jit_compile", "maybe"),
        ("precision", "float16"),
        ("precision", None),
    ],
)
def test_a_bad_value_is_refused_by_name_and_value(field, value):
    with pytest.raises(ValueError, match=f"^{field} must be .*Received: {value!r}"):
        chapter_settings(**{field: value})


@pytest.mark.parametrize(
    ("name", "value", "field"),
    [
        ("MIXER_PROFILE", "slow", "profile"),
        ("MIXER_DATASET", "imagenet", "dataset"),
        ("MIXER_EPOCHS", "0", "epochs"),
        ("MIXER_SEED", "-1", "seed"),
    ],
)
def test_a_bad_value_in_the_environment_is_refused_likewise(monkeypatch, name, value, field):
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=f"^{field} must be .*Received: '?{value}\\b"):
        chapter_settings()


def test_each_data_set_names_its_published_model():
    assert chapter_settings("full").pretrained == "article"
    assert chapter_settings("fast").pretrained == "article-digits"


def test_a_data_set_without_a_published_model_says_what_to_do():
    with pytest.raises(ValueError, match="No model is published for 'mnist': train one"):
        chapter_settings(dataset="mnist").pretrained  # noqa: B018


def test_the_caption_says_profile_and_data_in_one_sentence():
    assert chapter_settings("full").caption == "This page shows the full profile, on CIFAR-100."
    assert chapter_settings("fast").caption == "This page shows the fast profile, on scikit-learn's embedded digits."
    assert "MNIST" in chapter_settings(dataset="mnist").caption


def test_devices_are_one_also_on_kaggle_until_asked_for_more(monkeypatch):
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Interactive")
    assert chapter_settings().devices == 1
    monkeypatch.setenv("MIXER_DEVICES", "4")
    assert chapter_settings().devices == 4
    with pytest.raises(ValueError, match="devices must be a whole number of at least 1. Received: 0"):
        monkeypatch.delenv("MIXER_DEVICES")
        chapter_settings(devices=0)
