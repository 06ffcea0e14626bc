"""Resolve requirements.in and requirements-dev.in for all supported Pythons at once (`make lock`).

uv resolves, nothing is installed: exact versions with their hashes, and environment markers where Pythons differ.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from tools.paths import REQUIREMENTS, REQUIREMENTS_DEV, ROOT
from tools.setup.interpreters import SUPPORTED
from tools.verbs import atomic_write_text, run

OPTIONS = ["--no-config", "--universal", "--generate-hashes", "--no-annotate", "--custom-compile-command", "make lock"]
OPTIONS += ["--no-strip-extras"]  # older versions of pip take jsonschema[x] and jsonschema for two packages
OPTIONS += ["--python-version", f"3.{SUPPORTED[0]}", "--upgrade", "--quiet"]


def uv():
    """Path of uv, which requirements-dev.txt installs beside this Python."""
    return str(Path(sys.executable).parent / "uv")


def resolve(source, constraints=None):
    """The text of the exact requirements that uv finds for a file of wishes. Ends the command with what uv said."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "requirements.txt"
        command = [uv(), "pip", "compile", *OPTIONS, source.name, "--output-file", str(target)]
        command += ["--constraints", str(constraints)] if constraints else []
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"uv could not resolve {source.name}:\n{done.stderr[-3000:]}")
        return target.read_text(encoding="utf-8")


def main():
    texts = {}
    with tempfile.TemporaryDirectory() as folder:
        resolved = Path(folder) / "resolved.txt"
        texts[REQUIREMENTS] = resolve(REQUIREMENTS.with_suffix(".in"))
        resolved.write_text(texts[REQUIREMENTS], encoding="utf-8")  # what both need has one version
        texts[REQUIREMENTS_DEV] = resolve(REQUIREMENTS_DEV.with_suffix(".in"), resolved)
    for path, text in texts.items():
        atomic_write_text(path, text)
        print(f"{path.name}: {text.count('==')} exact versions")


if __name__ == "__main__":
    run(main)
