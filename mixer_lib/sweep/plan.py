"""The file of a sweep: what it asks for, checked, and the runs that this makes."""

import dataclasses
import itertools
import pathlib

from ..choices import choose, label
from ..runs.request import check_epochs, check_seed
from ..validation import fraction, positive_integer, user_path
from .job import Job
from .lines import Lines

# what the file, or one of its [[runs]], may say: what is left out
OF_RUNS = {"name": "", "models": "article", "recipes": "", "seeds": 0, "dataset": "cifar100", "data": "", "epochs": 100}
OF_RUNS |= {"share": 1.0, "test": True, "set": {}}
OF_FILE = {"folder": "", "search": "", "trials": 20, "min_epochs": 1, "runs": []}
RANGE = {"low", "high", "log"}
KINDS = {str: "text", int: "a whole number", float: "a number such as 0.1", bool: "true or false", dict: "a table"}
KINDS |= {list: "tables [[runs]]"}


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a sweep's file asks for: `jobs`, or a search.

    A search has one job without its free fields, `ranges` with {field: (low, high, logarithmic) or list of choices},
    and says how many `trials` there are and after how many epochs (`min_epochs`) the first are stopped.
    """

    folder: pathlib.Path
    jobs: list
    ranges: dict = dataclasses.field(default_factory=dict)
    trials: int = 0
    min_epochs: int = 0


def read_plan(path, folder=None, data=None, absolute=False):
    """The `Plan` of a TOML file; `folder` and `data` take precedence over what it says. `absolute`: name full paths.

    ValueError, with the line, for what is unknown, of the wrong kind, empty or twice there; OSError for no such file.
    """
    try:
        import tomllib
    except ImportError:
        raise ImportError("A sweep's file is read by Python 3.11 or newer. Use make sweep PYTHON=3.13.") from None

    path = user_path(path)
    text = path.read_text(encoding="utf-8")
    lines = Lines(path, text)
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path}: {error}. It must be TOML, as in sweeps/small.toml.") from error
    _check_keys(content, {**OF_RUNS, **OF_FILE}, lines, 0)
    top = {**OF_FILE, **content}
    folder = user_path(folder or top["folder"] or pathlib.Path("runs", path.stem))
    folder = folder.absolute() if absolute else folder
    above = {key: value for key, value in content.items() if key in OF_RUNS}
    above |= {"data": str(data)} if data else {}
    for number, part in enumerate(top["runs"], 1):
        if not isinstance(part, dict):
            raise lines.error(f"runs must be tables [[runs]]. Received: {part!r}.", "runs")
        _check_keys(part, OF_RUNS, lines, number)
    if top["search"]:
        return _read_search({**OF_RUNS, **above}, top, folder, lines)
    jobs = []
    for number, part in enumerate(top["runs"], 1) if top["runs"] else [(0, {})]:
        values = {**OF_RUNS, **above, **part, "set": {**above.get("set", {}), **part.get("set", {})}}
        jobs += _product(values, folder, lines, number)
        if twice := [job.folder for job, other in itertools.combinations(jobs, 2) if job.folder == other.folder]:
            raise lines.error(f"two runs have the folder {twice[0]}. Give one of them another name.", part=number)
    return Plan(folder, jobs)


def _check_keys(table, known, lines, part):
    for key, value in table.items():
        if key not in known:
            raise lines.error(f"{key!r} is unknown. There are {', '.join(known)}.", key, part)
        expected, several = type(known[key]), key in ("models", "recipes", "seeds", "share")
        values = value if several and isinstance(value, list) else [value]
        if not values:
            raise lines.error(f"{key} is empty: there is nothing to run.", key, part)
        for one in values:
            if type(one) not in (expected, int if expected is float else expected):
                raise lines.error(f"{key} must be {KINDS[expected]}. Received: {one!r}.", key, part)
        if any(one in values[:place] for place, one in enumerate(values)):
            raise lines.error(f"{key} holds a value twice: {value!r}.", key, part)


def _listed(value):
    return value if isinstance(value, list) else [value]


def _product(values, folder, lines, part):
    """The jobs of a table: models x recipes x shares x fields x seeds."""
    fields = {}
    for field, choices in values["set"].items():
        fields[field] = _listed(choices)
        if not fields[field]:
            raise lines.error(f"{field} is empty: there is nothing to run.", field, part)
    several = {field for field, choices in fields.items() if len(choices) > 1}
    several |= {key for key in ("models", "recipes", "share") if len(_listed(values[key])) > 1}
    jobs, named = [], [_listed(values[key]) for key in ("models", "recipes", "share")]
    for model, recipe, share, *chosen in itertools.product(*named, *fields.values()):
        changes = dict(zip(fields, chosen, strict=True))
        group = label(model, recipe, changes, share)
        if name := values["name"]:  # then only what varies is told beside it
            name = label(name, model if "models" in several else None)
            varied = {field: value for field, value in changes.items() if field in several}
            part_of_data = share if "share" in several else 1
            group = label(name, recipe if "recipes" in several else None, varied, part_of_data)
        jobs += _jobs({**values, "share": share}, folder, lines, part, group, model, recipe or None, changes)
    return jobs


def _jobs(values, folder, lines, part, group, model, recipe, changes):
    """A job for each seed; ValueError names the line of what does not go."""
    changes = {field: None if value == "none" else value for field, value in changes.items()}
    with lines.at("share", part):
        fraction("share", values["share"])
    try:
        config, _ = choose(model, recipe, changes)
    except ValueError as error:
        words = {**dict.fromkeys(changes), "models": "no model ", "recipes": "no recipe "}
        said = str(error)
        named = [key for key, word in words.items() if (word or key) in said]
        first = min(named, key=lambda key: said.find(words[key] or key), default="set")
        raise lines.error(error, first, part) from error
    with lines.at("epochs", part):
        check_epochs(values["epochs"])
    jobs = []
    for seed in _listed(values["seeds"]):
        with lines.at("seeds", part):
            check_seed(seed)
        place = folder / f"{group}-seed{seed}".replace("/", "-")
        data = {key: values[key] for key in ("dataset", "data", "epochs", "share", "test")}
        jobs.append(Job(group, model, recipe, changes, seed=seed, image_size=config.image_size, folder=place, **data))
    return jobs


def _read_search(values, top, folder, lines):
    """The plan of a search: one job, the ranges of its free fields, the number of trials."""
    if top["search"] != "halving":
        raise lines.error(f'search must be "halving". Received: {top["search"]!r}.', "search")
    if top["runs"]:
        raise lines.error("a search has no [[runs]]: it makes them. Say above what they share.", part=1)
    for key in ("models", "recipes", "seeds", "share"):
        if len(_listed(values[key])) > 1:
            raise lines.error(f"a search has one of {key}. Received: {values[key]!r}.", key)
        values[key] = _listed(values[key])[0]
    for key in ("trials", "min_epochs"):
        with lines.at(key):
            positive_integer(key, top[key])
    ranges = {field: given for field, given in values["set"].items() if isinstance(given, (dict, list))}
    fixed = {field: given for field, given in values["set"].items() if field not in ranges}
    if not ranges:
        raise lines.error("a search needs a range, such as learning_rate = { low = 0.001, high = 0.01 }.", "set")
    model, recipe = values["models"], values["recipes"] or None
    for field, given in ranges.items():
        ranges[field] = _read_range(field, given, lines)
        for value in ranges[field] if isinstance(given, list) else ranges[field][:2]:  # does the field take them?
            (job,) = _jobs(values, folder, lines, 0, "trial", model, recipe, {**fixed, field: value})
    changes = {field: value for field, value in job.changes.items() if field in fixed}
    job = dataclasses.replace(job, changes=changes, test=False)
    return Plan(folder, [job], ranges, top["trials"], top["min_epochs"])


def _read_range(field, given, lines):
    if isinstance(given, list):
        if len(given) < 2:
            raise lines.error(f"{field} needs two choices or more. Received: {given!r}.", field)
        return given
    low, high, log = given.get("low"), given.get("high"), given.get("log", False)
    numbers = all(type(end) in (int, float) for end in (low, high))
    if set(given) - RANGE or not numbers or not low < high or type(log) is not bool or (log and low <= 0):
        like = "{ low = 0.001, high = 0.01, log = true }, low below high, above 0 with log; or a list of choices"
        raise lines.error(f"{field} must be a range like {like}. Received: {given!r}.", field)
    return low, high, log
