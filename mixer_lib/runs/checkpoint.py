"""A run's checkpoint and what else its folder holds: read with distrust, and only as the run that is requested."""

import csv
import dataclasses
import hashlib
import io
import json

import numpy as np

from .card import RunResult
from .files import sha256_of

STATE = {"identity", "history", "best", "counters", "lr", "stopped", "started"}
HISTORY = ("epoch", "seconds", "lr", "loss", "top1", "top5", "val_loss", "val_top1", "val_top5")
# what an identity means that doesn't say it, since there was no choice when it was written
DEFAULTS = {"precision": "float32", "devices": 1, "hosts": 1}
RECIPE_DEFAULTS = {"mirror": True, "zoom": 0.2, "shift": 0.0, "optimizer": "adamw"}
RECIPE_DEFAULTS |= dict.fromkeys(("warmup", "label_smoothing", "mixup", "cutmix", "erasing", "ema"), 0.0)


def array_checksum(array):
    """SHA-256 of an array's type, shape and bytes, in hex."""
    return hashlib.sha256(f"{array.dtype.str}{array.shape}".encode() + array.tobytes()).hexdigest()


def history_text(history):
    """The text of history.csv, one row per epoch."""
    lines = io.StringIO()
    table = csv.DictWriter(lines, HISTORY, lineterminator="\n")
    table.writeheader()
    table.writerows(history)
    return lines.getvalue()


def pack_checkpoint(state, arrays):
    """The bytes of a checkpoint: `state` as JSON, and the arrays, each with its checksum."""
    state = {**state, "sums": {name: array_checksum(array) for name, array in arrays.items()}}
    packed = io.BytesIO()
    np.savez(packed, state=json.dumps(state), **arrays)
    return packed.getvalue()


def read_checkpoint(file, only=None):
    """(state, arrays) of a checkpoint; all arrays, or those named; ValueError if it is damaged. No pickle is loaded.

    The archive's directory has no checksum, and a flipped bit in it can hide arrays: so the state names them all.
    Checkpoints of the first versions don't; there, the names are compared with the model's when the run continues.
    """
    try:
        with np.load(file, allow_pickle=False) as archive:  # zipfile compares the CRC of each member that is read
            names = set(archive.files) - {"state"}
            state = json.loads(str(archive["state"]))
            arrays = {name: archive[name] for name in (names if only is None else only)}
        if not isinstance(state, dict) or not set(state) >= STATE:
            raise ValueError("it does not hold the state of a run")
        sums = state.pop("sums", None)
        if sums is not None and names != set(sums):
            raise ValueError(f"arrays are missing or too many: {', '.join(sorted(names ^ set(sums)))}")
        wrong = sorted(name for name, array in arrays.items() if sums and array_checksum(array) != sums[name])
        if wrong:
            raise ValueError(f"the checksum of {', '.join(wrong)} is wrong")
    except Exception as error:  # a broken archive can raise nearly anything
        raise ValueError(
            f"{file} can't be read as the checkpoint of a run: it is damaged or something else ({error}). It was left "
            f"as it is. Put a good copy in its place, or move the folder away: then the run starts from epoch 1."
        ) from error
    return state, arrays


def check_same_run(folder, found, requested):
    """Raise ValueError, naming the first difference, unless two identities are those of one run."""
    found, requested = (
        {**DEFAULTS, **identity, "recipe": {**RECIPE_DEFAULTS, **identity.get("recipe", {})}}
        for identity in (found, requested)
    )
    for key in {**requested, **found}:
        old, new = found.get(key), requested.get(key)
        patch_alone = key == "keras" and old and new and old.rpartition(".")[0] == new.rpartition(".")[0]
        if old != new and not patch_alone:
            raise ValueError(
                f"{folder.path} holds a run with {key} = {old!r}, and {new!r} was requested. Name another run_dir, or "
                f"remove this one."
            )


def saved_state(folder, identity, epochs):
    """The state of the run in a folder, or None; ValueError if it isn't the run that is requested."""
    file = folder.path / "checkpoint.npz"
    if not file.exists():
        return None
    state, _ = read_checkpoint(file, only=[])
    check_same_run(folder, state["identity"], identity)
    if len(state["history"]) > epochs:
        raise ValueError(
            f"{folder.path} holds {len(state['history'])} finished epochs, and epochs = {epochs} was requested. "
            f"Request at least {len(state['history'])}, or name another run_dir."
        )
    return state


def completed_card(folder, identity, epochs):
    """The card of the requested run if nothing is left to do and all its files are whole, else None.

    ValueError if the folder holds another run, or one that lost its checkpoint before all epochs were done.
    """
    card_file, weights, history = (folder.path / name for name in ("card.json", "best.weights.h5", "history.csv"))
    state = saved_state(folder, identity, epochs)
    if not card_file.exists():
        return None
    card = RunResult.load(card_file)
    whole = weights.exists() and history.exists() and sha256_of(weights) == card.weights_sha256
    text = history.read_text(encoding="utf-8") if whole else ""
    whole = whole and card.epochs_asked == epochs and len(text.splitlines()) == card.epochs_run + 1
    if state is None:
        known = {**dataclasses.asdict(card), **card.versions, "epochs": card.epochs_asked}
        check_same_run(folder, {key: known[key] for key in identity if key in known}, identity)
        if not whole:
            raise ValueError(
                f"{folder.path} holds the card of a run of {card.epochs_asked} epochs without its checkpoint, and "
                f"{epochs} were requested: it can't continue, and its weights or history may be incomplete. Name "
                f"another run_dir, or remove this one."
            )
        return card
    finished = state["stopped"] or len(state["history"]) >= epochs
    return card if finished and whole and text == history_text(state["history"]) else None
