"""An account without a home folder, as containers have, and the rights of the files that are written."""

import os
import stat
import subprocess
import sys
import tempfile

import pytest
from small_runs import REQUESTED, TINY, python_environment, small_digits, train_nothing

from mixer_lib import export, load_pretrained, train

NO_HOME = """
import os, pwd

def unknown(uid):
    raise KeyError(uid)

pwd.getpwuid = unknown
del os.environ["HOME"]
import mixer_lib
from mixer_lib.datasets.locate import keras_cache
assert len(mixer_lib.load_dataset("digits").x_train) > 1000
model, card = mixer_lib.load_pretrained("article-digits")
print(keras_cache())
attempts = {
    "dataset": lambda: mixer_lib.dataset_from_folder("~/x"),
    "run": lambda: mixer_lib.load_run("~/x"),
    "predict": lambda: mixer_lib.predict(model, "~/x"),
    "export": lambda: mixer_lib.export(model, "~/x.safetensors"),
    "train": lambda: mixer_lib.train("article", mixer_lib.load_dataset("digits"), "~/x"),
}
for name, attempt in attempts.items():
    try:
        attempt()
    except ValueError as error:
        print(error)
"""


def test_without_a_home_folder_all_works_but_a_path_that_begins_with_it(tmp_path):
    values = python_environment(MPLCONFIGDIR=str(tmp_path), MIXER_DATA="")
    values.pop("KERAS_HOME", None)
    done = subprocess.run([sys.executable, "-c", NO_HOME], capture_output=True, text=True, env=values, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    cache, *messages = done.stdout.splitlines()
    assert cache == os.path.join(tempfile.gettempdir(), ".keras", "datasets") and len(messages) == 5
    assert all("~/x" in line and line.endswith("Give the whole path.") for line in messages), messages
    assert {path.name for path in (tmp_path / "~").rglob("*")} <= {".keras", "keras.json"}  # Keras's own


@pytest.mark.parametrize(("umask", "rights"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_files_have_the_rights_that_the_account_s_umask_gives(umask, rights, tmp_path, monkeypatch):
    train_nothing(monkeypatch)
    before = os.umask(umask)
    try:
        train(TINY, small_digits(), tmp_path / "run", **REQUESTED)
        export(load_pretrained("article-digits")[0], tmp_path / "model.safetensors")
    finally:
        os.umask(before)
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != ".lock"]
    assert len(files) == 7
    assert {oct(stat.S_IMODE(path.stat().st_mode)) for path in files} == {oct(rights)}
