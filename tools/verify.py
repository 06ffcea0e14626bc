"""Run the tests (`make test`); with --all also those of a browser, of hosts and of real data (`make check`)."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from options import read_options
from verbs import run

ROOT = Path(__file__).resolve().parent.parent
SLOW = "browser or hosted or kills or realdata"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--all", action="store_true", help="browser, hosted images and real data too")
    everything = parser.parse_args().all
    if read_options()["data_dir"]:
        os.environ["MIXER_DATA"] = read_options()["data_dir"]
    command = [sys.executable, "-m", "pytest", "tests", "-q", "-rs", "-n", "2"]
    command += ["--dist", "loadscope", "--no-loadscope-reorder"]  # scopes and order: tests/conftest.py
    sys.exit(subprocess.call(command + ([] if everything else ["-m", f"not ({SLOW})"]), cwd=ROOT))


if __name__ == "__main__":
    run(main)
