"""Checks of argument values, for every module; imports nothing of mixer_lib."""

import numbers
import pathlib

FLOAT32_MAX = 3.4e38


def positive_integer(name, value, hint=""):
    """`value` as an int; ValueError unless it is a whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1. Received: {value!r}.{hint}")
    return int(value)


def rate(name, value, hint=""):
    """`value` as a float; ValueError unless 0 <= value < 1."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 <= value < 1:
        raise ValueError(
            f"{name} must be a fraction from 0 up to, but not including, 1 (0.2 drops a fifth). "
            f"Received: {value!r}.{hint}"
        )
    return float(value)


def fraction(name, value, hint=""):
    """`value` as a float; ValueError unless 0 <= value <= 1."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 <= value <= 1:
        raise ValueError(f"{name} must be a fraction from 0 to 1. Received: {value!r}.{hint}")
    return float(value)


def one_of(name, value, choices):
    """`value`; ValueError unless it is one of the strings `choices`."""
    if value not in choices:
        quoted = " or ".join(f'"{choice}"' for choice in choices)
        raise ValueError(f"{name} must be {quoted}. Received: {value!r}.")
    return value


def pixels(name, value, hint=""):
    """`value` as a float; ValueError unless it is a number of pixels from 0 to below 2**15."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 <= value < 2**15:
        raise ValueError(f"{name} must be a number of pixels from 0 to below {2**15:,}. Received: {value!r}.{hint}")
    return float(value)


def yes_or_no(name, value, hint=""):
    """`value` as a bool; ValueError unless it is True or False, also NumPy's."""
    if type(value).__name__ not in ("bool", "bool_"):
        raise ValueError(f"{name} must be True or False. Received: {value!r}.{hint}")
    return bool(value)


def check_rates(learning_rate, weight_decay, decay_follows_lr=False):
    """Raise ValueError, with name and value, unless both are valid."""
    if not _is_number(learning_rate) or not 0 < learning_rate < FLOAT32_MAX:
        hint = " A Recipe changes it by its `schedule`." if callable(learning_rate) else ""
        raise ValueError(f"learning_rate must be above 0 (the article uses 0.005). Received: {learning_rate!r}.{hint}")
    if decay_follows_lr and not (_is_number(weight_decay) and 0 <= weight_decay < FLOAT32_MAX):
        raise ValueError(f"weight_decay must be 0 or more (0.02 is common). Received: {weight_decay!r}.")
    if not decay_follows_lr and not (_is_number(weight_decay) and 0 <= weight_decay < 1):
        raise ValueError(
            f"weight_decay must be from 0 to below 1: it is the fraction of each weight removed at every step "
            f"(the article uses 0.0001). Received: {weight_decay!r}."
        )


def _is_number(value):
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def user_path(path):
    """A path, in which ~ stands for one's home; ValueError where that is not known, as for some users in containers."""
    try:
        return pathlib.Path(path).expanduser()
    except RuntimeError:
        raise ValueError(f"{path}: the home folder that ~ stands for is not known. Give the whole path.") from None


BY_TYPE = {int: positive_integer, float: rate, bool: yes_or_no, int | None: positive_integer}


def check_fields(values, fields, hint=" The article has {}.", **checks):
    """Check a frozen dataclass's fields, by name (`checks`) or by type, and make plain numbers of them for JSON.

    `hint` is appended to the message of the ValueError, with the field's default in it.
    """
    for field in fields:
        check, value = checks.get(field.name) or BY_TYPE.get(field.type), getattr(values, field.name)
        if check and (value, field.type) != (None, int | None):
            object.__setattr__(values, field.name, check(field.name, value, hint.format(field.default)))
