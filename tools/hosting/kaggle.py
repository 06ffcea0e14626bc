"""Make folders for Kaggle's own command-line tool under _build/kaggle/ (`make kaggle`); PUSH= sends them.

One folder per chapter: kernel-metadata.json and a notebook that carries mixer_lib inside (it opens in Colab, too). And
for those who attach the library instead: bundle/, a data set with its wheel, weights and cards, and plain/, the
chapters that find it.

OWNER=<your Kaggle name> goes into the ids. INPUTS=<owner/data-set,...> attaches data sets, such as one with CIFAR-100,
and turns the internet off, because nothing else is fetched. PUSH=1 sends all chapters, PUSH=05_training one,
PUSH=bundle the data set; each run is followed to its end. The tool finds its credentials by itself: none are read here.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import nbformat

from tools.chapters.notebooks import chapter_paths
from tools.hosting.address import install_cell, repository_url
from tools.hosting.carrier import build_wheel, for_host, self_contained
from tools.paths import BUILD, ROOT
from tools.setup.shield import environment_of_pip
from tools.verbs import run, stop

FOLDER = BUILD / "kaggle"
NAMELESS = "your-kaggle-name"
TOOL = ["kaggle==2.2.4", "six"]  # six: the tool needs it and does not ask for it
NAME = r"[A-Za-z0-9][\w-]*"


def read_options(environ=os.environ):
    """Checked options: {"owner", "inputs", "push"}. Raises ValueError with the value and what would be right."""
    owner, push = environ.get("OWNER", ""), environ.get("PUSH", "")
    inputs = [part for part in environ.get("INPUTS", "").split(",") if part]
    names = [path.stem for path in chapter_paths()]
    if owner and not re.fullmatch(NAME, owner):
        raise ValueError(f"OWNER={owner} is not a Kaggle name: take the one in the address of your profile")
    for source in inputs:
        if not re.fullmatch(f"{NAME}/{NAME}", source):
            raise ValueError(f"INPUTS={source} is not a data set: give owner/name, as in its address")
    if push and push not in ("1", "bundle", *names):
        raise ValueError(f"PUSH={push} is not known: use 1 (all chapters), bundle, or one of {', '.join(names)}")
    if push and not owner:
        raise ValueError("PUSH= needs OWNER=<your Kaggle name>, as in the address of your profile")
    return {"owner": owner or NAMELESS, "inputs": inputs, "push": push}


def title_of(stem):
    """The title on Kaggle; everything else follows from it."""
    return f"MLP-Mixer book {stem.replace('_', ' ')}"


def id_of(stem, owner):
    """Owner and slug; Kaggle makes the slug of a title in the same way, and they must agree."""
    return f"{owner}/" + re.sub(r"[^a-z0-9]+", "-", title_of(stem).lower()).strip("-")


def kernel_metadata(stem, owner, inputs=()):
    """Content of a chapter's kernel-metadata.json."""
    return {
        "id": id_of(stem, owner),
        "title": title_of(stem),
        "code_file": f"{stem}.ipynb",
        "language": "python",
        "kernel_type": "notebook",
        "is_private": True,
        "enable_gpu": True,
        "machine_shape": "NvidiaTeslaT4",  # left out, it may be a card that today's TensorFlow no longer knows
        "enable_internet": not inputs,
        "dataset_sources": list(inputs),
        "competition_sources": [],
        "kernel_sources": [],
        "model_sources": [],
    }


def dataset_metadata(owner):
    """Content of the bundle's dataset-metadata.json."""
    return {"id": id_of("bundle", owner), "title": title_of("bundle"), "licenses": [{"name": "apache-2.0"}]}


def write_json(path, content):
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def make_bundle(folder, owner):
    """The data set: wheel, weights, cards and histories, side by side. Returns the wheel."""
    folder.mkdir(parents=True)
    wheel = build_wheel(folder)
    with zipfile.ZipFile(wheel) as files:
        for name in files.namelist():
            if name.startswith("mixer_lib/pretrained/"):
                (folder / Path(name).name).write_bytes(files.read(name))
    write_json(folder / "dataset-metadata.json", dataset_metadata(owner))
    return wheel


def make_folders(folder=FOLDER, owner=NAMELESS, inputs=(), chapters=None):
    """Everything below `folder`, anew; the paths of the chapters' folders."""
    shutil.rmtree(folder, ignore_errors=True)
    wheel = make_bundle(folder / "bundle", owner)
    (folder / "plain").mkdir()
    url, made = repository_url(), []
    for path in chapters or chapter_paths():
        made.append(folder / path.stem)
        made[-1].mkdir()
        chapter = nbformat.read(path, 4)
        nbformat.write(self_contained(chapter, wheel, url), made[-1] / path.name)
        nbformat.write(for_host(chapter, install_cell(url), url), folder / "plain" / path.name)
        write_json(made[-1] / "kernel-metadata.json", kernel_metadata(path.stem, owner, inputs))
    return made


def command_line_tool():
    """Kaggle's tool: the one on PATH, or else installed here, once."""
    if not shutil.which("kaggle"):
        print(f"installing {TOOL[0]}", flush=True)
        command = [sys.executable, "-m", "pip", "install", "--quiet", *TOOL]
        subprocess.run(command, check=True, env=environment_of_pip(sys.executable))
    return shutil.which("kaggle") or str(Path(sys.executable).parent / "kaggle")


def ask(tool, *arguments):
    """What the tool says, both streams; it ends with 0 after some errors, so its words count, too."""
    done = subprocess.run([tool, *arguments], capture_output=True, text=True)
    return done.returncode, (done.stdout + done.stderr).strip()


def push(tool, folder, pause=30, patience=5):
    """Send a chapter and follow its run to the end. Raises RuntimeError when it fails.

    `pause`: seconds between two looks; `patience`: how often in a row the tool may fail to answer.
    """
    kernel = json.loads((folder / "kernel-metadata.json").read_text(encoding="utf-8"))["id"]
    code, said = ask(tool, "kernels", "push", "-p", str(folder))
    print(said, flush=True)
    if code or "successfully pushed" not in said:
        raise RuntimeError(f"{kernel} was not pushed")
    last, silent = None, 0
    while True:
        code, said = ask(tool, "kernels", "status", kernel)
        found = re.search(r'has status "(?:\w+\.)?(\w+)"', said)
        silent = 0 if found and not code else silent + 1
        if silent >= patience:
            raise RuntimeError(f"{kernel}: no answer about its run: {said}")
        status = found[1].upper() if found else last
        if status != last:
            print(f"{kernel}: {status.lower()}", flush=True)
        last = status
        if status == "COMPLETE":
            return
        if status and ("ERROR" in status or "CANCEL" in status):
            raise RuntimeError(f"{said}\n{ask(tool, 'kernels', 'logs', kernel)[1][-3000:]}")
        time.sleep(pause)


def push_bundle(tool, folder):
    """Send the data set, as a new version where there is one already. Raises RuntimeError when it fails."""
    bundle = json.loads((folder / "dataset-metadata.json").read_text(encoding="utf-8"))["id"]
    exists = ask(tool, "datasets", "status", bundle)[0] == 0
    how = ["version", "-m", "from make kaggle"] if exists else ["create"]
    code, said = ask(tool, "datasets", *how, "-p", str(folder))
    print(said, flush=True)
    if code or "error" in said.lower():
        raise RuntimeError(f"{bundle} was not sent")


def main():
    try:
        given = read_options()
    except ValueError as error:
        sys.exit(f"mixer: {error}")
    try:
        made = make_folders(owner=given["owner"], inputs=given["inputs"])
        print(f"{len(made)} chapters, and a bundle with plain ones: {FOLDER.relative_to(ROOT)}/")
        if not given["push"]:
            return
        tool = command_line_tool()
        if given["push"] == "bundle":
            push_bundle(tool, FOLDER / "bundle")
        for folder in made:
            if given["push"] in ("1", folder.name):
                push(tool, folder)
    except (RuntimeError, subprocess.CalledProcessError) as error:
        stop(error)


if __name__ == "__main__":
    run(main)
