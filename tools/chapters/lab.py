"""Open JupyterLab on copies of the chapters in _build/lab/ (`make lab`).

A copy that is there already is kept, with a reader's changes. DATASET=, DATA=, EPOCHS=, SEED= and DEVICES= hold for all
chapters; PORT= names the port. Further arguments go to JupyterLab.
"""

import os
import shutil
import sys

from tools.chapters.notebooks import chapter_paths
from tools.paths import BUILD, ROOT
from tools.setup.options import read_options
from tools.verbs import run

LAB = BUILD / "lab"


def copy_chapters(folder, root=ROOT):
    """Copy chapters, and the pages that they link to, where they are missing; names of the chapters that were kept."""
    kept = []
    chapters = chapter_paths(root / "notebooks")
    pages = [path for pattern in ("*.md", "figures/*") for path in sorted((root / "book").glob(pattern))]
    for path in [*chapters, *pages]:
        target = folder / path.relative_to(root)
        if target.exists():
            kept += [target.name] if path in chapters else []
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    return kept


def chapter_environment(given, environ=os.environ):
    """Environment of the kernels: the options, in the variables that chapters read, and mixer_lib from here."""
    names = {"dataset": "MIXER_DATASET", "data_dir": "MIXER_DATA", "epochs": "MIXER_EPOCHS", "seed": "MIXER_SEED"}
    names["devices"] = "MIXER_DEVICES"
    chosen = {variable: str(given[name]) for name, variable in names.items() if given[name] is not None}
    return {**environ, **chosen, "PYTHONPATH": str(ROOT)}


def main(folder=LAB):
    given = read_options()
    kept = copy_chapters(folder)
    print(f"the chapters to work in: {os.path.relpath(folder)}/notebooks/", flush=True)
    if kept:
        print(f"kept as they are, with your changes: {', '.join(kept)}. Remove one to get it again.", flush=True)
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={folder}"]
    command += ["--LabApp.default_url=/lab/tree/notebooks"]
    command += [f"--ServerApp.port={given['port']}"] if given["port"] else []
    command += ["--allow-root"] if os.getuid() == 0 else []  # in a container
    os.chdir(folder / "notebooks")
    os.execve(sys.executable, [*command, *sys.argv[1:]], chapter_environment(given))


if __name__ == "__main__":
    run(main)
