"""A run's folder: locked by one process at a time, checked before any work, every file in it complete or absent."""

import contextlib
import datetime
import os
import platform
import shutil

import filelock

from ..validation import user_path
from .files import atomic_write

FILES = ("best.weights.h5", "card.json", "checkpoint.npz", "history.csv", "ranks.npy")
LOCK, HOLDER = ".lock", ".holder"


def acquired(lock):
    """Whether a `filelock.FileLock` is now this process's: not if another one has it."""
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        return False
    except NotImplementedError:  # some network folders have no locks: then nobody can be kept out
        pass
    return True


class RunFolder:
    """The folder of one run; `with RunFolder(path) as folder:` locks it, so that no other process trains there.

    ValueError if another process holds it, with its name; OSError if it can't be written to, or no longer exists.
    """

    def __init__(self, path):
        if not isinstance(path, (str, os.PathLike)) or not os.fspath(path):
            raise ValueError(f"run_dir must be the path of a folder, such as 'runs/first'. Received: {path!r}.")
        self.path = user_path(path).absolute()  # the program may change its working folder meanwhile
        self.lock, self.holder = filelock.FileLock(self.path / LOCK), None

    def __enter__(self):
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._acquire()
            for name in FILES:  # what a killed write left
                for left in (f".part-{name}", f".{name}.part", f".{name}"):
                    (self.path / left).unlink(missing_ok=True)
        except OSError as error:
            self.__exit__()
            raise OSError(
                f"The run folder {self.path} can't be written to ({error.strerror or error}). Name a run_dir in a "
                f"folder of your own with free space, or make this one writable. Nothing was trained."
            ) from error
        return self

    def _acquire(self):
        file = self.path / HOLDER
        if not acquired(self.lock):
            holder = file.read_text(encoding="utf-8") if file.exists() else "another process"
            raise ValueError(
                f"{self.path} is in use by {holder}. Wait for it or stop it, then the same call continues from where it "
                f"got to; or name another run_dir."
            )
        now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        self.holder = f"process {os.getpid()} on {platform.node() or 'this machine'}, since {now}"
        file.write_text(self.holder, encoding="utf-8")

    def __exit__(self, *_):
        if self.holder:
            with contextlib.suppress(OSError):
                (self.path / HOLDER).unlink()
        self.lock.release()
        self.holder = None

    def agree(self, row):
        """An epoch's row of the history, as all hosts of a run have it; here there is one."""
        return row

    def check_writable(self):
        """Raise the errors of entering, before work that would be in vain."""
        with self:
            pass

    def check_free_space(self, size):
        """Raise OSError unless the disk has `size` bytes left."""
        disk = shutil.disk_usage(self.path)
        if disk.total and disk.free < size:
            raise OSError(
                f"The run folder {self.path} has {disk.free / 1e6:,.1f} MB left, and a checkpoint needs about "
                f"{size / 1e6:,.1f} MB. Free some space, or name a run_dir on another disk. Nothing was trained."
            )

    @contextlib.contextmanager
    def writing(self, name):
        """A path to write to, which becomes the file `name` when it is complete."""
        try:
            if self.holder and (self.path / HOLDER).read_text(encoding="utf-8") != self.holder:
                raise FileNotFoundError(2, "another folder has taken its place")
            with atomic_write(self.path / name) as part:
                yield part
        except (OSError, RuntimeError) as error:  # h5py raises either when a disk is full
            why = getattr(error, "strerror", None) or error
            raise OSError(
                f"{self.path / name} can't be written ({why}): is the disk full, or the folder gone? The last "
                f"checkpoint is complete. Repair the disk, then the same call continues from it."
            ) from error

    def write(self, name, content):
        """Write a file of text or bytes."""
        with self.writing(name) as part:
            part.write_bytes(content.encode() if isinstance(content, str) else content)
