"""The package: what it declares is what it imports; one version; types; wheel and sdist in an empty environment."""

import ast
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from PIL import Image
from small_models import random_images

import mixer_lib
from mixer_lib import load_pretrained, requirements
from mixer_lib.exports.export import NEEDED
from mixer_lib.version import VERSION

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
# imported within a function, where a host, a backend or an extra has brought it
OPTIONAL = {"IPython", "jax", "matplotlib_inline", "onnx", "optuna", "pillow_heif", "ray", "safetensors", "tensorflow"}
OPTIONAL |= {"tensorflow_addons", "torch"}
IMPORTED_AS = {"imagehash": "imagehash", "pillow": "PIL", "scikit-learn": "sklearn"}


def declared(name):
    """The packages in a list of pyproject.toml, without versions."""
    listed = ast.literal_eval(re.search(rf"^{name} = (\[.*?\])", PYPROJECT, re.S | re.M)[1])
    return [re.split(r"[<>=;\[]", entry)[0] for entry in listed]


def test_every_package_that_the_library_imports_is_declared_and_every_declared_one_is_imported():
    found = set()
    for path in (ROOT / "mixer_lib").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add(node.module.split(".")[0])
    found -= set(sys.stdlib_module_names) | {"mixer_lib"}
    packages = {IMPORTED_AS.get(name, name) for name in declared("dependencies")} - {"h5py"}  # Keras imports it
    assert found - OPTIONAL == packages


def test_what_a_message_tells_to_install_is_in_an_extra():
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "mixer_lib").rglob("*.py")]
    named = {name for text in texts for name in re.findall(r"pip install ([a-z][a-z-]+)", text)}
    assert {"tensorflow", "optuna", "ray", "pillow-heif"} <= named
    extras = [declared(extra) for extra in ("tensorflow", "jax", "torch", "export", "heic", "sweep")]
    assert named <= {package for packages in extras for package in packages}
    assert {name for names in NEEDED.values() for name in names} <= set(declared("export"))


def test_there_is_one_version_number():
    cited = re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.M)[1]
    assert VERSION == cited == mixer_lib.__version__
    assert f"\n## {VERSION}\n" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert 'dynamic = ["version"]' in PYPROJECT and 'attr = "mixer_lib.version.VERSION"' in PYPROJECT


# --- types ----------------------------------------------------------------------------------------


def test_type_checkers_are_told_of_every_public_name_and_no_other():
    stub = ast.parse((ROOT / "mixer_lib" / "__init__.pyi").read_text(encoding="utf-8"))
    found = {
        alias.asname: node.module for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert found == mixer_lib._DEFINED_IN
    assert (ROOT / "mixer_lib" / "py.typed").is_file()
    used = (ROOT / "tests" / "typed_names.py").read_text(encoding="utf-8")
    assert [name for name in found if name not in used] == []


@pytest.mark.parametrize("name", mixer_lib.__all__)
def test_a_public_function_has_a_type_for_each_argument_and_for_what_it_returns(name):
    value = getattr(mixer_lib, name)
    if inspect.isfunction(value):
        signature = inspect.signature(value)
        assert signature.return_annotation is not inspect.Signature.empty
        assert [p.name for p in signature.parameters.values() if p.annotation is p.empty] == []
    elif inspect.isclass(value):
        own = {"self"}
        parameters = inspect.signature(value.__init__).parameters.values()
        assert [p.name for p in parameters if p.annotation is p.empty and p.name not in own] == []


# --- a backend ------------------------------------------------------------------------------------


def test_a_missing_backend_is_told_in_one_line_that_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(requirements.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    for backend, settings in (("jax", {}), ("", {"backend": "torch"}), ("", None)):
        monkeypatch.setenv("KERAS_BACKEND", backend)
        (tmp_path / "keras.json").write_text(json.dumps(settings) if settings is not None else "{")
        name = backend or (settings or {}).get("backend", "tensorflow")
        with pytest.raises(ImportError, match=rf"^Keras needs a backend, and {name} is not .*pip install tensorflow"):
            requirements.check_backend()
    monkeypatch.undo()
    requirements.check_backend()


# --- built and installed --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder with wheel and sdist, built from a copy of what is in the repository."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if name.startswith("mixer_lib/") or "/" not in name:
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    script = f"from setuptools import build_meta as b; b.build_sdist(r'{target}'); b.build_wheel(r'{target}')"
    done = subprocess.run([sys.executable, "-c", script], cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return target


@pytest.mark.hosted
def test_wheel_and_sdist_hold_the_library_its_models_its_types_and_the_licences(built):
    (wheel,), (sdist,) = built.glob("*.whl"), built.glob("*.tar.gz")
    assert wheel.name == f"mixer_lib-{VERSION}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as files:
        names = set(files.namelist())
        about = f"mixer_lib-{VERSION}.dist-info"
        metadata = files.read(f"{about}/METADATA").decode()
    with tarfile.open(sdist) as files:
        in_sdist = {name.partition("/")[2] for name in files.getnames()}
    of_library = {path.relative_to(ROOT).as_posix() for path in (ROOT / "mixer_lib").rglob("*.py*")} - {""}
    of_library = {name for name in of_library if "__pycache__" not in name}
    of_library |= {"mixer_lib/py.typed", "mixer_lib/pretrained/article.weights.h5", "mixer_lib/figures/book.mplstyle"}
    assert of_library <= names and of_library <= in_sdist
    assert {f"{about}/licenses/LICENSE", f"{about}/licenses/LICENSE-text.md", f"{about}/entry_points.txt"} <= names
    assert not [name for name in names if name.startswith(("tests/", "tools/"))]
    for part in ("# MLP-Mixer from patches to predictions", "License-Expression: Apache-2.0", "Project-URL: Paper"):
        assert part in metadata
    extras = set(re.findall(r"^Provides-Extra: (\S+)$", metadata, re.M))
    assert {"tensorflow", "jax", "torch", "export", "heic", "sweep", "book"} <= extras


def installed(folder, wheel, extra=""):
    """The `bin` of an empty environment with the wheel, an extra and what they declare, and nothing else."""
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "-q", "--python", sys.executable, str(folder)], check=True)
    command = [*uv, "pip", "install", "-q", "--python", str(folder / "bin" / "python"), f"{wheel}{extra}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / "bin"


def ask(program, *arguments, cwd):
    kept = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "KERAS_BACKEND")}
    return subprocess.run([str(program), *arguments], capture_output=True, text=True, cwd=cwd, env=kept)


@pytest.mark.hosted
@pytest.mark.skipif(sys.version_info < (3, 12), reason="only on Keras 3")
def test_the_wheel_alone_says_what_is_missing_and_with_the_extra_it_predicts(built, tmp_path):
    (wheel,) = built.glob("*.whl")
    Image.fromarray(random_images(1, side=48)[0]).save(tmp_path / "picture.png")
    alone = installed(tmp_path / "alone", wheel)
    helped = ask(alone / "mixer-lib", "--help", cwd=tmp_path)
    assert helped.returncode == 0 and "predict" in helped.stdout, helped.stderr
    done = ask(alone / "mixer-lib", "predict", "article", "picture.png", cwd=tmp_path)
    assert done.returncode == 1 and done.stdout == ""
    assert re.fullmatch(
        r"error: Keras needs a backend, and tensorflow is not .*pip install tensorflow.*\n", done.stderr
    )
    done = ask(alone / "python", "-c", "from mixer_lib import predict", cwd=tmp_path)
    assert done.stderr.splitlines()[-1].startswith("ImportError: Keras needs a backend")

    whole = installed(tmp_path / "whole", wheel, "[tensorflow]")
    done = ask(whole / "mixer-lib", "predict", "article", "picture.png", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    model, card = load_pretrained("article")
    (expected,) = mixer_lib.predict(model, tmp_path / "picture.png", class_names=card.class_names)
    assert done.stdout.split()[:2] == ["picture.png", expected[0][0]]
    version = ask(whole / "python", "-c", "import importlib.metadata as m; print(m.version('mixer-lib'))", cwd=tmp_path)
    assert version.stdout.strip() == VERSION


def test_the_console_script_is_the_module_s_main():
    assert '[project.scripts]\nmixer-lib = "mixer_lib.__main__:main"' in PYPROJECT
