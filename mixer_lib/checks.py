"""Checks of values that several rooms take."""

import numbers


def positive_integer(name, value, hint=""):
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1. Received: {value!r}.{hint}")
    return int(value)


def rate(name, value, hint=""):
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 <= value < 1:
        raise ValueError(
            f"{name} must be a fraction from 0 up to, but not including, 1 (0.2 drops a fifth). "
            f"Received: {value!r}.{hint}"
        )
    return float(value)


def pixels(name, value, hint=""):
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 <= value < 2**15:
        raise ValueError(f"{name} must be a number of pixels from 0 to below {2**15:,}. Received: {value!r}.{hint}")
    return float(value)


def yes_or_no(name, value, hint=""):
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be True or False. Received: {value!r}.{hint}")
    return value


def pictures(name, array):
    """Refuse what is not pictures as bytes, (N, H, W, 3)."""
    shape, kind = getattr(array, "shape", None), getattr(array, "dtype", type(array).__name__)
    if kind != "uint8" or len(shape) != 4 or shape[3] != 3 or 0 in shape:
        raise ValueError(
            f"{name} must be an array of at least one colour picture: uint8 (N, H, W, 3), values 0-255. Received: "
            f"{kind} {shape}. Stack pictures of one size, repeat a grey one three times, cast with .astype('uint8')."
        )


def labels(name, array, count, classes):
    """Refuse what is not one class number, 0 to classes - 1, for each of `count` pictures."""
    shape, kind = getattr(array, "shape", None), getattr(array, "dtype", type(array).__name__)
    if shape != (count,) or getattr(kind, "kind", "") not in "iu":
        raise ValueError(
            f"{name} must be whole numbers, one for each of the {count} pictures: ({count},). Received: {kind} "
            f"{shape}. Count classes from 0 and keep pictures and labels together; one-hot labels become such numbers "
            f"by .argmax(axis=1)."
        )
    if not 0 <= array.min() <= array.max() < classes:
        raise ValueError(
            f"{name} must be from 0 to {classes - 1}, since class_names has {classes} names. Received: "
            f"{array.min()} to {array.max()}. Count classes from 0, or name the classes that are missing."
        )
