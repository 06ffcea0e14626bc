"""Run the tests (`make test`); with --all also those of a browser, of hosts and of real data (`make check`).

`make check WITHOUT=kills` leaves out the tests with that mark, as .ci/run does, for time.
"""

import argparse
import os
import subprocess
import sys

from tools.paths import ROOT
from tools.setup.options import read_options
from tools.verbs import run

SLOW = "browser or hosted or kills or realdata"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--all", action="store_true", help="browser, hosted images and real data too")
    parser.add_argument("--without", choices=SLOW.split(" or "), help="with --all: leave the tests with this mark out")
    asked = parser.parse_args()
    if read_options()["data_dir"]:
        os.environ["MIXER_DATA"] = read_options()["data_dir"]
    command = [sys.executable, "-m", "pytest", "tests", "-q", "-rs", "-n", "2"]
    command += ["--dist", "loadscope", "--no-loadscope-reorder"]  # scopes and order: tests/conftest.py
    left_out = asked.without if asked.all else SLOW
    sys.exit(subprocess.call(command + (["-m", f"not ({left_out})"] if left_out else []), cwd=ROOT))


if __name__ == "__main__":
    run(main)
