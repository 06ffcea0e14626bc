"""What the verbs advise works: each message is provoked, its advice followed, and the next try succeeds."""

import os
import re
import shutil
import stat
import sys
import types

import nbformat
import pytest
from small_notebooks import notebook
from small_runs import REQUESTED, TINY, small_digits, train_nothing

from mixer_lib import train
from mixer_lib.runs.recorded import rows, trial_epochs
from tools import verbs
from tools.chapters import execute, notebooks, publish, runner
from tools.hosting import kaggle
from tools.maintain import lock, record
from tools.render import pdf
from tools.setup import environment, interpreters, options, shield


def said(act, kind=ValueError):
    with pytest.raises(kind) as refused:
        act()
    return str(refused.value.code if kind is SystemExit else refused.value)


# --- options --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "wrong", "pattern"),
    [
        ("DATASET", "imagenet", r"use one of (\w+)"),
        ("EPOCHS", "0", r"at least (\d+)"),
        ("SEED", "-1", r"from (\d+)"),
        ("SEED", "2147483648", r"to (\d+)"),
        ("DEVICES", "none", r"at least (\d+)"),
        ("SOLUTIONS", "maybe", r"give (yes)"),
        ("SOLUTIONS", "false", r"or (no)"),
        ("PORT", "0", r"from (\d+)"),
        ("PORT", "99999", r"to (\d+)"),
    ],
)
def test_the_value_that_a_message_names_is_taken(name, wrong, pattern):
    message = said(lambda: options.read_options({name: wrong}))
    assert options.read_options({name: re.search(pattern, message)[1]})[name.lower()] is not None


def test_a_folder_or_an_archive_that_is_there_is_taken(tmp_path):
    assert "name a folder or an archive" in said(lambda: options.read_options({"DATA": str(tmp_path / "nothing")}))
    (tmp_path / "archive.tar.gz").touch()
    for place in (tmp_path, tmp_path / "archive.tar.gz"):
        assert options.read_options({"DATA": str(place)})["data_dir"] == str(place)


def test_a_python_that_is_named_is_one_that_runs(monkeypatch):
    versions = re.search(r"use one of ([\d., ]+)", said(lambda: interpreters.choose("2.7")))[1].split(", ")
    assert versions == ["3.10", "3.11", "3.12", "3.13"]
    for wrong, way in (("/no/python", "the path of an interpreter"), ("9.9", "use one of")):
        assert way in said(lambda wrong=wrong: interpreters.choose(wrong))
    monkeypatch.setattr(interpreters, "find_python", lambda version: None)
    assert "name its path" in said(lambda: interpreters.choose("3.12"))
    assert "name one with PYTHON=" in said(lambda: interpreters.choose(""))
    assert interpreters.choose(sys.executable) == sys.executable


def test_kaggle_s_options_are_taken_as_their_messages_say():
    assert "take the one in the address" in said(lambda: kaggle.read_options({"OWNER": "Some One"}))
    message = said(lambda: kaggle.read_options({"OWNER": "some-one", "INPUTS": "cifar"}))
    inputs = re.search(r"give (\w+/\w+)", message)[1]
    message = said(lambda: kaggle.read_options({"OWNER": "some-one", "PUSH": "all"}))
    words = re.findall(r"\b(1|bundle|\d\d_\w+)\b", message.partition("use ")[2])
    assert len(words) > 10
    for word in words:
        assert kaggle.read_options({"OWNER": "some-one", "INPUTS": inputs, "PUSH": word})["push"] == word
    assert "needs OWNER=" in said(lambda: kaggle.read_options({"PUSH": "1"}))


# --- the set-up -----------------------------------------------------------------------------------


def test_a_folder_that_is_renamed_is_taken(tmp_path):
    assert "rename the folder" in said(lambda: shield.refuse_path(tmp_path / "a:b"), SystemExit)
    shield.refuse_path(tmp_path / "a-b")


def test_a_clone_that_can_not_be_written_is_copied_to_a_folder_that_can(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: not str(path).endswith("locked"))
    monkeypatch.setattr(environment, "ROOT", tmp_path / "locked")
    assert "copy it to a folder of yours" in said(environment.refuse_read_only, SystemExit)
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    environment.refuse_read_only()


def test_a_python_without_venv_is_told_and_one_with_it_works(tmp_path, monkeypatch):
    python = tmp_path / "python3"
    python.write_text(f'#!/bin/sh\ncase "$*" in *ensurepip*) exit 1;; esac\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    monkeypatch.setattr(environment, "install_all", lambda *arguments: None)
    log, folder = tmp_path / "log", tmp_path / ".venv" / "py3"
    message = said(lambda: environment.make(str(python), folder, log, gpu=False), SystemExit)
    assert "has no venv module: install it" in message
    environment.make(sys.executable, folder, log, gpu=False)
    assert (folder / "bin" / "python").exists()


# --- chapters -------------------------------------------------------------------------------------


def test_data_that_are_not_to_be_had_are_found_at_the_place_that_data_names(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(execute, "BUILD", tmp_path)
    monkeypatch.setenv("DATASET", "digits")

    def load(name, data_dir):
        if data_dir is None:
            raise FileNotFoundError("not there")
        raise KeyboardInterrupt("found")

    monkeypatch.setattr("mixer_lib.load_dataset", load)
    main = execute.main.__wrapped__
    with pytest.raises(SystemExit):
        main()
    assert "Give its place with DATA=<folder>, or try `make quick`" in capsys.readouterr().err
    monkeypatch.setenv("DATA", str(tmp_path))
    with pytest.raises(KeyboardInterrupt, match="found"):
        main()


def test_a_parameter_that_the_message_lists_is_known(tmp_path):
    nbformat.write(notebook("print(seed)"), tmp_path / "01_x.ipynb")
    message = said(lambda: notebooks.check_parameters(tmp_path / "01_x.ipynb", {"c": 1}), notebooks.ChapterFailed)
    for name in re.search(r"parameters cell has (.*)$", message)[1].split(", "):
        notebooks.check_parameters(tmp_path / "01_x.ipynb", {name: 1})


def test_a_folder_gets_a_chapter_of_the_name_that_is_expected(tmp_path):
    message = said(lambda: notebooks.chapter_paths(tmp_path), notebooks.ChapterFailed)
    (tmp_path / re.search(r"such as (\S+)$", message)[1]).touch()
    assert len(notebooks.chapter_paths(tmp_path)) == 1


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A repository of one chapter, which `run_again` runs in full as `make execute` would."""
    chapter = tmp_path / "notebooks" / "01_x.ipynb"
    chapter.parent.mkdir()
    nbformat.write(notebook("print(1)"), chapter)
    for module in (publish, runner):
        monkeypatch.setattr(module, "chapter_paths", lambda: [chapter])
    for module in (publish, runner):
        monkeypatch.setattr(module, "BUILD", tmp_path / "_build")
    monkeypatch.setattr(publish, "NOTEBOOKS", chapter.parent)

    def run_again():
        runner.run_chapter(chapter, "full", {}, tmp_path / "_build")

    return types.SimpleNamespace(chapter=chapter, run_again=run_again)


def test_chapters_that_are_refused_are_published_after_another_run(project, capsys):
    def refused(part):
        with pytest.raises(SystemExit):
            publish.main()
        assert part in capsys.readouterr().err

    refused("not run in full yet: run `make execute` first")
    project.run_again()
    publish.main()
    changed = nbformat.read(project.chapter, 4)
    changed.cells[2].source = "print(2)"
    nbformat.write(changed, project.chapter)
    refused("its code has changed since it was run: run `make execute` again")
    project.run_again()
    publish.main()
    assert nbformat.read(project.chapter, 4).cells[2].outputs[0].text == "2\n"


def test_a_verb_at_work_is_waited_for(tmp_path):
    again = verbs.exclusive(tmp_path / "fast")
    with verbs.exclusive(tmp_path / "fast"), pytest.raises(SystemExit, match="wait until it ends"):
        again.__enter__()
    with verbs.exclusive(tmp_path / "fast"):
        pass


# --- maintainers ----------------------------------------------------------------------------------


def recorded(monkeypatch, tmp_path, *words):
    monkeypatch.setattr(record, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["record", *map(str, words)])
    (tmp_path / "mixer_lib").mkdir(exist_ok=True)
    record.main()


def test_a_run_that_can_not_be_recorded_is_trained_again_into_an_empty_folder(tmp_path, monkeypatch):
    train_nothing(monkeypatch)
    train(TINY, small_digits(), tmp_path / "run", **REQUESTED)
    (tmp_path / "run" / "best.weights.h5").write_bytes(b"other")
    message = said(lambda: recorded(monkeypatch, tmp_path, tmp_path / "run", "x"), SystemExit)
    assert "train again into an empty folder" in message
    assert "holds no finished run" in said(lambda: recorded(monkeypatch, tmp_path, tmp_path / "two", "x"), SystemExit)
    train(TINY, small_digits(), tmp_path / "two", **REQUESTED)
    recorded(monkeypatch, tmp_path, tmp_path / "two", "x")
    assert (tmp_path / "mixer_lib" / "recorded" / "x.json").is_file()


def test_a_search_is_recorded_with_the_epochs_of_its_trials_and_without_places(tmp_path, monkeypatch):
    search, kept = tmp_path / "search", tmp_path / "mixer_lib" / "recorded"
    for trial, epochs in (("trial000", 2), ("trial001", 1)):
        (search / trial).mkdir(parents=True)
        lines = "".join(f"{epoch},0.5\n" for epoch in range(1, epochs + 1))
        (search / trial / "history.csv").write_text("epoch,val_top1\n" + lines)
    table = "trial,state,command\ntrial001,complete,python x --data=/a --run-dir=/b\ntrial000,pruned,python x\n"
    (search / "trials.csv").write_text(table + "trial002,running,python x\n")
    recorded(monkeypatch, tmp_path, search, "search-mine")
    assert (kept / "search-mine.csv").read_text() == table.replace(" --data=/a --run-dir=/b", "")
    monkeypatch.setattr("mixer_lib.runs.recorded.RECORDED", kept)
    assert [row["trial"] for row in rows("search-mine")] == ["trial001", "trial000"]
    assert {trial: len(epochs) for trial, epochs in trial_epochs("search-mine").items()} == {
        "trial000": 2,
        "trial001": 1,
    }


def test_a_published_model_is_laid_out_in_a_folder_that_is_not_there_yet(tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    message = said(lambda: recorded(monkeypatch, tmp_path, tmp_path / "run", "article", "--lay-out"), SystemExit)
    assert "Name a published model and a folder that isn't there yet" in message
    recorded(monkeypatch, tmp_path, tmp_path / "new", "article", "--lay-out")
    assert sorted(path.name for path in (tmp_path / "new").iterdir())[:2] == ["best.weights.h5", "card.json"]


def test_versions_do_not_depend_on_a_reader_s_uv_configuration(tmp_path, monkeypatch):
    if not os.path.exists(lock.uv()):
        pytest.skip("no uv here")
    (tmp_path / "wishes.in").touch()
    (tmp_path / "uv.toml").write_text("[pip]\nemit-index-url = true\nemit-build-options = true\n")
    monkeypatch.setattr(lock, "ROOT", tmp_path)
    assert "index-url" not in lock.resolve(tmp_path / "wishes.in")


def test_a_browser_that_is_installed_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["pdf"])
    message = said(pdf.main.__wrapped__, SystemExit)
    name = re.search(r"apt install (\w+)\)", message)[1]
    (tmp_path / name).write_text("#!/bin/sh\n")
    (tmp_path / name).chmod(stat.S_IRWXU)
    assert pdf.find_browser() == str(tmp_path / name)


def test_a_disk_that_refuses_works_once_the_folder_can_be_written(tmp_path):
    part = tmp_path / ".file.part"
    part.mkdir()  # in the way, for every account

    def write():
        try:
            verbs.atomic_write_text(tmp_path / "file", "x")
        except IsADirectoryError as error:
            raise PermissionError(13, "Permission denied", str(part)) from error

    assert "make the folder writable; then give the same command again" in said(lambda: verbs.run(write), SystemExit)
    shutil.rmtree(part)
    verbs.run(write)
    assert (tmp_path / "file").read_text() == "x"
