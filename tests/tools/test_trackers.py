"""Public reports about programs below this project, tried on it; FAULTS.md has the list."""

import dataclasses

import nbformat
import pytest
from small_notebooks import notebook
from small_runs import QUICK, small_digits, train_nothing

from mixer_lib import build_classifier, load_run, train
from mixer_lib.models.family import FAMILY
from tools.chapters import runner
from tools.chapters.notebooks import ChapterFailed
from tools.render import html

SILENT = {
    "a magic": ["%nothing\nraise TypeError", "x = 1"],
    "a magic at the end": ["x = 1", "%nothing"],
    "an exit": ["import sys; sys.exit(0)", "x = 1"],
    "an exit at the end": ["import sys; sys.exit(0)"],
}


@pytest.mark.parametrize("name", SILENT)
def test_a_cell_that_fails_in_silence_fails_its_chapter(name, tmp_path):
    nbformat.write(notebook(*SILENT[name]), tmp_path / "01_x.ipynb")
    with pytest.raises(ChapterFailed):
        runner.run_chapter(tmp_path / "01_x.ipynb", "full", {}, tmp_path / "build")
    assert not list((tmp_path / "build" / "full" / "executed").iterdir())


def test_changed_prose_is_staged_though_no_code_has_changed(tmp_path, monkeypatch):
    root = tmp_path / "root"
    for folder in ("book", "notebooks"):
        (root / folder).mkdir(parents=True)
    for name in ("_config.yml", "_toc.yml", "requirements.txt"):
        (root / name).write_text("sphinx: {config: {}}\n")
    monkeypatch.setattr(html, "ROOT", root)
    monkeypatch.setattr(html, "repository_url", lambda: "")
    chapter = notebook("x = 1")
    for words in ("# Before", "# Afterwards"):
        chapter.cells[0].source = words
        nbformat.write(chapter, root / "notebooks" / "01_x.ipynb")
        html.stage_book(tmp_path / "stage")
        assert words in (tmp_path / "stage" / "notebooks" / "01_x.ipynb").read_text()


SMALL = {"image_size": 8, "patch_size": 4, "num_blocks": 1, "hidden_dim": 8, "widths": (4,), "num_classes": 10}
SMALL |= {"tokens_mlp_dim": 4, "channels_mlp_dim": 4, "ffn_dim": 4, "mlp_dim": 4, "num_heads": 2, "kernel_size": 3}


@pytest.mark.parametrize("name", FAMILY)
def test_a_run_of_each_family_is_loaded_as_that_family(name, tmp_path, monkeypatch):
    train_nothing(monkeypatch)
    fields = {field.name for field in dataclasses.fields(FAMILY[name])}
    config = dataclasses.replace(FAMILY[name], **{key: value for key, value in SMALL.items() if key in fields})
    train(config, small_digits(), tmp_path, 1, 0, QUICK)
    model, _ = load_run(tmp_path)
    expected = [(layer.name, type(layer)) for layer in build_classifier(config).layers]
    assert [(layer.name, type(layer)) for layer in model.layers] == expected
