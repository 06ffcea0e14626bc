"""A run of one's own, loaded in one line: model, card, class names."""

import dataclasses
import json

import numpy as np
import pytest
import small_runs
from small_runs import REQUESTED, TINY, small_digits, train_nothing

from mixer_lib import RunResult, load_pretrained, load_run, predict, train
from mixer_lib.datasets.class_names import CLASS_NAMES
from mixer_lib.models.gmlp import GmlpConfig
from mixer_lib.models.pretrained import load_model
from mixer_lib.runs.recorded import RECORDED


@pytest.fixture(scope="module")
def data():
    names = tuple(f"digit {i}" for i in range(10))
    return dataclasses.replace(small_digits(), name="mine", class_names=names)


@pytest.fixture(scope="module")
def run(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("runs") / "mine"
    with pytest.MonkeyPatch.context() as patch:
        train_nothing(patch)
        train(TINY, data, folder, **REQUESTED)
    return folder


def test_a_run_is_loaded_with_its_weights_card_and_class_names(run, data):
    model, card = load_run(run)
    assert card == RunResult.load(run / "card.json")
    assert card.class_names == list(data.class_names)
    expected = small_runs.weights_of(run)
    assert all(np.array_equal(one, other) for one, other in zip(model.get_weights(), expected, strict=True))
    assert predict(model, data.x_test[:1], k=1, class_names=card.class_names)[0][0][0] in data.class_names


def test_a_folder_or_a_name_is_loaded_alike(run, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(run.parent))
    assert load_model("~/mine")[1] == RunResult.load(run / "card.json")
    assert load_model("article-digits")[1].preset == "article"
    with pytest.raises(ValueError, match="runs/frut is neither a run folder nor a published model.*article-plus"):
        load_model("runs/frut")


def test_a_run_of_another_family_is_loaded_too(tmp_path, data):
    config = GmlpConfig(image_size=8, patch_size=4, num_blocks=1, hidden_dim=8, num_classes=10, ffn_dim=8)
    with pytest.MonkeyPatch.context() as patch:
        train_nothing(patch)
        train(config, data, tmp_path / "gmlp", **REQUESTED)
    assert load_run(tmp_path / "gmlp")[0].get_layer("block_0").ffn_dim == 8


def test_a_folder_without_a_finished_run_is_refused_with_the_next_step(tmp_path):
    with pytest.raises(ValueError, match="holds no run. load_run takes the run_dir"):
        load_run(tmp_path / "nowhere")
    (tmp_path / "checkpoint.npz").write_bytes(b"x")
    with pytest.raises(ValueError, match="an unfinished run: the call of `train` that began it continues it"):
        load_run(tmp_path)


def test_weights_of_another_run_are_refused_by_their_checksum(run, tmp_path):
    for name in ("card.json", "best.weights.h5"):
        (tmp_path / name).write_bytes((run / name).read_bytes() + (b"x" if name[0] == "b" else b""))
    with pytest.raises(ValueError, match="best.weights.h5 is missing or its SHA-256 differs from the card's"):
        load_run(tmp_path)


def test_published_models_know_their_classes_without_the_data(monkeypatch, tmp_path):
    monkeypatch.setenv("MIXER_DATA", str(tmp_path))  # no data there
    names = load_pretrained("article")[1].class_names
    assert (len(names), names[0], names[99]) == (100, "apple", "worm")
    assert load_pretrained("article-digits")[1].class_names == list("0123456789")


def test_cards_without_class_names_stay_readable_and_wrong_ones_are_refused(run, tmp_path):
    assert RunResult.load(RECORDED / "gmlp.json").class_names == []
    for wrong in ("cat, dog", [1, 2], None):
        card = {**json.loads((run / "card.json").read_text()), "class_names": wrong}
        (tmp_path / "card.json").write_text(json.dumps(card))
        with pytest.raises(ValueError, match="class_names can't be"):
            RunResult.load(tmp_path / "card.json")


def test_the_known_names_are_those_of_the_data():
    assert {name: len(names) for name, names in CLASS_NAMES.items()} == {
        "cifar100": 100,
        "cifar10": 10,
        "mnist": 10,
        "digits": 10,
    }
    assert all(len(set(names)) == len(names) for names in CLASS_NAMES.values())
