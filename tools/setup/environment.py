"""Set up the virtual environment that a command needs, once, then run the command in it.

    python -m tools.setup.environment [--dev] -m MODULE [ARGUMENT ...]     or, in place of -m MODULE, FILE.py

Started by in_env.sh. `--dev` installs requirements-dev.txt too. Options are checked first, so that a wrong one costs
nothing.
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys

from tools.paths import REQUIREMENTS, REQUIREMENTS_DEV, ROOT
from tools.setup.interpreters import choose, version_of
from tools.setup.options import read_options
from tools.setup.shield import environment_of_pip, refuse_path, shielded, told


def has_gpu():
    """Whether the machine has an NVIDIA GPU whose driver answers."""
    try:
        done = subprocess.run(["nvidia-smi", "-L"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and b"GPU" in done.stdout


@contextlib.contextmanager
def one_at_a_time(path):
    """Hold a lock file, so that two commands started together do not both build the environment."""
    with open(str(path), "w") as handle:
        os.set_inheritable(handle.fileno(), True)  # pip lives on when only this process is killed: it keeps the lock
        try:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX)
        except ImportError:  # no fcntl on this system: two commands at once are then the caller's own risk
            pass
        yield


def fail(message):
    sys.exit("mixer: " + message)


def step(command, log, env=None):
    """Run one step of the set-up; its output goes to the log, whose end is shown when it fails."""
    streams = {"stderr": subprocess.STDOUT, "stdin": subprocess.DEVNULL, "close_fds": False}
    with open(str(log), "ab") as handle:
        code = subprocess.call(command, stdout=handle, env=env, **streams)
    if code:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        print("\n".join(lines[-15:]), file=sys.stderr)
        fail("setting up the environment failed (full log: %s)" % log.relative_to(ROOT))


def install(inside, packages, log):
    """pip install into the environment of this Python, whatever a reader's pip is told to do else."""
    command = [inside, "-I", "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    step(command + packages, log, environment_of_pip(inside))


def check(inside, requirements):
    """The command that ends with 0 where everything that a requirements file names can be imported."""
    return [inside, "-I", str(ROOT / "tools" / "setup" / "installed.py"), str(requirements)]


def install_all(inside, requirements, log):
    """Install what a requirements file names; the set-up ends here unless it can then be imported."""
    install(inside, ["--require-hashes", "-r", str(requirements)], log)
    step(check(inside, requirements), log)


def make(python, folder, log, gpu):
    """Make the environment again, with what chapters and book need."""
    print("Setting up %s in .venv/%s, once: a minute or more, about 2 GB." % (python, folder.name), flush=True)
    shutil.rmtree(str(folder), ignore_errors=True)
    if subprocess.call([python, "-I", "-c", "import venv, ensurepip"], stderr=subprocess.DEVNULL):
        fail("%s has no venv module: install it (on Debian: apt-get install python3-venv)" % python)
    step([python, "-I", "-m", "venv", str(folder)], log)
    inside = str(folder / "bin" / "python")
    install_all(inside, REQUIREMENTS, log)
    if gpu:  # the CUDA libraries that the installed TensorFlow asks for; pip takes no package without a hash above
        install(inside, ["tensorflow[and-cuda]"], log)


def ensure(python, dev=False):
    """Path of the environment's Python for this interpreter, set up where its stamps are not current.

    There is a stamp for each of the two sets: `dev` adds what tests, linters and maintainers need.
    """
    name = "py%d.%d" % version_of(python)
    folder = ROOT / ".venv" / name
    inside = str(folder / "bin" / "python")
    gpu = has_gpu()
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes() + (b"gpu" if gpu else b"cpu")).hexdigest()
    wanted_dev = hashlib.sha256(REQUIREMENTS_DEV.read_bytes()).hexdigest()
    folder.parent.mkdir(exist_ok=True)
    with one_at_a_time(folder.parent / (name + ".lock")):
        log = folder.parent / (name + ".log")
        stamp, stamp_dev = folder / "stamp", folder / "stamp-dev"
        if version_of(inside):
            complete_old_stamp(stamp, inside, REQUIREMENTS)
        if not (is_current(stamp, wanted) and version_of(inside)):
            log.write_bytes(b"")
            make(python, folder, log, gpu)
            write_stamp(stamp, wanted)
        if dev and not is_current(stamp_dev, wanted_dev):
            print("Adding what tests and linters need to .venv/%s, once." % name, flush=True)
            install_all(inside, REQUIREMENTS_DEV, log)
            write_stamp(stamp_dev, wanted_dev)
    return inside


def packages_in(folder):
    """The packages that lie in an environment, each with its version, as pip's records are named; without pip."""
    found = {path.name for path in folder.glob("lib/python3*/site-packages/*.dist-info")}
    return {name for name in found if not name.startswith("pip-")}


def write_stamp(stamp, wanted):
    """Say what a set-up was made for, and which packages it holds."""
    stamp.write_text("\n".join([wanted, ""] + sorted(packages_in(stamp.parent))), encoding="utf-8")


def is_current(stamp, wanted):
    """Whether a set-up was made for what is wanted and still holds its packages, in the same versions."""
    lines = stamp.read_text(encoding="utf-8").split("\n") if stamp.is_file() else [""]
    return lines[0] == wanted and set(lines[2:]) <= packages_in(stamp.parent)


def complete_old_stamp(stamp, inside, requirements):
    """A stamp of the first versions names no packages, and may have been written unseen: look, or take it away."""
    if stamp.is_file() and "\n" not in stamp.read_text(encoding="utf-8"):
        whole = subprocess.call(check(inside, requirements), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0
        write_stamp(stamp, stamp.read_text(encoding="utf-8")) if whole else stamp.unlink()


def environment_of(inside, jupyter=True):
    """Environment variables for a command: shielded, with a quiet TensorFlow and this Python's programs first."""
    values = shielded(os.environ, jupyter=jupyter)
    values["PATH"] = os.path.dirname(inside) + os.pathsep + values.get("PATH", "")
    values["VIRTUAL_ENV"] = os.path.dirname(os.path.dirname(inside))
    values.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return values


def refuse_read_only():
    """End when the folder cannot be written: every command builds in it."""
    if not os.access(str(ROOT), os.W_OK):
        fail(
            "%s cannot be written, and the commands build .venv/ and _build/ in it: copy it to a folder of yours" % ROOT
        )


def main():
    arguments = sys.argv[1:]
    dev = arguments[:1] == ["--dev"]
    arguments = arguments[dev:]
    refuse_path()
    try:
        read_options()
        python = choose(os.environ.get("PYTHON", ""))
    except ValueError as error:
        fail(str(error))
    refuse_read_only()
    try:
        inside = ensure(python, dev)
    except KeyboardInterrupt:
        fail("stopped while setting up: the same command starts the set-up again")
    except OSError as error:  # .venv/ belongs to somebody else, the disk is full
        fail("setting up the environment failed: %s. Free some space, or remove .venv/; then try again" % error)
    if arguments:
        for line in told(os.environ):
            print(line, file=sys.stderr)
        os.chdir(str(ROOT))
        sys.stdout.flush()
        jupyter = "tools.chapters.lab" not in arguments  # there a reader's own settings of Jupyter hold
        os.execve(inside, [inside] + arguments, environment_of(inside, jupyter))


if __name__ == "__main__":
    main()
