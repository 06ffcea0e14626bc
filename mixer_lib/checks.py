"""Checks of values that several rooms take."""

import numbers


def positive_integer(name, value):
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1. Received: {value!r}.")
    return int(value)


def rate(name, value):
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 <= value < 1:
        raise ValueError(
            f"{name} must be a fraction from 0 up to, but not including, 1 (0.2 drops a fifth). Received: {value!r}."
        )
    return float(value)
