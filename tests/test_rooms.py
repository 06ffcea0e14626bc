"""The house: imports go one way, importing does no work, rooms stay small."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from quiet import said

import mixer_lib

ROOMS = {path.stem: path for path in sorted(Path(mixer_lib.__file__).parent.glob("*.py"))}
# What each room of chapters 1-6 may look at: rooms earlier in this list.
FIRST_ROOMS = [
    "checks",
    "published",
    "trusted_files",
    "downloads",
    "data_files",
    "data",
    "pictures",
    "worlds",
]  # no model in them
ORDER = [
    *FIRST_ROOMS,
    "seeds",
    "noise",
    "fast_layers",
    "layers",
    "classifier",
    "halves",
    "devices",
    "optimizers",
    "recipes",
    "evaluation",
    "whole_files",
    "results",
    "run_folder",
    "hosts",
    "checkpoint_files",
    "checkpoints",
    "finish",
    "training",
    "settings",
    "__init__",
    "__main__",
]
# For a reader's own data and machines, hosts, and what can go wrong: whoever reads chapters 1-6 never needs them.
BESIDE = {
    "fast_layers",
    "seeds",
    "halves",
    "downloads",
    "pictures",
    "devices",
    "run_folder",
    "checkpoint_files",
    "hosts",
}
CODE_LINES = 1_680  # of the other rooms above, without blank lines, comments and docstrings
FILE_LINES = 200


def imported_by(path):
    """Names of the rooms that a file imports, also those imported within a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            found |= {node.module.split(".")[0]} if node.module else {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "mixer_lib":
            found |= set(node.module.split(".")[1:2]) or {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("mixer_lib.")}
    return found & set(ROOMS)


@pytest.mark.parametrize("room", [room for room in ORDER if not room.startswith("__")])
def test_a_room_looks_only_at_rooms_before_it(room):
    later = set(ORDER[ORDER.index(room) :])
    assert not imported_by(ROOMS[room]) & later


def test_the_first_rooms_know_nothing_of_models():
    for room in FIRST_ROOMS:  # there is no model in them
        assert imported_by(ROOMS[room]) <= set(FIRST_ROOMS), room


def test_no_room_imports_the_plots():
    plots = {room for room in ROOMS if room.startswith("plots")}
    assert [room for room in ORDER if imported_by(ROOMS[room]) & plots] == []


def test_every_room_has_its_place():
    assert {room for room in ROOMS if not room.startswith("plots")} >= set(ORDER)
    assert "checkpoints" in imported_by(ROOMS["training"])  # the reading of imports finds something


def test_data_are_read_without_a_deep_learning_library():
    for room in FIRST_ROOMS[:-1]:
        names = set()
        for node in ast.walk(ast.parse(ROOMS[room].read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names.add(node.module.split(".")[0])
        assert not names & {"keras", "tensorflow"}, room


def code_lines(path):
    """Lines that hold code: no blank lines, comments or docstrings."""
    text = path.read_text(encoding="utf-8")
    lines = {number for number, line in enumerate(text.splitlines(), 1) if line.strip() and line.strip()[0] != "#"}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            lines -= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return len(lines)


def test_the_rooms_of_the_first_six_chapters_stay_small_together():
    assert sum(code_lines(ROOMS[room]) for room in ORDER if room not in BESIDE) <= CODE_LINES


@pytest.mark.parametrize("room", ORDER)
def test_each_of_them_stays_well_under_200_lines(room):
    assert len(ROOMS[room].read_text(encoding="utf-8").splitlines()) < FILE_LINES


WATCHED = """
import socket, sys

def refuse(*arguments, **options):
    raise SystemExit("the network was asked for")

socket.socket.connect = socket.getaddrinfo = socket.create_connection = refuse
import keras  # which brings both by itself in some versions
before = set(sys.modules)
import mixer_lib
for name in mixer_lib.__all__:
    getattr(mixer_lib, name)
brought = {"matplotlib.pyplot", "sklearn"} & (set(sys.modules) - before)
assert not brought, brought
assert not [name for name in sys.modules if name.startswith("mixer_lib.plots")]
"""


def test_importing_does_no_download_writes_no_file_and_says_nothing(root, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(root), "KERAS_HOME": str(tmp_path / "keras")}
    command = [sys.executable, "-B", "-c", WATCHED]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert (done.returncode, done.stdout, said(done.stderr)) == (0, "", [])
    written = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    written = {name for name in written if not name.startswith("fontlist")}  # matplotlib's, where Keras imports it
    assert written <= {"keras.json"}  # Keras writes its own settings


def test_every_public_name_has_a_docstring():
    for name in mixer_lib.__all__:
        value = getattr(mixer_lib, name)
        if callable(value):
            assert (value.__doc__ or "").strip(), name
