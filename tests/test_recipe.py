"""The recipe's values: each does to training what its docstring says, and a run with all of them continues exactly."""

import warnings

import keras
import numpy as np
import pytest
from small_runs import TINY, before_step, outcome, small_digits, weights_of

from mixer_lib import Recipe, build_classifier, compat, evaluate, train
from mixer_lib.compat import averaged_weights, optimizer_variables
from mixer_lib.runs.ranks import read_ranks

keras_3 = pytest.mark.skipif(not compat.KERAS_3, reason="only on Keras 3")
COSINE = {"decay_follows_lr": True, "schedule": "cosine", "stop_patience": None}
EVERYTHING = {"optimizer": "muon", "warmup": 0.25, "label_smoothing": 0.1, "ema": 0.9}
EVERYTHING |= {"mixup": 0.3, "cutmix": 0.3, "erasing": 0.3, "batch_size": 16, "learning_rate": 0.02, **COSINE}


def test_the_learning_rate_rises_while_it_warms_up_and_falls_along_a_cosine_after():
    recipe = Recipe(0.02, warmup=0.2, **COSINE)
    found = [recipe.cosine(done) for done in (0, 0.1, 0.2, 0.6, 1)]
    assert found == pytest.approx([0, 0.01, 0.02, 0.01, 0])


@keras_3
def test_muon_takes_the_matrices_of_the_blocks_and_leaves_all_else_to_adamw():
    model = build_classifier(TINY)
    model.compile(Recipe(decay_follows_lr=True, optimizer="muon").make_optimizer(), "mse")
    optimizer_variables(model)
    by_muon = {
        v.path
        for v, second in zip(model.trainable_variables, model.optimizer.adam_velocities, strict=True)
        if second is None
    }
    mlps = [
        f"block_0/{mixing}/{dense}/kernel"
        for mixing in ("token_mixing", "channel_mixing")
        for dense in ("hidden", "out")
    ]
    assert len(by_muon) == 4 and all(any(path.endswith(mlp) for path in by_muon) for mlp in mlps), by_muon


@keras_3
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_the_evaluated_weights_are_the_moving_average_of_those_after_each_step(optimizer):
    model = build_classifier(TINY)
    model.compile(Recipe(decay_follows_lr=True, optimizer=optimizer, ema=0.75).make_optimizer(), "mse")
    expected = None
    for step in range(4):
        gradients = [keras.ops.ones_like(v) * (step + 1) for v in model.trainable_variables]
        model.optimizer.apply(gradients, model.trainable_variables)
        now = [np.asarray(v) for v in model.trainable_variables]
        expected = now if expected is None else [0.75 * a + 0.25 * b for a, b in zip(expected, now, strict=True)]
    before = model.get_weights()
    averaged = averaged_weights(model)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    model.set_weights(averaged)
    for a, b in zip(expected, model.trainable_variables, strict=True):
        np.testing.assert_allclose(a, np.asarray(b), rtol=1e-5, atol=1e-6)


@pytest.fixture(scope="module")
def requested():
    return {"dataset": small_digits(), "epochs": 3, "seed": 2, "recipe": Recipe(**EVERYTHING)}


@pytest.fixture(scope="module")
def straight(requested, tmp_path_factory):
    """A run with all of it, and its card."""
    run_dir = tmp_path_factory.mktemp("straight")
    return run_dir, train(TINY, run_dir=run_dir, **requested)


@keras_3
def test_the_average_is_what_a_run_evaluates_and_saves(straight, requested):
    run_dir, card = straight
    data, saved = requested["dataset"], weights_of(run_dir)
    with np.load(run_dir / "checkpoint.npz") as checkpoint:
        trained = [checkpoint[f"weights_{i}"] for i in range(len(saved))]
    assert max(np.abs(a - b).max() for a, b in zip(saved, trained, strict=True)) > 1e-3
    model = build_classifier(TINY)
    model.load_weights(run_dir / "best.weights.h5")
    assert evaluate(model, data.x_test, data.y_test)["top5"] == card.top5
    ranks = read_ranks(run_dir / "ranks.npy")
    assert [(ranks < k).mean() for k in (1, 5)] == [card.top1, card.top5]


@keras_3
def test_a_run_with_all_of_it_continues_after_an_interruption_to_the_same_end(
    straight, requested, tmp_path, monkeypatch
):
    def stop():
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        before_step(patch, 6, stop)  # in the second of three epochs of four steps
        with pytest.raises(KeyboardInterrupt, match="1 of 3 epochs are finished"):
            train(TINY, run_dir=tmp_path, **requested)
    train(TINY, run_dir=tmp_path, **requested)
    assert outcome(tmp_path) == outcome(straight[0])
    assert (tmp_path / "ranks.npy").read_bytes() == (straight[0] / "ranks.npy").read_bytes()


@keras_3
def test_soft_labels_train_the_same_in_halves_and_whole(tmp_path):
    data, recipe = small_digits(), Recipe(batch_size=16, label_smoothing=0.1, mixup=0.5, mirror=False, zoom=0.0)
    quiet = TINY.__class__(**{**vars(TINY), "dropout": 0.0})
    for xla in (False, True):
        train(quiet, data, tmp_path / str(xla), epochs=2, seed=1, recipe=recipe, jit_compile=xla)
    whole, halves = weights_of(tmp_path / "False"), weights_of(tmp_path / "True")
    assert 0 < max(np.abs(a - b).max() for a, b in zip(whole, halves, strict=True)) < 1e-5


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"optimizer": "sgd"}, 'optimizer must be "adamw" or "muon". Received: \'sgd\''),
        ({"optimizer": "muon"}, "needs decay_follows_lr=True"),
        ({"warmup": 0.1}, 'warmup needs schedule="cosine"'),
        ({"mixup": 0.7, "cutmix": 0.4}, r"mixup \+ cutmix must be at most 1.*\(0.7, 0.4\)"),
        ({"erasing": 1.5}, "erasing must be a fraction from 0 to 1. Received: 1.5"),
        ({"ema": 1.0}, "ema must be a fraction"),
        ({"label_smoothing": True}, "label_smoothing must be a fraction.*True"),
    ],
)
def test_values_that_do_not_go_together_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        Recipe(**values)


@pytest.mark.skipif(compat.KERAS_3, reason="only on Keras 2")
@pytest.mark.parametrize("values", [{"optimizer": "muon", **COSINE}, {"ema": 0.9}])
def test_keras_2_says_in_one_sentence_what_it_lacks(values, tmp_path):
    with pytest.raises(ValueError, match="Muon and ema need Keras 3"):
        train(TINY, small_digits(), tmp_path / "run", epochs=1, recipe=Recipe(**values))
    assert not (tmp_path / "run").exists()


def test_a_recipe_that_stops_before_its_learning_rate_can_fall_is_warned_about():
    with pytest.warns(
        UserWarning, match="stop_patience=3 and lr_patience=10.*before the learning rate can fall"
    ) as caught:
        Recipe(lr_patience=10, stop_patience=3)
    assert caught[0].filename == __file__


@pytest.mark.parametrize("values", [{}, {"lr_patience": 10, "stop_patience": None}, {"stop_patience": 3, **COSINE}])
def test_other_patience_is_no_reason_to_warn(values):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Recipe(**values)
