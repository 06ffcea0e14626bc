"""Cards and published models."""

import dataclasses
import json
import os
import re

import h5py
import keras
import numpy as np
import pytest

from mixer_lib import (
    MixerConfig,
    RunResult,
    build_classifier,
    evaluate,
    load_dataset,
    load_pretrained,
    results,
)
from mixer_lib.settings import PUBLISHED

TINY = MixerConfig(
    image_size=8,
    patch_size=4,
    num_blocks=1,
    hidden_dim=8,
    tokens_mlp_dim=4,
    channels_mlp_dim=8,
    num_classes=10,
)
NAMES = sorted(path.stem for path in results.PRETRAINED.glob("*.json"))
on_cifar100 = [
    pytest.mark.realdata,
    pytest.mark.skipif(not os.environ.get("MIXER_DATA"), reason="needs real CIFAR-100 (MIXER_DATA)"),
]


def card(**changes):
    values = {
        "preset": "custom",
        "config": dataclasses.asdict(TINY),
        "recipe": {"learning_rate": 0.005},
        "dataset": "digits",
        "data_fingerprint": "0123456789abcdef",
        "seed": 3,
        "epochs_asked": 100,
        "epochs_run": 57,
        "best_epoch": 46,
        "val_top1": 0.4738,
        "val_top5": 0.7796,
        "top1": 0.4843,
        "top5": 0.7804,
        "top1_last": 0.48,
        "top5_last": 0.78,
        "parameters": 1234,
        "macs": 5678,
        "seconds_total": 4400.5,
        "seconds_per_epoch": 77.6,
        "device": "CPU, 2 cores",
        "versions": {"keras": "2.15.0"},
        "command": "make execute",
        "commit": "abc",
        "started": "2026-11-23T20:00:00+00:00",
        "weights_sha256": "",
        "format": results.FORMAT,
    }
    return RunResult(**{**values, **changes})


def test_a_saved_card_reads_back_as_it_was(tmp_path):
    card().save(tmp_path / "deep" / "card.json")
    assert RunResult.load(tmp_path / "deep" / "card.json") == card()
    assert os.listdir(tmp_path / "deep") == ["card.json"]


def test_a_card_is_plain_json_with_accuracies_as_fractions(tmp_path):
    card().save(tmp_path / "card.json")
    content = json.loads((tmp_path / "card.json").read_text(encoding="utf-8"))
    assert content == dataclasses.asdict(card())
    assert content["top5"] == 0.7804


def rewritten(path, change):
    content = dataclasses.asdict(card())
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("change", "field"),
    [(lambda c: c.update(colour="red"), "colour"), (lambda c: c.pop("top5"), "top5")],
    ids=["unknown field", "missing field"],
)
def test_a_card_with_other_fields_is_refused_with_the_field_named(tmp_path, change, field):
    path = rewritten(tmp_path / "card.json", change)
    with pytest.raises(ValueError, match=rf"card.json is not a card of this version.*\['{field}'\]"):
        RunResult.load(path)


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", '"card"', "{}"])
def test_a_file_that_is_no_card_is_refused_by_name(tmp_path, text):
    (tmp_path / "card.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="card.json is not a card"):
        RunResult.load(tmp_path / "card.json")


def test_a_card_from_before_weights_sums_and_formats_still_reads(tmp_path):
    path = rewritten(tmp_path / "card.json", lambda c: [c.pop("weights_sha256"), c.pop("format")])
    assert RunResult.load(path) == card()


def test_a_card_from_the_future_is_refused_with_the_word_to_update(tmp_path):
    path = rewritten(tmp_path / "card.json", lambda c: c.update(format=results.FORMAT + 1, colour="red"))
    with pytest.raises(ValueError, match="card.json is a card of format 2, and this mixer_lib reads up to .*Update"):
        RunResult.load(path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("preset", 3),
        ("config", []),
        ("seed", "3"),
        ("seed", True),
        ("epochs_run", -1),
        ("epochs_run", 2.5),
        ("top1", "0.48"),
        ("top1", 48.43),
        ("top5", float("nan")),
        ("val_top1", None),
        ("seconds_total", float("inf")),
        ("versions", "2.15.0"),
        ("weights_sha256", None),
        ("format", "1"),
    ],
)
def test_a_card_with_a_value_of_another_kind_is_refused_by_field_and_value(tmp_path, field, value):
    path = rewritten(tmp_path / "card.json", lambda content: content.update({field: value}))
    with pytest.raises(ValueError, match=re.escape(f"card.json is not a card: {field} can't be {value!r}")):
        RunResult.load(path)


def test_a_file_of_bytes_that_are_no_text_is_no_card(tmp_path):
    (tmp_path / "card.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="card.json is not a card"):
        RunResult.load(tmp_path / "card.json")


def test_a_card_can_not_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        card().top1 = 0.99


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    card().save(tmp_path / "card.json")

    def full_disk(*arguments):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(OSError, match="no space"):
        card(seed=4).save(tmp_path / "card.json")
    assert RunResult.load(tmp_path / "card.json") == card()


def test_versions_name_python_keras_its_backend_and_numpy():
    found = results.versions()
    assert (found["keras"], found["numpy"]) == (keras.__version__, np.__version__)
    assert {"python", "backend", found["backend"]} <= set(found)


def test_versions_name_no_library_that_is_installed_and_does_not_compute(monkeypatch):
    monkeypatch.setattr("importlib.metadata.version", lambda package: "1.0")  # as if all were there
    found = results.versions()
    assert {"tensorflow", "jax", "torch"} & set(found) == {found["backend"]}


# --- published models -----------------------------------------------------------------------------


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A folder with one published model, "small"."""
    model = build_classifier(TINY)
    model.save_weights(tmp_path / "small.weights.h5")
    checksum, parameters = results.sha256_of(tmp_path / "small.weights.h5"), model.count_params() - 7
    card(weights_sha256=checksum, parameters=parameters).save(tmp_path / "small.json")  # 7: what `normalize` holds
    monkeypatch.setattr(results, "PRETRAINED", tmp_path)
    return tmp_path, model


def test_a_published_model_comes_with_its_weights_and_its_card(shelf):
    folder, original = shelf
    model, its_card = load_pretrained("small")
    images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3)).astype("uint8")
    assert np.array_equal(np.asarray(model(images)), np.asarray(original(images)))
    assert its_card == RunResult.load(folder / "small.json")


def test_truncated_and_altered_weights_are_refused(shelf):
    path = shelf[0] / "small.weights.h5"
    whole = path.read_bytes()
    for damaged in (whole[:-100], whole[:2000] + bytes([whole[2000] ^ 1]) + whole[2001:]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="small.weights.h5 is not the file that its card describes"):
            load_pretrained("small")


def test_missing_weights_are_refused_by_name(shelf):
    (shelf[0] / "small.weights.h5").unlink()
    with pytest.raises(ValueError, match="small.weights.h5 is not the file that its card describes .it is not there"):
        load_pretrained("small")


@pytest.mark.parametrize(
    "change",
    [{"num_blocks": 2}, {"hidden_dim": 12}, {"num_classes": 11}, {"patch_size": 3}, {"colour": "red"}],
    ids=lambda change: next(iter(change)),
)
def test_a_card_that_does_not_fit_its_weights_is_refused_though_the_sum_is_right(shelf, change):
    path = shelf[0] / "small.json"
    its_card = RunResult.load(path)
    dataclasses.replace(its_card, config={**its_card.config, **change}).save(path)
    with pytest.raises(ValueError, match="small.json and small.weights.h5 don't describe one model"):
        load_pretrained("small")


def test_weights_of_another_model_are_refused_though_sum_and_count_are_right(shelf):
    path, config = shelf[0] / "small.json", dataclasses.replace(TINY, tokens_mlp_dim=8, channels_mlp_dim=4)
    other = build_classifier(config)
    parameters = sum(int(np.prod(w.shape)) for w in other.trainable_weights)
    its_card = RunResult.load(path)
    dataclasses.replace(its_card, config=dataclasses.asdict(config), parameters=parameters).save(path)
    with pytest.raises(ValueError, match="don't describe one model"):
        load_pretrained("small")


@pytest.mark.parametrize("name", NAMES)
def test_published_weights_hold_the_model_and_nothing_else(name):
    _, its_card = load_pretrained(name)
    with h5py.File(results.PRETRAINED / f"{name}.weights.h5") as file:
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
    return json.loads((results.PRETRAINED / f"{name}.json").read_text(encoding="utf-8"))["dataset"]


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


@pytest.mark.parametrize("name", NAMES)
def test_a_published_card_describes_the_model_that_it_comes_with(name):
    model, its_card = load_pretrained(name)
    assert its_card.parameters == sum(int(np.prod(w.shape)) for w in model.trainable_weights)
    assert its_card.best_epoch <= its_card.epochs_run <= its_card.epochs_asked
    assert its_card.config["num_classes"] == model.output_shape[-1]
