"""Copies among pictures: the same pixels, or the same photograph in another size, format or quality."""

import dataclasses
import hashlib
import importlib.util
import os
import pathlib
import warnings

import numpy as np

# Two pictures count as one photograph if their perceptual hashes (ImageHash's `phash`, 64 bits) differ in at most
# HASH_BITS bits, and 16x16 thumbnails by at most COLOUR_LEVELS of 255 levels on average. Measured: of 4.5 million pairs
# of different CIFAR-100 pictures none counts, of 1.6 million pairs of handwritten digits a handful. What counts are
# copies half, a quarter or twice as large, as PNG, GIF, WebP or JPEG down to quality 30, where the smaller one has 50
# pixels a side or more; what does not are crops, turns and mirrors.
HASH_BITS, COLOUR_LEVELS = 8, 8
BLOCK = 256  # pictures compared with all others at once


@dataclasses.dataclass(frozen=True)
class Signature:
    """What copies of a picture have in common: `exact` the same pixels, `bits` and `thumbnail` the same photograph."""

    exact: str
    bits: np.ndarray | None  # (8,) uint8; None without ImageHash
    thumbnail: np.ndarray  # (768,) uint8


def signature(picture):
    """The `Signature` of an upright RGB PIL image."""
    from PIL import Image

    exact = hashlib.sha256(repr(picture.size).encode() + picture.tobytes()).hexdigest()
    small = picture.resize((64, 64), Image.Resampling.BILINEAR, reducing_gap=3.0)
    thumbnail = np.asarray(small.resize((16, 16), Image.Resampling.BILINEAR), "uint8").reshape(-1)
    bits = None
    if has_imagehash():
        import imagehash

        bits = np.packbits(imagehash.phash(small).hash.reshape(-1))
    return Signature(exact, bits, thumbnail)


def has_imagehash():
    return importlib.util.find_spec("imagehash") is not None


def group_copies(signatures):
    """(N,) numbers of groups: pictures of one number are copies of each other, exact or near."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    count, first = len(signatures), {}
    pairs = [(i, first.setdefault(each.exact, i)) for i, each in enumerate(signatures)]
    if count and signatures[0].bits is None:
        warnings.warn(
            "ImageHash is not installed: only copies of the same pixels are found, not the same photograph in another "
            "size or format. Install it: pip install ImageHash",
            stacklevel=5,
        )
    elif count:
        pairs += _near_pairs(np.stack([s.bits for s in signatures]), np.stack([s.thumbnail for s in signatures]))
    rows, columns = np.array(pairs, "int64").reshape(-1, 2).T
    return connected_components(coo_matrix((np.ones(len(rows)), (rows, columns)), (count, count)), directed=False)[1]


def _near_pairs(bits, thumbnails):
    """Pairs (i, j), i < j, of pictures that count as one photograph."""
    ones = np.unpackbits(np.arange(256, dtype="uint8")[:, None], axis=1).sum(axis=1).astype("uint8")
    pairs = []
    for start in range(0, len(bits), BLOCK):
        block, rest = bits[start : start + BLOCK], bits[start:]
        distance = sum(ones[block[:, None, byte] ^ rest[None, :, byte]] for byte in range(bits.shape[1]))
        for i, row in enumerate(distance <= HASH_BITS, start):
            others = start + np.flatnonzero(row)
            others = others[others > i]
            alike = np.abs(thumbnails[others].astype("int16") - thumbnails[i]).mean(axis=1) <= COLOUR_LEVELS
            pairs += [(i, j) for j in others[alike]]
    return pairs


def find_duplicates(folder: str | os.PathLike) -> list[list[pathlib.Path]]:
    """Copies among the pictures below a folder: a list of groups, each a list of paths, the largest group first.

    A group holds the same picture, exactly or in another size, format or quality; HASH_BITS and COLOUR_LEVELS are the
    limits. ValueError for a file that can't be read, or a folder without pictures.
    """
    from ..validation import user_path
    from .read import decode, is_picture, is_system_file

    root = user_path(folder)
    files = [path for path in sorted(root.rglob("*")) if is_picture(path) and path.is_file()]
    files = [
        path for path in files if not any(is_system_file(parent) for parent in path.relative_to(root).parents[:-1])
    ]
    if not files:
        raise ValueError(f"{root} is not a folder that holds pictures. Name one, with or without subfolders.")
    groups = group_copies([signature(decode(path)) for path in files])
    found = [[files[i] for i in np.flatnonzero(groups == number)] for number in np.unique(groups)]
    return sorted((group for group in found if len(group) > 1), key=len, reverse=True)
