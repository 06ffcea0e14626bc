"""A reader's environment, configuration and start-up files change no chapter and no set-up."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile

import nbformat
import pytest
from small_notebooks import executed, notebook, stream

from tools.chapters import notebooks, publish, runner
from tools.paths import ROOT
from tools.setup import environment, shield

ASIDE = [
    "MPLBACKEND",
    "MATPLOTLIBRC",
    "KERAS_BACKEND",
    "KERAS_MAX_EPOCHS",
    "TF_ENABLE_ONEDNN_OPTS",
    "TF_XLA_FLAGS",
    "TF_USE_LEGACY_KERAS",
    "TF_DETERMINISTIC_OPS",
    "TF2_BEHAVIOR",
    "XLA_FLAGS",
    "NVIDIA_TF32_OVERRIDE",
    "PYTHONHOME",
    "PYTHONSTARTUP",
    "PYTHONHASHSEED",
    "PYTHONWARNINGS",
    "PYTHONOPTIMIZE",
    "PYTHONSAFEPATH",
    "PYTHONIOENCODING",
    "PYTHON_COLORS",
    "JUPYTER_PATH",
    "JUPYTER_CONFIG_PATH",
    "IPYTHON_EXTRA",
    "PIP_TARGET",
    "PIP_USER",
    "PIP_PREFIX",
    "PIP_REQUIRE_VIRTUALENV",
    "PIP_CONFIG_FILE",
    "PIP_CONSTRAINT",
    "PIP_PYTHON",
    "UV_PYTHON",
    "UV_OVERRIDE",
    "CONDA_PREFIX",
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "NO_COLOR",
    "FORCE_COLOR",
    "COLUMNS",
    "PYTEST_ADDOPTS",
    "PAPERMILL_X",
]
HOLDS = [
    "HOME",
    "LANG",
    "TZ",
    "HTTP_PROXY",
    "SSL_CERT_FILE",
    "CUDA_VISIBLE_DEVICES",
    "OMP_NUM_THREADS",
    "TF_FORCE_GPU_ALLOW_GROWTH",
    "PYTHON",
    "DATASET",
    "MIXER_DATA",
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_FIND_LINKS",
    "PIP_NO_INDEX",
    "PIP_CERT",
    "UV_INDEX_URL",
    "UV_CACHE_DIR",
]


def test_what_changes_results_or_a_set_up_is_set_aside_and_where_things_are_holds(tmp_path):
    found = shield.shielded(dict.fromkeys(ASIDE + HOLDS, "x"), tmp_path)
    assert {name for name in ASIDE if found.get(name) == "x"} == set()
    assert {name for name in HOLDS if found.get(name) != "x"} == set()


def test_a_reader_is_told_of_what_changes_numbers_and_of_options_that_stand_in_the_shell():
    given = {"KERAS_BACKEND": "jax", "TF_CPP_MIN_LOG_LEVEL": "0", "XLA_FLAGS": "-x", "SEED": "3", "NO_COLOR": "1"}
    assert shield.told({**given, "FROM_ENVIRONMENT": "SEED"}) == [
        "mixer: from your environment: SEED=3",
        "mixer: not used, since they change results: KERAS_BACKEND, XLA_FLAGS",
    ]
    assert shield.told({"SEED": "3", "FROM_ENVIRONMENT": ""}) == []  # given to make


def test_of_xla_s_flags_the_place_of_cuda_holds(tmp_path):
    found = shield.shielded({"XLA_FLAGS": "--xla_cpu_fast=1 --xla_gpu_cuda_data_dir=/opt/cuda"}, tmp_path)
    assert found["XLA_FLAGS"] == "--xla_gpu_cuda_data_dir=/opt/cuda"


def test_a_reader_s_own_jupyter_holds_in_make_lab_alone(tmp_path):
    given = {"JUPYTER_CONFIG_DIR": "/own", "IPYTHONDIR": "/own"}
    assert {name: shield.shielded(given, tmp_path, jupyter=False)[name] for name in given} == given
    assert not set(shield.shielded(given, tmp_path).items()) & set(given.items())


def test_a_temporary_folder_that_is_not_there_is_not_passed_on(tmp_path):
    assert "TMPDIR" not in shield.shielded({"TMPDIR": str(tmp_path / "gone")}, tmp_path)
    assert shield.shielded({"TMPDIR": str(tmp_path)}, tmp_path)["TMPDIR"] == str(tmp_path)


def test_keras_has_no_settings_of_the_reader_and_all_their_data_sets(tmp_path):
    for home in ("one", "two"):
        data = tmp_path / home / ".keras" / "datasets"
        data.mkdir(parents=True)
        (data.parent / "keras.json").write_text(json.dumps({"floatx": "float64"}))
        (data / "mine").write_text(home)
        found = shield.keras_home({"KERAS_HOME": str(data.parent)}, tmp_path / "settings")
        assert sorted(path.name for path in found.iterdir()) == ["datasets"]
        assert (found / "datasets" / "mine").read_text() == home
    shield.keras_home({"KERAS_HOME": str(found)}, tmp_path / "settings")  # of a verb within a verb
    assert (found / "datasets" / "mine").read_text() == "two"
    nowhere = shield.keras_home({"KERAS_HOME": "/proc/nowhere"}, tmp_path / "other")
    assert list(nowhere.iterdir()) == []


FACTS = """
import json, locale, os, sys, warnings
import mixer_lib  # quiet
import keras, matplotlib, numpy
import matplotlib.pyplot as plt
facts = [keras.config.floatx() if hasattr(keras, "config") else keras.backend.floatx(), keras.backend.backend()]
facts += [keras.backend.image_data_format(), plt.rcParams["figure.figsize"], plt.rcParams["savefig.dpi"]]
facts += ["surprise" in globals(), sys.flags.optimize, sys.flags.utf8_mode, len(warnings.filters) > 0]
facts += [any("elsewhere" in path for path in sys.path), open(os.devnull).encoding, os.environ.get("GIT_DIR")]
print(json.dumps(facts))
"""
FIGURE = "plt.plot([1, 2])\nNone"


def facts_and_figures(chapter, build):
    cells = nbformat.read(runner.run_chapter(chapter, "fast", {}, build=build), 4).cells
    images = [output for output in cells[-1].outputs if "image/png" in output.get("data", {})]
    return cells[-2].outputs[0].text, images


def with_a_figure(*sources):
    """A small chapter whose last cell promises a figure."""
    made = notebook(*sources)
    made.cells[-1].metadata["mystnb"] = {"figure": {"caption": "A figure.", "name": "fig-one"}}
    return made


def test_nothing_of_a_reader_s_changes_a_chapter(tmp_path, monkeypatch):
    chapter = tmp_path / "01_small.ipynb"
    nbformat.write(with_a_figure(FACTS, FIGURE), chapter)
    facts, images = facts_and_figures(chapter, tmp_path / "plain")
    home = tmp_path / "home"
    for folder in (".keras", ".ipython/profile_default/startup", ".config/matplotlib", ".jupyter", "kernels/python3"):
        (home / folder).mkdir(parents=True)
    settings = {"floatx": "float64", "image_data_format": "channels_first", "backend": "tensorflow", "epsilon": 1e-3}
    (home / ".keras" / "keras.json").write_text(json.dumps(settings))
    (home / ".ipython" / "profile_default" / "startup" / "00.py").write_text("surprise = 1")
    config = "c.InlineBackend.figure_formats = {'svg'}\nc.InteractiveShellApp.exec_lines = ['surprise = 2']\n"
    (home / ".ipython" / "profile_default" / "ipython_config.py").write_text(config)
    (home / ".config" / "matplotlib" / "matplotlibrc").write_text("figure.figsize: 1, 1\nsavefig.dpi: 9\n")
    (home / "kernels" / "python3" / "kernel.json").write_text('{"argv": ["false"], "display_name": "broken"}')
    (home / "elsewhere").mkdir()
    (home / "elsewhere" / "numpy.py").write_text("raise SystemExit('another numpy')")
    values = {"HOME": home, "MPLBACKEND": "agg", "MATPLOTLIBRC": home / ".config/matplotlib/matplotlibrc"}
    values |= {"PYTHONPATH": home / "elsewhere", "PYTHONSTARTUP": home / "elsewhere" / "numpy.py", "LC_ALL": "C"}
    values |= {"PYTHONOPTIMIZE": "2", "PYTHONWARNINGS": "error", "JUPYTER_PATH": home, "KERAS_BACKEND": "none"}
    values |= {"IPYTHONDIR": home / ".ipython", "JUPYTER_CONFIG_DIR": home / ".jupyter", "GIT_DIR": home}
    values |= {"XLA_FLAGS": "--no_such_flag", "TF_USE_LEGACY_KERAS": "1", "TMPDIR": home / "gone"}
    for name, value in values.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.delenv("KERAS_HOME", raising=False)
    monkeypatch.delenv("MPLCONFIGDIR", raising=False)
    before = dict(os.environ)
    assert facts_and_figures(chapter, tmp_path / "shielded") == (facts, images)
    assert len(images) == 1
    assert dict(os.environ) == before


def test_the_book_s_figures_depend_on_no_matplotlibrc_and_are_shown_with_any_backend(tmp_path):
    """In a reader's own Jupyter, where nothing shields them."""
    (tmp_path / "matplotlibrc").write_text("figure.figsize: 1, 1\naxes.grid: True\nlines.marker: x\n")
    code = "import matplotlib.pyplot as plt\nfrom mixer_lib import figures\nfigures.use_style()\n"
    code += "print(sorted((k, str(v)) for k, v in plt.rcParams.items() if k not in ('backend', 'interactive')))"
    texts = []
    for values in ({}, {"MATPLOTLIBRC": str(tmp_path / "matplotlibrc")}):
        values = {**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "agg", **values}
        texts.append(subprocess.run([sys.executable, "-c", code], env=values, capture_output=True, check=True).stdout)
    assert texts[0] == texts[1] and b"figure.figsize" in texts[0]


def test_a_chapter_that_shows_fewer_figures_than_it_promises_fails_and_is_not_published(tmp_path):
    path = tmp_path / "01_small.ipynb"
    nbformat.write(with_a_figure("import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.close()"), path)
    with pytest.raises(notebooks.ChapterFailed, match="01_small failed: it shows 0 of its 1 figures"):
        runner.run_chapter(path, "fast", {}, build=tmp_path / "build")
    assert list((tmp_path / "build" / "fast" / "executed").iterdir()) == []
    current = with_a_figure("print(1)")
    with pytest.raises(notebooks.ChapterFailed, match="it shows 0 of its 1 figures"):
        publish.publishable(current, executed(current, stream("1\n")))


# set-up


@pytest.fixture
def project(tmp_path):
    """A project whose one requirement is a small package beside it."""
    folder = tmp_path / "project"
    shutil.copytree(ROOT / "tools", folder / "tools", ignore=shutil.ignore_patterns("__pycache__"))
    wheel = tmp_path / "wheels" / "pytest-1.0-py3-none-any.whl"  # a name that installed.py imports
    wheel.parent.mkdir()
    about = {"METADATA": "Metadata-Version: 2.1\nName: pytest\nVersion: 1.0\n", "RECORD": ""}
    about["WHEEL"] = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(wheel, "w") as files:
        files.writestr("pytest/__init__.py", "if __import__('os').environ.get('BROKEN'): raise ImportError('broken')")
        for name, text in about.items():
            files.writestr(f"pytest-1.0.dist-info/{name}", text)
    checksum = hashlib.sha256(wheel.read_bytes()).hexdigest()
    (folder / "requirements.txt").write_text(f"pytest==1.0 \\\n    --hash=sha256:{checksum}\n")
    (folder / "requirements-dev.txt").write_text("")
    return folder


def set_up(project, **values):
    """The set-up, in the environment of a reader with these settings; the finished process."""
    pip = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(project.parent / "wheels"), "PYTHON": sys.executable}
    values = {**os.environ, **pip, "PATH": os.defpath, **{name: str(value) for name, value in values.items()}}
    command = [sys.executable, "-m", "tools.setup.environment", "-c", "import pytest; print(pytest.__file__)"]
    return subprocess.run(command, cwd=project, env=values, capture_output=True, text=True)


def test_a_set_up_ignores_what_a_reader_tells_pip_and_knows_when_it_is_not_whole(project, tmp_path):
    (tmp_path / "pip.conf").write_text("[install]\ntarget = /nowhere\nuser = true\n[global]\nno-deps = true\n")
    settings = {"PIP_TARGET": tmp_path / "x", "PIP_USER": 1, "PIP_PREFIX": tmp_path / "y", "PIP_PYTHON": "/no/such"}
    settings |= {"PIP_REQUIRE_VIRTUALENV": 1, "PIP_CONFIG_FILE": tmp_path / "pip.conf", "PYTHONNOUSERSITE": ""}
    venv = project / ".venv" / f"py3.{sys.version_info[1]}"
    broken = set_up(project, BROKEN=1, **settings)  # installed, and it can't be imported
    assert broken.returncode != 0 and "ImportError: broken" in broken.stderr
    assert not (venv / "stamp").exists()
    done = set_up(project, **settings)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith(str(venv))
    assert not (tmp_path / "x").exists() and not (tmp_path / "y").exists()
    assert len(set_up(project, **settings).stdout.splitlines()) == 1  # set up once
    stamp = venv / "stamp"
    assert environment.is_current(stamp, stamp.read_text().splitlines()[0])
    shutil.rmtree(next(venv.glob("lib/python3*/site-packages/pytest-1.0.dist-info")))
    assert not environment.is_current(stamp, stamp.read_text().splitlines()[0])


def test_a_stamp_of_the_first_versions_is_completed_where_all_is_there_and_taken_away_where_not(tmp_path):
    site = tmp_path / "lib" / "python3.1" / "site-packages"
    (site / "some-1.0.dist-info").mkdir(parents=True)
    requirements, stamp = tmp_path / "requirements.txt", tmp_path / "stamp"
    requirements.write_text(f"pytest=={pytest.__version__} \\\n    --hash=sha256:0\n")
    stamp.write_text("wanted")
    environment.complete_old_stamp(stamp, sys.executable, requirements)
    assert environment.is_current(stamp, "wanted") and "some-1.0" in stamp.read_text()
    for wish in ("pytest==0.1", "no-such-package==1.0"):
        requirements.write_text(wish + "\n")
        stamp.write_text("wanted")
        environment.complete_old_stamp(stamp, sys.executable, requirements)
        assert not stamp.exists()
