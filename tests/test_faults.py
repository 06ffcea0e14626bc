"""FAULTS.md names tests that exist: a promise without its test would be an empty one."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
NAMED = re.compile(r"`((?:\w+/)*test_\w+\.py)::(test_\w+)`")  # paths relative to tests/


def rows(text):
    """(fault, promise, test) of every row of every table."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if row != ["Fault", "Promise", "Test"] and set("".join(row)) != {"-"}]


def missing(text, folder=TESTS):
    """Tests that the tables name and that do not exist."""
    exist = {}
    for file in {file for file, _ in NAMED.findall(text)}:
        tree = ast.parse((folder / file).read_text(encoding="utf-8")) if (folder / file).is_file() else ast.Module([])
        exist[file] = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    return sorted(f"{file}::{name}" for file, name in NAMED.findall(text) if name not in exist[file])


ROWS = rows((TESTS / "FAULTS.md").read_text(encoding="utf-8"))


def test_every_test_that_is_named_exists():
    assert missing((TESTS / "FAULTS.md").read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_every_fault_has_a_promise_and_names_nothing_but_tests(row):
    fault, promise, tests = row
    assert fault
    assert promise
    assert NAMED.search(tests)
    assert NAMED.sub("", tests).strip(", ") == ""


def test_a_test_that_went_away_is_noticed():
    table = "| a | b | `test_faults.py::test_nothing` |\n| a | b | `datasets/test_nowhere.py::test_it` |"
    assert missing(table) == ["datasets/test_nowhere.py::test_it", "test_faults.py::test_nothing"]
    assert len(rows(table)) == 2
    assert missing("`datasets/test_download.py::test_a_proxy_of_the_environment_is_used`") == []
    assert missing("`test_faults.py::test_a_test_that_went_away_is_noticed`") == []
