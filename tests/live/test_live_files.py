"""The files beside the live page: made of the published models, and small."""

import json
import shutil

import pytest

from tools.render import live


def test_the_weights_file_is_that_of_the_card(tmp_path):
    packed = live.pack_model("article")
    assert (
        packed["card"]["weights_sha256"] == json.loads((live.PRETRAINED / "article.json").read_text())["weights_sha256"]
    )
    assert len(packed["classes"]) == packed["config"]["num_classes"]


def copied(tmp_path):
    for file in live.PRETRAINED.glob("article.*"):
        shutil.copy(file, tmp_path / file.name)
    return tmp_path / "article.weights.h5", tmp_path / "article.json"


def test_damaged_weights_are_refused(tmp_path):
    weights, _ = copied(tmp_path)
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(ValueError, match="SHA-256 differs from the card's"):
        live.pack_model("article", tmp_path)


def test_a_card_of_another_model_is_refused(tmp_path):
    _, card = copied(tmp_path)
    content = json.loads(card.read_text())
    card.write_text(json.dumps({**content, "parameters": 5}))
    with pytest.raises(ValueError, match="119,780 parameters were found, and the card says 5"):
        live.pack_model("article", tmp_path)


def test_names_of_the_cards_own_classes_come_first():
    card = {"config": {"num_classes": 2}, "class_names": ["sea_horse", "owl"]}
    assert live.class_names(card) == ["sea horse", "owl"]
    with pytest.raises(ValueError, match="3 classes, and 100 names"):
        live.class_names({"config": {"num_classes": 3}, "dataset": "cifar100"})


def test_all_that_the_page_loads_stays_below_two_and_a_half_megabytes(tmp_path):
    files = live.write_live(tmp_path / "live")
    assert {"weights-article.js", "weights-article-plus.js", "gallery.js", "mixer.js"} <= {file.name for file in files}
    assert sum(file.stat().st_size for file in files) < 2_500_000


def test_the_forward_pass_is_short_and_needs_nothing():
    source = (live.LIVE / "mixer.js").read_text(encoding="utf-8")
    assert len(source.splitlines()) < 200
    assert "import " not in source and "fetch(" not in source


def test_the_code_that_is_shown_is_the_code_that_runs():
    code = live.pack_code()
    assert "tokenMixing" in code["javascript"] and "channelMixing" in code["javascript"]
    assert "token_norm" in code["python"] and "highlight" in code["python"]


def test_every_picture_of_the_gallery_names_its_source_and_licence():
    pictures = live.pack_gallery()
    assert len({picture["name"] for picture in pictures}) == len(pictures)
    assert {file.name for file in (live.LIVE / "gallery").glob("*.[jp]*g")} == {picture["file"] for picture in pictures}
    for picture in pictures:
        assert picture["licence"] in ("CC0", "public domain", "CC BY 2.0", "CC BY 4.0")
        assert picture["by"] and len(picture["alt"].split()) >= 3
