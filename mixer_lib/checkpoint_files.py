"""Checkpoints read with distrust: whole, of the run that is asked for, or refused by name."""

import hashlib
import json

import numpy as np

STATE = {"identity", "history", "best", "counters", "lr", "stopped", "started"}
ONCE_UNSAID = {"precision": "float32", "devices": 1}  # what a checkpoint means that does not say it


def sum_of(array):
    """Checksum of an array: its type, its shape and its bytes."""
    return hashlib.sha256(f"{array.dtype.str}{array.shape}".encode() + array.tobytes()).hexdigest()


def read(file, only=None):
    """What a checkpoint holds: its state and its arrays (or those named), each with its checksum compared.

    The archive's list of parts has no checksum, and a bit of it can hide arrays: so the state names them all. A
    checkpoint from before it did is read all the same: going on compares its names with the model's.

    Raises:
        ValueError: if the file is damaged or no checkpoint. Pickles in it are never opened.
    """
    try:
        with np.load(file, allow_pickle=False) as archive:  # zipfile compares the checksum of each part that is read
            names = set(archive.files) - {"state"}
            state = json.loads(str(archive["state"]))
            arrays = {name: archive[name] for name in (names if only is None else only)}
        if not isinstance(state, dict) or not set(state) >= STATE:
            raise ValueError("it does not hold the state of a run")
        sums = state.pop("sums", None)
        if sums is not None and names != set(sums):
            raise ValueError(f"arrays are missing or too many: {', '.join(sorted(names ^ set(sums)))}")
        wrong = sorted(name for name, array in arrays.items() if sums is not None and sum_of(array) != sums[name])
        if wrong:
            raise ValueError(f"the checksum is not that of {', '.join(wrong)}")
    except Exception as error:  # a broken archive can raise nearly anything
        raise ValueError(
            f"{file} can't be read as the checkpoint of a run: it is damaged or something else ({error}). It was left "
            f"as it is. Put a whole copy in its place, or move the folder away: then the run starts anew."
        ) from error
    return state, arrays


def _world(key, value):
    """What must agree for two halves to be one run: of Keras's version, all but the patch level."""
    return value.rpartition(".")[0] if key == "keras" and value else value


def _whole(identity):
    """An identity with what it leaves unsaid, because nothing else could be when it was written."""
    return {**ONCE_UNSAID, **identity, "recipe": {"shift": 0.0, **identity.get("recipe", {})}}


def refuse_another(folder, held, asked):
    """ValueError, with the first difference named, unless the run held is the one asked for."""
    held, asked = _whole(held), _whole(asked)
    for key in {**asked, **held}:
        if _world(key, held.get(key)) != _world(key, asked.get(key)):
            raise ValueError(
                f"{folder.path} holds a run with {key} = {held.get(key)!r}, and {asked.get(key)!r} was asked for. Name "
                f"another run_dir, or remove this one."
            )


def held(folder, identity, epochs):
    """The state of the run in a folder, None if there is none; ValueError if it isn't the run that is asked for."""
    file = folder.path / "checkpoint.npz"
    if not file.exists():
        return None
    state, _ = read(file, only=[])
    refuse_another(folder, state["identity"], identity)
    if len(state["history"]) > epochs:
        raise ValueError(
            f"{folder.path} holds {len(state['history'])} finished epochs, and epochs = {epochs} was asked for. Ask "
            f"for at least {len(state['history'])}, or name another run_dir."
        )
    return state
