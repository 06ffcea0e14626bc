"""Files that are complete or absent, and the checksums that prove it."""

import contextlib
import hashlib
import os
import pathlib

from ..validation import user_path


@contextlib.contextmanager
def atomic_write(path):
    """A path to write to, renamed to `path` at the end: a reader sees the old file or the new one, nothing between."""
    path = user_path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".part-{path.name}")
    try:
        yield part
        with part.open("rb+") as file:
            os.fsync(file.fileno())  # or a power failure could leave the new name with nothing in it
        os.replace(part, path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise


def sha256_of(path):
    """SHA-256 of a file, in hex."""
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()
