"""Pictures of the reader's own: files on disk become arrays, and a folder of them a data set.

Nothing here knows of models. Each refusal names the file, the rule, and what to do next.
"""

import pathlib
import warnings

import numpy as np

from .checks import positive_integer, rate
from .data import Dataset

PICTURE_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif"}
LEFT_BY_SYSTEMS = {"thumbs.db", "desktop.ini"}  # beside what starts with a dot
MOST_PIXELS = 89_478_485  # where Pillow begins to warn of a decompression bomb: a quarter of a gigabyte of RGB
FEWEST = 5  # pictures in a class: fewer leave nothing to test on


def read_picture(path, side):
    """A picture file as (side, side, 3) uint8: its central square, made as small (or large) as asked.

    Turned as its EXIF data say; transparent parts become white; CMYK and 16 bits a colour become RGB of 8.

    Raises:
        ValueError: naming the file, if it is no whole picture, is animated, or has more than 89 million pixels.
    """
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # we say it ourselves
            picture = Image.open(path)
    except (
        Exception
    ) as error:  # missing, a folder, not a picture, far too large: a broken file can raise nearly anything
        raise _unreadable(path, error) from error
    with picture:
        width, height = picture.size
        if width * height > MOST_PIXELS:
            raise ValueError(
                f"{path} can't be read as a picture: it has {width} x {height} pixels, and at most {MOST_PIXELS:,} are "
                f"opened (a small file can claim to be huge). Make it smaller first."
            )
        if getattr(picture, "is_animated", False) and picture.format != "MPO":  # MPO: a camera's JPEG with a preview
            raise ValueError(
                f"{path} can't be read as a picture: it is animated, with {picture.n_frames} frames. Save the one that "
                f"is meant as a file of its own."
            )
        try:
            picture = _as_rgb(ImageOps.exif_transpose(picture))
            edge = min(picture.size)
            left, top = (picture.width - edge) // 2, (picture.height - edge) // 2
            square = picture.crop((left, top, left + edge, top + edge))
            return np.asarray(square.resize((side, side), Image.Resampling.BILINEAR), "uint8")
        except Exception as error:  # truncated or damaged
            raise _unreadable(path, error) from error


def _unreadable(path, error):
    return ValueError(
        f"{path} can't be read as a picture ({error}). Give PNG, JPEG or WebP files; open it in a viewer, and save it "
        f"anew or remove it."
    )


def _as_rgb(picture):
    from PIL import Image

    if picture.mode.startswith("I"):  # more than 8 bits of grey; `convert` would cut off what is above 255
        grey = np.asarray(picture).astype("int64")
        if grey.min() < 0 or grey.max() > 65_535:
            raise ValueError(f"its grey values run from {grey.min()} to {grey.max()}, and 16 bits end at 65535")
        return Image.fromarray((grey // 257).astype("uint8")).convert("RGB")
    if picture.mode == "F":
        raise ValueError("its grey values are fractions, of which nobody knows which one is white")
    if picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, (255, 255, 255, 255))
        picture = Image.alpha_composite(white, picture)
    return picture.convert("RGB")


def _pictures_in(folder):
    """Picture files of one folder, by name; ValueError for anything else that lies in it."""
    files = [
        path for path in sorted(folder.iterdir()) if path.name[0] != "." and path.name.lower() not in LEFT_BY_SYSTEMS
    ]
    for path in files:
        if path.is_dir() or path.suffix.lower() not in PICTURE_SUFFIXES:
            raise ValueError(
                f"{path} lies in a class folder, where only pictures may: {', '.join(sorted(PICTURE_SUFFIXES))}. "
                f"Convert it, or move it away."
            )
    return files


def _classes_in(folder):
    """{class name: its picture files}, both in the order of their names."""
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder. Give one that holds a subfolder of pictures for each class.")
    loose = sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file())
    if loose:
        raise ValueError(f"{loose[0]} lies in no class folder. Move it into the subfolder of its class.")
    folders = sorted(path for path in folder.iterdir() if path.is_dir() and path.name[0] != ".")
    if len(folders) < 2:
        raise ValueError(
            f"{folder} holds {len(folders)} class folders ({', '.join(path.name for path in folders) or 'none'}), and "
            f"at least 2 are needed: a model learns by telling classes apart. Make a subfolder for each class."
        )
    classes = {path.name: _pictures_in(path) for path in folders}
    for name, files in classes.items():
        if len(files) < FEWEST:
            raise ValueError(
                f"The class folder {folder / name} holds {len(files)} pictures, and at least {FEWEST} are needed, some "
                f"to train on and some to test on. Add pictures, or remove the folder."
            )
    return classes


def dataset_from_folder(folder, image_size=32, test_fraction=0.2, seed=0):
    """A `Dataset` out of a folder with one subfolder of pictures for each class.

    Of every class, a part is set aside for testing; which pictures these are follows from names and seed alone.

    Args:
        folder: its subfolders' names, in alphabetical order, are the classes.
        image_size: side of the square pictures, in pixels; a multiple of the model's patch size.
        test_fraction: part of each class to test on, at least one picture.
        seed: decides which pictures, and the order of those to train on.

    Returns:
        `Dataset` with the folder's name.

    Raises:
        ValueError: naming the folder or file: fewer than 2 classes, fewer than 5 pictures in one, a file that can't be
            read as a picture, the same picture in two classes.
    """
    folder = pathlib.Path(folder).expanduser().resolve()
    image_size = positive_integer("image_size", image_size)
    if rate("test_fraction", test_fraction) == 0:
        raise ValueError("test_fraction must be above 0: a model is judged on pictures that it has not seen.")
    draw = np.random.default_rng(seed)
    classes, train, test, seen = _classes_in(folder), [], [], {}
    for label, files in enumerate(classes.values()):
        pictures = [read_picture(file, image_size) for file in files]
        for file, picture in zip(files, pictures, strict=True):
            first, other = seen.setdefault(picture.tobytes(), (label, file))
            if first != label:
                raise ValueError(f"{file} shows the same picture as {other}, of another class. Remove the wrong one.")
        count = min(len(files) - 2, max(1, round(test_fraction * len(files))))
        order = draw.permutation(len(files))
        test += [(pictures[i], label) for i in order[:count]]
        train += [(pictures[i], label) for i in order[count:]]
    train = [train[i] for i in draw.permutation(len(train))]  # validation takes the last tenth: all classes in it
    return Dataset(
        name=folder.name,
        x_train=np.stack([picture for picture, _ in train]),
        y_train=np.array([label for _, label in train], "int64"),
        x_test=np.stack([picture for picture, _ in test]),
        y_test=np.array([label for _, label in test], "int64"),
        class_names=tuple(classes),
    )
