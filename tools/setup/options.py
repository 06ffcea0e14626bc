"""The commands' options: DATASET= DATA= EPOCHS= SEED= DEVICES= SOLUTIONS= PORT= (interpreters.py has PYTHON=)."""

import os

DATASETS = ("cifar100", "cifar10", "mnist", "digits")
EPOCHS, SEEDS = range(1, 2**63), range(2**31)  # as mixer_lib.train has it; a test compares
PORTS = range(1, 2**16)


def whole_number(name, value, rule, allowed):
    """The value as an int of the range `allowed`; ValueError with the rule in words otherwise."""
    digits = all(letter in "0123456789" for letter in value) and 0 < len(value) < 20
    if not digits or int(value) not in allowed:
        raise ValueError("%s=%s is not right: give a whole number %s" % (name, value, rule))
    return int(value)


def read_options(environ=os.environ):
    """Checked options from the environment: {"dataset", "data_dir", "epochs", "seed", "devices", "solutions",
    "port"}.

    What is not given is None. Raises ValueError with the value received and what would be right.
    """
    given = {
        name: environ.get(name, "") for name in ("DATASET", "DATA", "EPOCHS", "SEED", "DEVICES", "SOLUTIONS", "PORT")
    }
    if given["DATASET"] and given["DATASET"] not in DATASETS:
        own = "; to train on a folder of your own: python -m mixer_lib train --dataset ./folder"
        raise ValueError("DATASET=%s is not known: use one of %s" % (given["DATASET"], ", ".join(DATASETS)) + own)
    data_dir = os.path.abspath(os.path.expanduser(given["DATA"])) if given["DATA"] else None
    if data_dir and not os.path.exists(data_dir):
        raise ValueError("DATA=%s does not exist: name a folder or an archive that holds the dataset" % given["DATA"])
    if given["SOLUTIONS"] not in ("", "yes", "no"):
        raise ValueError("SOLUTIONS=%s is not right: give yes or no" % given["SOLUTIONS"])
    devices = given["DEVICES"]
    return {
        "dataset": given["DATASET"] or None,
        "data_dir": data_dir,
        "epochs": whole_number("EPOCHS", given["EPOCHS"], "of at least 1", EPOCHS) if given["EPOCHS"] else None,
        "seed": whole_number("SEED", given["SEED"], "from 0 to %d" % SEEDS[-1], SEEDS) if given["SEED"] else None,
        "devices": whole_number("DEVICES", devices, "of at least 1", range(1, 2**10)) if devices else None,
        "solutions": given["SOLUTIONS"] == "yes" if given["SOLUTIONS"] else None,
        "port": whole_number("PORT", given["PORT"], "from 1 to %d" % PORTS[-1], PORTS) if given["PORT"] else None,
    }
