"""The GitHub workflows: valid, safe as two offline linters see it, and about the verbs and versions that there are."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tools.paths import ROOT

FOLDER = ROOT / ".github" / "workflows"
WORKFLOWS = sorted(FOLDER.glob("*.yml"))
BESIDE_PYTHON = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])

linted = pytest.mark.skipif(sys.version_info < (3, 11), reason="the workflow linters need Python 3.11 or newer")
each_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)


def schema_check(*paths):
    """check-jsonschema with the schema that it brings along; its finished process."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", *paths]
    return subprocess.run([str(part) for part in command], capture_output=True, text=True)


def audit(folder):
    """zizmor without the network; its finished process."""
    program = shutil.which("zizmor", path=BESIDE_PYTHON)
    assert program, "zizmor is not installed: it is in requirements-dev.txt"
    command = [program, "--offline", "--no-progress", "--config", str(ROOT / ".github" / "zizmor.yml"), str(folder)]
    return subprocess.run(command, capture_output=True, text=True)


def read(path):
    found = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {**found, "on": found[True]}  # YAML 1.1 takes `on` for a truth value


def jobs(path):
    return read(path)["jobs"].items()


def steps(path):
    return [step for _, job in jobs(path) for step in job["steps"]]


def spoiled(tmp_path, find, replace):
    """A copy of tests.yml with one thing wrong."""
    text = (FOLDER / "tests.yml").read_text(encoding="utf-8")
    assert find in text
    copy = tmp_path / ".github" / "workflows" / "tests.yml"
    copy.parent.mkdir(parents=True)
    copy.write_text(text.replace(find, replace), encoding="utf-8")
    return copy


def test_there_are_workflows_for_tests_the_week_and_the_book():
    assert [path.stem for path in WORKFLOWS] == ["book", "tests", "weekly"]


@linted
def test_workflows_are_as_github_describes_them():
    done = schema_check(*WORKFLOWS)
    assert done.returncode == 0, done.stdout + done.stderr


@linted
def test_an_auditor_finds_nothing_in_them():
    done = audit(FOLDER)
    assert done.returncode == 0, done.stdout + done.stderr


@linted
def test_a_key_that_github_does_not_know_would_be_noticed(tmp_path):
    assert schema_check(spoiled(tmp_path, "runs-on:", "run-on:")).returncode == 1


@linted
@pytest.mark.parametrize(
    ("find", "replace"),
    [
        ("run: make lint", 'run: echo "${{ github.event.pull_request.title }}"'),
        ("permissions:\n      contents: read", "permissions: write-all"),
        ("actions/checkout@v6", "someone/checkout@main"),
    ],
    ids=["a stranger's text in a command", "all rights", "another's action"],
)
def test_what_is_not_safe_would_be_noticed(tmp_path, find, replace):
    done = audit(spoiled(tmp_path, find, replace).parent)
    assert done.returncode not in (0, 1), done.stdout  # 1 is zizmor's own failure, findings begin at 11


@each_workflow
def test_no_right_is_given_but_where_a_job_asks_for_it(path):
    assert read(path)["permissions"] == {}
    allowed = {
        "deploy": {"pages": "write", "id-token": "write"},
        "report": {"issues": "write"},
    }
    for name, job in jobs(path):
        assert job["permissions"] == allowed.get(name, {"contents": "read"}), name


@each_workflow
def test_every_action_is_github_s_own_with_a_version_and_every_job_has_a_limit(path):
    for step in steps(path):
        if "uses" in step:
            assert re.fullmatch(r"actions/[\w-]+@v\d+", step["uses"]), step["uses"]
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False  # no key is left behind for what runs later
    assert all(job["timeout-minutes"] <= 90 for _, job in jobs(path))


@each_workflow
def test_the_verbs_and_tools_that_a_workflow_calls_exist(path):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    commands = "\n".join(step.get("run", "") for step in steps(path))
    verbs = set(re.findall(r"^make (\w+)", commands, re.M))
    tools = {name.replace(".", "/") + ".py" for name in re.findall(r"python -m (tools[.\w]+)", commands)}
    for verb in verbs:
        assert re.search(rf"^{verb}:", makefile, re.M), verb
    for tool in tools:
        assert (ROOT / tool).is_file(), tool
    assert verbs or tools


def test_pull_requests_are_tested_in_both_worlds():
    found = read(FOLDER / "tests.yml")
    assert "pull_request" in found["on"]
    assert "pull_request_target" not in found["on"]  # it would run a stranger's code with rights
    assert found["jobs"]["test"]["strategy"]["matrix"]["python"] == ["3.11", "3.13"]


def test_the_week_tries_newest_versions_and_the_hosts_and_tells_of_any_failure():
    found = read(FOLDER / "weekly.yml")
    assert "schedule" in found["on"]
    work = set(found["jobs"]) - {"report"}
    assert work == {"check", "newest", "hosts"}
    assert set(found["jobs"]["report"]["needs"]) == work
    told = re.findall(r"contains\(needs\.\*\.result, '(\w+)'\)", found["jobs"]["report"]["if"])
    assert told == ["failure", "cancelled"] and "always()" in found["jobs"]["report"]["if"]  # or it is left out
    install = "\n".join(step.get("run", "") for step in found["jobs"]["hosts"]["steps"])
    assert "tensorflow-cpu==2.20.0 keras==3.13.2 numpy==2.1.3" in install


def run_sh(command, folder):
    return subprocess.run(["sh", "-ec", command], cwd=folder, capture_output=True, text=True, check=True).stdout


def filter_of(job, tool):
    """The line of a job that makes a list of packages out of requirements.in and requirements-dev.in."""
    commands = "\n".join(step.get("run", "") for step in read(FOLDER / "weekly.yml")["jobs"][job]["steps"])
    return next(line.split(" > ")[0] for line in commands.splitlines() if line.startswith(tool))


def test_newest_means_no_version_but_jupyter_book_s():
    lines = run_sh(filter_of("newest", "sed"), ROOT).splitlines()
    wanted = [line.partition(";")[0] for line in lines if line and line[0] != "#"]
    assert [line for line in wanted if re.search("[<=>]", line)] == ["jupyter-book==1.0.4.post1"]
    assert {"tensorflow", "keras", "numpy", "pytest"} <= {line.strip() for line in wanted}


def test_the_hosts_versions_are_not_overruled_by_ours():
    lines = run_sh(filter_of("hosts", "grep"), ROOT).splitlines()
    names = {re.split("[<=>; ]", line)[0] for line in lines if line and line[0] != "#"}
    assert not names & {"tensorflow", "tensorflow-addons", "keras", "numpy"}
    assert {"pytest", "nbval", "jupyter-book", "pillow"} <= names
