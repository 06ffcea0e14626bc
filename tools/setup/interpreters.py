"""Find a Python that runs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

SUPPORTED = (10, 11, 12, 13)
PREFERRED = (13, 12, 11, 10)


def version_of(candidate):
    """(major, minor) of an interpreter, or None: a pyenv shim may be there and still not run."""
    command = [candidate, "-I", "-c", "import sys; print(*sys.version_info[:2])"]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60)
        major, minor = done.stdout.split()[:2]
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return (int(major), int(minor)) if done.returncode == 0 else None


def pyenv_folders():
    """Interpreters below `$(pyenv root)/versions`, newest first; none without pyenv."""
    if shutil.which("pyenv") is None:
        return []
    done = subprocess.run(["pyenv", "root"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    versions = Path(os.fsdecode(done.stdout.strip())) / "versions"
    return sorted(versions.glob("3.*/bin/python"), reverse=True)


def find_python(version):
    """Path of an interpreter of this version ("3.11"), or None."""
    wanted = tuple(int(part) for part in version.split("."))
    on_path = [shutil.which(name) for name in ("python" + version, "python3", "python")]
    for candidate in [path for path in on_path if path] + [sys.executable] + [str(p) for p in pyenv_folders()]:
        if version_of(candidate) == wanted:
            return candidate
    return None


def choose(asked):
    """Path of the interpreter to use; `asked` is PYTHON= (a version, a command, a path) or empty.

    Raises ValueError when it does not run or is not supported.
    """
    names = ", ".join("3.%d" % minor for minor in SUPPORTED)
    if not asked:
        for minor in PREFERRED:
            found = find_python("3.%d" % minor)
            if found:
                return found
        raise ValueError("no supported Python found: install one of %s, or name one with PYTHON=" % names)
    if asked.replace(".", "").isdigit():
        if asked not in names.split(", "):
            raise ValueError("PYTHON=%s is not supported: use one of %s" % (asked, names))
        found = find_python(asked)
        if found is None:
            raise ValueError("PYTHON=%s: no such Python found that runs; name its path" % asked)
        return found
    found = version_of(os.path.expanduser(asked))
    if found is None and asked.startswith("python3.") and find_python(asked[len("python") :]):
        return find_python(asked[len("python") :])  # a pyenv shim that does not run stands before the real one
    if found is None:
        raise ValueError("PYTHON=%s does not run: give a version (%s) or the path of an interpreter" % (asked, names))
    if found[0] != 3 or found[1] not in SUPPORTED:
        raise ValueError(
            "PYTHON=%s is Python %d.%d, which is not supported: use one of %s" % ((asked,) + found + (names,))
        )
    return os.path.expanduser(asked)
