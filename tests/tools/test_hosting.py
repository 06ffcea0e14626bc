"""What `make kaggle` and `make address` make: notebooks that find mixer_lib on a host, launch buttons."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile

import nbformat
import numpy as np
import pytest

import mixer_lib
from tools.chapters import stamps
from tools.chapters.notebooks import chapter_paths
from tools.hosting import address, carrier, kaggle
from tools.paths import ROOT

CHAPTERS = chapter_paths()
URL = "https://github.com/someone/a-book"


def code_cells(path):
    return [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]


def first_cell():
    """What stands first in every chapter of the repository."""
    return next(cell.source for cell in code_cells(CHAPTERS[0]) if cell.id != stamps.INSTALL_CELL)


# the first cell


def test_environment_parameters_and_settings_stand_first_in_every_chapter():
    assert len([line for line in first_cell().splitlines() if line]) <= 5
    assert first_cell().endswith("print(notebook.report())")
    for path in CHAPTERS:
        first, second, third = [cell for cell in code_cells(path) if cell.id != stamps.INSTALL_CELL][:3]
        assert first.source == first_cell()
        assert first.metadata["tags"] == ["hide-input"]
        assert "parameters" in second.metadata.get("tags", [])
        assert "chapter_settings(" in third.source
        assert "print(settings.caption)" in third.source


STUB = {
    "__init__.py": "",
    "notebook.py": "def report():\n    return 'the report'\n",
}


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


def run_first_cells(folder, url="https://github.com/someone/a-book", **values):
    """Run install cell and first cell in folder/working, where pip installs into folder/site; the finished process."""
    for name in ("working", "site"):
        (folder / name).mkdir(exist_ok=True)
    environment = {**os.environ, "PIP_TARGET": str(folder / "site"), "PYTHONPATH": str(folder / "site"), **values}
    environment |= {"MIXER_KAGGLE_INPUT": str(folder / "input")}
    place = "import os\nprint('from', os.path.realpath(mixer_lib.__file__))"
    command = [sys.executable, "-c", "\n".join([address.install_cell(url).source, first_cell(), place])]
    return subprocess.run(command, cwd=folder / "working", env=environment, capture_output=True, text=True)


def test_without_clone_bundle_or_repository_one_line_says_what_to_click(tmp_path):
    done = run_first_cells(tmp_path, url="", PIP_NO_INDEX="1")
    assert done.returncode == 1
    assert "Settings > Turn on internet" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("mount", ["a-bundle", "datasets/someone/a-bundle"])
def test_the_first_cell_installs_the_attached_bundle_in_both_mount_layouts(tmp_path, stub_wheel, mount):
    folder = tmp_path / "input" / mount
    folder.mkdir(parents=True)
    shutil.move(stub_wheel, folder)
    done = run_first_cells(tmp_path, PIP_NO_INDEX="1")
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines() == ["the report", f"from {tmp_path}/site/mixer_lib/__init__.py"]
    installed = {path.name for path in (tmp_path / "site").iterdir()}
    assert installed == {"mixer_lib", "mixer_lib-0.1.0.dist-info"}  # the host's Keras, whatever it is, stays


def test_in_a_clone_the_first_cell_takes_the_clone_s_library(tmp_path):
    (tmp_path / "mixer_lib").mkdir()
    for name, text in STUB.items():
        (tmp_path / "mixer_lib" / name).write_text(text)
    done = run_first_cells(tmp_path)
    assert done.stdout.splitlines() == ["the report", f"from {tmp_path}/mixer_lib/__init__.py"]


def test_the_first_cell_installs_from_the_repository_that_it_names(tmp_path):
    """A repository on disk stands for the one on GitHub; setuptools is taken from here, so that no network is used."""
    repository = tmp_path / "repository"
    shutil.copytree(ROOT / "mixer_lib", repository / "mixer_lib", ignore=shutil.ignore_patterns("__pycache__"))
    (repository / "mixer_lib" / "__init__.py").write_text("")
    shutil.rmtree(repository / "mixer_lib" / "notebook", ignore_errors=True)
    (repository / "mixer_lib" / "notebook.py").write_text(STUB["notebook.py"])
    for name in ("pyproject.toml", "README.md", "LICENSE", "LICENSE-text.md"):
        shutil.copy(ROOT / name, repository)
    git = ["git", "-C", str(repository), "-c", "user.name=someone", "-c", "user.email=someone@example.org"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "a book"]):
        subprocess.run([*git, *command], check=True, capture_output=True)
    values = {"PIP_NO_BUILD_ISOLATION": "0", "PIP_NO_INDEX": "1"}
    done = run_first_cells(tmp_path, url=f"file://{repository}", **values)
    assert done.stdout.splitlines() == ["the report", f"from {tmp_path}/site/mixer_lib/__init__.py"], done.stderr
    assert (tmp_path / "site" / "mixer_lib" / "pretrained" / "article.weights.h5").is_file()


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


def test_a_folder_holds_what_the_command_line_tool_wants(kaggle_folders):
    stems = [path.stem for path in CHAPTERS]
    assert sorted(path.name for path in kaggle_folders.iterdir()) == sorted([*stems, "bundle", "plain"])
    for stem in stems:
        metadata = json.loads((kaggle_folders / stem / "kernel-metadata.json").read_text())
        assert (kaggle_folders / stem / metadata["code_file"]).is_file()
    bundle = {path.name for path in (kaggle_folders / "bundle").iterdir()}
    assert {"dataset-metadata.json", "article.json", "article.csv", "article.weights.h5"} <= bundle
    assert len([name for name in bundle if name.endswith(".whl")]) == 1


def test_the_wheel_holds_every_file_of_the_library(wheel):
    """Sub-packages, too."""
    with zipfile.ZipFile(wheel) as files:
        names = {name for name in files.namelist() if name.startswith("mixer_lib/")}
    library = [path for path in (ROOT / "mixer_lib").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    found = names - {"mixer_lib/commit.txt"}  # what it was built from
    assert found == {path.relative_to(ROOT).as_posix() for path in library}


UNPACKED = """
import json
model, card = mixer_lib.load_pretrained("article-digits")
dataset = mixer_lib.load_dataset("digits")
print(json.dumps([mixer_lib.__file__, card.top1, mixer_lib.evaluate(model, dataset.x_test, dataset.y_test)["top1"]]))
"""


def test_a_self_contained_notebook_brings_library_and_weights_along(kaggle_folders, tmp_path):
    """Its first two cells, run where mixer_lib is not: the carried model scores what its card says."""
    carried, first = code_cells(kaggle_folders / "06_testing" / "06_testing.ipynb")[:2]
    assert carried.metadata["cellView"] == "form" and carried.metadata["jupyter"]["source_hidden"]
    assert first.source == first_cell()
    script = tmp_path / "cells.py"
    script.write_text(carried.source + "\n" + first.source + UNPACKED, encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"PIP_NO_INDEX": "1", "PYTHONPATH": "", "TMPDIR": str(tmp_path), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run([sys.executable, script], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    place, recorded, measured = json.loads(done.stdout.splitlines()[-1])
    assert place.startswith(str(tmp_path))
    assert measured == pytest.approx(recorded, abs=1e-9)


def test_every_self_contained_notebook_stays_below_the_limit_of_hosts(kaggle_folders):
    for path in CHAPTERS:
        assert (kaggle_folders / path.stem / path.name).stat().st_size < carrier.LARGEST_NOTEBOOK == 1_000_000


def test_notebooks_for_hosts_have_the_chapter_s_code_and_no_outputs(kaggle_folders):
    for place in (CHAPTERS[0].stem, "plain"):
        made = code_cells(kaggle_folders / place / CHAPTERS[0].name)
        chapter = [cell for cell in code_cells(CHAPTERS[0]) if cell.id != stamps.INSTALL_CELL]
        assert [cell.source for cell in made[1:]] == [cell.source for cell in chapter]
        assert all(not cell.outputs and cell.execution_count is None for cell in made)


@pytest.mark.parametrize(
    ("code", "weights"),
    [
        ("print(1)", ()),
        ('MixerConfig(); x = "article"', ()),
        ('load_pretrained("article-digits")', ("article-digits",)),
        ("load_pretrained(settings.pretrained)", carrier.CARRIED),
        ('name = "article" if full else "article-digits"\nload_pretrained(name)', carrier.CARRIED),
        ('cards()["article"]; load_pretrained("article-digits")', ("article-digits",)),
    ],
)
def test_a_notebook_carries_the_weights_that_its_chapter_loads(code, weights):
    assert carrier.weights_used(code) == weights


def test_histories_are_carried_where_a_chapter_reads_them():
    assert carrier.is_used("mixer_lib/recorded/gmlp.csv", 'recorded.history("gmlp")')
    assert not carrier.is_used("mixer_lib/sweep/engine.py", "import mixer_lib")
    assert not carrier.is_used("mixer_lib/recorded/gmlp.csv", "recorded.cards()")
    assert not carrier.is_used("mixer_lib/recorded/gmlp-seed1.csv", 'recorded.history("gmlp")')
    assert carrier.is_used("mixer_lib/pretrained/article.csv", "recorded.history(settings.pretrained)")
    assert carrier.is_used("mixer_lib/recorded/walk-0-article.csv", "steps_to_paper(); recorded.history(name)")
    assert carrier.is_used("mixer_lib/recorded/tfa-adamw.csv", "recorded.tfa_trajectory()")
    assert carrier.is_used("mixer_lib/recorded/search-best.csv", 'recorded.rows("search-best")')
    assert not carrier.is_used("mixer_lib/recorded/search-best.csv", 'recorded.history("gmlp")')
    assert carrier.is_used("mixer_lib/recorded/search-best-epochs.csv", 'recorded.trial_epochs("search-best")')
    assert not carrier.is_used("mixer_lib/recorded/family-rates.csv", 'recorded.rows("search-best")')
    compares = 'comparison.describe("article", "article-plus", 1)'
    for run, code in (("article", compares), ("article-seed2", compares), ("article-plus-seed1", compares)):
        assert carrier.is_used(f"mixer_lib/recorded/{run}.ranks.npy", code)
    for run, code in (("article-best", compares), ("article", 'recorded.cards()["article"]')):
        assert not carrier.is_used(f"mixer_lib/pretrained/{run}.ranks.npy", code)
    assert carrier.is_used("mixer_lib/measured/curves/fast-0.csv", "benchmarks.learning_curves()")
    assert not carrier.is_used("mixer_lib/measured/curves/fast-0.csv", "figures.learning_curves(history)")
    for name in ("mixer_lib/recorded/gmlp.json", "mixer_lib/measured/cpu-keras3.json", "mixer_lib/runs/card.py"):
        assert carrier.is_used(name, "")


def test_links_into_the_repository_lead_to_its_address_or_nowhere():
    text = "the [glossary](../book/glossary.md), the [next](02_patches.ipynb), the [paper](https://arxiv.org/abs/1)"
    found = carrier.reachable(text, URL)
    assert f"[glossary]({URL}/blob/main/book/glossary.md)" in found
    assert f"[next]({URL}/blob/main/notebooks/02_patches.ipynb)" in found
    assert carrier.reachable(text, "") == "the glossary, the next, the [paper](https://arxiv.org/abs/1)"
    for path in CHAPTERS:
        made = carrier.for_host(nbformat.read(path, 4), None, URL)
        prose = "".join(cell.source for cell in made.cells if cell.cell_type == "markdown")
        assert not re.findall(r"\]\((?!http|#)[^)]*\)", prose)


def test_a_notebook_that_hosts_would_refuse_is_never_made(wheel, monkeypatch):
    monkeypatch.setattr(carrier, "LARGEST_NOTEBOOK", 10_000)
    with pytest.raises(RuntimeError, match="hosts take fewer than 10,000"):
        carrier.self_contained(nbformat.read(CHAPTERS[0], 4), wheel)


def test_the_published_weights_are_carried_as_they_are(tmp_path):
    """Without the optimizer's state, to the last bit; only the digits' model is shortened."""
    for name in carrier.CARRIED:
        full = ROOT / "mixer_lib" / "pretrained" / f"{name}.weights.h5"
        slim = tmp_path / full.name
        carrier.slim_weights(full, slim, name in carrier.SHORTENED)
        model, _ = mixer_lib.load_pretrained(name)
        before = [np.asarray(weight) for weight in model.get_weights()]
        model.load_weights(slim)
        after = [np.asarray(weight) for weight in model.get_weights()]
        same = [np.array_equal(one, two) for one, two in zip(before, after, strict=True)]
        assert all(same) == (name == "article")
        assert all(np.allclose(one, two, rtol=2e-3) for one, two in zip(before, after, strict=True))


def test_histories_are_carried_with_six_digits(kaggle_folders):
    full = np.genfromtxt(ROOT / "mixer_lib" / "pretrained" / "article.csv", delimiter=",", names=True)
    carried = np.genfromtxt(kaggle_folders / "bundle" / "article.csv", delimiter=",", names=True)
    assert all(np.allclose(carried[column], full[column], rtol=1e-5) for column in full.dtype.names)
    assert carrier.shorter("1,55.39,0.004999999888241291,3.8793") == "1,55.39,0.005,3.8793"


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


def test_a_push_follows_the_run_to_its_end(kaggle_folders, fake_tool, capsys):
    calls = fake_tool(kernels_push=[PUSHED], kernels_status=[status("QUEUED"), status("RUNNING"), status("COMPLETE")])
    chapter = kaggle_folders / CHAPTERS[0].stem
    kaggle.push(kaggle.command_line_tool(), chapter, pause=0)
    name = json.loads((chapter / "kernel-metadata.json").read_text())["id"]
    assert calls() == [f"kernels push -p {chapter}", *[f"kernels status {name}"] * 3]
    assert [line.split(": ")[1] for line in capsys.readouterr().out.splitlines()[1:]] == [
        "queued",
        "running",
        "complete",
    ]


def test_a_push_that_the_tool_refuses_has_failed_though_it_ends_with_0(kaggle_folders, fake_tool):
    fake_tool(kernels_push=[[0, "Kernel push error: no such owner"]])
    with pytest.raises(RuntimeError, match="was not pushed"):
        kaggle.push(kaggle.command_line_tool(), kaggle_folders / CHAPTERS[0].stem, pause=0)


@pytest.mark.parametrize("word", ["ERROR", "CANCEL_ACKNOWLEDGED"])
def test_a_run_that_fails_shows_its_log(kaggle_folders, fake_tool, word):
    fake_tool(kernels_push=[PUSHED], kernels_status=[status("RUNNING"), status(word)], kernels_logs=[[0, "the log"]])
    with pytest.raises(RuntimeError, match="the log"):
        kaggle.push(kaggle.command_line_tool(), kaggle_folders / CHAPTERS[0].stem, pause=0)


def test_a_gap_in_the_answers_is_bridged_and_silence_is_not(kaggle_folders, fake_tool):
    gap = [1, "connection lost"]
    fake_tool(kernels_push=[PUSHED], kernels_status=[gap, gap, status("RUNNING"), gap, status("COMPLETE")])
    kaggle.push(kaggle.command_line_tool(), kaggle_folders / CHAPTERS[0].stem, pause=0, patience=3)
    fake_tool(kernels_push=[PUSHED], kernels_status=[gap])
    with pytest.raises(RuntimeError, match="connection lost"):
        kaggle.push(kaggle.command_line_tool(), kaggle_folders / CHAPTERS[0].stem, pause=0, patience=3)


@pytest.mark.parametrize(("there", "verb"), [([0, "ready"], "version"), ([1, "404"], "create")])
def test_a_bundle_becomes_a_new_data_set_or_a_new_version(kaggle_folders, fake_tool, there, verb):
    calls = fake_tool(datasets_status=[there], datasets_create=[[0, "ok"]], datasets_version=[[0, "ok"]])
    kaggle.push_bundle(kaggle.command_line_tool(), kaggle_folders / "bundle")
    assert calls()[0] == "datasets status someone/mlp-mixer-book-bundle"
    assert calls()[1].startswith(f"datasets {verb} ")


def test_credentials_are_left_to_the_tool():
    text = (ROOT / "tools" / "hosting" / "kaggle.py").read_text(encoding="utf-8")
    for word in ("KAGGLE_KEY", "KAGGLE_USERNAME", "KAGGLE_API_TOKEN", "kaggle.json", "access_token"):
        assert word not in text


# the repository's address


def written_address():
    """The address that the chapters install from: the same in all, or empty."""
    found = set()
    for path in CHAPTERS:
        cells = [cell.source for cell in code_cells(path) if cell.id == stamps.INSTALL_CELL]
        found.add(re.search(r"git\+(\S*?)\"", cells[0])[1] if cells else "")
    assert len(found) == 1
    return found.pop()


def test_the_readme_s_buttons_lead_to_each_chapter():
    text = address.buttons(URL, CHAPTERS)
    for path in CHAPTERS:
        assert f"https://colab.research.google.com/github/someone/a-book/blob/main/notebooks/{path.name})" in text
        assert f"src=https%3A%2F%2Fgithub.com%2Fsomeone%2Fa-book%2Fblob%2Fmain%2Fnotebooks%2F{path.name})" in text
        assert f"https://raw.githubusercontent.com/someone/a-book/main/notebooks/{path.name})" in text
    assert address.buttons("", CHAPTERS) == ""


def test_readme_and_chapters_name_the_same_address():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert address.with_buttons(readme, written_address(), CHAPTERS) == readme


def test_writing_the_address_adds_one_hidden_cell_and_taking_it_out_leaves_the_chapter_as_it_was():
    for path in CHAPTERS:
        text = address.with_address(path.read_text(encoding="utf-8"), "")
        if not written_address():
            assert text == path.read_text(encoding="utf-8")
        before, after = nbformat.reads(text, 4), nbformat.reads(address.with_address(text, URL), 4)
        added = [cell for cell in after.cells if cell not in before.cells]
        assert [cell.id for cell in added] == [stamps.INSTALL_CELL]
        assert f'"git+{URL}"' in added[0].source and added[0].metadata["jupyter"]["source_hidden"]
        assert [cell for cell in after.cells if cell.cell_type == "code"][0] == added[0]
        assert stamps.cells_hash(before) == stamps.cells_hash(after)
        assert address.with_address(nbformat.writes(after), "") == text


def test_no_button_leads_to_another_project_that_git_is_told_of(tmp_path, monkeypatch):
    def repository(folder, url):
        folder.mkdir(parents=True)
        git = ["git", "-C", str(folder)]
        subprocess.run([*git, "init", "-q"], check=True)
        subprocess.run([*git, "remote", "add", "origin", url], check=True)
        return folder

    other = repository(tmp_path / "other", "https://github.com/someone/other")
    own = repository(other / "inside", "https://github.com/someone/book.git")
    (other / "copy").mkdir()  # no repository of its own
    for name, value in {"GIT_DIR": other / ".git", "GIT_WORK_TREE": other, "MIXER_REPOSITORY": ""}.items():
        monkeypatch.setenv(name, str(value))
    for root, expected in ((own, "https://github.com/someone/book"), (other / "copy", "")):
        monkeypatch.setattr(address, "ROOT", root)
        assert address.repository_url() == expected
