"""The verbs' options: DATASET= DATA= EPOCHS= SEED= (PYTHON= is in interpreters.py). Standard library only."""

import os

DATASETS = ("cifar100", "cifar10", "mnist", "digits")


def whole_number(name, value, least):
    """The value as an int that is at least `least`; ValueError otherwise."""
    if not (value.isascii() if hasattr(value, "isascii") else True) or not value.isdigit() or int(value) < least:
        raise ValueError("%s=%s is not right: give a whole number of at least %d" % (name, value, least))
    return int(value)


def read_options(environ=os.environ):
    """Checked options from the environment: {"dataset", "data_dir", "epochs", "seed"}, None where not given.

    Raises ValueError with the value received and what would be right.
    """
    given = {name: environ.get(name, "") for name in ("DATASET", "DATA", "EPOCHS", "SEED")}
    if given["DATASET"] and given["DATASET"] not in DATASETS:
        raise ValueError("DATASET=%s is not known: use one of %s" % (given["DATASET"], ", ".join(DATASETS)))
    data_dir = os.path.abspath(os.path.expanduser(given["DATA"])) if given["DATA"] else None
    if data_dir and not os.path.exists(data_dir):
        raise ValueError("DATA=%s does not exist: name a folder or an archive that holds the dataset" % given["DATA"])
    return {
        "dataset": given["DATASET"] or None,
        "data_dir": data_dir,
        "epochs": whole_number("EPOCHS", given["EPOCHS"], 1) if given["EPOCHS"] else None,
        "seed": whole_number("SEED", given["SEED"], 0) if given["SEED"] else None,
    }
