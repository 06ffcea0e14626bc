"""AdamW with tensorflow-addons' decay: the same trajectory with either Keras."""

import importlib.util
import sys
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from mixer_lib import Recipe, adamw
from mixer_lib.compat import KERAS_3, optimizer_variables
from mixer_lib.optimizers import TfaAdamW, keras_adamw, muon
from mixer_lib.runs.recorded import RECORDED, tfa_trajectory

STEPS, EVERY = 300, 25
CUTS = {80: 0.0025, 160: 0.00125, 240: 0.000625}  # halved as a plateau would halve it
LEARNING_RATE, WEIGHT_DECAY = 0.005, 0.0001
has_tfa = importlib.util.find_spec("tensorflow_addons") is not None and not KERAS_3
with_tfa = pytest.mark.skipif(not has_tfa, reason="only where tensorflow-addons imports")


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


def trajectory(optimizer, steps=STEPS):
    """The weights after every 25 steps, the learning rate being cut three times in 300."""
    start, goal, curvature = problem()
    weights, points = [tf.Variable(w) for w in start], {}
    optimizer_variables(types.SimpleNamespace(optimizer=optimizer, trainable_variables=weights))  # created here

    @tf.function
    def train(wobble):
        gradients = [c * (w - g) + wobble for w, g, c in zip(weights, goal, curvature, strict=True)]
        optimizer.apply_gradients(zip(gradients, weights, strict=True))

    for step in range(steps):
        if step in CUTS:
            optimizer.learning_rate = CUTS[step]
        train(tf.constant(0.3 * np.sin(0.37 * step), "float32"))
        if (step + 1) % EVERY == 0:
            points[step + 1] = [w.numpy().tolist() for w in weights]
    return points


def farthest(one, other):
    return max(
        np.abs(np.asarray(a) - np.asarray(b)).max() for step in one for a, b in zip(one[step], other[step], strict=True)
    )


def recorded():
    steps, weights = tfa_trajectory()
    return {step: [row[:12].reshape(3, 4), row[12:]] for step, row in zip(steps, weights, strict=True)}


# A step rounds a weight of about 1 by at most 1.2e-7; 300 steps that round differently stay within this.
TOLERANCE = 2e-5


@with_tfa
def test_adamw_is_the_one_of_tensorflow_addons_where_that_imports_and_the_record_is_its_trajectory():
    from tensorflow_addons.optimizers import AdamW

    assert isinstance(adamw(LEARNING_RATE, WEIGHT_DECAY), AdamW)
    assert farthest(trajectory(adamw(LEARNING_RATE, WEIGHT_DECAY)), recorded()) < TOLERANCE


@pytest.mark.skipif(has_tfa, reason="only on Keras 3")
def test_without_tensorflow_addons_adamw_is_the_stand_in():
    assert isinstance(adamw(LEARNING_RATE, WEIGHT_DECAY), TfaAdamW)


def test_the_stand_in_follows_the_trajectory_recorded_from_tensorflow_addons():
    stand_in = TfaAdamW(learning_rate=LEARNING_RATE, weight_decay=WEIGHT_DECAY, epsilon=1e-7)
    assert farthest(trajectory(stand_in), recorded()) < TOLERANCE


def test_the_decay_of_keras_would_lead_elsewhere():
    assert farthest(trajectory(keras_adamw(LEARNING_RATE, WEIGHT_DECAY), steps=50), recorded()) > 100 * TOLERANCE


def left_after_an_epoch_without_gradient(optimizer):
    """What decay leaves of a weight in the 352 steps of an epoch, computed from 32 of them."""
    weight = tf.Variable([1.0])
    for _ in range(32):
        optimizer.apply_gradients([(tf.zeros(1), weight)])
    return float(weight.numpy()[0]) ** 11


def test_decay_removes_the_same_fraction_whatever_the_learning_rate_and_keras_s_shrinks_with_it():
    assert left_after_an_epoch_without_gradient(adamw(0.005, 0.0001)) == pytest.approx(0.96541, abs=1e-5)
    assert left_after_an_epoch_without_gradient(adamw(0.0005, 0.0001)) == pytest.approx(0.96541, abs=1e-5)
    assert left_after_an_epoch_without_gradient(adamw(0.005, 0.0)) == 1.0
    assert left_after_an_epoch_without_gradient(keras_adamw(0.005, 0.0001)) == pytest.approx(0.99983, abs=1e-5)


@pytest.mark.parametrize(("follows", "make"), [(False, adamw), (True, keras_adamw)])
def test_a_recipe_chooses_which_decay_it_trains_with(follows, make):
    optimizer = Recipe(learning_rate=0.25, weight_decay=0.125, decay_follows_lr=follows).make_optimizer()
    assert type(optimizer) is type(make(0.25, 0.125))
    assert (float(optimizer.learning_rate), float(optimizer.weight_decay)) == (0.25, 0.125)


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


def decayed(optimizer):
    """What two steps without gradient leave of a kernel and a bias, both 1 at first."""
    kernel, bias = tf.Variable([1.0], name="kernel"), tf.Variable([1.0], name="bias")
    for _ in range(2):
        optimizer.apply_gradients([(tf.zeros(1), kernel), (tf.zeros(1), bias)])
    return kernel.numpy()[0], bias.numpy()[0]


@pytest.mark.parametrize("make", [adamw, lambda rate, decay: TfaAdamW(rate, weight_decay=decay)])
def test_variables_that_are_excluded_from_weight_decay_keep_their_values(make):
    optimizer = make(0.005, 0.25)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    assert decayed(optimizer) == (0.75**2, 1.0)
    assert decayed(make(0.005, 0.25)) == (0.75**2, 0.75**2)
    optimizer, weight = make(0.005, 0.25), tf.Variable([1.0])
    optimizer.exclude_from_weight_decay(var_list=[weight])
    optimizer.apply_gradients([(tf.zeros(1), weight)])
    assert weight.numpy() == 1.0


@pytest.mark.parametrize("make", [adamw, keras_adamw])
def test_a_schedule_may_stand_for_the_learning_rate(make):
    optimizer = make(keras.optimizers.schedules.PiecewiseConstantDecay([0], [0.5, 0.0]), 0.0)
    weight, gradient = tf.Variable([1.0]), tf.ones(1)
    for left in (0.5, 0.5):  # a step of 0.5, then none
        optimizer.apply_gradients([(gradient, weight)])
        assert weight.numpy()[0] == pytest.approx(left, abs=1e-4)
    again = type(optimizer).from_config(optimizer.get_config())
    assert again.get_config()["weight_decay"] == 0.0


@pytest.mark.skipif(not KERAS_3, reason="only on Keras 3")
def test_muon_takes_a_schedule_too():
    optimizer = muon(keras.optimizers.schedules.PiecewiseConstantDecay([0], [0.5, 0.0]), 0.0)
    weight = keras.Variable(np.eye(3, dtype="float32"), name="kernel")
    values = [np.asarray(weight)]
    for _ in range(2):
        optimizer.apply([keras.ops.convert_to_tensor(np.ones((3, 3), "float32"))], [weight])
        values.append(np.asarray(weight))
    assert not np.array_equal(values[0], values[1]) and np.array_equal(values[1], values[2])


def test_a_recipe_has_its_own_schedule():
    with pytest.raises(ValueError, match="learning_rate must be above 0.*A Recipe changes it by its `schedule`"):
        Recipe(learning_rate=keras.optimizers.schedules.CosineDecay(0.1, 10))


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
    (RECORDED / "tfa-adamw.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
