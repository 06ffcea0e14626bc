"""Many runs from one file: `make sweep FILE=sweeps/small.toml` is `python -m mixer_lib sweep` in the environment."""

import os
import sys

from tools.setup.options import read_options
from tools.verbs import run


def main():
    file, data = os.environ.get("FILE", ""), read_options()["data_dir"]
    if not os.path.isfile(os.path.expanduser(file)):
        sys.exit(f"mixer: FILE={file} is no file: name one that says what to run, such as FILE=sweeps/small.toml")
    from mixer_lib.__main__ import main as program

    program(["sweep", file, *([f"--data={data}"] if data else [])])


if __name__ == "__main__":
    run(main)
