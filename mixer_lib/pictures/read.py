"""Pictures of the reader's own: files, folders and PIL images become arrays as they are seen."""

import importlib.util
import pathlib
import warnings

import numpy as np

from ..checks.arrays import check_pixel_range, described, shape_advice
from ..validation import user_path

PICTURE_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"}
HEIC_SUFFIXES = {".heic", ".heif"}  # read where pillow-heif is installed
# What systems leave in folders, besides names that begin with a dot: "._IMG_1.jpg", ".DS_Store", ".ipynb_checkpoints".
SYSTEM_FILES = {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "@eadir", "$recycle.bin", "lost+found"}
SYSTEM_FILES |= {"system volume information"}
MAX_PIXELS = 89_478_485  # where Pillow begins to warn of a decompression bomb: a quarter of a gigabyte of RGB
HEIC_HINT = "Convert it to JPEG, or install what reads it: pip install pillow-heif"


def is_system_file(path):
    """Whether a file or folder was left by an operating system, and is no one's picture or class."""
    return path.name[0] == "." or path.name.lower() in SYSTEM_FILES


def readable_suffixes():
    """The suffixes of the pictures that are read here, in lower case."""
    return PICTURE_SUFFIXES | (HEIC_SUFFIXES if has_heic() else set())


def has_heic():
    """Whether pillow-heif, which reads a phone's HEIC, is installed."""
    return importlib.util.find_spec("pillow_heif") is not None


def is_picture(path):
    """Whether a file's suffix is that of a picture, and no system left it."""
    return path.suffix.lower() in readable_suffixes() and not is_system_file(path)


def read_picture(source, side):
    """A picture, a file or a PIL image, as (side, side, 3) uint8: its central square, resized.

    EXIF orientation is applied, transparent parts become white, CMYK and 16-bit grey become 8-bit RGB. ValueError names
    a file that is not a complete picture, is animated, or has more than 89 million pixels.
    """
    return central_square(decode(source), side)


def central_square(picture, side):
    """The central square of a PIL image as (side, side, 3) uint8."""
    from PIL import Image

    edge = min(picture.size)
    left, top = (picture.width - edge) // 2, (picture.height - edge) // 2
    square = picture.crop((left, top, left + edge, top + edge))
    return np.asarray(square.resize((side, side), Image.Resampling.BILINEAR), "uint8")


def decode(source):
    """A picture, a file or a PIL image, as an upright RGB image; ValueError as in `read_picture`."""
    from PIL import Image, ImageOps

    if isinstance(source, Image.Image):
        name, picture = getattr(source, "filename", "") or "The picture", source.copy()
        picture.format = source.format
    else:
        name, picture = user_path(source), _open(user_path(source))
    with picture:
        _check_still(picture, name)
        try:
            return _as_rgb(ImageOps.exif_transpose(picture))
        except Exception as error:  # truncated or damaged
            raise _unreadable(name, error) from error


def _open(path):
    from PIL import Image

    if path.suffix.lower() in HEIC_SUFFIXES:
        if not has_heic():
            raise ValueError(f"{path} can't be read as a picture: Pillow doesn't read {path.suffix}. {HEIC_HINT}.")
        import pillow_heif

        pillow_heif.register_heif_opener()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # refused by `_check_still`
            return Image.open(path)
    except Exception as error:  # a broken file can raise nearly anything
        raise _unreadable(path, error) from error


def _check_still(picture, name):
    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise ValueError(
            f"{name} can't be read as a picture: it has {width} x {height} pixels, and at most {MAX_PIXELS:,} are "
            f"opened (a small file can claim to be huge). Make it smaller first."
        )
    # MPO: a camera's JPEG with a preview; HEIF: a file of several photographs has a main one
    if getattr(picture, "is_animated", False) and picture.format not in ("MPO", "HEIF"):
        kind = "has several pages" if picture.format == "TIFF" else "is animated"
        frames = f"it {kind}, with {picture.n_frames} frames. Save one of them as a file of its own."
        raise ValueError(f"{name} can't be read as a picture: {frames}")


def _unreadable(name, error):
    return ValueError(
        f"{name} can't be read as a picture ({error}). Use PNG, JPEG or WebP files; open it in a viewer, and save it "
        f"again or remove it."
    )


def _as_rgb(picture):
    from PIL import Image

    if picture.mode.startswith("I"):  # more than 8 bits of grey; `convert` would clip what is above 255
        grey = np.asarray(picture).astype("int64")
        if grey.min() < 0 or grey.max() > 65_535:
            raise ValueError(f"its grey values run from {grey.min()} to {grey.max()}, and 16 bits end at 65535")
        eight = np.where(grey == picture.info.get("transparency", -1), 255, grey // 257)  # transparent becomes white
        return Image.fromarray(eight.astype("uint8")).convert("RGB")
    if picture.mode == "F":
        raise ValueError("its grey values are fractions, and which one is white is not stated")
    if picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, (255, 255, 255, 255))
        picture = Image.alpha_composite(white, picture)
    return picture.convert("RGB")


def to_images(images, side):
    """(N, side, side, 3) images from an array, a file, a PIL image, a list of these, or a folder of files.

    Returns (array, files): where each picture was read from, None for what is no file. What a folder holds besides
    pictures is named in a warning. ValueError for a picture that can't be read, another shape, NaN and infinity; a
    warning for values that aren't 0-255.
    """
    from PIL import Image

    single = (str, pathlib.Path, Image.Image)
    if isinstance(images, (str, pathlib.Path)) and user_path(images).is_dir():
        images = _pictures_in(user_path(images))
    elif isinstance(images, single):
        images = [images]
    if isinstance(images, (list, tuple)) and images and all(isinstance(image, single) for image in images):
        files = [None if isinstance(image, Image.Image) else user_path(image) for image in images]
        return np.stack([read_picture(image, side) for image in images]), files
    try:
        array = np.asarray(images)
    except ValueError as error:  # a list of arrays of different sizes
        raise ValueError(
            "Pictures in a list must all be arrays of one size, or files, or PIL images. Make PIL images of arrays: "
            "`[PIL.Image.fromarray(image) if hasattr(image, 'shape') else image for image in images]`."
        ) from error
    given, array = array, array[None] if array.ndim == 3 else array
    if array.ndim != 4 or array.shape[1:] != (side, side, 3) or len(array) == 0:
        advice = _advice(array if given.shape[-1:] == (3,) else given)
        raise ValueError(
            f"Pictures must be an array (N, {side}, {side}, 3) with values 0-255, a file, a PIL image, a list of "
            f"these, or a folder of files. Received: {described(given)}. {advice}"
        )
    check_pixel_range(array)
    return array, [None] * len(array)


def _advice(array):
    """What to do with an array of another shape."""
    if array.dtype == object or array.dtype.kind in "US":
        return "Give a list: `list(images)`." if array.ndim == 1 else "Give one of these."
    resized = "`[PIL.Image.fromarray(image) for image in images]`: these are cropped and resized."
    return shape_advice("images", array) or f"Make PIL images of uint8 ones, {resized}"


def _pictures_in(folder):
    """The picture files of a folder in the order of their names; what else is in it is named in a warning."""
    entries = sorted(path for path in folder.iterdir() if not is_system_file(path))
    pictures = [path for path in entries if is_picture(path) and path.is_file()]
    if not pictures:
        raise ValueError(f"{folder} holds no pictures: {', '.join(sorted(readable_suffixes()))} are read.")
    skipped = [path.name for path in entries if path not in set(pictures)]
    if skipped:
        hint = f" {HEIC_HINT}." if any(pathlib.Path(name).suffix.lower() in HEIC_SUFFIXES for name in skipped) else ""
        more = f" and {len(skipped) - 10} more" if len(skipped) > 10 else ""
        warnings.warn(
            f"{len(pictures)} pictures of {folder} are read; skipped, since they are none: {', '.join(skipped[:10])}"
            f"{more}.{hint}",
            stacklevel=4,
        )
    return pictures
