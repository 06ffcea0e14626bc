"""Lint and format check of code and notebooks, types of the public names (`make lint`)."""

import subprocess
import sys

from tools.paths import ROOT
from tools.verbs import run


def main():
    commands = (["ruff", "check", "."], ["ruff", "format", "--check", "--diff", "."], ["mypy"])  # see pyproject.toml
    failed = [subprocess.call([sys.executable, "-m", *command], cwd=ROOT) for command in commands]
    sys.exit(any(failed))


if __name__ == "__main__":
    run(main)
