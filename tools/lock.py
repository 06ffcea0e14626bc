"""Resolve requirements.in for every supported Python and write requirements.txt (`make lock`).

pip resolves, nothing is installed. A version that holds in every Python is written bare, others get a marker.
"""

import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

from interpreters import SUPPORTED, find_python  # noqa: E402
from verbs import run, write_whole  # noqa: E402

HEADER = """\
# Exact versions for Python 3.10-3.11 (TensorFlow 2.15, tensorflow-addons) and 3.12-3.13 (Keras 3).
# Written by `make lock` from requirements.in (Linux, x86-64): edit that file, not this one.
"""


def resolve(python):
    """Versions that pip would install from requirements.in: {name: version}."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [python, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
        command += [
            "--disable-pip-version-check",
            "--report",
            str(report),
            "-r",
            str(ROOT / "requirements.in"),
        ]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"pip could not resolve requirements.in with {python}:\n{done.stderr[-3000:]}")
        found = json.loads(report.read_text(encoding="utf-8"))["install"]
    return {item["metadata"]["name"].lower().replace("_", "-"): item["metadata"]["version"] for item in found}


def marker(minors):
    """The shortest environment marker that holds for exactly these minor versions of Python 3."""
    if minors == set(SUPPORTED):
        return ""
    inside = [minor for minor in SUPPORTED if min(minors) <= minor <= max(minors)]
    if set(inside) != minors:
        return "; " + " or ".join(f'python_version == "3.{minor}"' for minor in sorted(minors))
    low = [f'python_version >= "3.{min(minors)}"'] if min(minors) > SUPPORTED[0] else []
    high = [f'python_version < "3.{max(minors) + 1}"'] if max(minors) < SUPPORTED[-1] else []
    return "; " + " and ".join(low + high)


def merge(resolved):
    """Lines of requirements.txt from {minor: {name: version}}."""
    where = defaultdict(set)
    for minor, versions in resolved.items():
        for name, version in versions.items():
            where[name, version].add(minor)
    return [f"{name}=={version}{marker(minors)}" for (name, version), minors in sorted(where.items())]


def main():
    resolved = {}
    for minor in SUPPORTED:
        python = find_python(f"3.{minor}")
        if python is None:
            sys.exit(f"make lock needs Python 3.{minor} too: all are resolved together. Install it first.")
        print(f"resolving for Python 3.{minor}", flush=True)
        resolved[minor] = resolve(python)
    lines = merge(resolved)
    write_whole(ROOT / "requirements.txt", HEADER + "\n".join(lines) + "\n")
    print(f"requirements.txt: {len(lines)} lines")


if __name__ == "__main__":
    run(main)
