"""What `evaluate`, `predict` and `export` advise works, as in test_advice.py; what gets a wrong score is refused."""

import re
import warnings

import keras
import numpy as np
import PIL.Image
import pytest
from small_models import TINY, random_images

from mixer_lib import build_classifier, evaluate, export, predict
from mixer_lib.analysis.probes import occlusion
from mixer_lib.compat import first_weights

IMAGES, LABELS = random_images(6), np.array([0, 1, 2, 0, 1, 2])
NAMES = ("cat", "dog", "emu")


@pytest.fixture(scope="module")
def model():
    with first_weights(1):
        return build_classifier(TINY, adapt_to=IMAGES)


def refusal(act):
    with pytest.raises(ValueError) as refused:
        act()
    return str(refused.value)


def advised(message, **values):
    """What the last piece of Python in a message gives."""
    return eval(re.findall(r"`([^`]+)`", message)[-1], {"np": np, "PIL": PIL, **values})


SOFT = np.eye(3)[LABELS] * 0.8 + 0.05


@pytest.mark.parametrize(
    "labels", [LABELS + 1, LABELS.astype(object), np.array(NAMES)[LABELS], SOFT], ids=lambda v: v.dtype
)
def test_advice_about_labels_leads_to_those_that_are_meant(model, labels):
    mended = advised(refusal(lambda: evaluate(model, IMAGES, labels)), labels=labels, class_names=NAMES)
    assert evaluate(model, IMAGES, mended) == evaluate(model, IMAGES, LABELS)


def test_advice_about_booleans_leads_to_classes_0_and_1(model):
    mended = advised(refusal(lambda: evaluate(model, IMAGES, LABELS > 0)), labels=LABELS > 0)
    assert evaluate(model, IMAGES, mended) == evaluate(model, IMAGES, np.minimum(LABELS, 1))


@pytest.mark.parametrize(
    ("labels", "part"),
    [
        (LABELS.reshape(2, 3), "6 images and labels (2, 3)"),
        (LABELS.reshape(3, 2), "6 images and labels (3, 2)"),
        (np.eye(3)[LABELS].T, "6 images and labels (3, 6)"),
        ("labels.npy", "Load it first"),
        (None, "Received: NoneType. Give one class number for each image"),
        (1, "6 images and labels ()"),
    ],
)
def test_labels_of_another_kind_are_refused_and_no_conversion_is_advised(model, labels, part):
    message = refusal(lambda: evaluate(model, IMAGES, labels))
    assert part in message and "`" not in message


LARGE = random_images(6, side=16)
MIXED = [LARGE[0], IMAGES[1], PIL.Image.fromarray(LARGE[2])]
AS_SEEN = [PIL.Image.fromarray(image) for image in LARGE]
GIVEN = {  # what is given, and what is meant
    "grey": (IMAGES[..., 0], np.repeat(IMAGES[..., :1], 3, axis=3)),
    "grey with its axis": (IMAGES[..., :1], np.repeat(IMAGES[..., :1], 3, axis=3)),
    "transparency": (np.concatenate([IMAGES, IMAGES[..., :1]], axis=3), IMAGES),
    "channels first": (np.moveaxis(IMAGES, 3, 1), IMAGES),
    "larger": (LARGE, AS_SEEN),
    "one larger": (LARGE[0], AS_SEEN[:1]),
    "several sizes": (MIXED, [AS_SEEN[0], PIL.Image.fromarray(IMAGES[1]), AS_SEEN[2]]),
}


@pytest.mark.parametrize("name", GIVEN)
def test_advice_about_pictures_leads_to_those_that_are_meant(model, name):
    given, meant = GIVEN[name]
    if name == "one larger":
        given = given[None]
    mended = advised(refusal(lambda: predict(model, given)), images=given)
    assert predict(model, mended) == predict(model, meant)


def test_files_in_an_array_become_a_list_of_them(model, tmp_path):
    AS_SEEN[0].save(tmp_path / "a.png")
    files = np.array([str(tmp_path / "a.png")])
    assert predict(model, advised(refusal(lambda: predict(model, files)), images=files)) == predict(model, AS_SEEN[:1])


SCALED = {
    "0 to 1": (IMAGES / 255, 1e-3),
    "16 bits": (IMAGES.astype("uint16") * 257, 0),
    "-1 to 1": (IMAGES / 127.5 - 1, 1e-3),
}


@pytest.mark.parametrize("name", SCALED)
def test_advice_about_the_scale_of_pictures_leads_to_those_that_are_meant(model, name):
    given, _ = SCALED[name]
    with pytest.warns(UserWarning, match="the model takes 0-255") as warned:
        predict(model, given)
    mended = advised(str(warned[0].message), images=given)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.abs(mended.astype(int) - IMAGES).max() <= 1 and predict(model, mended)


def test_standardized_pictures_are_warned_of_without_a_conversion(model):
    with pytest.warns(UserWarning, match=r"run from .* Undo what scaled them\.$"):
        predict(model, (IMAGES - 127.0) / 50)


@pytest.mark.parametrize("names", ["cat", {"a", "b", "c"}, {0: "a", 1: "b", 2: "c"}, ["a", "a", "b"], ["a", "b"]])
def test_names_without_an_order_or_twice_are_refused_alike(model, names, tmp_path):
    message = refusal(lambda: predict(model, IMAGES, 3, names))
    assert message.startswith("class_names must name")
    assert refusal(lambda: export(model, tmp_path / "model.safetensors", class_names=names)) == message
    assert not list(tmp_path.iterdir())


def test_names_may_come_one_after_another(model):
    assert predict(model, IMAGES, 3, iter(NAMES)) == predict(model, IMAGES, 3, NAMES)


def test_the_usual_number_of_guesses_is_all_where_there_are_fewer_classes(model):
    assert [len(found) for found in predict(model, IMAGES)] == [3] * 6
    assert "from 1 to 3" in refusal(lambda: predict(model, IMAGES, k=4))


@pytest.mark.parametrize("act", [lambda m: evaluate(m, IMAGES, LABELS), lambda m: predict(m, IMAGES)])
def test_what_is_no_classifier_is_refused_and_the_model_of_a_pair_works(model, act, tmp_path):
    pair = (model, "its card")
    assert act(advised(refusal(lambda: act(pair)), model=pair))
    assert "Take one from load_pretrained" in refusal(lambda: act("article"))
    table = keras.Sequential([keras.layers.Dense(3)])
    table.build((None, 4, 2))
    assert "output (None, 4, 3)" in refusal(lambda: act(table))


def broken(scale):
    model = build_classifier(TINY)
    head = model.get_layer("head")
    head.set_weights([weight * np.float32(scale) + np.float32(scale) for weight in head.get_weights()])
    return model


def test_logits_that_are_no_numbers_make_no_guess_and_no_file(tmp_path):
    model = broken(np.nan)
    assert "picture 0 are NaN or infinite" in refusal(lambda: predict(model, IMAGES))
    assert evaluate(model, IMAGES, LABELS)["top5"] == 0
    assert "hold NaN or infinity" in refusal(lambda: export(model, tmp_path / "model.safetensors"))
    assert not list(tmp_path.iterdir())


def test_a_model_that_gives_probabilities_is_warned_of_and_without_its_softmax_it_is_right(model):
    with_softmax = keras.Sequential([model, keras.layers.Softmax()])
    with pytest.warns(UserWarning, match="Leave its softmax out"):
        wrong = evaluate(with_softmax, IMAGES, LABELS)
    fresh = build_classifier(TINY)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert evaluate(model, IMAGES, LABELS)["loss"] != pytest.approx(wrong["loss"], abs=1e-3)
        evaluate(fresh, IMAGES[:1] * 0 + 7, LABELS[:1])


def test_only_one_picture_is_covered_patch_by_patch(model):
    assert "Received: 6" in refusal(lambda: occlusion(model, IMAGES))
    assert occlusion(model, IMAGES[0])[1].shape == (4, 4)


def test_a_card_that_is_none_is_refused(model, tmp_path):
    assert "card must be a RunResult" in refusal(lambda: export(model, tmp_path / "a.safetensors", card={"top1": 1}))
