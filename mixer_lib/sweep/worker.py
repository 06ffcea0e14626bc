"""What runs in Ray's workers. Sent to them as text, so that a worker imports nothing of this library, nor Keras."""

import collections
import os
import signal
import subprocess
import sys
import threading
import time


def run_command(words, variables, folder):
    """Run `python -m mixer_lib WORDS` in a fresh process: (exit code, its last lines on stderr).

    ChildProcessError if it is killed: then Ray tries again, and the run goes on.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # of a sweep in a shell's background: Ray cancels by it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    command = [sys.executable, "-m", "mixer_lib.sweep.child", str(os.getpid()), *words]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    options = {"text": True, "encoding": "utf-8", "errors": "replace", "env": {**os.environ, **variables}}
    options["cwd"] = folder if os.path.isdir(folder) else None  # a cluster's node may not have it
    child, said = subprocess.Popen(command, **pipes, **options), collections.deque(maxlen=100)
    reader = threading.Thread(target=said.extend, args=[child.stderr], daemon=True)
    reader.start()
    try:
        while child.poll() is None:  # not wait(): Ray cancels a task by an exception between two calls
            time.sleep(0.1)
    finally:
        if child.poll() is None:
            child.terminate()
            child.wait()
    reader.join()
    if child.returncode < 0:
        raise ChildProcessError(f"Its process was ended by signal {-child.returncode}.")
    return child.returncode, [line.rstrip() for line in said] or [f"exit code {child.returncode}"]


def look_at(file, folder):
    """What a node sees: (text of a file or None, version of mixer_lib or what is said in its place)."""
    try:
        with open(file, encoding="utf-8") as opened:
            text = opened.read()
    except OSError:
        text = None
    script = "import mixer_lib; print(mixer_lib.__version__)"
    place = folder if os.path.isdir(folder) else None
    done = subprocess.run([sys.executable, "-c", script], cwd=place, capture_output=True, text=True)
    return text, (done.stdout or done.stderr or "nothing").strip().splitlines()[-1]
