"""Kaggle and Colab: the first cell, what `make kaggle` makes, runs that go on, and the hosts rebuilt."""

import ast
import importlib.metadata
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import address
import carried
import hosted_images
import kaggle
import nbformat
import pytest
from chapters import chapter_paths

import mixer_lib
from mixer_lib import hosts, records

ROOT = Path(__file__).resolve().parent.parent
CHAPTERS = chapter_paths()
URL = "https://github.com/someone/a-book"


def code_cells(path):
    return [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]


def first_cell():
    return code_cells(CHAPTERS[0])[0].source


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """_build/kaggle/ in small: two chapters and the bundle."""
    target = tmp_path_factory.mktemp("kaggle") / "made"
    kaggle.make_folders(target, owner="someone", chapters=[CHAPTERS[0], CHAPTERS[-1]])
    return target


@pytest.fixture(scope="module")
def wheel(folders):
    return next(folders.glob("bundle/mixer_lib-*.whl"))


@pytest.fixture
def on_kaggle(tmp_path, monkeypatch):
    """An empty Kaggle: its inputs' folder, with no CIFAR-100 elsewhere."""
    inputs = tmp_path / "input"
    inputs.mkdir()
    monkeypatch.setenv("MIXER_KAGGLE_INPUT", str(inputs))
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Interactive")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.delenv("COLAB_RELEASE_TAG", raising=False)
    return inputs


# the first cell


def test_the_first_cell_is_the_same_in_every_chapter():
    assert {code_cells(path)[0].source for path in CHAPTERS} == {first_cell()}


def test_environment_parameters_and_settings_stand_first_in_every_chapter():
    for path in CHAPTERS:
        first, second, third = code_cells(path)[:3]
        assert first.source.endswith("print(hosts.report())")
        assert "parameters" in second.metadata.get("tags", [])
        assert "mixer_lib.chapter_settings(" in third.source
        assert "print(settings.caption)" in third.source


STUB = {"__init__.py": "", "hosts.py": "def report():\n    return 'the report'\n"}


@pytest.fixture
def stub_wheel(tmp_path):
    """A wheel of a mixer_lib that only reports: what the first cell does needs no more."""
    path = tmp_path / "mixer_lib-0.1.0-py3-none-any.whl"
    about = {"METADATA": "Metadata-Version: 2.1\nName: mixer-lib\nVersion: 0.1.0\nRequires-Dist: keras<2\n"}
    about |= {"WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n", "RECORD": ""}
    with zipfile.ZipFile(path, "w") as files:
        for name, text in STUB.items():
            files.writestr(f"mixer_lib/{name}", text)
        for name, text in about.items():
            files.writestr(f"mixer_lib-0.1.0.dist-info/{name}", text)
    return path


def run_first_cell(folder, **values):
    """Run the first cell in folder/working, where pip installs into folder/site; the finished process."""
    for name in ("working", "site"):
        (folder / name).mkdir(exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if name != "MIXER_REPOSITORY"}
    environment |= {"PIP_TARGET": str(folder / "site"), "PYTHONPATH": str(folder / "site"), **values}
    environment |= {"MIXER_KAGGLE_INPUT": str(folder / "input")}
    command = [sys.executable, "-c", first_cell() + "\nprint('from', mixer_lib.__file__)"]
    return subprocess.run(command, cwd=folder / "working", env=environment, capture_output=True, text=True)


def test_without_clone_bundle_or_repository_one_line_says_what_to_click(tmp_path):
    done = run_first_cell(tmp_path)
    assert done.returncode == 1
    assert "Settings > Turn on internet" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("mount", ["a-bundle", "datasets/someone/a-bundle"])
def test_the_first_cell_installs_the_attached_bundle_in_both_mount_layouts(tmp_path, stub_wheel, mount):
    folder = tmp_path / "input" / mount
    folder.mkdir(parents=True)
    shutil.move(stub_wheel, folder)
    done = run_first_cell(tmp_path, PIP_NO_INDEX="1")
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines() == ["the report", f"from {tmp_path}/site/mixer_lib/__init__.py"]
    installed = {path.name for path in (tmp_path / "site").iterdir()}
    assert installed == {"mixer_lib", "mixer_lib-0.1.0.dist-info"}  # the host's Keras, whatever it is, stays


def test_in_a_clone_the_first_cell_takes_the_clone_s_library(tmp_path):
    (tmp_path / "mixer_lib").mkdir()
    for name, text in STUB.items():
        (tmp_path / "mixer_lib" / name).write_text(text)
    done = run_first_cell(tmp_path)
    assert done.stdout.splitlines() == ["the report", f"from {tmp_path}/mixer_lib/__init__.py"]


def test_the_first_cell_installs_from_the_repository_that_it_names(tmp_path):
    """A repository on disk stands for the one on GitHub; setuptools is taken from here, so that no network is used."""
    repository = tmp_path / "repository"
    shutil.copytree(ROOT / "mixer_lib", repository / "mixer_lib", ignore=shutil.ignore_patterns("__pycache__"))
    (repository / "mixer_lib" / "__init__.py").write_text("")
    (repository / "mixer_lib" / "hosts.py").write_text(STUB["hosts.py"])
    shutil.copy(ROOT / "pyproject.toml", repository)
    git = ["git", "-C", str(repository), "-c", "user.name=someone", "-c", "user.email=someone@example.org"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "a book"]):
        subprocess.run([*git, *command], check=True, capture_output=True)
    values = {"MIXER_REPOSITORY": f"file://{repository}", "PIP_NO_BUILD_ISOLATION": "0", "PIP_NO_INDEX": "1"}
    done = run_first_cell(tmp_path, **values)
    assert done.stdout.splitlines() == ["the report", f"from {tmp_path}/site/mixer_lib/__init__.py"], done.stderr
    assert (tmp_path / "site" / "mixer_lib" / "pretrained" / "article.weights.h5").is_file()


# what it prints


def test_a_host_is_known_by_what_it_sets(on_kaggle, monkeypatch):
    assert hosts.host() == "Kaggle"
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release-colab")
    assert hosts.host() == "Colab"  # it may have a folder /kaggle/input, too
    for name in ("COLAB_RELEASE_TAG", "KAGGLE_KERNEL_RUN_TYPE"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("MIXER_KAGGLE_INPUT", str(on_kaggle / "nothing"))
    assert hosts.host() == ""


def test_without_gpu_and_internet_kaggle_is_told_what_to_click(on_kaggle, monkeypatch):
    monkeypatch.setattr(hosts.results, "device_name", lambda: "CPU, 4 cores (some)")
    monkeypatch.setattr(hosts, "_answers", lambda name: False)
    facts, gpu, internet = hosts.report().splitlines()
    assert facts.startswith("Kaggle: python ") and facts.endswith(" on CPU, 4 cores (some)")
    assert "Settings > Accelerator > GPU T4 x2" in gpu
    assert "Settings > Turn on internet" in internet and "Add Input" in internet


def test_with_a_gpu_and_the_data_attached_one_line_is_all(on_kaggle, monkeypatch):
    monkeypatch.setattr(hosts.results, "device_name", lambda: "2 x Tesla T4")
    monkeypatch.setattr(hosts, "_answers", lambda name: False)
    folder = on_kaggle / "datasets" / "someone" / "cifar100"
    folder.mkdir(parents=True)
    for name in ("train", "test", "meta"):
        assert len(hosts.report().splitlines()) == 2
        (folder / name).write_bytes(b"")
    assert len(hosts.report().splitlines()) == 1


def test_colab_is_told_its_own_clicks(on_kaggle, monkeypatch):
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release-colab")
    monkeypatch.setattr(hosts.results, "device_name", lambda: "CPU, 2 cores (some)")
    assert "Runtime > Change runtime type > T4 GPU" in hosts.report()
    assert "Kaggle" not in hosts.report()


def test_a_machine_of_one_s_own_gets_no_advice(on_kaggle, monkeypatch):
    monkeypatch.setattr(hosts, "host", lambda: "")
    monkeypatch.setattr(hosts.results, "device_name", lambda: "CPU, 2 cores (some)")
    assert len(hosts.report().splitlines()) == 1


def test_a_package_that_is_too_old_is_refused_with_what_to_click(on_kaggle, monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: {"keras": "2.9.0"}.get(name, "99.0"))
    with pytest.raises(ImportError, match="keras 2.9.0 .2.15 or newer.*Always use latest environment"):
        hosts.refuse_old_versions()
    monkeypatch.setattr(importlib.metadata, "version", lambda name: {"keras": "2.15.0"}.get(name, "99.0"))
    hosts.refuse_old_versions()


def test_the_oldest_versions_are_those_of_the_package():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    listed = ast.literal_eval(re.search(r"^dependencies = (\[.*?\])", text, re.S | re.M)[1])
    assert dict(entry.split(">=") for entry in listed) == {**hosts.OLDEST}


def test_a_name_that_no_server_knows_is_no_internet(monkeypatch):
    assert hosts._answers("localhost")
    assert not hosts._answers("no-such-name.invalid")
    monkeypatch.setattr(hosts, "SECONDS_TO_ANSWER", 0.05)
    monkeypatch.setattr(hosts, "_resolves", lambda name: time.sleep(1) or True)
    assert not hosts._answers("slow.invalid")


# what make kaggle makes


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"OWNER": "some one"}, "OWNER=some one"),
        ({"OWNER": "someone", "INPUTS": "cifar"}, "INPUTS=cifar"),
        ({"OWNER": "someone", "PUSH": "07_nothing"}, "PUSH=07_nothing"),
        ({"PUSH": "1"}, "PUSH= needs OWNER="),
    ],
)
def test_make_kaggle_refuses_a_wrong_option(given, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        kaggle.read_options(given)


def test_metadata_ask_for_the_gpu_and_say_title_and_id_alike():
    for path in CHAPTERS:
        found = kaggle.kernel_metadata(path.stem, "someone")
        assert found["enable_gpu"] is True and found["machine_shape"] == "NvidiaTeslaT4"
        assert found["enable_internet"] is True and found["dataset_sources"] == []
        assert found["code_file"] == path.name
        assert found["id"] == "someone/" + found["title"].lower().replace(" ", "-")
        assert 5 <= len(found["title"]) <= 50  # Kaggle's limits
    attached = kaggle.kernel_metadata("01_data", "someone", ["other/cifar-100"])
    assert attached["dataset_sources"] == ["other/cifar-100"] and attached["enable_internet"] is False


def test_a_folder_holds_what_the_command_line_tool_wants(folders):
    assert sorted(path.name for path in folders.iterdir()) == [CHAPTERS[0].stem, CHAPTERS[-1].stem, "bundle"]
    for stem in (CHAPTERS[0].stem, CHAPTERS[-1].stem):
        metadata = json.loads((folders / stem / "kernel-metadata.json").read_text())
        assert (folders / stem / metadata["code_file"]).is_file()
    bundle = {path.name for path in (folders / "bundle").iterdir()}
    assert {"dataset-metadata.json", "article.json", "article.csv", "article.weights.h5"} <= bundle
    assert len([name for name in bundle if name.endswith(".whl")]) == 1


UNPACKED = """
import json
model, card = mixer_lib.load_pretrained("article-digits")
dataset = mixer_lib.load_dataset("digits")
print(json.dumps([mixer_lib.__file__, card.top1, mixer_lib.evaluate(model, dataset.x_test, dataset.y_test)["top1"]]))
"""


def test_a_self_contained_notebook_brings_library_and_weights_along(folders, tmp_path):
    """Its first two cells, run where mixer_lib is not: the carried model scores what its card says."""
    path = folders / CHAPTERS[-1].stem / CHAPTERS[-1].name
    assert path.stat().st_size < carried.LARGEST_NOTEBOOK
    carrier, first = code_cells(path)[:2]
    assert carrier.metadata["cellView"] == "form" and carrier.metadata["jupyter"]["source_hidden"]
    assert first.source == first_cell()
    script = tmp_path / "cells.py"
    script.write_text(carrier.source + "\n" + first.source + UNPACKED, encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"PIP_NO_INDEX": "1", "PYTHONPATH": "", "TMPDIR": str(tmp_path), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run([sys.executable, script], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    place, recorded, measured = json.loads(done.stdout.splitlines()[-1])
    assert place.startswith(str(tmp_path))
    assert measured == pytest.approx(recorded, abs=1e-9)


def test_a_self_contained_notebook_has_the_chapter_s_code_and_no_outputs(folders):
    made = code_cells(folders / CHAPTERS[0].stem / CHAPTERS[0].name)
    assert [cell.source for cell in made[1:]] == [cell.source for cell in code_cells(CHAPTERS[0])]
    assert all(not cell.outputs and cell.execution_count is None for cell in made)


def test_links_into_the_repository_lead_to_its_address_or_nowhere(wheel):
    text = "the [glossary](../book/glossary.md), the [next](02_patches.ipynb), the [paper](https://arxiv.org/abs/1)"
    found = carried.reachable(text, URL)
    assert f"[glossary]({URL}/blob/main/book/glossary.md)" in found
    assert f"[next]({URL}/blob/main/notebooks/02_patches.ipynb)" in found
    assert carried.reachable(text, "") == "the glossary, the next, the [paper](https://arxiv.org/abs/1)"
    for path in CHAPTERS:
        made = carried.self_contained(nbformat.read(path, 4), wheel, URL)
        prose = "".join(cell.source for cell in made.cells if cell.cell_type == "markdown")
        assert not re.findall(r"\]\((?!http|#)[^)]*\)", prose)
        assert f'REPOSITORY = "{URL}"' in "".join(cell.source for cell in made.cells)


def test_a_notebook_that_hosts_would_refuse_is_never_made(wheel, monkeypatch):
    monkeypatch.setattr(carried, "LARGEST_NOTEBOOK", 100_000)
    with pytest.raises(RuntimeError, match="hosts take fewer than 100,000"):
        carried.self_contained(nbformat.read(CHAPTERS[0], 4), wheel)


def test_the_published_weights_are_carried_as_they_are(tmp_path):
    """Without the optimizer's memory, to the last bit; only the digits' model is shortened."""
    import numpy as np

    for name in ("article", "article-digits"):
        full = hosts.results.PRETRAINED / f"{name}.weights.h5"
        slim = tmp_path / full.name
        carried.slim_weights(full, slim, name in carried.SHORTENED)
        model, _ = mixer_lib.load_pretrained(name)
        before = [np.asarray(weight) for weight in model.get_weights()]
        model.load_weights(slim)
        after = [np.asarray(weight) for weight in model.get_weights()]
        same = [np.array_equal(one, two) for one, two in zip(before, after, strict=True)]
        assert all(same) == (name == "article")
        assert all(np.allclose(one, two, rtol=1e-3, atol=1e-5) for one, two in zip(before, after, strict=True))


def test_recorded_runs_are_carried_and_their_histories_with_six_digits(tmp_path):
    import numpy as np

    library = carried.slim_library(tmp_path)
    for folder in records.FOLDERS:
        for card in folder.glob("*.json"):
            assert (library / folder.name / card.name).is_file()
    carried_rows = np.genfromtxt(library / "pretrained" / "article.csv", delimiter=",", names=True)
    for column in ("epoch", "lr", "loss", "val_top1"):
        assert np.allclose(carried_rows[column], records.history("article")[column], rtol=1e-5)
    assert carried.shorter("1,55.39,0.004999999888241291,3.8793") == "1,55.39,0.005,3.8793"


# The second line hands the file to Python, and is a string to it: a path with spaces can't stand in the first one.
FAKE = """#!/bin/sh
"exec" "{python}" "$0" "$@"
import json, pathlib, sys
here = pathlib.Path(__file__).parent
with open(here / "calls", "a") as calls:
    calls.write(" ".join(sys.argv[1:]) + "\\n")
answers = json.loads((here / "answers.json").read_text())
key = " ".join(sys.argv[1:3])
code, said = answers[key].pop(0) if len(answers[key]) > 1 else answers[key][0]
(here / "answers.json").write_text(json.dumps(answers))
print(said)
sys.exit(code)
"""


@pytest.fixture
def fake_tool(tmp_path, monkeypatch):
    """A `kaggle` on PATH that answers as told and notes what it was asked."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "kaggle").write_text(FAKE.format(python=sys.executable))
    (folder / "kaggle").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def answers(**given):
        (folder / "answers.json").write_text(json.dumps({name.replace("_", " "): said for name, said in given.items()}))
        return lambda: (folder / "calls").read_text().splitlines()

    return answers


PUSHED = [0, "Kernel version 1 successfully pushed.  Please check progress at https://www.kaggle.com/code/x"]


def status(word):
    return [0, f'someone/x has status "KernelWorkerStatus.{word}"']


def test_a_push_follows_the_run_to_its_end(folders, fake_tool, capsys):
    calls = fake_tool(kernels_push=[PUSHED], kernels_status=[status("QUEUED"), status("RUNNING"), status("COMPLETE")])
    chapter = folders / CHAPTERS[0].stem
    kaggle.push(kaggle.command_line_tool(), chapter, pause=0)
    name = json.loads((chapter / "kernel-metadata.json").read_text())["id"]
    assert calls() == [f"kernels push -p {chapter}", *[f"kernels status {name}"] * 3]
    assert [line.split(": ")[1] for line in capsys.readouterr().out.splitlines()[1:]] == [
        "queued",
        "running",
        "complete",
    ]


def test_a_push_that_the_tool_refuses_has_failed_though_it_ends_with_0(folders, fake_tool):
    fake_tool(kernels_push=[[0, "Kernel push error: no such owner"]])
    with pytest.raises(RuntimeError, match="was not pushed"):
        kaggle.push(kaggle.command_line_tool(), folders / CHAPTERS[0].stem, pause=0)


@pytest.mark.parametrize("word", ["ERROR", "CANCEL_ACKNOWLEDGED"])
def test_a_run_that_fails_shows_its_log(folders, fake_tool, word):
    fake_tool(kernels_push=[PUSHED], kernels_status=[status("RUNNING"), status(word)], kernels_logs=[[0, "the log"]])
    with pytest.raises(RuntimeError, match="the log"):
        kaggle.push(kaggle.command_line_tool(), folders / CHAPTERS[0].stem, pause=0)


def test_a_gap_in_the_answers_is_bridged_and_silence_is_not(folders, fake_tool):
    gap = [1, "connection lost"]
    fake_tool(kernels_push=[PUSHED], kernels_status=[gap, gap, status("RUNNING"), gap, status("COMPLETE")])
    kaggle.push(kaggle.command_line_tool(), folders / CHAPTERS[0].stem, pause=0, patience=3)
    fake_tool(kernels_push=[PUSHED], kernels_status=[gap])
    with pytest.raises(RuntimeError, match="connection lost"):
        kaggle.push(kaggle.command_line_tool(), folders / CHAPTERS[0].stem, pause=0, patience=3)


@pytest.mark.parametrize(("there", "verb"), [([0, "ready"], "version"), ([1, "404"], "create")])
def test_a_bundle_becomes_a_new_data_set_or_a_new_version(folders, fake_tool, there, verb):
    calls = fake_tool(datasets_status=[there], datasets_create=[[0, "ok"]], datasets_version=[[0, "ok"]])
    kaggle.push_bundle(kaggle.command_line_tool(), folders / "bundle")
    assert calls()[0] == "datasets status someone/mlp-mixer-book-bundle"
    assert calls()[1].startswith(f"datasets {verb} ")


def test_credentials_are_left_to_the_tool():
    text = (ROOT / "tools" / "kaggle.py").read_text(encoding="utf-8")
    for word in ("KAGGLE_KEY", "KAGGLE_USERNAME", "KAGGLE_API_TOKEN", "kaggle.json", "access_token"):
        assert word not in text


# the launch buttons


def test_the_readme_s_buttons_lead_to_each_chapter():
    text = address.buttons(URL, CHAPTERS)
    for path in CHAPTERS:
        assert f"https://colab.research.google.com/github/someone/a-book/blob/main/notebooks/{path.name})" in text
        assert f"src=https%3A%2F%2Fgithub.com%2Fsomeone%2Fa-book%2Fblob%2Fmain%2Fnotebooks%2F{path.name})" in text
        assert f"https://raw.githubusercontent.com/someone/a-book/main/notebooks/{path.name})" in text


def test_without_an_address_there_is_no_button():
    text = address.buttons("", CHAPTERS)
    assert "https://" not in text
    assert all((ROOT / page).is_file() for page in re.findall(r"\]\((.*?)\)", text))


def written_address():
    """The address in the first cells: the same in all chapters, or empty."""
    found = {re.search(r'^REPOSITORY = "(.*?)"', code_cells(path)[0].source, re.M)[1] for path in CHAPTERS}
    assert len(found) == 1
    return found.pop()


def test_readme_and_chapters_name_the_same_address():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert address.with_buttons(readme, written_address(), CHAPTERS) == readme


def test_writing_the_address_changes_nothing_else_in_a_chapter():
    for path in CHAPTERS:
        text = path.read_text(encoding="utf-8")
        written = address.with_address(text, URL)
        assert f'REPOSITORY = "{URL}"' in nbformat.reads(written, 4).cells[1].source
        assert address.with_address(written, written_address()) == text


def test_a_chapter_s_stamp_does_not_depend_on_the_address():
    import stamps

    text = CHAPTERS[0].read_text(encoding="utf-8")
    before, after = nbformat.reads(text, 4), nbformat.reads(address.with_address(text, URL), 4)
    assert before.cells != after.cells
    assert stamps.cells_hash(before) == stamps.cells_hash(after)


# interrupted hosts


TRAINS = """
import mixer_lib
small = mixer_lib.MixerConfig(patch_size=8, num_blocks=1, hidden_dim=16, tokens_mlp_dim=8, channels_mlp_dim=8,
                              num_classes=10)
mixer_lib.train(small, mixer_lib.load_dataset("digits"), "runs/digits-article-seed0", epochs=500)
"""


def rows(run_dir):
    history = Path(run_dir) / "history.csv"
    return history.read_text().splitlines()[1:] if history.is_file() else []


def killed_session(folder):
    """A session that trains in `folder` and is killed after its second epoch."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    session = subprocess.Popen([sys.executable, "-c", TRAINS], cwd=folder, env=environment, **streams)
    try:
        while len(rows(folder / "runs" / "digits-article-seed0")) < 2:
            assert session.poll() is None, "the session ended by itself"
            time.sleep(0.1)
    finally:
        session.send_signal(signal.SIGKILL)
        session.wait()


def test_a_killed_session_goes_on_from_its_saved_output(on_kaggle, tmp_path, capsys):
    saved = on_kaggle / "notebooks" / "someone" / "chapter-5"
    saved.mkdir(parents=True)
    killed_session(saved)
    before = rows(saved / "runs" / "digits-article-seed0")
    run_dir = tmp_path / "working" / "runs" / "digits-article-seed0"
    epochs = hosts.take_up(run_dir)
    assert epochs == len(before) >= 2
    assert f"goes on after its {epochs} epochs" in capsys.readouterr().out
    sizes = dict(patch_size=8, num_blocks=1, hidden_dim=16, tokens_mlp_dim=8, channels_mlp_dim=8)
    small = mixer_lib.MixerConfig(**sizes, num_classes=10)
    card = mixer_lib.train(small, mixer_lib.load_dataset("digits"), run_dir, epochs=epochs + 1)
    assert card.epochs_run == epochs + 1
    assert rows(run_dir)[:epochs] == before


def saved_run(folder, epochs):
    folder.mkdir(parents=True)
    (folder / "checkpoint.npz").write_text(f"after {epochs}")
    (folder / "history.csv").write_text("epoch\n" + "".join(f"{epoch}\n" for epoch in range(epochs)))


def test_of_several_earlier_runs_the_furthest_is_taken(on_kaggle, tmp_path):
    for session, epochs in (("one", 3), ("two", 7), ("three", 5)):
        saved_run(on_kaggle / session / "runs" / "wanted", epochs)
    saved_run(on_kaggle / "four" / "runs" / "other", 9)
    assert hosts.take_up(tmp_path / "runs" / "wanted") == 7
    assert (tmp_path / "runs" / "wanted" / "checkpoint.npz").read_text() == "after 7"


def test_a_run_of_this_session_is_never_replaced(on_kaggle, tmp_path):
    saved_run(on_kaggle / "one" / "runs" / "wanted", 7)
    saved_run(tmp_path / "runs" / "wanted", 2)
    assert hosts.take_up(tmp_path / "runs" / "wanted") == 0
    assert (tmp_path / "runs" / "wanted" / "checkpoint.npz").read_text() == "after 2"


def test_without_an_earlier_run_nothing_is_said_or_written(on_kaggle, tmp_path, capsys):
    (on_kaggle / "one" / "runs" / "wanted").mkdir(parents=True)  # a folder of the name, without a checkpoint
    assert hosts.take_up(tmp_path / "runs" / "wanted") == 0
    assert capsys.readouterr().out == ""
    assert not (tmp_path / "runs").exists()


# the hosts rebuilt: their versions, their folders, no clone, no network


REAL_DATA = os.environ.get("MIXER_DATA")
FAST = {"profile": "fast", "dataset": "digits", "epochs": 3}


@pytest.fixture(scope="module", params=["3.12", "3.13"])
def image(request):
    """The Python of an environment with the hosts' versions."""
    python = hosted_images.image(request.param)
    if python is None:
        pytest.skip(f"no Python {request.param} here to rebuild a host with")
    return python


def said(notebook, number):
    """What the code cell of this number printed."""
    cell = [cell for cell in nbformat.read(notebook, 4).cells if cell.cell_type == "code"][number]
    return "".join(output.get("text", "") for output in cell.outputs)


def one_of_its_own(folder, made):
    """A host of its own for a notebook: two runs at once must not share a working folder."""
    return hosted_images.lay_out(folder / made.stem)


@pytest.mark.hosted
def test_every_self_contained_chapter_runs_on_a_host_without_clone_and_network(image, tmp_path_factory, tmp_path):
    made = tmp_path_factory.mktemp("all")
    kaggle.make_folders(made / "kaggle", owner="someone")
    notebooks = sorted(made.glob("kaggle/*/*.ipynb"), key=lambda path: "training" not in path.stem)
    assert len(notebooks) == len(CHAPTERS)
    with ThreadPoolExecutor(2) as pool:
        runs = pool.map(
            lambda path: hosted_images.run_notebook(image, path, one_of_its_own(tmp_path, path), FAST), notebooks
        )
        for path, (ran, done) in zip(notebooks, runs, strict=True):
            assert ran.returncode == 0, f"{path.stem}: {ran.stderr[-3000:]}"
            assert said(done, 1).startswith(f"Kaggle: python {image.parent.parent.name.removeprefix('hosts-')}")
            assert "keras 3.13.2" in said(done, 1) and "numpy 2.1.3" in said(done, 1)
            assert "No internet and no CIFAR-100" in said(done, 1)


@pytest.mark.hosted
def test_a_plain_chapter_runs_on_a_host_with_the_bundle_attached(image, wheel, tmp_path):
    root = hosted_images.lay_out(tmp_path)
    bundle = root / "input" / "datasets" / "someone" / "mlp-mixer-book-bundle"
    bundle.mkdir(parents=True)
    shutil.copy(wheel, bundle)
    remove = [str(image), "-m", "pip", "uninstall", "--yes", "--quiet", "mixer-lib"]
    try:
        ran, done = hosted_images.run_notebook(image, CHAPTERS[-1], root, FAST)
    finally:
        subprocess.run(remove, check=True, capture_output=True)  # the environment is kept for the next time
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert said(done, 0).startswith("Kaggle: python ")


@pytest.mark.hosted
@pytest.mark.realdata
@pytest.mark.skipif(not REAL_DATA, reason="needs real CIFAR-100 (MIXER_DATA)")
@pytest.mark.parametrize("mount", ["cifar100", "datasets/someone/cifar100"])
def test_attached_cifar_100_is_found_on_a_host_without_network(folders, tmp_path, mount):
    python = hosted_images.newest_image()
    root = hosted_images.lay_out(tmp_path)
    (root / "input" / mount).parent.mkdir(parents=True, exist_ok=True)
    (root / "input" / mount).symlink_to(REAL_DATA, target_is_directory=True)
    path = folders / CHAPTERS[0].stem / CHAPTERS[0].name
    ran, done = hosted_images.run_notebook(python, path, root, {})
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert "No internet" not in said(done, 1)
    assert "CIFAR-100" in said(done, 3)


@pytest.mark.hosted
def test_a_killed_training_chapter_goes_on_in_the_next_session(tmp_path):
    """Chapter 5 itself: run, kill, attach what it saved, run again."""
    python = hosted_images.newest_image()
    kaggle.make_folders(tmp_path / "kaggle", owner="someone", chapters=[p for p in CHAPTERS if "training" in p.stem])
    notebook = next(tmp_path.glob("kaggle/*/*.ipynb"))
    first, second = (hosted_images.lay_out(tmp_path / name) for name in ("first", "second"))
    run = Path("runs") / "digits-article-seed0"
    hosted_images.run_until(
        python, notebook, first, {**FAST, "epochs": 200}, lambda: len(rows(first / "working" / run)) > 1
    )
    saved = second / "input" / "notebooks" / "someone" / "mlp-mixer-book-05-training"
    shutil.copytree(first / "working", saved)
    before = rows(saved / run)
    ran, done = hosted_images.run_notebook(python, notebook, second, {**FAST, "epochs": len(before) + 1})
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert f"goes on after its {len(before)} epochs" in said(done, 4)
    assert rows(second / "working" / run)[: len(before)] == before
    assert len(rows(second / "working" / run)) == len(before) + 1


@pytest.mark.hosted
def test_the_training_chapter_runs_on_jax_where_there_is_no_tensorflow(tmp_path):
    python = hosted_images.newest_image("jax")
    kaggle.make_folders(tmp_path / "kaggle", owner="someone", chapters=[p for p in CHAPTERS if "training" in p.stem])
    notebook = next(tmp_path.glob("kaggle/*/*.ipynb"))
    root = hosted_images.lay_out(tmp_path / "host")
    on_jax = {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    ran, done = hosted_images.run_notebook(python, notebook, root, FAST, settings=on_jax)
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert "backend jax" in said(done, 1)
    card = json.loads((root / "working" / "runs" / "digits-article-seed0" / "card.json").read_text())
    assert (card["versions"]["backend"], card["versions"]["xla"], card["epochs_run"]) == ("jax", True, 3)
