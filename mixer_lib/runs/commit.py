"""The commit of the library itself; standard library only, since setup.py runs this file before anything is installed."""

import contextlib
import importlib.metadata
import json
import os
import pathlib
import subprocess

BUILT_FROM = "commit.txt"  # in a wheel, beside the packages (setup.py)
SHORT = 12


def git(root, *arguments):
    """What git says about the repository whose root is `root` itself; None if there is none or git fails.

    A folder above may be another project's repository, and GIT_DIR may name one: neither is asked.
    """
    variables = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    variables["GIT_CEILING_DIRECTORIES"] = str(pathlib.Path(root).resolve().parent)
    command = ["git", "-C", str(root), *arguments]
    with contextlib.suppress(OSError):
        done = subprocess.run(command, capture_output=True, env=variables)
        return os.fsdecode(done.stdout).strip() if done.returncode == 0 else None


def commit(library=pathlib.Path(__file__).resolve().parents[1]):
    """The commit that this library is of, with a plus if files differ; "" if it is not known.

    That of its own checkout; else the one that a wheel was built from, or that pip installed from a repository.
    """
    root, built = library.parent, library / BUILT_FROM
    if git(root, "ls-files", "--error-unmatch", "setup.py", f"{library.name}/runs/commit.py") is not None:
        head = git(root, "rev-parse", f"--short={SHORT}", "HEAD")
        return head + ("+" if git(root, "status", "--porcelain", "--", library.name) else "") if head else ""
    if built.is_file():
        return built.read_text(encoding="utf-8").strip()
    with contextlib.suppress(importlib.metadata.PackageNotFoundError, ValueError, AttributeError):
        found = importlib.metadata.distribution("mixer-lib")
        if pathlib.Path(found.locate_file(library.name)).resolve() == library:
            origin = json.loads(found.read_text("direct_url.json") or "{}")
            return origin.get("vcs_info", {}).get("commit_id", "")[:SHORT]
    return ""
