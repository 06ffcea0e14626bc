"""The library's structure: it stays small, its imports go one way, and importing it does no work."""

import ast
import graphlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import mixer_lib
from mixer_lib.quiet import without_log_lines

LIBRARY = Path(mixer_lib.__file__).parent
FILES = {path.relative_to(LIBRARY).as_posix(): path for path in sorted(LIBRARY.rglob("*.py"))}
CORE = ("data", "augmentation", "layers", "classifier", "optimizers", "evaluation", "training")

# These limits may only become smaller.
CORE_LINES, CORE_FILE_LINES = 850, 170
PART_LINES, FILE_LINES, FUNCTION_LINES = 1_000, 250, 60  # of a sub-package, a file, a function

# What each file or sub-package may import beside itself. Whatever is missing here may be imported by nobody: `figures`
# is for chapters.
BASE = {"validation", "checks", "compat", "datasets", "pictures", "runs"}
MAY_IMPORT = {
    "validation": set(),
    "import_hook": set(),
    "quiet": {"import_hook"},
    "requirements": set(),
    "registration": {"import_hook", "requirements"},
    "checks": {"validation"},
    "compat": set(),
    "datasets": {"validation"},
    "pictures": {"validation", "checks"},
    "version": set(),
    "runs": {"validation", "checks", "compat", "version"},
    "addons": {"compat"},
    **{name: BASE | set(CORE[:place]) for place, name in enumerate(CORE)},
    "cluster": {"validation", "compat", "runs"},
    "speedups": {"validation", "compat", "layers", "models", "runs", "cluster"},
    "recipe": {"validation", "compat", "augmentation", "optimizers"},
    "regularization": set(),
    "optimizers": BASE | {"addons"},
    "training": BASE | set(CORE[:-1]) | {"speedups", "recipe", "regularization"},
    "models": BASE | set(CORE),
    "analysis": BASE | set(CORE) | {"recipe", "speedups", "models"},
    "notebook": BASE | {"quiet", "requirements", "data", "speedups"},
    "figures": {"analysis"},
    "__init__": {"quiet", "registration", "requirements", "version"},
    "exports": {"validation", "checks", "compat", "runs"},
    "choices": BASE | set(CORE) | {"recipe", "models"},
    "sweep": BASE | set(CORE) | {"choices", "speedups", "version"},
    "commands": {"__init__"} | BASE | set(CORE) | {"choices", "models", "analysis", "exports", "sweep"},
    "__main__": {"commands", "quiet", "runs"},
}


def part_of(name):
    """The file or sub-package at the top of mixer_lib that a file belongs to."""
    return name.split("/")[0].removesuffix(".py")


def imported_by(name):
    """Names of the library's files that a file imports, also within a function."""
    package, found = ["mixer_lib", *name.split("/")[:-1]], set()
    for node in ast.walk(ast.parse(FILES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) - node.level + 1], *filter(None, [node.module])] if node.level else []
            base = ".".join(base) or node.module
            targets = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        for target in targets:
            if target.split(".")[0] == "mixer_lib":
                found.add(file_of(target.split(".")[1:]))
    return found - {name}


def file_of(parts):
    """The file that a dotted name, after mixer_lib, is imported from."""
    for length in range(len(parts), -1, -1):
        for name in ("/".join(parts[:length]) + ".py", "/".join([*parts[:length], "__init__.py"])):
            if name in FILES:
                return name


@pytest.mark.parametrize("name", FILES)
def test_a_file_imports_only_what_its_part_may(name):
    others = {part_of(other) for other in imported_by(name)} - {part_of(name)}
    assert others <= MAY_IMPORT[part_of(name)]


def test_no_file_imports_itself_by_way_of_others():
    order = [*graphlib.TopologicalSorter({name: imported_by(name) for name in FILES}).static_order()]
    assert order.index("layers.py") < order.index("speedups/layers.py") < order.index("training.py")


def test_figures_import_nothing_but_recorded_benchmarks():
    for name in FILES:
        if part_of(name) == "figures":
            assert {other for other in imported_by(name) if part_of(other) != "figures"} <= {"analysis/benchmarks.py"}


def test_data_are_read_without_a_deep_learning_library():
    for name in FILES:
        if part_of(name) in ("datasets", "pictures", "data"):
            text = FILES[name].read_text(encoding="utf-8")
            assert not re.search(r"^\s*(import|from) (keras|tensorflow|jax|torch)\b", text, re.MULTILINE), name


def test_every_sub_package_says_what_it_holds_and_what_it_imports():
    for name in FILES:
        if name.endswith("/__init__.py"):
            docstring = ast.get_docstring(ast.parse(FILES[name].read_text(encoding="utf-8")))
            assert "import" in docstring and len(docstring.splitlines()) <= 3, name


# --- sizes ----------------------------------------------------------------------------------------


def lines_of(name):
    return len(FILES[name].read_text(encoding="utf-8").splitlines())


def test_the_core_is_read_in_one_sitting():
    lines = {name: lines_of(f"{name}.py") for name in CORE}
    assert sum(lines.values()) <= CORE_LINES, lines
    assert {name: count for name, count in lines.items() if count > CORE_FILE_LINES} == {}


def test_every_part_of_the_library_and_every_file_stays_small():
    lines = {name: lines_of(name) for name in FILES}
    assert {name: count for name, count in lines.items() if count > FILE_LINES} == {}
    parts = {part: sum(count for name, count in lines.items() if part_of(name) == part) for part in MAY_IMPORT}
    assert {part: count for part, count in parts.items() if count > PART_LINES} == {}


def test_no_function_is_longer_than_a_page():
    long = {}
    for name, path in FILES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno + 1 > FUNCTION_LINES:
                long[f"{name}: {node.name}"] = node.end_lineno - node.lineno + 1
    assert long == {}


# --- importing ------------------------------------------------------------------------------------

WATCHED = """
import socket, sys

def refuse(*arguments, **options):
    raise SystemExit("the network was asked for")

socket.socket.connect = socket.getaddrinfo = socket.create_connection = refuse
import mixer_lib
import keras  # which brings some of these by itself in some versions
before = set(sys.modules)
for name in mixer_lib.__all__:
    getattr(mixer_lib, name)
brought = {"matplotlib.pyplot", "sklearn", "pooch", "mixer_lib.figures", "mixer_lib.analysis"}
assert not brought & (set(sys.modules) - before), brought & (set(sys.modules) - before)
"""


def test_importing_does_no_download_writes_no_file_and_says_nothing(root, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(root), "KERAS_HOME": str(tmp_path / "keras")}
    command = [sys.executable, "-B", "-c", WATCHED]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    written = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    written = {name for name in written if not name.startswith("fontlist")}  # matplotlib's, where Keras imports it
    assert written <= {"keras.json"}  # Keras writes its own settings


LEFT_AS_IT_WAS = """
import logging, os, random, sys, warnings
import numpy as np

def state():
    loggers = {name: (logger.level, list(logger.filters), list(logger.handlers))
               for name, logger in logging.root.manager.loggerDict.items() if hasattr(logger, "filters")}
    hooks = sys.excepthook, sys.displayhook, sys.stdout, sys.stderr
    drawn = random.getstate(), str(np.random.get_state())
    return [warnings.filters[:], dict(os.environ), os.getcwd(), drawn, hooks, loggers]

import keras, tensorflow, absl.logging  # these change what they like when they are imported
before = state()
import mixer_lib
for name in mixer_lib.__all__:
    if "hapter" not in name:  # what is for chapters may hide hints in them
        getattr(mixer_lib, name)
import mixer_lib.figures, mixer_lib.analysis.comparison, mixer_lib.models.released
after = state()
after[-1] = {name: after[-1].get(name) for name in before[-1]}
assert after == before, [(one, other) for one, other in zip(before, after) if one != other]
"""


def test_importing_leaves_the_process_as_it_was(root, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(root)}
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
    command = [sys.executable, "-B", "-c", LEFT_AS_IT_WAS]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]


def test_what_is_no_log_line_of_tensorflow_is_still_written(capfd):
    log = b"WARNING: All log messages before absl::\nI0000 00:00:17.4 port.cc:1] oneDNN\nnot a log line\n"
    with without_log_lines():
        os.write(2, log)
    assert capfd.readouterr().err == "not a log line\n"


def test_every_public_name_has_a_docstring():
    for name in mixer_lib.__all__:
        value = getattr(mixer_lib, name)
        if callable(value):
            assert (value.__doc__ or "").strip(), name
