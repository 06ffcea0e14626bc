"""Runs compared on the same test pictures: the difference of two groups, with the chance of seeds and of pictures."""

import dataclasses
import glob
import numbers
import pathlib

import numpy as np

from ..runs import recorded
from ..runs.card import RunResult
from ..runs.ranks import read_ranks
from ..runs.tables import Table
from ..validation import fraction

RESAMPLES = 2_000
CONFIDENCE = 0.95


@dataclasses.dataclass(frozen=True)
class Difference:
    """How much more often one group of runs is right than another, or than a claimed figure; all are fractions.

    `low` and `high` bound the 95 % interval; `seeds` counts the runs in each group (one number against a claim).
    """

    value: float
    low: float
    high: float
    seeds: tuple

    @property
    def found(self):
        """Whether the interval leaves out 0 and includes the variation of seeds: at least two runs in each group."""
        return min(self.seeds) > 1 and (self.low > 0 or self.high < 0)

    @property
    def words(self):
        """What may be said of it: "higher", "lower", or "no difference found"; of a single run, "in these runs"."""
        if self.low <= 0 <= self.high:
            return "no difference found"
        return ("higher" if self.value > 0 else "lower") + ("" if self.found else " in these runs")


def hits(runs, k=1):
    """(runs, N) booleans from the ranks of each run: whether the right class is among the first `k`.

    ValueError unless there is at least one run and all have the same number of test pictures.
    """
    runs = [np.asarray(ranks) for ranks in runs]
    sizes = sorted({ranks.shape for ranks in runs})
    if len(sizes) != 1 or len(sizes[0]) != 1:
        raise ValueError(f"Compared runs need ranks (N,) of the same test pictures. Received shapes: {sizes}.")
    return np.stack(runs) < k


def is_claim(second):
    """Whether it is a claimed accuracy and no group of runs; ValueError for one that is no fraction, as 78.04 is."""
    if isinstance(second, numbers.Real):
        fraction("A claimed accuracy", second, " Divide percents by 100.")
        return True
    return False


def summary(runs, k=1):
    """(mean, standard deviation over seeds or None for one run, number of runs) of the accuracy, as fractions."""
    accuracy = hits(runs, k).mean(axis=1)
    return float(accuracy.mean()), float(accuracy.std(ddof=1)) if len(accuracy) > 1 else None, len(accuracy)


def difference(first, second, k=1, seed=0):
    """`Difference` of two groups' mean top-k accuracy, first minus second.

    Args:
        first: for each run (N,) ranks of the right class on the test pictures, 0 for first place.
        second: the same for the other group on the same pictures; or a fraction, an accuracy that somebody claims.
        k: 1 for top-1, 5 for top-5.
        seed: of the resampling.

    The interval is SciPy's percentile bootstrap over three independent draws: runs of the first group, runs of the
    second, and test pictures, which both groups share. Of n runs, n - 1 are drawn: with n, a bootstrap of so few would
    give (n - 1)/n of their variance (Rao and Wu 1988). A single run is always drawn: its interval knows pictures alone.
    Two or three runs show roughly how far seeds differ: chapter 6 tries out how often such an interval errs.
    """
    from scipy.stats import bootstrap

    groups = [hits(first, k)]
    claimed = is_claim(second)
    if not claimed:
        groups.append(hits(second, k))
        hits([*first, *second])  # the same pictures
    signs = (1, -1)[: len(groups)]

    def resampled(*draws):
        *runs, pictures = draws
        # hits of drawn pictures, by how often each was drawn: cheaper than copying them
        counts = np.bincount(pictures, minlength=groups[0].shape[1])
        means = [
            group[drawn[: max(1, len(drawn) - 1)]].mean(axis=0) @ counts
            for group, drawn in zip(groups, runs, strict=True)
        ]
        return sum(sign * mean for sign, mean in zip(signs, means, strict=True)) / counts.sum()

    counted = [np.arange(len(group)) for group in groups]
    data = (*counted, np.arange(groups[0].shape[1]))
    value = sum(sign * float(group.mean()) for sign, group in zip(signs, groups, strict=True))
    options = {"vectorized": False, "n_resamples": RESAMPLES, "method": "percentile", "confidence_level": CONFIDENCE}
    interval = _bootstrap(bootstrap, data, resampled, options, seed)
    shift = second if claimed else 0.0
    return Difference(value - shift, interval.low - shift, interval.high - shift, tuple(len(group) for group in groups))


def _bootstrap(bootstrap, data, statistic, options, seed):
    if min(len(sample) for sample in data) > 1:
        return bootstrap(data, statistic, rng=np.random.default_rng(seed), **options).confidence_interval
    # SciPy refuses samples of one: they are the same in every draw
    varied = [sample for sample in data if len(sample) > 1]

    def with_constants(*draws):
        drawn = iter(draws)
        return statistic(*(next(drawn) if len(sample) > 1 else sample for sample in data))

    return bootstrap(varied, with_constants, rng=np.random.default_rng(seed), **options).confidence_interval


def recorded_ranks(name):
    """{seed: ranks} of the recorded runs of a name ("article": "article" itself and "article-seed1", ...).

    A card says the seed: the published run, which has the bare name, need not be the first. ValueError if no run has
    ranks.
    """
    found = {}
    for run, card in recorded.seeds(name).items():
        for file in (folder / f"{run}.ranks.npy" for folder in recorded.FOLDERS):
            if file.is_file():
                found[card["seed"]] = read_ranks(file)
    if not found:
        raise ValueError(f"No recorded run {name!r} has ranks. Record one with `python -m tools.maintain.record`.")
    return dict(sorted(found.items()))


def means(names):
    """A `Table` of mean ± standard deviation over the recorded seeds of each name; ValueError if a name has none.

    `names` are names, or {label: name}.
    """
    lines = []
    for label, name in names.items() if isinstance(names, dict) else zip(names, names, strict=True):
        if not (found := recorded.seeds(name).values()):
            raise ValueError(f"No recorded run has the name {name!r}. Choose one of {', '.join(recorded.cards())}.")
        cells = [_mean([card[key] for card in found]) for key in ("top1", "top5", "val_top1", "val_top5")]
        lines.append((label, *cells, len(found)))
    return Table(("", "top-1", "top-5", "val top-1", "val top-5", "seeds"), lines)


def _mean(fractions):
    percents = 100 * np.asarray(fractions)
    spread = f" ± {percents.std(ddof=1):.2f}" if len(percents) > 1 else ""
    return f"{percents.mean():.2f}{spread}%"


@dataclasses.dataclass(frozen=True)
class TestedRun:
    """A run with the ranks of its test pictures; `data_fingerprint` says which pictures these are."""

    folder: str
    ranks: np.ndarray
    data_fingerprint: str


def find_runs(name):
    """The `TestedRun`s of a group: a run folder; the folders name-seed0, name-seed1 and so on; or a recorded name.

    ValueError if there is none, OSError if one has no ranks.
    """
    folder = pathlib.Path(name).expanduser()
    found = sorted(path.parent for path in folder.parent.glob(f"{glob.escape(folder.name)}-seed*/card.json"))
    found = [folder] if (folder / "card.json").is_file() else found
    if found:
        cards = [RunResult.load(path / "card.json") for path in found]
        pairs = zip(found, cards, strict=True)
        return [TestedRun(str(path), read_ranks(path / "ranks.npy"), card.data_fingerprint) for path, card in pairs]
    if not (cards := recorded.seeds(name)):
        raise ValueError(f"{name} is neither a run folder nor a group of them ({name}-seed0 ...), nor a recorded run.")
    fingerprint = next(iter(cards.values()))["data_fingerprint"]
    return [TestedRun(f"{name}, seed {seed}", ranks, fingerprint) for seed, ranks in recorded_ranks(name).items()]


def describe(first, second, k=1):
    """`describe_runs` of two recorded names, or of one and a claimed fraction. ValueError if a name has no ranks."""
    other = second if is_claim(second) else (second, recorded_ranks(second))
    return describe_runs((first, recorded_ranks(first)), other, k)


def describe_runs(first, second, k=1):
    """One sentence on two groups of runs: means, difference, interval, what it shows.

    `first` is (name, {run: its ranks}), `second` the same, or a claimed fraction.
    """
    name, runs = first[0], [*first[1].values()]
    mean, _, count = summary(runs, k)
    text = f"{name} has {mean:.2%} top-{k} ({_seeds(count)})"
    if is_claim(second):
        found, other = difference(runs, second, k), f"the claim is {second:.2%}"
    else:
        others = [*second[1].values()]
        found = difference(runs, others, k)
        mean, _, count = summary(others, k)
        other = f"{second[0]} has {mean:.2%} ({_seeds(count)})"
    interval = f"{100 * found.value:+.2f} points, 95 % interval {100 * found.low:+.2f} to {100 * found.high:+.2f}"
    alone = "" if min(found.seeds) > 1 else "; a single run does not show how far seeds differ"
    return f"{text}, {other}: {found.words} ({interval}{alone})."


def _seeds(count):
    return "one seed" if count == 1 else f"mean of {count} seeds"
