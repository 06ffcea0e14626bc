"""Which pictures to train on, to validate on and to test on: stratified by class, copies on one side."""

import warnings

import numpy as np

VALIDATION = 0.1


def choose(pictures, fraction, generator):
    """(chosen, rest): about a fraction of one class's pictures, at least one; copies (`group`) stay together.

    Nothing is chosen where all that is there is one group.
    """
    groups = list(dict.fromkeys(picture.group for picture in pictures))
    wanted = min(len(pictures) - 1, max(1, round(fraction * len(pictures))))
    sizes, chosen, count = {g: sum(p.group == g for p in pictures) for g in groups}, set(), 0
    order = [groups[i] for i in generator.permutation(len(groups))]
    for group in order[:-1] if len(order) > 1 else []:
        if count + sizes[group] <= wanted:
            chosen.add(group)
            count += sizes[group]
    if not chosen and len(order) > 1:
        chosen.add(min(order, key=sizes.get))
    return [p for p in pictures if p.group in chosen], [p for p in pictures if p.group not in chosen]


def split(by_class, test_fraction, generator):
    """{"train", "test"}: a fraction of each class to test on; `by_class` is {class name: its pictures}."""
    train, test = [], []
    for name, pictures in by_class.items():
        chosen, rest = choose(pictures, test_fraction, generator)
        if not chosen:
            raise ValueError(
                f"The {len(pictures)} pictures of class {name} are copies of one photograph ({pictures[0].file}): "
                "none would be left to test on. Add others, or remove the class."
            )
        test, train = test + chosen, train + rest
    return {"train": train, "test": test}


def split_validation(parts, generator):
    """`parts` with the training pictures shuffled, and a tenth of each class taken from them unless there is one."""
    shuffled = [parts["train"][i] for i in generator.permutation(len(parts["train"]))]
    if "validation" in parts:
        return {**parts, "train": shuffled}
    by_class = {}
    for picture in shuffled:
        by_class.setdefault(picture.label, []).append(picture)
    chosen = {id(p) for label in sorted(by_class) for p in choose(by_class[label], VALIDATION, generator)[0]}
    train = [picture for picture in shuffled if id(picture) not in chosen]
    return {**parts, "train": train, "validation": [picture for picture in shuffled if id(picture) in chosen]}


def drop_copies(pictures):
    """`pictures` without second files of the same pixels; a warning counts what was left out of each class."""
    seen, kept, dropped = {}, [], []
    for picture in pictures:
        first = seen.setdefault(picture.exact, picture)
        if first is picture:
            kept.append(picture)
        else:
            dropped.append((picture, first))
    if dropped:
        picture, first = dropped[0]
        warnings.warn(
            f"{len(dropped)} of {len(pictures)} files are copies of another one of their class and are left out: "
            f"{picture.file} has the pixels of {first.file}{', and so on' if len(dropped) > 1 else ''}.",
            stacklevel=6,
        )
    return kept


def report_near_copies(pictures):
    """Warn of photographs that are there in several sizes or formats, and of those in two classes."""
    groups = {}
    for picture in pictures:
        groups.setdefault(picture.group, []).append(picture)
    groups = [group for group in groups.values() if len(group) > 1]
    if groups:
        shown = " and ".join(str(picture.file) for picture in groups[0][:2])
        more = ", and so on" if len(groups) > 1 or len(groups[0]) > 2 else ""
        count = f"{len(groups)} photograph{'s' if len(groups) > 1 else ''}"
        warnings.warn(
            f"{sum(map(len, groups))} files are versions of {count}, in several sizes, formats or qualities: "
            f"{shown}{more}. All versions are kept on one side, for training or for testing.",
            stacklevel=6,
        )
    for group in groups:
        if other := next((picture for picture in group if picture.label != group[0].label), None):
            warnings.warn(f"{other.file} and {group[0].file} look alike and are of two classes.", stacklevel=6)


def drop_tested(parts):
    """A given split without training pictures that are also in another part; a warning names them."""
    train = parts["train"]
    for name in ("test", "validation"):
        held = {picture.group: picture for picture in parts.get(name, ())}
        both = [picture for picture in train if picture.group in held]
        if both:
            more = f", and {len(both) - 1} more" if len(both) > 1 else ""
            warnings.warn(
                f"{both[0].file} shows the same picture as {held[both[0].group].file}{more}: what is in the {name} "
                "part is left out of training, since the accuracy would be too high otherwise.",
                stacklevel=6,
            )
        train = [picture for picture in train if picture.group not in held]
    return {**parts, "train": train}


def as_arrays(pixels, parts):
    """`Dataset`'s arrays of {"train", "test", "validation"}; the validation pictures are the last ones to train on.

    `pixels` (N, side, side, 3) hold a picture in each row. They are put in order where they are: a copy would be as
    large again.
    """
    train = [*parts["train"], *parts["validation"]]
    order = [picture.row for picture in (*train, *parts["test"])]
    for row, source in enumerate(order):
        while source < row:  # it was moved to where the one came from that took its place
            source = order[source]
        pixels[[row, source]] = pixels[[source, row]]
    arrays = {"validation_count": len(parts["validation"])}
    for name, pictures, rows in (
        ("train", train, slice(len(train))),
        ("test", parts["test"], slice(len(train), len(order))),
    ):
        arrays[f"x_{name}"] = pixels[rows]
        arrays[f"y_{name}"] = np.array([picture.label for picture in pictures], "int64")
    return arrays
