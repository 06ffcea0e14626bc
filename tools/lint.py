"""Lint and format check of code and notebooks (`make lint`)."""

import subprocess
import sys
from pathlib import Path

from verbs import run

ROOT = Path(__file__).resolve().parent.parent


def main():
    commands = (["check"], ["format", "--check", "--diff"])
    failed = [subprocess.call([sys.executable, "-m", "ruff", *command, "."], cwd=ROOT) for command in commands]
    sys.exit(any(failed))


if __name__ == "__main__":
    run(main)
