"""A run's folder: held by one process at a time, tried before any work, every file in it whole or not there."""

import contextlib
import datetime
import os
import pathlib
import platform
import shutil
import signal
import threading

from .whole_files import written_whole

try:
    import fcntl
except ImportError:  # Windows outside of WSL
    fcntl = None

FILES = ("best.weights.h5", "card.json", "checkpoint.npz", "history.csv")
LOCK = ".lock"


class Terminated(KeyboardInterrupt):
    """The process was asked to end (SIGTERM); handled as Ctrl-C is."""


def _lock(file):
    """Lock an open file; False if someone else holds it. The lock ends with its process, however that ends."""
    try:
        if fcntl:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            import msvcrt

            file.seek(2**30)  # Windows keeps others from reading what is locked; the words stand at the start
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:  # some network folders have no locks: then nobody can be kept out
        pass
    return True


class RunFolder:
    """The folder of one run; `with RunFolder(path) as folder:` holds it, so that no other process trains there.

    Raises:
        ValueError: if another process holds it; the message says who.
        OSError: if it can't be written to, or is no longer there.
    """

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.file, self.words = None, ""

    def __enter__(self):
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._take()
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

    def _take(self):
        now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        lock = self.path / LOCK
        while True:
            self.file = lock.open("a+", encoding="utf-8")
            if not _lock(self.file):
                holder = lock.read_text(encoding="utf-8") or "another process"
                self.file.close()
                self.file = None
                raise ValueError(
                    f"{self.path} is in use by {holder}. Wait for it or stop it, then the same call goes on from where "
                    f"it got to; or name another run_dir."
                )
            with contextlib.suppress(FileNotFoundError):  # let go between opening and locking: open the next one
                if os.path.samestat(os.fstat(self.file.fileno()), lock.stat()):
                    break
            self.file.close()
        self.file.truncate(0)
        self.words = f"process {os.getpid()} on {platform.node() or 'this machine'}, since {now}"
        self.file.write(self.words)
        self.file.flush()
        os.fsync(self.file.fileno())

    def __exit__(self, *_):
        if self.file:
            with contextlib.suppress(OSError):
                (self.path / LOCK).unlink()
            with contextlib.suppress(OSError):
                self.file.close()
            self.file = None

    def try_out(self):
        """Refuse a folder in use or not to be written to, before work that would be for nothing."""
        with self:
            pass

    def need(self, size):
        """Refuse a disk with less than `size` bytes left."""
        disk = shutil.disk_usage(self.path)
        if disk.total and disk.free < size:
            raise OSError(
                f"The run folder {self.path} has {disk.free / 1e6:,.1f} MB left, and a checkpoint needs about "
                f"{size / 1e6:,.1f} MB. Free some space, or name a run_dir on another disk. Nothing was trained."
            )

    @contextlib.contextmanager
    def writing(self, name):
        """A path to write to, which becomes the file `name` when all of it is on disk."""
        try:
            if self.file and (self.path / LOCK).read_text(encoding="utf-8") != self.words:
                raise FileNotFoundError(2, "another folder has taken its place")
            with written_whole(self.path / name) as part:
                yield part
        except (OSError, RuntimeError) as error:  # h5py gives either when a disk is full
            why = getattr(error, "strerror", None) or error
            raise OSError(
                f"{self.path / name} can't be written ({why}): is the disk full, or the folder gone? The last "
                f"checkpoint that was written is whole. Mend the disk, then the same call goes on from it."
            ) from error

    def write(self, name, content):
        """Write a file of text or bytes."""
        with self.writing(name) as part:
            part.write_bytes(content.encode() if isinstance(content, str) else content)


@contextlib.contextmanager
def stopped_well(run, epochs):
    """Let SIGTERM end a run as Ctrl-C does: the epoch is dropped, the folder let go, and the way on named.

    Gives a function to call after each step, which stops the run if that was asked for meanwhile: an exception that
    a signal raises can be lost, in a destructor for one.
    """
    asked = []

    def terminate(*_):
        asked.append(Terminated)

    def interrupt(*arguments):
        asked.append(KeyboardInterrupt)
        signal.default_int_handler(*arguments)

    def stop_if_asked():
        if asked:
            raise asked[0]

    # Only the main thread may ask for signals; a program that has its own use for them keeps it.
    usual = ((signal.SIGTERM, signal.SIG_DFL, terminate), (signal.SIGINT, signal.default_int_handler, interrupt))
    in_main = threading.current_thread() is threading.main_thread()
    ours = [(number, ours) for number, default, ours in usual if in_main and signal.getsignal(number) == default]
    before = [(number, signal.signal(number, handler)) for number, handler in ours]
    try:
        yield stop_if_asked
        stop_if_asked()
    except KeyboardInterrupt as stop:
        raise type(stop)(
            f"Stopped; {run.saved} of {epochs} epochs are finished and kept in {run.folder.path}. The same call goes "
            f"on from there."
        ) from None
    finally:
        for number, handler in before:
            signal.signal(number, handler)
