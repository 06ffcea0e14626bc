"""A run of a sweep in a process of its own: `python -m mixer_lib.sweep.child PARENT WORDS` ends when PARENT is gone."""

import os
import runpy
import sys
import threading
import time


def end_with(parent, pause=0.2):
    """End this process when its parent is another one: what a lost worker has started must not run on beside its retry.

    A run may end at any moment: each of its files is complete or absent.
    """
    while os.getppid() == parent:
        time.sleep(pause)
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=end_with, args=[int(sys.argv[1])], daemon=True).start()
    sys.argv[1:] = sys.argv[2:]
    runpy.run_module("mixer_lib", run_name="__main__", alter_sys=True)
