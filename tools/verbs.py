"""What the commands share: one line where Ctrl-C or the disk ends them, one lock per folder, atomic writes."""

import contextlib
import errno
import os
import sys
import threading
import time

from filelock import FileLock, Timeout

REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM)


def run(main):
    """Run a command's `main`; end it with one line when it is stopped, or when the disk is full or read-only."""
    try:
        main()
    except KeyboardInterrupt:
        print("\nstopped: the same command starts again, from what is finished", file=sys.stderr)
        sys.exit(130)
    except OSError as error:
        if error.errno not in REFUSALS:
            raise
        sys.exit(f"\n{error}\nFree some space, or make the folder writable; then give the same command again.")


def stop(error):
    """End the command with the error's text on stderr."""
    print(f"\n{error}", file=sys.stderr)
    sys.exit(1)


@contextlib.contextmanager
def exclusive(folder):
    """Keep other commands out of `folder`; the lock goes when its process ends, killed or not."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        sys.exit(f"another make is at work in _build/{folder.name}/: wait until it ends, or stop it")
    try:
        yield
    finally:
        lock.release()


def atomic_write_text(path, text):
    """Write a text file so that, whenever the process dies, `path` holds the old text or the new one."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


def exit_with_parent(parent):
    """End this process when `parent` is gone: what a killed command started must not write where the next one works."""

    def watch():
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
