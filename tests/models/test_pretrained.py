"""Published models: loaded with their cards, refused when damaged, as accurate as their cards say."""

import dataclasses
import json
import os

import h5py
import numpy as np
import pytest
from small_models import TINY, count_parameters, random_images

from mixer_lib import RunResult, build_classifier, evaluate, load_dataset, load_pretrained
from mixer_lib.models import pretrained
from mixer_lib.notebook.settings import PUBLISHED
from mixer_lib.runs.files import sha256_of

NAMES = sorted(path.stem for path in pretrained.PRETRAINED.glob("*.json"))
on_cifar100 = [
    pytest.mark.realdata,
    pytest.mark.skipif(not os.environ.get("MIXER_DATA"), reason="needs real CIFAR-100 (MIXER_DATA)"),
]


@pytest.fixture(scope="module")
def small():
    return build_classifier(TINY)


def rewrite(card, path, **changes):
    path.write_text(dataclasses.replace(card, **changes).as_json(), encoding="utf-8")


@pytest.fixture
def shelf(tmp_path, monkeypatch, small):
    """A folder with one published model, "small"."""
    weights = tmp_path / "small.weights.h5"
    small.save_weights(weights)
    shared = RunResult.load(pretrained.PRETRAINED / "article-digits.json")
    fields = {"parameters": count_parameters(small), "weights_sha256": sha256_of(weights)}
    rewrite(shared, tmp_path / "small.json", config=dataclasses.asdict(TINY), **fields)
    monkeypatch.setattr(pretrained, "PRETRAINED", tmp_path)
    return tmp_path


def test_a_published_model_comes_with_its_weights_and_its_card(shelf, small):
    model, its_card = load_pretrained("small")
    images = random_images(4)
    assert np.array_equal(np.asarray(model(images)), np.asarray(small(images)))
    assert its_card == RunResult.load(shelf / "small.json")


def test_truncated_altered_and_missing_weights_are_refused(shelf):
    path = shelf / "small.weights.h5"
    content = path.read_bytes()
    for damaged in (content[:-100], content[:2000] + bytes([content[2000] ^ 1]) + content[2001:], None):
        path.unlink() if damaged is None else path.write_bytes(damaged)
        with pytest.raises(ValueError, match="small.weights.h5 is missing or its SHA-256 differs from the card's"):
            load_pretrained("small")


@pytest.mark.parametrize(
    "change",
    [{"num_blocks": 3}, {"num_classes": 11}, {"patch_size": 3}, {"colour": "red"}],
    ids=lambda change: next(iter(change)),
)
def test_a_card_that_does_not_fit_its_weights_is_refused_though_the_checksum_is_right(shelf, change):
    path = shelf / "small.json"
    its_card = RunResult.load(path)
    rewrite(its_card, path, config={**its_card.config, **change})
    with pytest.raises(ValueError, match="small.json and small.weights.h5 don't describe one model"):
        load_pretrained("small")


def test_weights_of_another_model_are_refused_though_checksum_and_count_are_right(shelf):
    path, config = shelf / "small.json", dataclasses.replace(TINY, tokens_mlp_dim=8, channels_mlp_dim=4)
    parameters = count_parameters(build_classifier(config))
    rewrite(RunResult.load(path), path, config=dataclasses.asdict(config), parameters=parameters)
    with pytest.raises(ValueError, match="don't describe one model"):
        load_pretrained("small")


@pytest.mark.parametrize("name", NAMES)
def test_published_weights_hold_the_model_that_the_card_describes_and_nothing_else(name):
    model, its_card = load_pretrained(name)
    assert its_card.parameters == count_parameters(model)
    assert its_card.config["num_classes"] == model.output_shape[-1]
    assert its_card.best_epoch <= its_card.epochs_run <= its_card.epochs_asked
    with h5py.File(pretrained.PRETRAINED / f"{name}.weights.h5") as file:
        sizes = []
        file.visititems(lambda _, item: sizes.append(item.size) if isinstance(item, h5py.Dataset) else None)
        assert "optimizer" not in file
    assert sum(sizes) == its_card.parameters + 7  # mean and variance of three colours, and a count


def test_an_unknown_name_is_refused_with_the_known_ones_named(shelf):
    with pytest.raises(ValueError, match="no published model 'large'.*small"):
        load_pretrained("large")
    with pytest.raises(ValueError, match="no published model '../small'"):
        load_pretrained("../small")


def test_the_models_that_the_chapters_load_are_published():
    assert set(PUBLISHED.values()) <= set(NAMES)


def its_dataset(name):
    return json.loads((pretrained.PRETRAINED / f"{name}.json").read_text(encoding="utf-8"))["dataset"]


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if its_dataset(n) == "digits" else on_cifar100) for n in NAMES]
)
def test_a_published_model_gives_the_accuracies_of_its_card(name):
    model, its_card = load_pretrained(name)
    data = load_dataset(its_card.dataset)
    assert data.fingerprint == its_card.data_fingerprint
    found = evaluate(model, data.x_test, data.y_test)
    assert found["top1"] == pytest.approx(its_card.top1, abs=0.0001)  # 0.01 points
    assert found["top5"] == pytest.approx(its_card.top5, abs=0.0001)
