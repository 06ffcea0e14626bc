"""What the models, published weights and exports advise works."""

import dataclasses
import importlib.util
import re
import shutil
import sys

import numpy as np
import pytest
from small_models import TINY, TINY_PAPER, random_images
from small_runs import QUICK, REQUESTED, small_digits, train_nothing
from small_runs import TINY as RUN

from mixer_lib import build_classifier, export, load_pretrained, load_run, train
from mixer_lib.__main__ import main
from mixer_lib.models.cnn import CnnConfig
from mixer_lib.models.convmixer import ConvMixerConfig
from mixer_lib.models.enlarge import enlarge
from mixer_lib.models.gmlp import GmlpConfig
from mixer_lib.models.pretrained import load_model
from mixer_lib.models.released import RELEASED, fetch_released, infer_config, load_released, save_released
from mixer_lib.models.resmlp import ResMlpConfig
from mixer_lib.models.vit import VitConfig
from mixer_lib.runs.ranks import read_ranks
from mixer_lib.runs.recorded import PRETRAINED, cards, history


def refusal(act):
    with pytest.raises(ValueError) as refused:
        act()
    return str(refused.value)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """The folder of a finished run."""
    train_nothing(monkeypatch)
    train(RUN, small_digits(), tmp_path / "run", **REQUESTED)
    return tmp_path / "run"


def again(run):
    return train(RUN, small_digits(), run, **REQUESTED)


# --- configs --------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", [GmlpConfig, ResMlpConfig, VitConfig, ConvMixerConfig])
def test_each_patch_size_that_is_offered_fits(family):
    message = refusal(lambda: family(image_size=12, patch_size=5))
    sizes = [int(size) for size in re.search(r"any of \[([\d, ]+)\]", message)[1].split(",")]
    assert sizes == [1, 2, 3, 4, 6, 12] and all(family(image_size=12, patch_size=size) for size in sizes)


@pytest.mark.parametrize(
    ("wrong", "pattern", "mend"),
    [
        (lambda: GmlpConfig(ffn_dim=7), r"such as (\d+)", lambda n: GmlpConfig(ffn_dim=int(n))),
        (lambda: VitConfig(hidden_dim=30, num_heads=4), r"such as (\d+)", lambda n: VitConfig(hidden_dim=int(n))),
        (lambda: CnnConfig(image_size=30), r"such as (\d+)", lambda n: CnnConfig(image_size=int(n))),
        (lambda: CnnConfig(widths=5), r"such as \((\d+), \d+\)", lambda n: CnnConfig(widths=(int(n), 32))),
        (lambda: ConvMixerConfig(kernel_size=0), r"at least (\d)", lambda n: ConvMixerConfig(kernel_size=int(n))),
        (lambda: ResMlpConfig(mlp_dim=0), r"default is (\d+)", lambda n: ResMlpConfig(mlp_dim=int(n))),
    ],
)
def test_the_value_that_a_config_s_message_names_is_taken(wrong, pattern, mend):
    assert mend(re.search(pattern, refusal(wrong))[1])


# --- published models and runs --------------------------------------------------------------------


def test_the_names_that_are_offered_are_there():
    for name in re.search(r"Choose one of (.*)\.$", refusal(lambda: load_pretrained("artikel")))[1].split(", "):
        assert load_pretrained(name)
    for name in re.search(r"Choose one of (.*)\.$", refusal(lambda: history("artikel")))[1].split(", "):
        assert name in cards()
    assert "neither a run folder nor a published model" in refusal(lambda: load_model("artikel"))
    assert sorted(RELEASED) == eval(re.search(r"\[.*?\]", refusal(lambda: fetch_released("s/32")))[0])


def test_an_unfinished_run_is_continued_by_the_call_that_began_it(run):
    shutil.move(run / "card.json", run.parent / "kept")
    assert "the call of `train` that began it continues it" in refusal(lambda: load_run(run))
    assert again(run) == load_run(run)[1]


def test_damaged_weights_are_taken_from_their_machine_again_or_made_again(run):
    whole = (run / "best.weights.h5").read_bytes()
    (run / "best.weights.h5").write_bytes(whole[:-1])
    assert "Take it from the machine that trained it again" in refusal(lambda: load_run(run))
    (run / "best.weights.h5").write_bytes(whole)
    assert load_run(run)


def test_damaged_ranks_are_made_again_by_the_call_that_made_the_run(run):
    whole = (run / "ranks.npy").read_bytes()
    (run / "ranks.npy").write_bytes(b"damaged")
    message = refusal(lambda: read_ranks(run / "ranks.npy"))
    assert "remove card.json beside it, and the call of train that made the run writes both again" in message
    (run / "card.json").unlink()
    again(run)
    assert (run / "ranks.npy").read_bytes() == whole


@pytest.mark.parametrize("card", ["{", "[]", '{"top1": 0.5}'])
def test_a_damaged_card_is_taken_from_the_repository_again(card, tmp_path, monkeypatch):
    for path in PRETRAINED.glob("article-digits*"):
        shutil.copy(path, tmp_path)
    monkeypatch.setattr("mixer_lib.models.pretrained.PRETRAINED", tmp_path)
    (tmp_path / "article-digits.json").write_text(card)
    assert refusal(lambda: load_pretrained("article-digits"))
    shutil.copy(PRETRAINED / "article-digits.json", tmp_path)
    assert load_pretrained("article-digits")


def test_the_size_that_is_named_when_another_is_asked_for_works():
    model = build_classifier(TINY)
    message = refusal(lambda: enlarge(model, TINY, 12))
    size = int(re.search(r"to a multiple, such as (\d+)", message)[1])
    assert enlarge(model, TINY, size)[0].input_shape[1] == size == 16


def test_a_model_built_as_advised_has_a_released_form(tmp_path):
    message = refusal(lambda: save_released(build_classifier(TINY), tmp_path / "tiny.npz"))
    changes = re.search(r"Build it with (\w+)=(\w+) and (\w+)=(\w+)\.$", message).groups()
    changes = {name: value == "True" for name, value in zip(changes[::2], changes[1::2], strict=True)}
    save_released(build_classifier(dataclasses.replace(TINY, **changes)), tmp_path / "tiny.npz")
    assert load_released(tmp_path / "tiny.npz")


def test_a_file_of_other_arrays_becomes_one_of_the_authors(tmp_path):
    np.savez(tmp_path / "other.npz", head=np.zeros(3))
    assert "Use one of the authors' files, such as Mixer-B_16.npz" in refusal(
        lambda: load_released(tmp_path / "other.npz")
    )
    save_released(build_classifier(TINY_PAPER), tmp_path / "Mixer-B_16.npz")
    with np.load(tmp_path / "Mixer-B_16.npz") as arrays:
        assert infer_config(dict(arrays)).num_blocks == TINY_PAPER.num_blocks


# --- exports --------------------------------------------------------------------------------------


def test_the_file_in_a_folder_that_is_named_can_be_written(tmp_path):
    (tmp_path / "out.safetensors").mkdir()
    message = refusal(lambda: export(build_classifier(TINY), tmp_path / "out.safetensors"))
    assert export(build_classifier(TINY), re.search(r"such as (\S+)\.$", message)[1]).is_file()


def test_each_suffix_that_is_named_is_one_and_safetensors_can_be_written_anywhere(tmp_path, monkeypatch):
    message = refusal(lambda: export(build_classifier(TINY), tmp_path / "model.pb"))
    suffixes = re.search(r"one of ([.\w, ]+)\. Received", message)[1].split(", ")
    assert suffixes == [".onnx", ".tflite", ".safetensors"]
    monkeypatch.setattr("mixer_lib.exports.export.backend_name", lambda: "jax")
    message = refusal(lambda: export(build_classifier(TINY), tmp_path / "model.tflite"))
    assert re.search(r"([.]\w+) can be written anywhere", message)[1] == ".safetensors"
    assert export(build_classifier(TINY), tmp_path / "model.safetensors").is_file()


def test_the_package_that_is_missing_is_the_one_that_its_extra_installs(tmp_path, monkeypatch):
    usual = importlib.util.find_spec
    with monkeypatch.context() as patch:
        patch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "safetensors" else usual(name))
        with pytest.raises(ImportError, match=r"install safetensors: pip install safetensors"):
            export(build_classifier(TINY), tmp_path / "model.safetensors")
    assert export(build_classifier(TINY), tmp_path / "model.safetensors").is_file()


# --- commands -------------------------------------------------------------------------------------


def test_a_preset_for_larger_pictures_becomes_the_article_s(tmp_path, monkeypatch):
    words = ["train", "--dataset", "digits", "--epochs", "1", "--run-dir", str(tmp_path / "run")]
    monkeypatch.setattr(sys, "argv", ["mixer-lib"])
    with pytest.raises(SystemExit) as end:
        main([*words, "--preset", "mixer-s/16"])
    train_nothing(monkeypatch)
    main([*words, *re.search(r"Use (--preset \w+)", str(end.value.code))[1].split()])
    assert (tmp_path / "run" / "card.json").is_file()


def test_a_run_of_other_classes_is_evaluated_on_its_own(run, tmp_path, capsys):
    pictures = tmp_path / "pictures"
    for place, name in enumerate(("cat", "dog")):
        (pictures / name).mkdir(parents=True)
        for i, image in enumerate(random_images(5, seed=place)):
            import PIL.Image

            PIL.Image.fromarray(image).save(pictures / name / f"{i}.png")
    with pytest.raises(SystemExit) as end:
        main(["evaluate", str(run), str(pictures)])
    assert "other classes than the model" in end.value.code and "too many: cat, dog" in end.value.code
    own = dataclasses.replace(small_digits(), name="mine")
    train(RUN, own, tmp_path / "own", 1, 0, QUICK)
    assert load_run(tmp_path / "own")[1].class_names == list(own.class_names)
