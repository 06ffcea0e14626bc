"""Many steps in one call: the steps of the usual loop, to the last bit, also where the last batch is odd."""

import os
import subprocess
from pathlib import Path

import hosted_images
import pytest
from small_runs import TINY, before_step, outcome, small_digits

from mixer_lib import Recipe, compat, train
from mixer_lib.speedups import epochs
from mixer_lib.speedups.devices import Execution

if not compat.KERAS_3:
    pytest.skip("only on Keras 3", allow_module_level=True)

RECIPES = {
    "plateau": Recipe(batch_size=16),
    "cosine": Recipe(batch_size=16, schedule="cosine", stop_patience=None, shift=1, ema=0.9),
}
REQUESTED = {"epochs": 2, "seed": 1, "jit_compile": True}


@pytest.fixture
def together(monkeypatch):
    """Two steps in a call, also on a CPU; returns how many were made."""
    made, usual = [], epochs.steps_together
    monkeypatch.setattr(Execution, "_gains_from_many_steps", lambda self: True)
    monkeypatch.setattr(epochs, "ON_CPU", 2)
    monkeypatch.setattr(epochs, "steps_together", lambda *arguments: made.append(1) or usual(*arguments))
    return made


@pytest.mark.parametrize("recipe", [RECIPES["cosine"], pytest.param(RECIPES["plateau"], marks=pytest.mark.kills)])
def test_a_run_is_the_same_to_the_last_bit(tmp_path, monkeypatch, recipe, request):
    data = small_digits(70)  # 63 to train on: three batches of 16 and one of 15
    with monkeypatch.context() as patch:
        patch.setattr(Execution, "_gains_from_many_steps", lambda self: False)
        train(TINY, data, tmp_path / "usual", recipe=recipe, **REQUESTED)
    made = request.getfixturevalue("together")
    train(TINY, data, tmp_path / "together", recipe=recipe, **REQUESTED)
    assert made and outcome(tmp_path / "together") == outcome(tmp_path / "usual")


def test_batches_that_are_mixed_on_the_host_go_one_by_one(tmp_path, together):
    data = small_digits()
    for values in ({"mixup": 0.5}, {"erasing": 0.5}, {"label_smoothing": 0.1}):
        execution = Execution(jit_compile=True)
        assert execution.many_steps(None, Recipe(**values), data.x_train, data.y_train) is None


@pytest.mark.kills
def test_a_run_goes_on_between_two_calls(tmp_path, together, monkeypatch):
    data = small_digits(70)
    train(TINY, data, tmp_path / "straight", recipe=RECIPES["cosine"], **REQUESTED)

    def stop():
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        before_step(patch, 1, stop)  # the odd last batch of the second epoch
        with pytest.raises(KeyboardInterrupt, match="1 of 2 epochs"):
            train(TINY, data, tmp_path / "stopped", recipe=RECIPES["cosine"], **REQUESTED)
    train(TINY, data, tmp_path / "stopped", recipe=RECIPES["cosine"], **REQUESTED)
    assert outcome(tmp_path / "stopped") == outcome(tmp_path / "straight")


@pytest.mark.hosted
def test_no_step_on_jax_sends_anything_to_the_device():
    """An epoch of 72 steps has 5 calls: their rows and rates, an odd batch, and what comes between two epochs."""
    python, tests = hosted_images.newest_image("jax"), Path(__file__).resolve().parents[1]
    paths = os.pathsep.join(map(str, (tests.parent, tests)))
    environment = {**os.environ, "PYTHONPATH": paths, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    environment["TF_CPP_MIN_LOG_LEVEL"] = "0"  # or the lines to count are not written
    sent = []
    for count in ("1", "2"):
        command = [str(python), str(tests / "speedups" / "transfers.py"), count]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        sent.append(done.stderr.count("host-to-device transfer"))
    assert 0 < sent[1] - sent[0] < 72
