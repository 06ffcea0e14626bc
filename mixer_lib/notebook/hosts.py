"""Where a chapter runs - Kaggle, Colab or a machine of one's own - and what to click when something is missing."""

from pathlib import Path

import keras

from ..compat import backend_name
from ..datasets.download import is_reachable
from ..datasets.locate import is_available, kaggle_folders
from ..datasets.sources import CIFAR100
from ..requirements import host
from ..runs import provenance
from ..runs.checkpoint import check_same_run, read_checkpoint
from ..runs.files import atomic_write
from ..runs.folder import FILES, RunFolder
from ..runs.request import as_json
from ..validation import user_path

CLICKS = {
    ("Kaggle", "gpu"): "Settings > Accelerator > GPU T4 x2",
    ("Colab", "gpu"): "Runtime > Change runtime type > T4 GPU",
    ("Kaggle", "internet"): "Settings > Turn on internet, or Add Input > Datasets and add CIFAR-100 (Python version)",
}
SECONDS_TO_ANSWER = 3


def report():
    """What a chapter runs on, in one line; below it, a line for each thing that is missing, with what to click."""
    place, device = host(), provenance.device_name()
    line = ", ".join(f"{name} {version}" for name, version in provenance.versions().items()) + " on " + device
    lines = [f"{place}: {line}" if place else line]
    if place and device.startswith("CPU"):
        lines.append(f"No GPU: only chapter 5, which trains, would gain from one. To have it: {CLICKS[place, 'gpu']}.")
    address = CIFAR100.url.split("/")[2]
    if place == "Kaggle" and not is_available(CIFAR100) and not is_reachable(address, SECONDS_TO_ANSWER):
        lines.append(f'No internet and no CIFAR-100: {CLICKS[place, "internet"]}. Or set dataset = "digits".')
    return "\n".join(lines)


def resume_from_inputs(run_dir, config=None, recipe=None, seed=None):
    """Bring the run of an earlier session along, where the host has it among its inputs.

    A session on a host ends after some hours, and what it saved can be attached to the next one as an input. Of the
    folders there that have the name of `run_dir`, the one with most epochs is copied, unless `run_dir` holds a run
    already; then `train` continues it. `config` (whatever its number of classes), `recipe` and `seed`: what `train`
    will ask for. A run that it would refuse is told and left out, and none is brought along twice: where `run_dir` was
    removed since, the run starts from epoch 1. Returns how many epochs were brought along.
    """
    run_dir = user_path(run_dir)
    runs = [folder for folder in kaggle_folders() if folder.name == run_dir.name]
    runs = [folder for folder in runs if (folder / "checkpoint.npz").is_file()]
    brought = run_dir.parent / f".{run_dir.name}.brought"
    if not runs or (run_dir / "checkpoint.npz").exists():
        return 0
    if brought.exists():
        print(
            f"{brought.read_text(encoding='utf-8')} was used before and is not used again: the run starts from epoch 1."
        )
        return 0
    for folder in sorted(runs, key=epochs_of, reverse=True):
        reason = _refusal(folder, config, recipe, seed)
        if reason:
            print(f"The earlier session's run in {folder} is not continued: {reason}")
            continue
        files = [folder / name for name in FILES if (folder / name).is_file()]
        for path in sorted(files, key=lambda path: path.name == "checkpoint.npz"):  # last: with it the run is here
            with atomic_write(run_dir / path.name) as part:
                part.write_bytes(path.read_bytes())
        brought.write_text(str(folder), encoding="utf-8")
        print(f"An earlier session's run was found and continues after its {epochs_of(folder)} epochs.")
        return epochs_of(folder)
    return 0


def _refusal(folder, config, recipe, seed):
    """Why `train` would not continue the run in a folder, or ""."""
    try:
        state, _ = read_checkpoint(folder / "checkpoint.npz")
    except ValueError:
        return "its checkpoint is damaged. Attach a good copy, or continue without it."
    found = dict(state["identity"])
    requested = {"keras": keras.__version__, "backend": backend_name()}
    for name, value in (("config", getattr(config, "model", config)), ("recipe", recipe)):
        requested |= {name: as_json(value)} if value is not None else {}
    requested |= {"seed": seed} if seed is not None else {}
    for identity in (found, requested):
        if isinstance(identity.get("config"), dict):
            identity["config"] = {**identity["config"], "num_classes": None}  # that of the data
    try:
        check_same_run(RunFolder(folder), {name: found[name] for name in requested if name in found}, requested)
    except ValueError as error:
        return str(error).partition(". ")[0].partition(" holds ")[2] + ". Remove that input, or continue without it."
    return ""


def epochs_of(run_dir):
    """How many finished epochs the history of a run holds; 0 without one."""
    history = Path(run_dir) / "history.csv"
    return max(0, len(history.read_text(encoding="utf-8").splitlines()) - 1) if history.is_file() else 0
