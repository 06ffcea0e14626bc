"""What models cost: the arithmetic of the counts, the fits, and one real measurement."""

import inspect
import subprocess
import sys

import numpy as np
import pytest

from mixer_lib import costs, multiply_adds

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


@pytest.mark.parametrize(("model", "patches", "said"), [("vit", 60, "square.*60"), ("cnn", 64, "mixer.*'cnn'")])
def test_what_can_not_be_measured_is_refused_before_measuring(model, patches, said, monkeypatch):
    monkeypatch.setattr(costs.subprocess, "run", lambda *_, **__: pytest.fail("measured"))
    with pytest.raises(ValueError, match=said):
        costs.measure([{"model": "vit", "patches": 16, "batch": 1}, {"model": model, "patches": patches, "batch": 1}])


def test_a_measurement_gives_seconds_and_bytes_for_an_image():
    (row,) = costs.measure([{"model": "vit", "patches": 16, "batch": 256}])
    assert row["multiply_adds"] == multiply_adds(costs.config_for("vit", 16))
    assert 0 < row["forward_seconds"] < 1 and 0 < row["training_seconds"] < 1
    assert row["training_bytes"] > 16 * 128 * 4  # one table of patches at least


def test_a_process_s_peak_of_memory_is_its_own_and_not_that_of_the_large_one_that_started_it():
    script = f"import pathlib, sys\n{inspect.getsource(costs._peak_bytes)}\nprint(_peak_bytes())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert 1e6 < int(done.stdout) < 1e8 < costs._peak_bytes()


def test_a_measurement_that_breaks_off_says_so():
    with pytest.raises(RuntimeError, match="broke off"):
        costs.measure([{"model": "vit", "patches": 16, "batch": -1}])
