"""Where a chapter runs - Kaggle, Colab or a machine of one's own - and what to click when something is missing.

The one place that knows the hosts: a chapter's first cell prints `report()` and is the same everywhere.
"""

import importlib.metadata
import os
import re
import socket
import threading
from pathlib import Path

from . import results
from .data_files import is_at_hand, kaggle_folders, kaggle_root
from .published import CIFAR100
from .whole_files import written_whole

# Lower bounds, as in pyproject.toml: on a host the library is installed without asking pip about them.
OLDEST = {
    "h5py": "3.9",
    "keras": "2.15",
    "matplotlib": "3.7",
    "numpy": "1.24",
    "pillow": "9.4",
    "scikit-learn": "1.2",
    "tqdm": "4.65",
}
CLICKS = {
    ("Kaggle", "gpu"): "Settings > Accelerator > GPU T4 x2",
    ("Colab", "gpu"): "Runtime > Change runtime type > T4 GPU",
    ("Kaggle", "versions"): "Settings > Environment preferences > Always use latest environment",
    ("Colab", "versions"): "Runtime > Change runtime type > Runtime version > Latest",
    ("Kaggle", "internet"): "Settings > Turn on internet, or Add Input > Datasets and add CIFAR-100 (Python version)",
}
SECONDS_TO_ANSWER = 3


def host():
    """Name of the host that this runs on: "Kaggle", "Colab", or "" on a machine of one's own."""
    if "COLAB_RELEASE_TAG" in os.environ:  # asked first: Colab may have a folder /kaggle/input, too
        return "Colab"
    return "Kaggle" if "KAGGLE_KERNEL_RUN_TYPE" in os.environ or kaggle_root().is_dir() else ""


def too_old():
    """Packages that are older than mixer_lib needs, as text: "keras 2.12.0 (2.15 or newer is needed)" ..."""
    found = []
    for package, oldest in OLDEST.items():
        try:
            version = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue  # its own import says it best
        if version and _numbers(version) < _numbers(oldest):  # some images hold packages without one
            found.append(f"{package} {version} ({oldest} or newer is needed)")
    return found


def refuse_old_versions():
    """ImportError, in one line that says what to click, if a package is too old for mixer_lib."""
    found = too_old()
    if found:
        way = CLICKS.get((host(), "versions"), "install the versions in requirements.txt, in an environment of its own")
        raise ImportError(f"mixer_lib can't run with {', '.join(found)}: {way}.")


def report():
    """What a chapter runs on, in one line; below it, a line for each thing that is missing, with what to click."""
    place, device = host(), results.device_name()
    line = ", ".join(f"{name} {version}" for name, version in results.versions().items()) + " on " + device
    lines = [f"{place}: {line}" if place else line]
    if place and device.startswith("CPU"):
        lines.append(f"No GPU: only chapter 5, which trains, would gain from one. To have it: {CLICKS[place, 'gpu']}.")
    if place == "Kaggle" and not is_at_hand(CIFAR100) and not _answers(CIFAR100.url.split("/")[2]):
        lines.append(f'No internet and no CIFAR-100: {CLICKS[place, "internet"]}. Or set dataset = "digits".')
    return "\n".join(lines)


def take_up(run_dir):
    """Bring the run of an earlier session along, where the host has it among its inputs.

    A session on a host ends after some hours, and what it saved can be attached to the next one as an input.
    The folder there that has the name of `run_dir` and is furthest is copied, unless `run_dir` holds a run
    already; then `train` goes on with it.

    Args:
        run_dir: folder of the run that is about to be trained.

    Returns:
        How many epochs were brought along; 0 if there is nothing to take up.
    """
    run_dir = Path(run_dir)
    if (run_dir / "checkpoint.npz").exists():
        return 0
    runs = [folder for folder in kaggle_folders() if folder.name == run_dir.name]
    runs = [folder for folder in runs if (folder / "checkpoint.npz").is_file()]
    if not runs:
        return 0
    furthest = max(runs, key=epochs_of)
    files = [path for path in furthest.iterdir() if path.is_file()]
    for path in sorted(files, key=lambda path: path.name == "checkpoint.npz"):  # last: with it the run counts as here
        with written_whole(run_dir / path.name) as part:
            part.write_bytes(path.read_bytes())
    print(f"An earlier session's run was found and goes on after its {epochs_of(furthest)} epochs.")
    return epochs_of(furthest)


def epochs_of(run_dir):
    """How many finished epochs the history of a run holds; 0 without one."""
    history = Path(run_dir) / "history.csv"
    return max(0, len(history.read_text(encoding="utf-8").splitlines()) - 1) if history.is_file() else 0


def _numbers(version):
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def _answers(name):
    """Whether the network knows this name. Asked in a thread, because a name server may never answer."""
    found = []
    thread = threading.Thread(target=lambda: found.append(_resolves(name)), daemon=True)
    thread.start()
    thread.join(SECONDS_TO_ANSWER)
    return any(found)


def _resolves(name):
    try:
        return bool(socket.getaddrinfo(name, 443))
    except OSError:
        return False
