"""What a chapter runs on: the parameters of its first cells, checked before any work."""

import dataclasses
import itertools
import os
import shlex

from ..data import LOADERS
from ..runs.request import check_epochs, check_seed
from ..speedups.devices import PRECISIONS
from ..validation import positive_integer

PROFILES, FAST_EPOCHS = ("full", "fast"), 3
DIGITS = "scikit-learn's embedded digits"
PUBLISHED = {"cifar100": "article", "digits": "article-digits"}


@dataclasses.dataclass(frozen=True)
class ChapterSettings:
    """A chapter's parameters after checking; see `chapter_settings`."""

    profile: str
    dataset: str
    data_dir: str | None
    epochs: int
    seed: int
    run_dir: str
    jit_compile: bool | None = None
    precision: str = "float32"
    devices: int = 1

    @property
    def pretrained(self) -> str:
        """Name of the published model of this data set; ValueError if there is none."""
        if self.dataset not in PUBLISHED:
            raise ValueError(f"No model is published for {self.dataset!r}: train one, or use {' or '.join(PUBLISHED)}.")
        return PUBLISHED[self.dataset]

    @property
    def command(self) -> str:
        """The command that trains what `train` is asked for with these settings, for a shell."""
        asked = {"dataset": self.dataset, "data": self.data_dir, "epochs": self.epochs, "seed": self.seed}
        asked |= {"run-dir": self.run_dir, "precision": self.precision, "devices": self.devices}
        unsaid = {"data": None, "precision": "float32", "devices": 1}  # what the command means without a word
        words = [(f"--{name}", str(value)) for name, value in asked.items() if value != unsaid.get(name, "")]
        jit = {None: [], True: ["--jit-compile"], False: ["--no-jit-compile"]}[self.jit_compile]
        return shlex.join(["python", "-m", "mixer_lib", "train", *itertools.chain(*words), *jit])

    @property
    def caption(self) -> str:
        """One sentence: which data and profile this page shows."""
        names = {"cifar100": "CIFAR-100", "cifar10": "CIFAR-10", "mnist": "MNIST"}
        return f"This page shows the {self.profile} profile, on {names.get(self.dataset, DIGITS)}."


def _whole_number(value):
    """The number that a text of digits stands for, as the environment gives it; anything else as it is."""
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20 else value


def _path(name, value):
    if value is not None and not isinstance(value, (str, os.PathLike)):
        raise ValueError(f"{name} must be a path in quotes, or None. Received: {value!r}.")
    return value if value is None else os.path.expanduser(value)


def _true_or_false(name, value):
    known = {"": None, "none": None, "1": True, "true": True, "0": False, "false": False}
    if str(value).lower() not in known:
        raise ValueError(f"{name} must be True, False or None (which lets `train` decide). Received: {value!r}.")
    return known[str(value).lower()]


def chapter_settings(
    profile: str = "full",
    dataset: str | None = None,
    data_dir: str | os.PathLike | None = None,
    epochs: int | str | None = None,
    seed: int | str = 0,
    run_dir: str | os.PathLike | None = None,
    jit_compile: bool | None = None,
    precision: str = "float32",
    devices: int | str | None = None,
) -> ChapterSettings:
    """Check a chapter's parameters.

    The environment has the last word: MIXER_PROFILE, MIXER_DATASET, MIXER_DATA, MIXER_EPOCHS, MIXER_SEED,
    MIXER_RUN_DIR, MIXER_JIT_COMPILE (1 or 0), MIXER_PRECISION and MIXER_DEVICES, where set, replace the arguments.
    MIXER_PROFILE=fast alone means the digits and 3 epochs.

    Args:
        profile: "full" (what is published) or "fast" (what is tried: minutes on two cores).
        dataset: name of a data set; that of the profile if None ("cifar100", or "digits" in the fast one).
        data_dir: folder with the data, or None.
        epochs: how many to train; that of the profile if None (100 or 3).
        seed: seed of a run.
        run_dir: folder of a run; runs/<dataset>-article-seed<seed> if None.
        jit_compile, precision: see `train`.
        devices: see `train`; 1 if None: with one GPU, XLA compiles the step and many are run in one call.

    Returns `ChapterSettings`. Raises ValueError, naming the parameter, its value and what would be right.
    """
    forced = os.environ.get("MIXER_PROFILE")
    if forced and forced != profile:
        profile, dataset, epochs, run_dir = forced, None, None, None
    if profile not in PROFILES:
        raise ValueError(f"profile must be one of {', '.join(PROFILES)}. Received: {profile!r}.")
    usual_dataset, usual_epochs = ("digits", FAST_EPOCHS) if profile == "fast" else ("cifar100", 100)
    given = {"DATASET": dataset, "DATA": data_dir, "EPOCHS": epochs, "SEED": seed, "RUN_DIR": run_dir}
    given |= {"JIT_COMPILE": jit_compile, "PRECISION": precision, "DEVICES": devices}
    given = {name: os.environ.get(f"MIXER_{name}") or value for name, value in given.items()}
    dataset = usual_dataset if given["DATASET"] in (None, "") else given["DATASET"]
    precision = given["PRECISION"]
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}. Received: {precision!r}.")
    if dataset not in tuple(LOADERS):
        raise ValueError(
            f"dataset must be one of {', '.join(LOADERS)}. Received: {dataset!r}. To train on a folder of your own: "
            "python -m mixer_lib train --dataset ./folder"
        )
    epochs, seed, devices = (_whole_number(given[name]) for name in ("EPOCHS", "SEED", "DEVICES"))
    epochs = usual_epochs if epochs is None else epochs
    epochs = check_epochs(epochs, f"Leave it out for {usual_epochs}, as the {profile} profile has it.")
    seed = check_seed(seed)
    devices = 1 if devices is None else positive_integer("devices", devices)
    data_dir, run_dir = _path("data_dir", given["DATA"]), _path("run_dir", given["RUN_DIR"])
    run_dir = run_dir or os.path.join("runs", f"{dataset}-article-seed{seed}")
    jit_compile = _true_or_false("jit_compile", given["JIT_COMPILE"])
    return ChapterSettings(profile, dataset, data_dir, epochs, seed, run_dir, jit_compile, precision, devices)
