"""What models cost: the arithmetic of the counts, the fits, and how measurements are made."""

import dataclasses
import inspect
import os
import subprocess
import sys

import numpy as np
import pytest

from mixer_lib import multiply_adds
from mixer_lib.analysis import costs

PATCHES = [64, 256, 1024, 4096]


def counted(model):
    return [multiply_adds(costs.config_for(model, patches)) for patches in PATCHES]


def test_a_mixer_of_fixed_width_costs_in_proportion_to_its_patches():
    head = 128 * 100
    assert costs.fitted_exponent(PATCHES, [count - head for count in counted("mixer")]) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("model", ["vit", "mixer, width = patches"])
def test_attention_and_a_width_that_grows_along_cost_more_than_that(model):
    last = counted(model)[-2:]
    assert costs.fitted_exponent(PATCHES[-2:], last) > 1.6


def test_both_mixers_are_the_same_at_64_patches():
    assert costs.config_for("mixer", 64) == costs.config_for("mixer, width = patches", 64)


def test_an_exponent_is_read_off_a_power_law():
    sizes = np.array([2.0, 8.0, 32.0])
    assert costs.fitted_exponent(sizes, 3 * sizes**1.5) == pytest.approx(1.5)


def test_a_crossing_lies_where_power_laws_are_equal():
    sizes = np.array([10.0, 100.0, 1000.0])
    assert costs.crossing(sizes, sizes**2, 300 * sizes) == pytest.approx(300)
    assert costs.crossing(sizes, sizes**2, sizes) is None


@pytest.mark.parametrize(("model", "patches", "message"), [("vit", 60, "square.*60"), ("cnn", 64, "mixer.*'cnn'")])
def test_an_invalid_job_is_refused_before_any_is_measured(model, patches, message, monkeypatch):
    monkeypatch.setattr(costs.subprocess, "run", lambda *_, **__: pytest.fail("measured"))
    with pytest.raises(ValueError, match=message):
        costs.measure([{"model": "vit", "patches": 16, "batch": 1}, {"model": model, "patches": patches, "batch": 1}])


def test_a_model_is_measured_forward_and_in_training(monkeypatch):
    small = dataclasses.replace(costs.config_for("mixer", 4), num_blocks=1, hidden_dim=8)
    monkeypatch.setattr(costs, "config_for", lambda model, patches: small)
    monkeypatch.setattr(costs, "has_xla", lambda: False)
    row = costs._measure_here({"model": "mixer", "patches": 4, "batch": 2})
    assert row["multiply_adds"] == multiply_adds(small)
    for kind in ("forward", "training"):
        assert 0 < row[f"{kind}_seconds"] < 1 and row[f"{kind}_bytes"] >= 0


def test_each_measurement_has_a_process_of_its_own_that_finds_the_library_and_whose_last_line_counts(tmp_path, root):
    python = tmp_path / "python"
    row = '{"arguments": "%s %s", "path": "%s", "process": %s}'
    python.write_text(f'#!/bin/sh\necho noise\nprintf \'{row}\' "$1" "$2" "$PYTHONPATH" $$\n')
    python.chmod(0o755)
    rows = costs.measure([{"model": "vit", "patches": 16, "batch": 1}] * 2, python=str(python))
    assert rows[0]["arguments"] == "-m mixer_lib.analysis.costs"
    assert rows[0]["path"].split(os.pathsep)[0] == str(root)
    assert rows[0]["process"] != rows[1]["process"]


def test_a_process_s_peak_memory_is_its_own_and_not_its_parent_s():
    script = f"import pathlib, sys\n{inspect.getsource(costs._peak_bytes)}\nprint(_peak_bytes())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert 1e6 < int(done.stdout) < 1e8 < costs._peak_bytes()


def test_a_measurement_that_fails_says_so():
    with pytest.raises(RuntimeError, match="Measuring .*'vit'.* failed"):
        costs.measure([{"model": "vit", "patches": 16, "batch": 1}], python="false")
