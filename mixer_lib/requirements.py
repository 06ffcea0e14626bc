"""The oldest versions that mixer_lib runs with and a backend for Keras: checked before Keras, which would say less."""

import importlib.metadata
import importlib.util
import json
import os
import pathlib

from packaging.version import Version

# lower bounds, as in pyproject.toml: on a hosted notebook the library is installed without its dependencies
OLDEST = {"filelock": "3.12", "h5py": "3.9", "keras": "2.15", "matplotlib": "3.7", "numpy": "1.24", "packaging": "21"}
OLDEST |= {"pillow": "9.4", "pooch": "1.7", "scikit-learn": "1.2", "tqdm": "4.65"}
OLDEST |= {"imagehash": "4.3", "scipy": "1.10"}


def host():
    """Name of the host that this runs on: "Kaggle", "Colab", or "" on a machine of one's own."""
    if "COLAB_RELEASE_TAG" in os.environ:  # asked first: Colab may have a folder /kaggle/input, too
        return "Colab"
    inputs = os.environ.get("MIXER_KAGGLE_INPUT") or "/kaggle/input"
    return "Kaggle" if "KAGGLE_KERNEL_RUN_TYPE" in os.environ or os.path.isdir(inputs) else ""


UPDATES = {
    "Kaggle": "Settings > Environment preferences > Always use latest environment",
    "Colab": "Runtime > Change runtime type > Runtime version > Latest",
    "": "install the versions in requirements.txt, in an environment of its own",
}


BACKENDS = ("tensorflow", "jax", "torch")


def is_installed(package):
    """Whether a package can be imported."""
    return importlib.util.find_spec(package) is not None


def check_versions():
    """Raise ImportError, in one line that says what to do, if a package is too old for mixer_lib."""
    found = []
    for package, oldest in OLDEST.items():
        try:
            version = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue  # its own import says it best
        if version and Version(version) < Version(oldest):  # some images hold packages without one
            found.append(f"{package} {version} ({oldest} or newer is needed)")
    if found:
        raise ImportError(f"mixer_lib can't run with {', '.join(found)}: {UPDATES[host()]}.")


def check_backend():
    """Raise ImportError, in one line with a way out, unless the backend that Keras will use is known and installed."""
    name = asked = os.environ.get("KERAS_BACKEND")
    if not name:
        settings = pathlib.Path(os.environ.get("KERAS_HOME") or os.path.expanduser("~/.keras")) / "keras.json"
        try:
            name = json.loads(settings.read_text(encoding="utf-8")).get("backend")
        except (OSError, ValueError, AttributeError):
            name = None
    name = name or "tensorflow"
    if name not in BACKENDS or not is_installed(name):
        reason = "is not installed" if name in BACKENDS else "is not one that mixer_lib runs on"
        usable = " or ".join(filter(is_installed, BACKENDS))
        way = f" KERAS_BACKEND={asked}: Set it to {usable}; or" if asked and usable else ""
        raise ImportError(
            f"Keras needs a backend, and {name} {reason}.{way} pip install tensorflow; or jax or torch, with "
            "KERAS_BACKEND=jax or torch in the environment."
        )
