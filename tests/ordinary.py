"""For a child process: the rights of an ordinary user, though root runs the tests."""

import ctypes
import os

PR_CAPBSET_DROP = 24
MAY_READ_AND_WRITE_ALL = (1, 2)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH


def without_root_rights():
    """A `preexec_fn`: from now on the rights of files and folders count, as they do for everybody else."""
    if os.getuid() == 0:
        for right in MAY_READ_AND_WRITE_ALL:
            ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, right, 0, 0, 0)
