"""TensorFlow's import without the lines that it logs about the machine, which no setting of TensorFlow 2.21 stops."""

import contextlib
import logging
import os
import re
import sys
import tempfile

from .import_hook import ImportHook

LEVEL = "TF_CPP_MIN_LOG_LEVEL"
LOG_LINES = re.compile(rb"^(?:WARNING: All log messages before absl.*|[IW]\d{4} \d\d:\d\d:.*)\n?", re.M)


@contextlib.contextmanager
def without_log_lines():
    """Keep log lines that native code writes to file descriptor 2 off it; everything else is written afterwards."""
    try:
        kept = os.dup(2)
    except OSError:  # no standard error at all
        yield
        return
    with tempfile.TemporaryFile() as written:
        os.dup2(written.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            written.seek(0)
            rest = LOG_LINES.sub(b"", written.read())
            with contextlib.suppress(OSError):
                os.write(2, rest)


class QuietImport(ImportHook):
    """Runs TensorFlow's import quietly."""

    def concerns(self, name):
        return name == "tensorflow"

    def run(self, name, execute, module):
        self.uninstall()
        given = os.environ.get(LEVEL)
        os.environ.setdefault(LEVEL, "3")  # TensorFlow reads it once: no log lines about the machine later on, either
        try:
            with without_log_lines():
                execute(module)
        finally:
            if given is None:
                os.environ.pop(LEVEL, None)


def import_tensorflow_quietly():
    """From now on; nothing to do where it has been imported already."""
    if "tensorflow" not in sys.modules:
        QuietImport.install()


def hide_hints():
    """No hints of TensorFlow about speed from now on: in a chapter, and in a command of ours.

    A filter, since TensorFlow sets the level of its logger when it is imported.
    """
    logger = logging.getLogger("tensorflow")
    if _is_no_hint not in logger.filters:
        logger.addFilter(_is_no_hint)


def _is_no_hint(record):
    return record.levelno >= logging.ERROR
