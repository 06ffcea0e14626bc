"""Set up the virtual environment that a verb needs, once, then run the verb in it.

    python tools/environment.py FILE.py [ARGUMENT ...]

Started by tools/in_env.sh. Standard library only, and old syntax: the Python that starts this file may be any
3.6+. Options are checked first, so that a wrong one costs nothing.
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from interpreters import choose, version_of
from options import read_options

ROOT = Path(__file__).resolve().parent.parent


def has_gpu():
    """Whether the machine has an NVIDIA GPU whose driver answers."""
    try:
        done = subprocess.run(["nvidia-smi", "-L"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and b"GPU" in done.stdout


@contextlib.contextmanager
def one_at_a_time(path):
    """Hold a lock file, so that two verbs started together do not both build the environment."""
    with open(str(path), "w") as handle:
        os.set_inheritable(handle.fileno(), True)  # pip lives on when only this process is killed: it keeps the lock
        try:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX)
        except ImportError:  # no fcntl on this system: two verbs at once are then the caller's own risk
            pass
        yield


def fail(message):
    sys.exit("mixer: " + message)


def step(command, log):
    """Run one step of the set-up; its output goes to the log, whose end is shown when it fails."""
    with open(str(log), "ab") as handle:
        code = subprocess.call(
            command, stdout=handle, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, close_fds=False
        )
    if code:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        print("\n".join(lines[-15:]), file=sys.stderr)
        fail("setting up the environment failed (full log: %s)" % log.relative_to(ROOT))


def ensure(python):
    """Path of the environment's Python for this interpreter; builds it unless its stamp is current."""
    name = "py%d.%d" % version_of(python)
    folder = ROOT / ".venv" / name
    inside = folder / "bin" / "python"
    gpu = has_gpu()
    wanted = hashlib.sha256((ROOT / "requirements.txt").read_bytes() + (b"gpu" if gpu else b"cpu")).hexdigest()
    folder.parent.mkdir(exist_ok=True)
    with one_at_a_time(folder.parent / (name + ".lock")):
        stamp = folder / "stamp"
        if stamp.is_file() and stamp.read_text() == wanted and version_of(str(inside)):
            return str(inside)
        print("Setting up %s in .venv/%s, once: a minute or more, about 2 GB." % (python, name), flush=True)
        shutil.rmtree(str(folder), ignore_errors=True)
        log = folder.parent / (name + ".log")
        log.write_bytes(b"")
        if subprocess.call([python, "-c", "import venv, ensurepip"], stderr=subprocess.DEVNULL):
            fail("%s has no venv module: install it (on Debian: apt-get install python3-venv)" % python)
        step([python, "-m", "venv", str(folder)], log)
        packages = ["-r", str(ROOT / "requirements.txt")] + (["tensorflow[and-cuda]"] if gpu else [])
        step([str(inside), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"] + packages, log)
        stamp.write_text(wanted)
    return str(inside)


def environment_of(inside):
    """Environment variables for a verb: quiet TensorFlow, the repository's mixer_lib and kernel."""
    values = dict(os.environ)
    values.pop("PYTHONHOME", None)
    values["PYTHONPATH"] = str(ROOT)
    values["PATH"] = os.path.dirname(inside) + os.pathsep + values.get("PATH", "")
    values["VIRTUAL_ENV"] = os.path.dirname(os.path.dirname(inside))
    values["JUPYTER_PREFER_ENV_PATH"] = "1"
    values["JUPYTER_PLATFORM_DIRS"] = "1"
    values.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    values["PYTHONDONTWRITEBYTECODE"] = "1"  # TensorFlow 2.15 leaves compiled files in the temporary folder else
    return values


def refuse_read_only():
    """End when the folder cannot be written: every verb builds in it."""
    if not os.access(str(ROOT), os.W_OK):
        fail("%s cannot be written, and the verbs build .venv/ and _build/ in it: copy it to a folder of yours" % ROOT)


def main():
    try:
        read_options()
        python = choose(os.environ.get("PYTHON", ""))
    except ValueError as error:
        fail(str(error))
    refuse_read_only()
    try:
        inside = ensure(python)
    except KeyboardInterrupt:
        fail("stopped while setting up: the same command begins the set-up anew")
    except OSError as error:  # .venv/ belongs to somebody else, the disk is full
        fail("setting up the environment failed: %s. Make room, or remove .venv/; then the same command again" % error)
    if len(sys.argv) > 1:
        os.chdir(str(ROOT))
        sys.stdout.flush()
        os.execve(inside, [inside] + sys.argv[1:], environment_of(inside))


if __name__ == "__main__":
    main()
