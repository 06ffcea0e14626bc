"""Options, interpreters, the environment, make."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from tools.paths import ROOT
from tools.setup import interpreters, options


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATASET", "imagenet"),
        ("DATA", "/no/such/folder"),
        ("EPOCHS", "0"),
        ("EPOCHS", "ten"),
        ("SEED", "-1"),
        ("SEED", "1.5"),
        ("DEVICES", "0"),
        ("SOLUTIONS", "false"),
        ("PORT", "65536"),
    ],
)
def test_a_wrong_option_is_refused_with_its_name_and_value(name, value):
    with pytest.raises(ValueError, match=re.escape(f"{name}={value}")):
        options.read_options({name: value})


def test_right_options_are_read(tmp_path):
    given = {"DATASET": "digits", "DATA": str(tmp_path), "EPOCHS": "2", "SEED": "0", "DEVICES": "2"}
    given |= {"SOLUTIONS": "no", "PORT": "8889"}
    assert options.read_options(given) == {
        "dataset": "digits",
        "data_dir": str(tmp_path),
        "epochs": 2,
        "seed": 0,
        "devices": 2,
        "solutions": False,
        "port": 8889,
    }
    assert set(options.read_options({}).values()) == {None}


@pytest.mark.parametrize("value", ["2.7", "3.9", "3.99", "/no/such/python", "no-such-command"])
def test_a_python_that_will_not_do_is_refused(value):
    with pytest.raises(ValueError, match=re.escape(f"PYTHON={value}")):
        interpreters.choose(value)


def test_a_python_is_chosen_by_version_and_by_path():
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert interpreters.version_of(interpreters.choose(version)) == sys.version_info[:2]
    assert interpreters.choose(sys.executable) == sys.executable


def test_an_interpreter_that_is_there_and_does_not_run_is_noticed(tmp_path):
    shim = tmp_path / "python3.13"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    assert interpreters.version_of(str(shim)) is None


def make(*arguments):
    values = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    return subprocess.run(["make", *arguments], cwd=ROOT, env=values, capture_output=True, text=True, timeout=120)


needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="no make here")


@needs_make
@pytest.mark.parametrize(
    ("verb", "option"),
    [
        ("quick", "EPOCHS=x"),
        ("execute", "DATASET=x"),
        ("book", "SOLUTIONS=x"),
        ("lab", "PORT=x"),
        ("test", "DATA=/no/such"),
        ("bench", "SEED=x"),
        ("pdf", "PYTHON=2.7"),
    ],
)
def test_a_verb_refuses_a_wrong_option_in_one_line(verb, option):
    done = make(verb, option)
    assert done.returncode != 0
    lines = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert len(lines) == 1
    assert option in lines[0]


@needs_make
def test_make_alone_lists_every_verb_and_each_runs_a_module_that_exists():
    done = make()
    assert done.returncode == 0
    rules = re.findall(r"^(\w+): ## .*\n\t@(.*)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    assert {"quick", "lab", "execute", "book", "test", "check", "kaggle", "publish", "lock"} <= {v for v, _ in rules}
    for verb, command in rules:
        assert verb == "help" or f"make {verb} " in done.stdout
        for module in re.findall(r"-m (tools[.\w]+)", command):
            code = (ROOT / (module.replace(".", "/") + ".py")).read_text(encoding="utf-8")
            assert code.endswith("    run(main)\n"), module  # it ends with one line when it is stopped


def test_what_runs_before_anything_is_installed_needs_the_standard_library_alone():
    files = [*(ROOT / "tools" / "setup").glob("*.py"), ROOT / "tools" / "paths.py"]
    for path in files:
        imported = re.findall(r"^(?:from|import) (\w+)", path.read_text(encoding="utf-8"), re.M)
        assert set(imported) <= {"tools", *sys.stdlib_module_names}, path.name
