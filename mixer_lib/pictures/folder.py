"""A folder of pictures as a data set: a subfolder for each class, or these within train/, test/ and valid/."""

import dataclasses
import numbers
import pathlib

import numpy as np

from ..validation import positive_integer, rate
from .duplicates import group_copies, signature
from .read import HEIC_HINT, HEIC_SUFFIXES, central_square, decode, is_picture, is_system_file, readable_suffixes
from .splits import as_arrays, drop_copies, drop_tested, report_near_copies, split, split_validation

MIN_PICTURES = 5  # in a class that is split here: fewer leave nothing to test on
PARTS = {"train": "train", "training": "train", "test": "test", "testing": "test"}
PARTS |= {"valid": "validation", "val": "validation", "validation": "validation"}


@dataclasses.dataclass(eq=False)
class Picture:
    """A picture that was read: its file, class number, row among the pixels, their hash, the number of its copies."""

    file: pathlib.Path
    label: int
    row: int
    exact: str
    group: int = -1


def read_folder(folder, image_size, test_fraction, seed):
    """`Dataset`'s fields of a folder of pictures by class; see `data.dataset_from_folder`."""
    image_size = positive_integer("image_size", image_size)
    if rate("test_fraction", test_fraction) == 0:
        raise ValueError("test_fraction must be above 0: a model is tested on pictures that it has not seen.")
    if isinstance(seed, bool) or not isinstance(seed, numbers.Integral) or seed < 0:
        raise ValueError(f"seed must be a whole number from 0, such as 0. Received: {seed!r}.")
    folder, generator = pathlib.Path(folder), np.random.default_rng(seed)
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder. Name one that holds a subfolder of pictures for each class.")
    found = _find_parts(folder)
    names = _class_names(found, folder)
    pixels, parts = _read(found, names, image_size)
    if set(parts) == {"all"}:
        by_class = {name: [p for p in parts["all"] if p.label == label] for label, name in enumerate(names)}
        for name, pictures in by_class.items():
            _check_enough(folder / name, len(pictures))
        parts = split(by_class, test_fraction, generator)
    else:
        parts = drop_tested(parts)
        for label, name in enumerate(names):
            if not any(picture.label == label for picture in parts["train"]):
                raise ValueError(f"Class {name} of {folder} has no picture left to train on. Add some, or remove it.")
    return {**as_arrays(pixels, split_validation(parts, generator)), "class_names": names}


def _find_parts(folder):
    """{part: {class name: its files}}: "train", "test" and "validation" as the folder has them, or "all"."""
    subfolders = _subfolders(folder)
    parts = {PARTS.get(path.name.lower()): path for path in subfolders}
    # a class may be named "train", too: then its folder holds pictures
    if "train" not in parts or None in parts or len(parts) < 2 or not _subfolders(parts["train"]):
        return {"all": _find_classes(folder)}
    if len(parts) < len(subfolders):
        raise ValueError(
            f"{folder} holds two folders for one part: {', '.join(path.name for path in subfolders)}. Keep one of them."
        )
    if "test" not in parts:  # what is held back is what to test on; validation comes out of train/
        parts["test"] = parts.pop("validation")
    return {part: _find_classes(path, 2 if part == "train" else 1) for part, path in sorted(parts.items())}


def _class_names(found, folder):
    """All class names in order: by number where all are whole numbers, else by name."""
    names = set(found.get("all") or found["train"])
    for part, classes in found.items():
        if odd := sorted(set(classes) - names):
            raise ValueError(
                f"Not in the training part of {folder}, but in its {part} part: {', '.join(odd)}. Add pictures to "
                "train on, or remove these classes."
            )
        if part == "test" and (missing := sorted(names - set(classes))):
            raise ValueError(
                f"Not in the test part of {folder}, but in its training part: {', '.join(missing)}. Add pictures to "
                "test on, or remove these classes."
            )
    if not all(name.isascii() and name.isdigit() for name in names):
        return tuple(sorted(names))
    numbered = tuple(sorted(names, key=lambda name: (int(name), name)))
    print("Classes in the order of their numbers: " + ", ".join(f"{i} is {name!r}" for i, name in enumerate(numbered)))
    return numbered


def _find_classes(folder, least=2):
    """{class name: its picture files}, both sorted by name; ValueError if there are fewer classes than `least`."""
    loose = sorted(path for path in folder.iterdir() if is_picture(path) and path.is_file())
    if loose:
        raise ValueError(f"{loose[0]} is in no class folder. Move it into the subfolder of its class.")
    folders = _subfolders(folder)
    if len(folders) < least:
        found = f"{folders[0].name} alone" if folders else "no class folder"
        raise ValueError(f"{folder} holds {found}, and at least {least} are needed. Make a subfolder for each class.")
    classes = {path.name: _find_pictures(path) for path in folders}
    for name, files in classes.items():
        if not files:
            _check_enough(folder / name, 0)
    return classes


def _check_enough(folder, count):
    if count < MIN_PICTURES:
        raise ValueError(
            f"The class folder {folder} holds {count} pictures, copies not counted, and at least {MIN_PICTURES} are "
            f"needed, some to train on and some to test on. Add pictures, or remove the folder."
        )


def _subfolders(folder):
    return sorted(path for path in folder.iterdir() if path.is_dir() and not is_system_file(path))


def _find_pictures(folder):
    """Picture files of one folder, sorted by name; ValueError for anything else in it."""
    files = [path for path in sorted(folder.iterdir()) if not is_system_file(path)]
    for path in files:
        if path.is_dir() or not is_picture(path):
            hint = HEIC_HINT if path.suffix.lower() in HEIC_SUFFIXES else "Convert it, or move it away"
            raise ValueError(
                f"{path} is in a class folder, where only pictures may be: {', '.join(sorted(readable_suffixes()))}. "
                f"{hint}."
            )
    return files


def _read(found, names, side):
    """Pixels (N, side, side, 3), and {part: its `Picture`s}: copies told and dropped, groups of near ones numbered.

    ValueError if the same picture is in two classes.
    """
    count = sum(len(files) for classes in found.values() for files in classes.values())
    pixels, parts, signatures = np.empty((count, side, side, 3), "uint8"), {}, []
    for part, classes in found.items():
        pictures, seen = [], {}
        for label, name in enumerate(names):
            for file in classes.get(name, ()):
                picture, row = decode(file), len(signatures)
                pixels[row] = central_square(picture, side)
                signatures.append(signature(picture))
                read = Picture(file, label, row, signatures[-1].exact)
                first = seen.setdefault(read.exact, read)
                if first.label != label:
                    raise ValueError(
                        f"{file} shows the same picture as {first.file}, of another class. Remove the wrong one."
                    )
                pictures.append(read)
        parts[part] = pictures
    everything = [picture for pictures in parts.values() for picture in pictures]
    for picture, group in zip(everything, group_copies(signatures), strict=True):
        picture.group = int(group)
    parts = {part: drop_copies(pictures) for part, pictures in parts.items()}
    for pictures in parts.values():
        report_near_copies(pictures)
    return pixels, parts
