"""What a seed decides, and which epoch is the best: places that tests/mutate.py breaks and few other tests watch."""

import dataclasses

import numpy as np
import pytest
from small_runs import NO_PROGRESS, QUICK, TINY, replace_step, small_digits, train_nothing

from mixer_lib import build_classifier, load_run, train
from mixer_lib.compat import reseed, seed_generators


@pytest.fixture(scope="module")
def data():
    return small_digits()


def watched(patch, folder, data, seed):
    """The first weights of a run, and the labels of its first batch."""
    seen = []

    def make_step(model, step):
        def call(images, labels):
            seen.append(([np.array(w) for w in model.get_weights()], labels.tolist()))
            return NO_PROGRESS

        return call

    with patch.context() as own:
        replace_step(own, make_step)
        train(TINY, data, folder, 1, seed, QUICK)
    return seen[0]


def test_the_seed_decides_first_weights_and_order_and_nothing_else_does(data, tmp_path, monkeypatch):
    runs = {name: watched(monkeypatch, tmp_path / name, data, seed) for name, seed in (("a", 0), ("b", 0), ("c", 1))}
    same = [np.array_equal(one, other) for one, other in zip(runs["a"][0], runs["b"][0], strict=True)]
    assert all(same) and runs["a"][1] == runs["b"][1]
    assert any(not np.array_equal(one, other) for one, other in zip(runs["a"][0], runs["c"][0], strict=True))
    assert runs["a"][1] != runs["c"][1]


@pytest.mark.parametrize("name", ["x_train", "y_train", "x_test", "y_test"])
def test_the_fingerprint_is_of_all_four_arrays(name, data):
    array = getattr(data, name)
    changed = array.copy()
    changed.flat[0] = array.flat[-1] + 1 if array.flat[-1] < 9 else 0
    assert (dataclasses.replace(data, **{name: changed}, fingerprint="").fingerprint == data.fingerprint) == (
        array.flat[0] == changed.flat[0]
    )


def test_the_card_has_the_scores_of_the_first_epoch_with_the_lowest_validation_loss(data, tmp_path, monkeypatch):
    train_nothing(monkeypatch)
    losses = iter([3.0, 1.0, 1.0, 2.0, 9.0])  # four epochs, then the test of the last weights
    scores = iter([0.1, 0.2, 0.3, 0.4, 0.5])
    monkeypatch.setitem(
        train.__globals__, "evaluate", lambda *_: {"loss": next(losses), "top1": next(scores), "top5": 0.7}
    )
    card = train(TINY, data, tmp_path, 4, 0, QUICK)
    assert (card.best_epoch, card.val_top1, card.top1_last) == (2, 0.2, 0.5)


def test_every_layer_that_draws_has_draws_of_its_own():
    model = build_classifier(TINY)
    reseed(model, 0, 1)
    states = [tuple(np.asarray(generator.state).tolist()) for generator in seed_generators(model)]
    assert len(set(states)) == len(states) > 3
    reseed(model, 0, 2)
    assert states[0] != tuple(np.asarray(seed_generators(model)[0].state).tolist())


def test_a_run_leaves_the_weights_of_its_best_epoch_and_not_its_last_ones(data, tmp_path, monkeypatch):
    def make_step(model, step):
        def call(images, labels):
            for weight in model.trainable_weights:
                weight.assign_add(np.ones(weight.shape, "float32"))
            return NO_PROGRESS

        return call

    replace_step(monkeypatch, make_step)
    losses = iter([1.0, 2.0, 9.0])  # two epochs of four steps, then the test of the last weights
    scores = {"top1": 0.5, "top5": 0.7}
    monkeypatch.setitem(train.__globals__, "evaluate", lambda *_: {"loss": next(losses), **scores})
    train(TINY, data, tmp_path, 2, 0, QUICK)
    model, _ = load_run(tmp_path)
    assert np.array_equal(model.get_layer("head").get_weights()[1], np.full(10, 4.0))
