"""mixer_lib as one wheel, and chapters that carry it inside: what a host needs without a clone.

The wheel is attached to a notebook as a data set; its content, packed tighter, sits in a notebook's first cell.
"""

import base64
import copy
import functools
import hashlib
import io
import json
import posixpath
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import nbformat

from tools.hosting.address import HELPERS, HIDDEN, with_first_cell
from tools.paths import ROOT
from tools.setup.shield import environment_of_pip

# of the embedded data only: three digits a number make less than half the size, and a notebook has a limit
SHORTENED = ("article-digits",)
CARRIED = ("article", "article-digits")  # the weights that chapters load; the wheel has all that are published
BY_HAND = ("__main__.py", "choices.py", "commands", "sweep")  # parts for a command line, not for a chapter
# tables, and no histories
TABLES = tuple(f"mixer_lib/recorded/{name}" for name in ("search-", "family-rates", "family-shifts"))
LARGEST_NOTEBOOK = 1_000_000  # Kaggle takes a notebook of less than one megabyte

CARRIER = '''# @title mixer_lib and what this chapter needs of it, carried by this notebook: run this first
import base64
import importlib.util
import io
import os
import sys
import tarfile
import tempfile

carried = """
{carried}
"""
folder = tempfile.mkdtemp(prefix="mixer_lib-")
with tarfile.open(fileobj=io.BytesIO(base64.b85decode(carried.replace("\\n", "")))) as files:
    files.extractall(folder, filter="data")
sys.path.insert(0, folder)
{helpers}'''


def slim_weights(source, target, shortened):
    """Copy a model's weights without the optimizer's state; of `shortened` ones, 8 of a number's 23 binary digits."""
    import h5py
    import numpy as np

    def copy_item(name, item):
        if name.split("/")[0] == "optimizer":
            return
        if isinstance(item, h5py.Group):
            slim.require_group(name)  # Keras 2 looks for empty ones, too
            return
        value = item[()]
        if shortened and value.dtype == np.float32:
            value = ((value.view("uint32") + 0x4000) & 0xFFFF8000).view("float32")  # to the nearest
        # equal bytes of neighbouring numbers side by side: the archive as a whole is then compressed better
        shuffled = {"shuffle": True, "chunks": value.shape} if value.size > 64 else {}
        slim.create_dataset(name, data=value, **shuffled)

    with h5py.File(source) as full, h5py.File(target, "w", libver="latest") as slim:
        full.visititems(copy_item)


def shorter(history):
    """A history's text with six digits a number, which is more than any page prints; all of them compress badly."""
    return re.sub(r"\d+\.\d{7,}(?:e-?\d+)?", lambda number: f"{float(number[0]):.6g}", history)


def slim_library(folder, root=ROOT):
    """Copy mixer_lib to `folder`, its weights and histories slim and its cards with the sums of the slim files."""
    from mixer_lib.runs.commit import BUILT_FROM, commit

    ignore = shutil.ignore_patterns("__pycache__", "*.weights.h5")
    library = Path(shutil.copytree(root / "mixer_lib", Path(folder) / "mixer_lib", ignore=ignore))
    for path in library.rglob("*.csv"):
        path.write_text(shorter(path.read_text(encoding="utf-8")), encoding="utf-8")
    for weights in sorted((root / "mixer_lib" / "pretrained").glob("*.weights.h5")):
        name = weights.name.removesuffix(".weights.h5")
        slim_weights(weights, library / "pretrained" / weights.name, name in SHORTENED)
        path = library / "pretrained" / f"{name}.json"
        card = json.loads(path.read_text(encoding="utf-8"))
        slim = (library / "pretrained" / weights.name).read_bytes()
        card["weights_sha256"] = hashlib.sha256(slim).hexdigest()
        path.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    if commit(root / "mixer_lib"):  # the copy is no checkout
        (library / BUILT_FROM).write_text(commit(root / "mixer_lib") + "\n", encoding="utf-8")
    return library


def build_wheel(target, root=ROOT):
    """Build the wheel of the slim library into `target`; its path. Raises RuntimeError with what pip said."""
    with tempfile.TemporaryDirectory() as folder:
        slim_library(folder, root)
        for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE", "LICENSE-text.md"):
            shutil.copy(root / name, folder)
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
        values = environment_of_pip(sys.executable)
        values["SOURCE_DATE_EPOCH"] = "315532800"  # the same library, the same bytes
        done = subprocess.run(
            [*command, "--wheel-dir", str(target), folder], capture_output=True, text=True, env=values
        )
    if done.returncode:
        raise RuntimeError(f"pip could not build the wheel of mixer_lib:\n{done.stderr[-2000:]}")
    return next(Path(target).glob("mixer_lib-*.whl"))


def weights_used(code):
    """The published models whose weights a chapter's code loads: those it names, or all that it may choose from."""
    loaded = {argument.strip() for argument in re.findall(r"load_pretrained\(([^)]*)\)", code)}
    named = {f'"{name}"' for name in CARRIED}
    return tuple(name for name in CARRIED if f'"{name}"' in loaded or loaded - named)


def is_used(name, code):
    """Whether a chapter with this code needs a file of the wheel: all but what it never imports or reads."""
    if name.split("/")[1] in BY_HAND:
        return False
    model, weights, _ = Path(name).name.partition(".weights.h5")
    if weights:
        return model in weights_used(code)
    if name.startswith(TABLES):
        return '"' + Path(name).stem.removesuffix("-epochs") + '"' in code
    if name.startswith("mixer_lib/measured/curves/"):
        return "benchmarks.learning_curves(" in code
    if name.endswith("tfa-adamw.csv"):
        return "trajectory(" in code
    if name.endswith(".csv"):  # of the runs that a chapter names, of all steps to the paper, of the published models
        named = f'"{Path(name).stem}"' in code or name.startswith("mixer_lib/pretrained/")
        return "history(" in code and (named or "/walk-" in name and "steps_to_paper(" in code)
    run, ranks, _ = Path(name).name.partition(".ranks.npy")
    if ranks:  # of the recipes that a chapter compares, all seeds
        return "comparison." in code and '"' + re.sub(r"-seed\d+$", "", run) + '"' in code
    return True


@functools.lru_cache(None)  # chapters that need the same files share the text
def packed(wheel, names):
    """These files of the wheel as lines of text: a tar.xz, in base 85."""
    archive = io.BytesIO()
    with zipfile.ZipFile(wheel) as files, tarfile.open(fileobj=archive, mode="w:xz", preset=9) as tar:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.size = len(files.read(name))
            tar.addfile(entry, io.BytesIO(files.read(name)))
    text = base64.b85encode(archive.getvalue()).decode()
    return "\n".join(text[start : start + 2_000] for start in range(0, len(text), 2_000))


def carrier_cell(notebook, wheel):
    """The cell that unpacks mixer_lib with what this chapter reads of it."""
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    with zipfile.ZipFile(wheel) as files:
        names = sorted(name for name in files.namelist() if name.startswith("mixer_lib/") and is_used(name, code))
    source = CARRIER.format(carried=packed(wheel, tuple(names)), helpers=HELPERS.rstrip("\n"))
    return nbformat.v4.new_code_cell(source, metadata=HIDDEN, id="carried")


def reachable(text, address):
    """Markdown whose links into the repository lead to its address; without one, only their words are left."""

    def link(found):
        words, target = found.groups()
        place = posixpath.normpath(posixpath.join("notebooks", target))
        return f"[{words}]({address}/blob/main/{place})" if address else words

    return re.sub(r"(?<!!)\[([^\]\n]*)\]\((?!https?:|#|mailto:)([^)\s]+)\)", link, text)


def for_host(notebook, cell, address=""):
    """A copy of a chapter for a host: without outputs, its links reachable there, with `cell` before its first."""
    copied = with_first_cell(copy.deepcopy(notebook), cell)
    for cell in copied.cells:
        if cell.cell_type == "markdown":
            cell.source = reachable(cell.source, address)
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    copied.metadata.pop("mixer", None)  # its stamp is that of the published chapter
    return copied


def self_contained(notebook, wheel, address=""):
    """A copy of a chapter that brings mixer_lib along in a hidden cell. RuntimeError if it is too large for hosts."""
    copied = for_host(notebook, carrier_cell(notebook, wheel), address)
    size = len(nbformat.writes(copied).encode())
    if size >= LARGEST_NOTEBOOK:
        raise RuntimeError(f"the notebook would have {size:,} bytes, and hosts take fewer than {LARGEST_NOTEBOOK:,}")
    return copied
