"""A run depends on its seed and arguments alone, and leaves the process as it was."""

import logging
import os
import random
import threading
import warnings

import keras
import matplotlib
import numpy as np
import pytest
from small_models import random_images
from small_runs import QUICK, REQUESTED, TINY, outcome, small_digits, train_nothing

from mixer_lib import build_classifier, evaluate, export, figures, load_pretrained, predict, train
from mixer_lib.compat import KERAS_3, first_weights, keras_seeds, seed_generators, standard_settings
from mixer_lib.models.cnn import CnnConfig
from mixer_lib.models.convmixer import ConvMixerConfig


def state_of_the_process():
    """What a program may have set, and what others in it draw from."""
    kept = {
        "python": random.getstate(),
        "numpy": str(np.random.get_state()),
        "floatx": keras.backend.floatx(),
        "data format": keras.backend.image_data_format(),
        "epsilon": keras.backend.epsilon(),
        "policy": getattr(keras.mixed_precision.global_policy(), "name", None),
        "warnings": list(warnings.filters),
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "figures": dict(matplotlib.rcParams),
        "logging": (logging.root.level, list(logging.root.handlers), logging.getLogger("absl").level),
        "keras": keras_seeds.python_random if KERAS_3 else keras_seeds._SEED_GENERATOR,
    }
    if keras.backend.backend() == "tensorflow":
        from tensorflow.python.eager import context

        kept["tensorflow"] = context.global_seed()
    return kept


@pytest.fixture(scope="module")
def data():
    return small_digits()


@pytest.fixture(scope="module")
def plain_run(data, tmp_path_factory):
    """What the run is like in a process that has set nothing."""
    folder = tmp_path_factory.mktemp("plain")
    train(TINY, data, folder, **REQUESTED)
    return outcome(folder)


def test_a_run_leaves_every_global_setting_and_generator_as_it_was(data, tmp_path):
    before = state_of_the_process()
    train(TINY, data, tmp_path, **REQUESTED)
    assert state_of_the_process() == before


def test_loading_evaluating_predicting_and_drawing_do_too():
    before = state_of_the_process()
    model, _ = load_pretrained("article-digits")
    images = random_images(6, side=32)
    evaluate(model, images, np.arange(6))
    figures.top_k_bars(images[0], predict(model, images[:1])[0])
    matplotlib.pyplot.close("all")
    assert state_of_the_process() == before


@pytest.mark.parametrize("suffix", [".onnx", ".tflite", ".safetensors"])
def test_exporting_does_too(suffix, tmp_path):
    if suffix != ".safetensors" and not KERAS_3:
        pytest.skip("only on Keras 3")
    model, card = load_pretrained("article-digits")
    before = state_of_the_process()
    export(model, tmp_path / f"model{suffix}", card)
    assert state_of_the_process() == before


def test_a_random_search_around_runs_draws_other_values_in_each_trial(data, tmp_path, monkeypatch):
    train_nothing(monkeypatch)
    drawn = []
    for trial in range(3):
        drawn.append((random.random(), np.random.random()))
        train(TINY, data, tmp_path / str(trial), 1, seed=0, recipe=QUICK)
    assert len({first for first, _ in drawn}) == len({second for _, second in drawn}) == 3


def test_what_another_thread_draws_meanwhile_changes_nothing():
    with first_weights(5):
        expected = build_classifier(TINY).get_weights()
    stop = threading.Event()

    def draw():
        while not stop.is_set():
            random.random()

    thread = threading.Thread(target=draw)
    thread.start()
    try:
        with first_weights(5):
            random.random()  # this thread's own draw does not count either
            found = build_classifier(TINY).get_weights()
    finally:
        stop.set()
        thread.join()
    assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))


def test_the_first_weights_are_those_after_set_random_seed():
    keras.utils.set_random_seed(5)
    usual = build_classifier(TINY).get_weights()
    with first_weights(5):
        found = build_classifier(TINY).get_weights()
    assert all(np.array_equal(one, other) for one, other in zip(found, usual, strict=True))
    with first_weights(6):
        other = build_classifier(TINY).get_weights()
    assert not all(np.array_equal(one, two) for one, two in zip(found, other, strict=True))


SETTINGS = {
    "floatx": lambda: keras.backend.set_floatx("float16"),
    "double": lambda: keras.backend.set_floatx("float64"),
    "data format": lambda: keras.backend.set_image_data_format("channels_first"),
    "epsilon": lambda: keras.backend.set_epsilon(0.1),
    "policy": lambda: keras.mixed_precision.set_global_policy("mixed_float16" if KERAS_3 else "mixed_bfloat16"),
    "seeds": lambda: (random.seed(3), np.random.seed(3)),
}


@pytest.fixture
def default_settings():
    with standard_settings():
        yield


@pytest.mark.parametrize("name", SETTINGS)
def test_what_a_program_has_set_in_keras_changes_no_bit_of_a_run(name, data, tmp_path, plain_run, default_settings):
    SETTINGS[name]()
    before = state_of_the_process()
    train(TINY, data, tmp_path, **REQUESTED)
    assert outcome(tmp_path) == plain_run
    assert state_of_the_process() == before


@pytest.mark.parametrize("name", ["floatx", "data format", "epsilon", "policy"])
def test_nor_does_it_change_a_published_model(name, default_settings):
    images = random_images(6, side=32)
    expected = predict(load_pretrained("article-digits")[0], images)
    SETTINGS[name]()
    assert predict(load_pretrained("article-digits")[0], images) == expected


def test_a_model_with_half_precision_as_floatx_is_augmented_in_training(default_settings):
    keras.backend.set_floatx("float16")
    model = build_classifier(TINY)
    assert model(random_images(2), training=True).shape == (2, 10)
    assert seed_generators(model)


def test_the_working_folder_may_change_while_a_run_goes_on(data, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    usual = train.__globals__["fit"]

    def fit(*arguments):
        monkeypatch.chdir(tmp_path / "elsewhere")
        return usual(*arguments)

    monkeypatch.setitem(train.__globals__, "fit", fit)
    train(TINY, data, "run", 1, recipe=QUICK)
    assert (tmp_path / "run" / "card.json").is_file()
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize("config", [ConvMixerConfig(8, 4, 1, 6, 10), CnnConfig(8, (4, 6), num_classes=10)])
def test_channels_come_last_in_every_model_whatever_a_program_has_set(config, default_settings):
    images = random_images(3)
    with first_weights(2):
        expected = np.asarray(build_classifier(config)(images))
    keras.backend.set_image_data_format("channels_first")
    with first_weights(2):
        assert np.array_equal(np.asarray(build_classifier(config)(images)), expected)
