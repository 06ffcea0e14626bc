"""The hosts rebuilt: their versions, their folders, no clone, no network."""

import json
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import hosted_images
import nbformat
import pytest

from tools.chapters.notebooks import TRAINS, chapter_paths, priority

pytestmark = pytest.mark.hosted
CHAPTERS = chapter_paths()
REAL_DATA = os.environ.get("MIXER_DATA")
FAST = {"profile": "fast", "dataset": "digits", "epochs": 3}


def self_contained(kaggle_folders, stem):
    return kaggle_folders / stem / f"{stem}.ipynb"


def rows(run_dir):
    history = Path(run_dir) / "history.csv"
    return history.read_text().splitlines()[1:] if history.is_file() else []


@pytest.fixture(scope="module", params=["3.12", "3.13"])
def image(request):
    """The Python of an environment with the hosts' versions."""
    python = hosted_images.image(request.param)
    if python is None:
        pytest.skip(f"no Python {request.param} here to rebuild a host with")
    return python


def said(notebook, number):
    """What the code cell of this number printed."""
    cell = [cell for cell in nbformat.read(notebook, 4).cells if cell.cell_type == "code"][number]
    return "".join(output.get("text", "") for output in cell.outputs)


def one_of_its_own(folder, made):
    """A host of its own for a notebook: two runs at once must not share a working folder."""
    return hosted_images.lay_out(folder / made.stem)


def test_every_self_contained_chapter_runs_on_a_host_without_clone_and_network(image, kaggle_folders, tmp_path):
    notebooks = [self_contained(kaggle_folders, path.stem) for path in CHAPTERS]
    notebooks.sort(key=lambda path: priority(path.stem))
    with ThreadPoolExecutor(2) as pool:
        runs = pool.map(
            lambda path: hosted_images.run_notebook(image, path, one_of_its_own(tmp_path, path), FAST), notebooks
        )
        for path, (ran, done) in zip(notebooks, runs, strict=True):
            assert ran.returncode == 0, f"{path.stem}: {ran.stderr[-3000:]}"
            assert said(done, 1).startswith(f"Kaggle: python {image.parent.parent.name.removeprefix('hosts-')}")
            assert "keras 3.13.2" in said(done, 1) and "numpy 2.1.3" in said(done, 1)
            assert "No internet and no CIFAR-100" in said(done, 1)


def test_a_plain_chapter_runs_on_a_host_with_the_bundle_attached(image, kaggle_folders, wheel, tmp_path):
    root = hosted_images.lay_out(tmp_path)
    bundle = root / "input" / "datasets" / "someone" / "mlp-mixer-book-bundle"
    bundle.mkdir(parents=True)
    shutil.copy(wheel, bundle)
    remove = [str(image), "-m", "pip", "uninstall", "--yes", "--quiet", "mixer-lib"]
    try:
        ran, done = hosted_images.run_notebook(image, kaggle_folders / "plain" / CHAPTERS[-1].name, root, FAST)
    finally:
        subprocess.run(remove, check=True, capture_output=True)  # the environment is kept for the next time
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert said(done, 1).startswith("Kaggle: python ")


@pytest.mark.realdata
@pytest.mark.skipif(not REAL_DATA, reason="needs real CIFAR-100 (MIXER_DATA)")
@pytest.mark.parametrize("mount", ["cifar100", "datasets/someone/cifar100"])
def test_attached_cifar_100_is_found_on_a_host_without_network(kaggle_folders, tmp_path, mount):
    python = hosted_images.newest_image()
    root = hosted_images.lay_out(tmp_path)
    (root / "input" / mount).parent.mkdir(parents=True, exist_ok=True)
    (root / "input" / mount).symlink_to(REAL_DATA, target_is_directory=True)
    ran, done = hosted_images.run_notebook(python, self_contained(kaggle_folders, "01_data"), root, {})
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert "No internet" not in said(done, 1)
    assert "CIFAR-100" in said(done, 3)


def test_a_killed_training_chapter_goes_on_in_the_next_session(kaggle_folders, tmp_path):
    """Chapter 5 itself: run, kill, attach what it saved, run again."""
    python = hosted_images.newest_image()
    notebook = self_contained(kaggle_folders, TRAINS)
    first, second = (hosted_images.lay_out(tmp_path / name) for name in ("first", "second"))
    run = Path("runs") / "digits-article-seed0"
    hosted_images.run_until(
        python, notebook, first, {**FAST, "epochs": 200}, lambda: len(rows(first / "working" / run)) > 1
    )
    saved = second / "input" / "notebooks" / "someone" / "mlp-mixer-book-05-training"
    shutil.copytree(first / "working", saved)
    before = rows(saved / run)
    ran, done = hosted_images.run_notebook(python, notebook, second, {**FAST, "epochs": len(before) + 1})
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert f"continues after its {len(before)} epochs" in said(done, 4)
    assert rows(second / "working" / run)[: len(before)] == before
    assert len(rows(second / "working" / run)) == len(before) + 1


def test_the_training_chapter_runs_on_jax_where_there_is_no_tensorflow(kaggle_folders, tmp_path):
    python = hosted_images.newest_image("jax")
    notebook = self_contained(kaggle_folders, TRAINS)
    root = hosted_images.lay_out(tmp_path / "host")
    on_jax = {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    ran, done = hosted_images.run_notebook(python, notebook, root, FAST, settings=on_jax)
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert "backend jax" in said(done, 1)
    card = json.loads((root / "working" / "runs" / "digits-article-seed0" / "card.json").read_text())
    assert (card["versions"]["backend"], card["versions"]["xla"], card["epochs_run"]) == ("jax", True, 3)
