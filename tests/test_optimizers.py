"""AdamW with tensorflow-addons' decay: the same trajectory in both worlds."""

import importlib.util
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from mixer_lib import Recipe, adamw, records
from mixer_lib.optimizers import AddonsAdamW, keras_adamw
from mixer_lib.worlds import KERAS_3

STEPS, EVERY = 300, 25
CUTS = {80: 0.0025, 160: 0.00125, 240: 0.000625}  # halved as a plateau would halve it
LEARNING_RATE, WEIGHT_DECAY = 0.005, 0.0001
has_addons = importlib.util.find_spec("tensorflow_addons") is not None and not KERAS_3
with_addons = pytest.mark.skipif(not has_addons, reason="only where tensorflow-addons imports")


def problem():
    """Start, goal and curvature of a small problem with two variables; nothing in it is drawn."""
    start = [
        np.sin(np.arange(12, dtype="float32") * 1.7).reshape(3, 4),
        np.cos(np.arange(4, dtype="float32")),
    ]
    goal = [
        np.cos(np.arange(12, dtype="float32") * 0.9).reshape(3, 4),
        np.sin(np.arange(4, dtype="float32") * 2),
    ]
    curvature = [np.linspace(0.01, 3, 12, dtype="float32").reshape(3, 4), np.float32([1, 0, 0.1, 10])]
    return start, goal, curvature


def trajectory(optimizer):
    """The weights after every 25 of 300 steps, the learning rate being cut three times."""
    start, goal, curvature = problem()
    weights, points = [tf.Variable(w) for w in start], {}
    for step in range(STEPS):
        if step in CUTS:
            optimizer.learning_rate = CUTS[step]
        wobble = np.float32(0.3 * np.sin(0.37 * step))
        gradients = [
            tf.constant(c * (w.numpy() - g) + wobble) for w, g, c in zip(weights, goal, curvature, strict=True)
        ]
        optimizer.apply_gradients(zip(gradients, weights, strict=True))
        if (step + 1) % EVERY == 0:
            points[step + 1] = [w.numpy().tolist() for w in weights]
    return points


def farthest(one, other):
    return max(
        np.abs(np.asarray(a) - np.asarray(b)).max() for step in one for a, b in zip(one[step], other[step], strict=True)
    )


def recorded():
    steps, weights = records.addons_trajectory()
    return {int(step): [row[:12].reshape(3, 4), row[12:]] for step, row in zip(steps, weights, strict=True)}


# A step rounds a weight of about 1 by at most 1.2e-7; 300 steps that round differently stay within this.
TOLERANCE = 2e-5


@with_addons
def test_adamw_is_the_one_of_tensorflow_addons_where_that_imports():
    from tensorflow_addons.optimizers import AdamW

    assert type(adamw(LEARNING_RATE, WEIGHT_DECAY)) is AdamW


@with_addons
def test_the_stand_in_follows_tensorflow_addons_step_by_step():
    from tensorflow_addons.optimizers import AdamW

    theirs = trajectory(AdamW(learning_rate=LEARNING_RATE, weight_decay=WEIGHT_DECAY))
    ours = trajectory(AddonsAdamW(learning_rate=LEARNING_RATE, weight_decay=WEIGHT_DECAY, epsilon=1e-7))
    assert farthest(theirs, ours) < TOLERANCE


@with_addons
def test_the_recorded_trajectory_is_that_of_tensorflow_addons():
    from tensorflow_addons.optimizers import AdamW

    theirs = trajectory(AdamW(learning_rate=LEARNING_RATE, weight_decay=WEIGHT_DECAY))
    assert farthest(theirs, recorded()) < TOLERANCE


@pytest.mark.skipif(has_addons, reason="only on Keras 3")
def test_without_tensorflow_addons_adamw_is_the_stand_in():
    assert isinstance(adamw(LEARNING_RATE, WEIGHT_DECAY), AddonsAdamW)


@pytest.mark.parametrize("make", [adamw, lambda lr, wd: AddonsAdamW(learning_rate=lr, weight_decay=wd, epsilon=1e-7)])
def test_the_trajectory_recorded_from_tensorflow_addons_is_followed(make):
    assert farthest(trajectory(make(LEARNING_RATE, WEIGHT_DECAY)), recorded()) < TOLERANCE


def test_the_decay_of_keras_would_lead_elsewhere():
    assert farthest(trajectory(keras_adamw(LEARNING_RATE, WEIGHT_DECAY)), recorded()) > 100 * TOLERANCE


def left_after_an_epoch_without_gradient(optimizer):
    weight = tf.Variable([1.0])
    for _ in range(352):
        optimizer.apply_gradients([(tf.zeros(1), weight)])
    return float(weight.numpy()[0])


def test_an_epoch_of_zero_gradients_leaves_the_fractions_that_the_two_decays_imply():
    assert left_after_an_epoch_without_gradient(adamw(0.005, 0.0001)) == pytest.approx(0.96541, abs=1e-5)
    assert left_after_an_epoch_without_gradient(keras_adamw(0.005, 0.0001)) == pytest.approx(0.99983, abs=1e-5)


def test_a_cut_of_the_learning_rate_leaves_the_decay_as_it_was():
    assert left_after_an_epoch_without_gradient(adamw(0.0005, 0.0001)) == pytest.approx(0.96541, abs=1e-5)


def test_no_weight_decay_leaves_weights_without_gradient_alone():
    assert left_after_an_epoch_without_gradient(adamw(0.005, 0.0)) == 1.0


def test_a_recipe_chooses_which_decay_it_trains_with():
    assert left_after_an_epoch_without_gradient(Recipe().optimizer()) == pytest.approx(0.96541, abs=1e-5)
    follows = Recipe(decay_follows_lr=True).optimizer()
    assert left_after_an_epoch_without_gradient(follows) == pytest.approx(0.99983, abs=1e-5)


@pytest.mark.parametrize("make", [adamw, keras_adamw])
@pytest.mark.parametrize("value", [0, -0.1, float("nan")])
def test_a_learning_rate_that_is_not_above_zero_is_refused(make, value):
    with pytest.raises(ValueError, match=f"learning_rate must be above 0.*Received: {value!r}"):
        make(value, 0.0001)


@pytest.mark.parametrize("value", [-0.0001, 1, float("nan")])
def test_a_weight_decay_that_is_no_fraction_is_refused(value):
    with pytest.raises(ValueError, match=f"weight_decay must be from 0 to below 1.*Received: {value!r}"):
        adamw(0.005, value)


@pytest.mark.parametrize("value", [-0.0001, float("inf"), float("nan")])
def test_a_weight_decay_times_the_learning_rate_must_be_a_number_from_0_up(value):
    with pytest.raises(ValueError, match=f"weight_decay must be 0 or more.*Received: {value!r}"):
        keras_adamw(0.005, value)


if __name__ == "__main__":  # writes the recorded trajectory anew: Python 3.11 with tensorflow-addons
    import tensorflow_addons
    from tensorflow_addons.optimizers import AdamW

    packages = {"tensorflow-addons": tensorflow_addons, "tensorflow": tf, "keras": keras}
    source = [f"{name} {package.__version__}" for name, package in packages.items()]
    lines = [
        f"# the weights after a step: optimizer tensorflow_addons.optimizers.AdamW, {', '.join(source)}, "
        f"python {sys.version.split()[0]}",
        "# step, then the 3 x 4 weights of the first variable and the 4 of the second",
    ]
    for step, found in trajectory(AdamW(learning_rate=LEARNING_RATE, weight_decay=WEIGHT_DECAY)).items():
        flat = np.concatenate([np.ravel(w) for w in found])
        lines.append(",".join([str(step), *(repr(round(float(w), 7)) for w in flat)]))
    records.ADDONS.write_text("\n".join(lines) + "\n", encoding="utf-8")
