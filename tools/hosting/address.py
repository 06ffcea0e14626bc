"""Write the repository's address where readers need it (`make address`, for maintainers).

It is git's origin, or MIXER_REPOSITORY, when that is on GitHub. The README gets launch buttons, and each chapter one
hidden cell before its first, which installs mixer_lib from there on a host. Without an address both are taken out.
"""

import os
import re
import subprocess
from urllib.parse import quote

import nbformat

from tools.chapters.notebooks import chapter_paths
from tools.chapters.stamps import INSTALL_CELL
from tools.paths import ROOT
from tools.verbs import atomic_write_text, run

README = ROOT / "README.md"
BLOCK = re.compile(r"(<!-- launch -->\n).*?(<!-- /launch -->)", re.S)
HIDDEN = {"cellView": "form", "_kg_hide-input": True, "jupyter": {"source_hidden": True}}  # on Colab, Kaggle, Jupyter

# What hosts have already, and mixer_lib imports. pip fetches only what is missing.
HELPERS = """\
for name in ("filelock", "packaging", "pooch"):  # hosts usually have them
    if importlib.util.find_spec(name) is None:
        os.system(f'"{sys.executable}" -m pip install --quiet {name}')
"""
INSTALL = (
    """\
# @title mixer_lib, where it is missing: from an attached bundle, or from the book's repository
import importlib.util
import os
import sys
from glob import glob

sys.path.append("..")  # in a clone, mixer_lib lies there
if importlib.util.find_spec("mixer_lib") is None:
    inputs = os.environ.get("MIXER_KAGGLE_INPUT") or "/kaggle/input"
    places = ("*/mixer_lib-*.whl", "datasets/*/*/mixer_lib-*.whl")
    wheels = [wheel for place in places for wheel in glob(f"{inputs}/{place}")]
    source = wheels[0] if wheels else "git+REPOSITORY"
    # without dependencies: the host's packages stay
    if os.system(f'"{sys.executable}" -m pip install --quiet --no-deps "{source}"'):
        sys.exit(
            "mixer_lib is not available here. Kaggle: Settings > Turn on internet, or "
            "Add Input > Datasets and add the book's bundle. Everywhere: open the "
            "self-contained notebook instead."
        )
    importlib.invalidate_caches()
"""
    + HELPERS
)


def origin_of(root):
    """The origin of the repository whose root is `root`: neither of one above it nor of the one that GIT_DIR names."""
    values = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    values["GIT_CEILING_DIRECTORIES"] = str(root.resolve().parent)
    try:
        command = ["git", "-C", str(root), "remote", "get-url", "origin"]
        return subprocess.run(command, env=values, capture_output=True, text=True).stdout.strip()
    except OSError:
        return ""


def repository_url():
    """The https address of the GitHub repository, from MIXER_REPOSITORY or git's origin; or empty."""
    url = os.environ.get("MIXER_REPOSITORY", "")
    if not url:
        url = origin_of(ROOT)
    match = re.fullmatch(r"(?:https://|git@|ssh://git@)github\.com[/:]([\w.-]+/[\w.-]+?)(?:\.git)?/?", url)
    return f"https://github.com/{match[1]}" if match else ""


def buttons(url, paths):
    """The README's buttons as Markdown, one line per chapter; empty without an address."""
    if not url:
        return ""
    rows = ["| Chapter | Kaggle | Colab | File |", "|---|---|---|---|"]
    name = url.removeprefix("https://github.com/")
    for path in paths:
        place = f"blob/main/notebooks/{path.name}"
        kaggle = "https://kaggle.com/kernels/welcome?src=" + quote(f"{url}/{place}", safe="")
        colab = f"https://colab.research.google.com/github/{name}/{place}"
        file = f"https://raw.githubusercontent.com/{name}/main/notebooks/{path.name}"
        title = path.stem.replace("_", " ")
        rows.append(
            f"| [{title}](notebooks/{path.name}) "
            f"| [![Open {title} on Kaggle](https://kaggle.com/static/images/open-in-kaggle.svg)]({kaggle}) "
            f"| [![Open {title} in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({colab}) "
            f"| [download]({file}) |"
        )
    return "\n".join(rows) + "\n"


def with_buttons(text, url, paths):
    """The README's text with the buttons for this address."""
    return BLOCK.sub(lambda found: found[1] + buttons(url, paths) + found[2], text)


def install_cell(url):
    """The cell that installs mixer_lib on a host: from an attached bundle, or from this address."""
    source = INSTALL.replace("git+REPOSITORY", f"git+{url}").rstrip("\n")
    tags = {"tags": ["remove-cell"]}  # no part of the rendered page
    return nbformat.v4.new_code_cell(source, metadata={**HIDDEN, **tags}, id=INSTALL_CELL)


def with_first_cell(notebook, cell=None):
    """The notebook with `cell`, or none, before its first code cell in place of the one that installs mixer_lib."""
    notebook.cells = [kept for kept in notebook.cells if kept.get("id") != INSTALL_CELL]
    if cell:
        first = next(i for i, kept in enumerate(notebook.cells) if kept.cell_type == "code")
        notebook.cells.insert(first, cell)
    return notebook


def with_address(text, url):
    """A notebook file's text with the installing cell for this address, or without one; nothing else changes."""
    notebook = with_first_cell(nbformat.reads(text, 4), install_cell(url) if url else None)
    return nbformat.writes(notebook).rstrip("\n") + "\n"


def main():
    url, paths = repository_url(), chapter_paths()
    atomic_write_text(README, with_buttons(README.read_text(encoding="utf-8"), url, paths))
    for path in paths:
        atomic_write_text(path, with_address(path.read_text(encoding="utf-8"), url))
    print(f"the book's address: {url or 'none (git has no origin on GitHub; MIXER_REPOSITORY= names one)'}")


if __name__ == "__main__":
    run(main)
