"""Keras 3 on JAX and on torch, where there is no TensorFlow: the same code trains, continues, tests and predicts."""

import json
import os
import re
import subprocess
from pathlib import Path

import hosted_images
import pytest

from mixer_lib.speedups import devices

ROOT = Path(__file__).resolve().parent.parent

ELSEWHERE = """
import json, pathlib
from importlib.util import find_spec

from mixer_lib import MixerConfig, Recipe, evaluate, load_dataset, load_pretrained, predict, train
from mixer_lib.compat import seed_generators
data = load_dataset("digits")
config = MixerConfig(32, 8, 1, 8, 4, 8, 10)
requested = dict(seed=1, recipe=Recipe(batch_size=256))
train(config, data, pathlib.Path("run"), epochs=1, **requested)
card = train(config, data, pathlib.Path("run"), epochs=2, **requested)
train(config, data, pathlib.Path("straight"), epochs=2, **requested)
histories = [(pathlib.Path(name) / "history.csv").read_text().splitlines() for name in ("run", "straight")]
figures = [[line.split(",")[2:] for line in lines] for lines in histories]  # all but the epoch and its seconds
half = train(config, data, pathlib.Path("half"), epochs=1, precision="mixed_bfloat16", **requested)
refusals = []
for wrong in ({"devices": 2}, {"jit_compile": True}) if card.versions["backend"] == "torch" else ({"devices": 2},):
    try:
        train(config, data, pathlib.Path("wrong"), epochs=1, **wrong, **requested)
    except ValueError as error:
        refusals.append(str(error))
model, published = load_pretrained("article-digits")
tested = evaluate(model, data.x_test, data.y_test)
guesses = predict(model, data.x_test[:2], k=3)
found = {"backend": card.versions["backend"], "epochs": card.epochs_run, "half": half.versions["precision"]}
found |= {"tested": tested["top1"], "published": published.top1, "guesses": len(guesses)}
found["continues to the same end"] = figures[0] == figures[1]
found["generators"] = len(seed_generators(model))
found |= {"refusals": refusals, "xla": card.versions["xla"], "tensorflow": find_spec("tensorflow") is not None}
print(json.dumps(found))
"""


@pytest.mark.hosted
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_the_same_code_trains_continues_tests_and_predicts_without_tensorflow(backend, tmp_path):
    values = {**os.environ, "PYTHONPATH": str(ROOT), "KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu"}
    command = [str(hosted_images.python_with(backend)), "-c", ELSEWHERE]
    done = subprocess.run(command, capture_output=True, text=True, env=values, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert not found["tensorflow"]
    assert (found["backend"], found["epochs"], found["half"]) == (backend, 2, "mixed_bfloat16")
    assert found["tested"] == pytest.approx(found["published"], abs=0.005)
    assert found["guesses"] == 2
    assert found["continues to the same end"], done.stdout
    assert found["generators"] == 2 + 4 * 4  # augmentation, the head's dropout, and four in each of the four blocks
    refused = (
        "devices=2 was requested, and JAX sees 1" if backend == "jax" else "devices must be 1 with Keras .* on torch"
    )
    assert re.match(refused, found["refusals"][0])
    assert not (tmp_path / "wrong").exists()
    assert found["xla"] == (backend == "jax")
    if backend == "torch":
        assert "The torch backend has no XLA" in found["refusals"][1]


def test_where_there_is_no_xla_no_step_is_compiled_and_requesting_it_is_refused(monkeypatch):
    monkeypatch.setattr(devices, "has_xla", lambda: False)
    assert devices.Execution(steps=1000).identity["xla"] is False
    with pytest.raises(ValueError, match="backend has no XLA. Received: jit_compile=True. Leave it out"):
        devices.Execution(jit_compile=True)
