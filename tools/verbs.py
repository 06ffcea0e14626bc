"""How a verb runs: alone in its folder, files written whole, and one line where Ctrl-C or the disk ends it."""

import contextlib
import errno
import os
import sys

REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM)


def run(main):
    """Run a verb's `main`; end it with one line when it is stopped, or when the disk is full or read-only."""
    try:
        main()
    except KeyboardInterrupt:
        print("\nstopped: the same command starts again, from what is finished", file=sys.stderr)
        sys.exit(130)
    except OSError as error:
        if error.errno not in REFUSALS:
            raise
        sys.exit(f"\n{error}\nMake room, or see to it that you may write there; then give the same command again.")


@contextlib.contextmanager
def alone(folder):
    """Work in `folder` beside no other verb; the lock is the process's own and goes when it does, killed or not."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as handle:
        try:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:  # no fcntl on this system: two verbs at once are then the caller's own risk
            pass
        except BlockingIOError:
            sys.exit(f"another make is at work in _build/{folder.name}/: wait until it ends, or stop it")
        yield


def write_whole(path, text):
    """Write a text file so that, whenever the process dies, `path` holds the old text or the new one."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)
