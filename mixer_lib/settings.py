"""What a chapter runs on: the parameters of its first cells, checked before any work."""

import dataclasses
import os

from .data import LOADERS
from .devices import PRECISIONS

PROFILES = ("full", "fast")
FAST_EPOCHS = 3
EPOCHS, SEEDS = range(1, 2**63), range(2**31)  # what train takes
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

    @property
    def pretrained(self):
        """Name of the published model of this data set; ValueError if there is none."""
        if self.dataset not in PUBLISHED:
            raise ValueError(
                f"There is no published model for {self.dataset!r}: train one first (chapter 5), or choose one of "
                f"{', '.join(PUBLISHED)}."
            )
        return PUBLISHED[self.dataset]

    @property
    def caption(self):
        """One sentence: which data and profile this page shows."""
        data = {"cifar100": "CIFAR-100", "cifar10": "CIFAR-10", "mnist": "MNIST"}.get(self.dataset)
        data = data or "scikit-learn's embedded digits"
        return f"This page shows the {self.profile} profile, on {data}."


def _whole_number(name, value, rule, allowed, hint):
    text = str(value)  # a number, or the text of one where it comes from the environment
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) in allowed):
        raise ValueError(f"{name} must be a whole number {rule}. Received: {value!r}. {hint}")
    return int(text)


def _path(name, value):
    if value is not None and not isinstance(value, (str, os.PathLike)):
        raise ValueError(f"{name} must be a path in quotes, or None. Received: {value!r}. Put it in quotes.")
    return value if value is None else os.fspath(value)


def _yes_or_no(name, value):
    known = {"": None, "None": None, "1": True, "True": True, "true": True, "0": False, "False": False, "false": False}
    if str(value) not in known:
        raise ValueError(f"{name} must be True, False or None (which lets `train` decide). Received: {value!r}.")
    return known[str(value)]


def chapter_settings(
    profile="full",
    dataset=None,
    data_dir=None,
    epochs=None,
    seed=0,
    run_dir=None,
    jit_compile=None,
    precision="float32",
):
    """Check a chapter's parameters.

    The environment has the last word: MIXER_PROFILE, MIXER_DATASET, MIXER_DATA, MIXER_EPOCHS, MIXER_SEED,
    MIXER_RUN_DIR, MIXER_JIT_COMPILE (1 or 0) and MIXER_PRECISION, where set, take the place of the arguments.
    MIXER_PROFILE=fast alone means the digits and 3 epochs.

    Args:
        profile: "full" (what is published) or "fast" (what is tried: minutes on two cores).
        dataset: name of a data set; that of the profile if None ("cifar100", or "digits" in the fast one).
        data_dir: folder with the data, or None.
        epochs: how many to train; that of the profile if None (100 or 3).
        seed: seed of a run.
        run_dir: folder of a run; runs/<dataset>-article-seed<seed> if None.
        jit_compile: see `train`.
        precision: see `train`.

    Returns:
        `ChapterSettings`.

    Raises:
        ValueError: naming the parameter, its value and what would be right.
    """
    forced = os.environ.get("MIXER_PROFILE")
    if forced and forced != profile:
        profile, dataset, epochs, run_dir = forced, None, None, None
    dataset = os.environ.get("MIXER_DATASET") or dataset
    data_dir = os.environ.get("MIXER_DATA") or data_dir
    epochs = os.environ.get("MIXER_EPOCHS") or epochs
    seed = os.environ.get("MIXER_SEED") or seed
    run_dir = os.environ.get("MIXER_RUN_DIR") or run_dir
    jit_compile = _yes_or_no("jit_compile", os.environ.get("MIXER_JIT_COMPILE") or jit_compile)
    precision = os.environ.get("MIXER_PRECISION") or precision
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}. Received: {precision!r}.")
    if profile not in PROFILES:
        raise ValueError(f"profile must be one of {', '.join(PROFILES)}. Received: {profile!r}.")
    fast = profile == "fast"
    if dataset in (None, ""):
        dataset = "digits" if fast else "cifar100"
    if dataset not in tuple(LOADERS):
        raise ValueError(f"dataset must be one of {', '.join(LOADERS)}. Received: {dataset!r}.")
    usual = FAST_EPOCHS if fast else 100
    hint = f"Leave it out for {usual}, as the {profile} profile has it."
    epochs = _whole_number("epochs", usual if epochs is None else epochs, "of at least 1", EPOCHS, hint)
    seed = _whole_number("seed", seed, f"from 0 to {SEEDS[-1]}", SEEDS, "The published run has 0.")
    data_dir, run_dir = _path("data_dir", data_dir), _path("run_dir", run_dir)
    run_dir = run_dir or os.path.join("runs", f"{dataset}-article-seed{seed}")
    return ChapterSettings(profile, dataset, data_dir, epochs, seed, run_dir, jit_compile, precision)
