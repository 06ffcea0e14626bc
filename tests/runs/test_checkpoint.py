"""What a run folder must hold to be continued: the same run, complete files, a checkpoint that is not damaged."""

import dataclasses
import io
import json
import pathlib
import pickle
import random
import types

import keras
import numpy as np
import pytest
from small_runs import QUICK, REQUESTED, TINY, contents, forbid_steps, outcome, train_nothing

from mixer_lib import RunResult, build_classifier, train
from mixer_lib.runs.checkpoint import array_checksum, check_same_run, pack_checkpoint, read_checkpoint
from mixer_lib.runs.folder import RunFolder
from mixer_lib.runs.state import TrainingState, validation_callbacks

# --- the same run ---------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["2.14.0", "3.99.1"])
def test_another_keras_is_another_run(finished, digits, monkeypatch, version):
    monkeypatch.setattr(keras, "__version__", version)
    with pytest.raises(ValueError, match=f"holds a run with keras = .*'{version}' was requested"):
        train(TINY, digits, finished, **{**REQUESTED, "epochs": 3})


def test_another_backend_is_another_run(finished, digits, monkeypatch):
    monkeypatch.setattr("mixer_lib.runs.request.backend_name", lambda: "abacus")
    with pytest.raises(ValueError, match="holds a run with backend = .*'abacus' was requested"):
        train(TINY, digits, finished, **{**REQUESTED, "epochs": 3})


def test_a_patch_of_keras_between_two_halves_is_warned_about_and_stands_on_the_card(finished, digits, monkeypatch):
    original = keras.__version__
    patched = original.rpartition(".")[0] + ".99"
    monkeypatch.setattr(keras, "__version__", patched)
    train_nothing(monkeypatch)
    with pytest.warns(UserWarning, match=f"started with .*{original}.* continues with .*{patched}"):
        card = train(TINY, digits, finished, **{**REQUESTED, "epochs": 3})
    assert card.versions["keras"] == patched
    assert card.versions["started_with"] == {"keras": original}


SAID = {
    "recipe": dataclasses.asdict(QUICK),
    "keras": "3.15.0",
    "xla": False,
    "precision": "float32",
    "devices": 1,
}
HERE = types.SimpleNamespace(path="runs/here")


def test_an_identity_that_does_not_say_a_later_choice_means_its_default():
    old = {key: value for key, value in SAID.items() if key not in ("precision", "devices")}
    old["recipe"] = {key: value for key, value in old["recipe"].items() if key not in ("mirror", "zoom", "shift")}
    check_same_run(HERE, old, SAID)
    for change in ({"precision": "mixed_bfloat16"}, {"devices": 2}, {"recipe": {**SAID["recipe"], "zoom": 0.1}}):
        with pytest.raises(ValueError, match=f"runs/here holds a run with {next(iter(change))} = "):
            check_same_run(HERE, old, {**SAID, **change})


def test_fewer_epochs_than_were_run_are_refused_with_what_would_be_right(finished, digits):
    before = contents(finished)
    with pytest.raises(ValueError, match="holds 2 finished epochs, and epochs = 1 .*at least 2, or name another"):
        train(TINY, digits, finished, **{**REQUESTED, "epochs": 1})
    assert contents(finished) == before


# --- files that are lost --------------------------------------------------------------------------


def test_lost_weights_and_cards_of_a_finished_run_are_made_again(finished, digits, monkeypatch):
    before = outcome(finished)
    forbid_steps(monkeypatch)
    (finished / "card.json").unlink()
    (finished / "best.weights.h5").unlink()
    train(TINY, digits, finished, **REQUESTED)
    assert outcome(finished) == before
    (finished / "best.weights.h5").write_bytes(before[1][:-1000])
    train(TINY, digits, finished, **REQUESTED)
    assert outcome(finished) == before


def test_a_finished_run_without_its_checkpoint_is_still_finished(finished, digits, monkeypatch):
    before = outcome(finished)
    forbid_steps(monkeypatch)
    (finished / "checkpoint.npz").unlink()
    assert train(TINY, digits, finished, **REQUESTED) == RunResult.load(finished / "card.json")
    assert outcome(finished) == before


def test_a_finished_run_without_its_checkpoint_is_never_overwritten(finished, digits):
    (finished / "checkpoint.npz").unlink()
    before = contents(finished)
    with pytest.raises(ValueError, match="seed = 4, and 5 was requested"):
        train(TINY, digits, finished, **{**REQUESTED, "seed": 5})
    with pytest.raises(ValueError, match="a run of 2 epochs without its checkpoint, and 3 were requested"):
        train(TINY, digits, finished, **{**REQUESTED, "epochs": 3})
    assert contents(finished) == before
    (finished / "best.weights.h5").write_bytes(before["best.weights.h5"][:-1])
    with pytest.raises(ValueError, match="may be incomplete.*another run_dir"):
        train(TINY, digits, finished, **REQUESTED)
    assert (finished / "card.json").read_bytes() == before["card.json"]


def test_a_card_that_does_not_say_a_later_setting_means_its_default(finished, digits):
    (finished / "checkpoint.npz").unlink()
    card = json.loads((finished / "card.json").read_text(encoding="utf-8"))
    for later in ("mirror", "zoom", "shift"):
        del card["recipe"][later]
    (finished / "card.json").write_text(json.dumps(card), encoding="utf-8")
    assert train(TINY, digits, finished, **REQUESTED).recipe == card["recipe"]


# --- damaged checkpoints --------------------------------------------------------------------------


def parts_of(run_dir):
    """A checkpoint's parts as they lie in the file, the state as a dictionary."""
    with np.load(run_dir / "checkpoint.npz", allow_pickle=False) as archive:
        parts = dict(archive)
    return json.loads(str(parts.pop("state"))), parts


@pytest.fixture(scope="module")
def resume(moments):
    """A function: read a folder's checkpoint into a model, as `train` does before its first step."""
    model, identity = build_classifier(TINY), parts_of(moments[0])[0]["identity"]
    model.compile(QUICK.make_optimizer(), "mse")

    def resume(run_dir):
        state = TrainingState(model, validation_callbacks(QUICK), RunFolder(run_dir), identity)
        state.resume(epochs=3)
        return state

    return resume


@pytest.fixture
def assert_refused(finished, resume):
    """A function: with this content, the checkpoint is refused by name and everything left as it is."""

    def assert_refused(content, why=""):
        (finished / "checkpoint.npz").write_bytes(content)
        before = contents(finished)
        with pytest.raises(ValueError, match=f"checkpoint.npz .*{why}.*(good copy|Move it away)") as refusal:
            resume(finished)
        assert str(finished) in str(refusal.value)
        assert contents(finished) == before

    return assert_refused


def npz(state, arrays):
    """An archive as another version of the library might have written it."""
    packed = io.BytesIO()
    np.savez(packed, state=state if isinstance(state, str) else json.dumps(state), **arrays)
    return packed.getvalue()


def test_a_truncated_checkpoint_is_refused_by_name_and_left_alone(finished, digits, assert_refused):
    complete = (finished / "checkpoint.npz").read_bytes()
    for length in (0, 1, 100, len(complete) // 2, len(complete) - 1):
        assert_refused(complete[:length], "it is damaged or something else")
    with pytest.raises(ValueError, match="checkpoint.npz can't be read"):
        train(TINY, digits, finished, **{**REQUESTED, "epochs": 3})


def test_a_flipped_bit_in_a_checkpoint_is_noticed_or_changes_nothing(finished, tmp_path):
    complete, file = (finished / "checkpoint.npz").read_bytes(), tmp_path / "flipped.npz"
    state, arrays = read_checkpoint(finished / "checkpoint.npz")
    draw, noticed = random.Random(0), 0
    for place in draw.sample(range(len(complete)), 400):
        flipped = bytearray(complete)
        flipped[place] ^= 1 << draw.randrange(8)
        file.write_bytes(flipped)
        try:
            found_state, found = read_checkpoint(file)
        except ValueError:
            noticed += 1
            continue
        assert found_state == state
        assert set(found) == set(arrays) and all(np.array_equal(found[name], arrays[name]) for name in arrays)
    assert noticed > 300  # the others are in dates and the like, which nobody reads


def test_an_array_that_is_missing_too_many_or_another_is_refused_though_the_archive_is_whole(finished, assert_refused):
    state, arrays = parts_of(finished)
    hidden = {name: array for name, array in arrays.items() if name != "optimizer_2"}
    for wrong, why in (
        (hidden, "arrays are missing or too many: optimizer_2"),
        ({**arrays, "weights_99": arrays["weights_1"]}, "arrays are missing or too many: weights_99"),
        ({**arrays, "weights_1": arrays["weights_1"] + 1}, "the checksum of weights_1 is wrong"),
        ({**arrays, "best_1": arrays["best_1"].astype("float64")}, "the checksum of best_1 is wrong"),
    ):
        assert_refused(npz(state, wrong), why)


def test_a_checkpoint_without_checksums_continues_and_its_names_are_still_compared(finished, resume, assert_refused):
    state, arrays = parts_of(finished)
    del state["sums"]  # as in the first versions
    assert_refused(npz(state, {name: array for name, array in arrays.items() if name != "optimizer_2"}))
    (finished / "checkpoint.npz").write_bytes(npz(state, arrays))
    resumed = resume(finished)
    assert len(resumed.history) == 2
    resumed.save()
    assert set(parts_of(finished)[0]["sums"]) == set(arrays)


def test_another_programs_archive_and_other_files_are_refused_by_name(assert_refused):
    assert_refused(npz("no state", {"x": np.zeros(3)}))
    assert_refused(npz([1, 2], {}), "it does not hold the state of a run")
    assert_refused(b"<html>not found</html>")


def test_the_checkpoint_of_a_model_of_another_shape_is_refused(finished, assert_refused):
    state, arrays = read_checkpoint(finished / "checkpoint.npz")
    arrays["weights_3"] = np.zeros((2, 2), "float32")
    assert_refused(pack_checkpoint(state, arrays), "does not match the model")


class Bomb:
    def __reduce__(self):
        return (pathlib.Path.touch, (pathlib.Path("exploded"),))


def test_pickles_in_a_checkpoint_are_never_opened(finished, assert_refused, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    state, arrays = read_checkpoint(finished / "checkpoint.npz")
    arrays["weights_3"] = np.array([Bomb()], dtype=object)
    assert_refused(npz(state, arrays))
    assert_refused(pickle.dumps(Bomb()))
    assert not (tmp_path / "exploded").exists()


def test_a_checksum_depends_on_values_type_and_shape():
    array = np.arange(6, dtype="float32")
    others = (array, array + 1, array.astype("float64"), array.reshape(2, 3))
    assert len({array_checksum(other) for other in others}) == 4
