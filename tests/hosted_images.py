"""What Kaggle and Colab have, rebuilt: virtual environments with their versions, folders laid out like theirs.

And an environment that has JAX and no TensorFlow.
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from filelock import FileLock

from tools.setup.interpreters import find_python

ROOT = Path(__file__).resolve().parent.parent
# What decides a result has the hosts' own versions; the others are there in any version that fits.
BESIDE = ["h5py", "matplotlib", "pillow", "scikit-learn", "tqdm", "ipykernel", "papermill", "setuptools"]
BESIDE += ["filelock", "packaging", "pooch"]
PACKAGES = {
    "hosts": ["tensorflow-cpu==2.20.0", "keras==3.13.2", "numpy==2.1.3", *BESIDE],
    "jax": ["jax==0.12.0.1", "keras==3.15.0", *BESIDE],
}
NO_PROXY_ANSWERS = "http://127.0.0.1:9"


def image(version, kind="hosts"):
    """Path of the Python of .venv/<kind>-<version>, built where it is missing; None without such an interpreter."""
    python = find_python(version)
    if python is None:
        return None
    folder = ROOT / ".venv" / f"{kind}-{version}"
    folder.parent.mkdir(exist_ok=True)
    wanted = hashlib.sha256(" ".join(PACKAGES[kind]).encode()).hexdigest()
    with FileLock(folder.parent / f"{folder.name}.lock"):
        stamp = folder / "stamp"
        if not stamp.is_file() or stamp.read_text() != wanted:
            shutil.rmtree(folder, ignore_errors=True)
            subprocess.run([python, "-m", "venv", str(folder)], check=True, capture_output=True)
            install = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *PACKAGES[kind]]
            subprocess.run(install, check=True, capture_output=True, text=True)
            stamp.write_text(wanted)
    return folder / "bin" / "python"


def newest_image(kind="hosts"):
    """`image` of the newest Python there is; skips the test where there is none."""
    python = image("3.13", kind) or image("3.12", kind)
    if python is None:
        pytest.skip("no Python 3.13 here to rebuild a host with")
    return python


def python_with(backend):
    """A Python that has Keras 3 and this backend; skips where there is none."""
    if backend == "torch":  # gigabytes where it comes with CUDA: never installed by a test
        if not os.environ.get("MIXER_TORCH"):
            pytest.skip("needs torch: MIXER_TORCH names a Python that has it and Keras 3")
        return os.environ["MIXER_TORCH"]
    return newest_image("jax")


def without_network():
    """What to put before a command so that it has no network but itself; empty where the system forbids it."""
    shell = ["unshare", "--map-root-user", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    try:
        return shell if subprocess.run([*shell, "true"], capture_output=True).returncode == 0 else []
    except OSError:
        return []


def environment_of(python, root):
    """A host's environment variables: nothing of this checkout, `root`/input for its inputs, no way out."""
    kept = {name: os.environ[name] for name in ("LANG", "LC_ALL", "TMPDIR") if name in os.environ}
    (root / "home").mkdir(exist_ok=True)
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), NO_PROXY_ANSWERS)
    return {
        **kept,
        **proxies,
        "PATH": os.pathsep.join([str(python.parent), "/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"]),
        "HOME": str(root / "home"),
        "KAGGLE_KERNEL_RUN_TYPE": "Batch",
        "MIXER_KAGGLE_INPUT": str(root / "input"),
    }


def lay_out(root):
    """Folders like /kaggle/input and /kaggle/working, empty."""
    for name in ("input", "working"):
        (root / name).mkdir(parents=True, exist_ok=True)
    return root


def _command(python, notebook, root, parameters):
    done = root / "working" / f"done-{notebook.name}"
    given = [part for name, value in parameters.items() for part in ("-p", name, str(value))]
    command = [*without_network(), str(python), "-m", "papermill", str(notebook), str(done), "--kernel", "python3"]
    return [*command, "--cwd", str(root / "working"), "--no-progress-bar", *given], done


def run_notebook(python, notebook, root, parameters, seconds=900, settings=()):
    """Run a notebook as the host does, in `root`/working; (finished process, executed notebook's path).

    `settings` are environment variables besides a host's own.
    """
    command, done = _command(python, notebook, root, parameters)
    values = {**environment_of(python, root), **dict(settings)}
    place = root / "working"
    return subprocess.run(command, cwd=place, env=values, capture_output=True, text=True, timeout=seconds), done


def run_until(python, notebook, root, parameters, enough, seconds=600):
    """Run a notebook and kill it, kernel and all, as soon as `enough()`; as a host ends a session."""
    command, _ = _command(python, notebook, root, parameters)
    nothing = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    values, end = environment_of(python, root), time.monotonic() + seconds
    session = subprocess.Popen(command, cwd=root / "working", env=values, start_new_session=True, **nothing)
    try:
        while not enough():
            if session.poll() is not None or time.monotonic() > end:
                raise RuntimeError("the session ended before it was to be killed")
            time.sleep(0.2)
    finally:
        for process in [*psutil.Process(session.pid).children(recursive=True), session]:  # the kernel first
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        session.wait()
