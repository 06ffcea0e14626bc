"""Where things are in the repository. Standard library only, old syntax: tools.setup imports it too."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
BUILD = ROOT / "_build"
REQUIREMENTS = ROOT / "requirements.txt"  # run the chapters, render the book
REQUIREMENTS_DEV = ROOT / "requirements-dev.txt"  # what tests, linters and maintainers need besides
