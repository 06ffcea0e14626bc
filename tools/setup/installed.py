"""See that this environment holds what a requirements file asks for, and that it can be imported.

    .venv/py3.13/bin/python -I tools/setup/installed.py requirements.txt

Run at the end of a set-up, before its stamp is written. Ends with what is missing.
"""

import importlib
import importlib.metadata
import os
import re
import sys

# the modules of the packages that commands begin with; a version alone says little about a package of compiled code
MODULES = {"tensorflow": "tensorflow", "keras": "keras", "numpy": "numpy", "h5py": "h5py", "pillow": "PIL.Image"}
MODULES.update({"matplotlib": "matplotlib.pyplot", "scikit-learn": "sklearn", "ipykernel": "ipykernel"})
MODULES.update({"papermill": "papermill", "jupyter-book": "jupyter_book", "pytest": "pytest", "nbval": "nbval"})


def main(path):
    from pip._vendor.packaging.requirements import Requirement  # the one package that is always there

    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    with open(path, encoding="utf-8") as file:
        lines = re.findall(r"^[A-Za-z0-9][^\\\n]*", file.read(), re.M)
    wishes = [Requirement(line.strip()) for line in lines]
    wishes = [wish for wish in wishes if wish.marker is None or wish.marker.evaluate()]
    for wish in wishes:
        try:
            found = importlib.metadata.version(wish.name)
        except importlib.metadata.PackageNotFoundError:
            sys.exit("%s was installed elsewhere or not at all: %s has none" % (wish.name, sys.prefix))
        if not wish.specifier.contains(found, prereleases=True):
            sys.exit("%s %s is in %s, and %s was asked for" % (wish.name, found, sys.prefix, wish.specifier))
    for wish in wishes:
        if wish.name.lower() in MODULES:
            importlib.import_module(MODULES[wish.name.lower()])


if __name__ == "__main__":
    main(sys.argv[1])
