"""Keep a reader's own environment, configuration and start-up files out of what a command sets up and runs.

Programs below the commands read variables and files of their own. What would change a figure, a number or a set-up is
set aside; what says where things come from or which machine computes (proxies, package indexes, GPUs, threads) holds.
"""

import ast
import contextlib
import os
import subprocess
import sys
import tempfile

from tools.paths import ROOT

SETTINGS = ROOT / ".venv" / "settings"  # in place of ~/.keras, ~/.ipython, ~/.jupyter, ~/.config/matplotlib

# Names, or beginnings of names where a star ends them. The reader is told of the first group: somebody chose these.
NUMBERS = ("KERAS_*", "TF_*", "TF2_*", "XLA_FLAGS", "NVIDIA_TF32_OVERRIDE", "ONEDNN_*", "DNNL_*")
OTHERS = ("PYTHON?*", "PIP_*", "UV_*", "CONDA_*", "GIT_*", "VIRTUAL_ENV*", "MPL*", "MATPLOTLIBRC")
OTHERS += ("PAPERMILL_*", "PYTEST_*", "PY_COLORS", "NO_COLOR", "FORCE_COLOR", "CLICOLOR*", "COLUMNS", "LINES")
OTHERS += ("RUFF_*", "HYPOTHESIS_*", "DOCUTILSCONFIG")
JUPYTER = ("IPYTHON*", "JUPYTER*")
KEPT = ("KERAS_HOME", "TF_CPP_*", "TF_FORCE_GPU_ALLOW_GROWTH", "TF_GPU_ALLOCATOR", "TF_NUM_*")
# where packages come from: for PIP_ and, where uv has the same, for UV_; and for pip's configuration files
SOURCES = ("INDEX*", "DEFAULT_INDEX", "EXTRA_INDEX_URL", "FIND_LINKS", "NO_INDEX", "TRUSTED_HOST", "CERT")
SOURCES += ("CLIENT_CERT", "PROXY", "CACHE_DIR", "NO_CACHE*", "TIMEOUT", "DEFAULT_TIMEOUT", "HTTP_TIMEOUT", "RETRIES")
SOURCES += ("KEYRING*", "OFFLINE", "NATIVE_TLS", "SYSTEM_CERTS", "NO_BUILD_ISOLATION")


def matches(name, patterns):
    """Whether one of the patterns is the name, or its beginning (a star), or a shorter beginning (?*)."""
    for pattern in patterns:
        stem = pattern.rstrip("?*")
        longer = pattern.endswith("?*")
        if name == pattern or pattern.endswith("*") and name.startswith(stem) and not (longer and name == stem):
            return True
    return False


def is_source(name):
    """Whether a variable of pip or uv says where packages come from."""
    return name.startswith(("PIP_", "UV_")) and matches(name.partition("_")[2], SOURCES)


def set_aside(environ, jupyter=True):
    """Names of the variables that a command does without; `jupyter`: also those of Jupyter and IPython."""
    patterns = NUMBERS + OTHERS + (JUPYTER if jupyter else ())
    return [n for n in sorted(environ) if matches(n, patterns) and not matches(n, KEPT) and not is_source(n)]


def told(environ):
    """Lines about a reader's variables: options that make found in the environment, settings that are not used."""
    options = [name for name in environ.get("FROM_ENVIRONMENT", "").split() if environ.get(name)]
    names = [name for name in set_aside(environ) if matches(name, NUMBERS) and environ[name]]
    lines = ["mixer: from your environment: " + ", ".join("%s=%s" % (n, environ[n]) for n in options)] * bool(options)
    return lines + ["mixer: not used, since they change results: " + ", ".join(names)] * bool(names)


def keras_home(environ, settings):
    """A folder for Keras without the reader's keras.json and with their downloaded data sets; its path."""
    user = os.path.expanduser("~")
    user = tempfile.gettempdir() if user == "~" else user  # "~": an account without a home
    home, real = settings / "keras", environ.get("KERAS_HOME") or os.path.join(user, ".keras")
    home.mkdir(parents=True, exist_ok=True)
    link, datasets = home / "datasets", os.path.abspath(os.path.join(real, "datasets"))
    if os.path.abspath(real) == str(home):
        return home
    with contextlib.suppress(OSError):  # a home that can't be written: data sets are then kept here
        os.makedirs(datasets, exist_ok=True)
        if link.is_symlink() and os.readlink(str(link)) != datasets:
            link.unlink()
        if not link.exists():
            link.symlink_to(datasets)
    return home


def shielded(environ, settings=SETTINGS, jupyter=True):
    """The environment without what is set aside, and with folders of settings that are the project's own."""
    dropped = set_aside(environ, jupyter)
    values = {name: value for name, value in environ.items() if name not in dropped}
    if not os.access(os.path.join(values.get("TMPDIR") or os.curdir, ""), os.W_OK | os.X_OK):
        values.pop("TMPDIR", None)  # Python would look elsewhere, other programs fail
    cuda = [flag for flag in environ.get("XLA_FLAGS", "").split() if flag.startswith("--xla_gpu_cuda_data_dir=")]
    if cuda:  # where CUDA lies, and nothing else
        values["XLA_FLAGS"] = cuda[-1]
    values["KERAS_BACKEND"] = "tensorflow"  # what requirements.txt installs
    values["KERAS_HOME"] = str(keras_home(environ, settings))
    values["MPLCONFIGDIR"] = str(settings / "matplotlib")
    values["PYTHONPATH"] = str(ROOT)
    values["PYTHONUTF8"] = "1"  # whatever the locale
    values["PYTHONDONTWRITEBYTECODE"] = "1"  # TensorFlow 2.15 leaves compiled files in the temporary folder else
    values["JUPYTER_PREFER_ENV_PATH"] = "1"
    values["JUPYTER_PLATFORM_DIRS"] = "1"
    if jupyter:
        values["IPYTHONDIR"] = str(settings / "ipython")
        for name in ("CONFIG", "DATA", "RUNTIME"):
            values["JUPYTER_%s_DIR" % name] = str(settings / "jupyter" / name.lower())
    return values


@contextlib.contextmanager
def in_shielded_environment(settings=SETTINGS):
    """Shield this process and what it starts, until the end of the block."""
    before = dict(os.environ)
    values = shielded(before, settings)
    os.environ.clear()
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def environment_of_pip(inside, environ=os.environ):
    """The environment in which pip installs into the environment of the Python `inside` and nowhere else.

    pip's variables and files may name a place (target, user, prefix) or a way of its own: of all that, only where
    packages come from is kept.
    """
    values = {n: v for n, v in environ.items() if not n.startswith("PIP_") and not matches(n, ("PYTHON?*",))}
    sources = {n: v for n, v in environ.items() if is_source(n)}
    asked = [inside, "-I", "-m", "pip", "config", "list"]
    if "PIP_CONFIG_FILE" in environ:
        values["PIP_CONFIG_FILE"] = environ["PIP_CONFIG_FILE"]
    done = subprocess.run(asked, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=values)
    for line in done.stdout.decode("utf-8", "replace").splitlines() if done.returncode == 0 else ():
        key, _, value = line.partition("=")
        section, _, option = key.partition(".")
        name = "PIP_" + option.upper().replace("-", "_")
        if section in ("global", "install") and is_source(name) and name not in sources:
            sources[name] = " ".join(str(ast.literal_eval(value)).split())
    values.update(sources, PIP_CONFIG_FILE=os.devnull)
    return values


def refuse_path(root=ROOT):
    """End where the folder's path has letters that break programs below, which no shield can correct.

    Python ends a path of PYTHONPATH at a colon; Sphinx looks for pages with the folder's own brackets as a pattern.
    """
    bad = [letter for letter in (os.pathsep, "\n", "[", "*", "?") if letter in str(root)]
    bad += [letter for letter in str(root) if "\ud800" <= letter <= "\udfff"]  # bytes that are no UTF-8
    if bad:
        sys.exit("mixer: rename the folder %r: programs that run the chapters can't read %r" % (str(root), bad[0]))
