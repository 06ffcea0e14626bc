"""The end of a run: the last and the best weights are tested, the best are kept, and a card says what came out."""

import dataclasses
import math

import keras
import numpy as np

from . import results
from .checkpoint_files import refuse_another
from .checkpoints import history_text
from .classifier import multiply_adds
from .devices import as_loaded
from .evaluation import logits_of, scores
from .whole_files import sha256_of


def kept_card(folder, identity, epochs):
    """The card of a finished run whose checkpoint is gone, its files whole beside it; None if there is no card.

    Raises:
        ValueError: if it is another run's, or if it can neither be taken as it is nor gone on with.
    """
    card_file = folder.path / "card.json"
    if not card_file.exists():
        return None
    card = results.RunResult.load(card_file)
    known = {**dataclasses.asdict(card), **card.versions, "epochs": card.epochs_asked}
    refuse_another(folder, {key: known[key] for key in identity if key in known}, identity)
    weights, history = (folder.path / name for name in ("best.weights.h5", "history.csv"))
    whole = weights.exists() and history.exists() and sha256_of(weights) == card.weights_sha256
    if whole and card.epochs_asked == epochs and len(history.read_text("utf-8").splitlines()) == card.epochs_run + 1:
        return card
    raise ValueError(
        f"{folder.path} holds the card of a run of {card.epochs_asked} epochs without its checkpoint, and {epochs} "
        f"were asked for: it can't go on, and its weights or history may not be whole. Name another run_dir, or remove "
        f"this one."
    )


def finished_card(folder, state, epochs):
    """The card of a run with nothing left to do, its files whole beside it; None if there is something left."""
    card_file, weights, history = (folder.path / name for name in ("card.json", "best.weights.h5", "history.csv"))
    ran = len(state["history"])
    if not (state["stopped"] or ran >= epochs) or not all(file.exists() for file in (card_file, weights, history)):
        return None
    if history.read_text(encoding="utf-8") != history_text(state["history"]):
        return None
    card = results.RunResult.load(card_file)
    of_this_run = card.epochs_run == ran and card.epochs_asked == epochs
    return card if of_this_run and card.weights_sha256 == sha256_of(weights) else None


def finish(run, preset, config, dataset, epochs, seed, command):
    """Test the last and the best weights, write best.weights.h5 and the card."""
    model, history = run.model, run.history
    last = scores(logits_of(as_loaded(model), dataset.x_test), dataset.y_test)
    model.set_weights(run.best)
    model = as_loaded(model)
    best = scores(logits_of(model, dataset.x_test), dataset.y_test)
    bare = keras.Model(model.inputs, model.outputs, name=model.name)  # Keras would write the optimizer's memory too
    with run.folder.writing("best.weights.h5") as part:
        part.write_bytes(bytes(2 * sum(w.nbytes for w in run.best) + 2**20))  # HDF5 crashes where a disk is full
        bare.save_weights(part)
    seconds = [row["seconds"] for row in history]
    versions = {**results.versions(), **{key: run.identity[key] for key in ("xla", "precision", "devices")}}
    versions["halves"] = run.halves
    if run.begun_with:
        versions["begun_with"] = run.begun_with
    card = results.RunResult(
        preset=preset,
        config=dataclasses.asdict(config),
        recipe=dataclasses.asdict(run.recipe),
        dataset=dataset.name,
        data_fingerprint=dataset.fingerprint,
        seed=seed,
        epochs_asked=epochs,
        epochs_run=len(history),
        best_epoch=run.best_epoch,
        val_top1=history[run.best_epoch - 1]["val_top1"],
        val_top5=history[run.best_epoch - 1]["val_top5"],
        top1=best["top1"],
        top5=best["top5"],
        top1_last=last["top1"],
        top5_last=last["top5"],
        parameters=sum(math.prod(w.shape) for w in model.trainable_weights),
        macs=multiply_adds(config),
        seconds_total=round(sum(seconds), 1),
        seconds_per_epoch=round(float(np.median(seconds)), 2),
        device=results.device_name(),
        versions=versions,
        command=command,
        commit=results.commit(),
        started=run.started,
        weights_sha256=sha256_of(run.folder.path / "best.weights.h5"),
    )
    run.folder.write("card.json", card.as_json())
    return card
