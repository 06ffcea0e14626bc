"""Mixup, CutMix, random erasing and label smoothing on a batch of pictures."""

import numpy as np
import pytest

from mixer_lib import Recipe
from mixer_lib.regularization import erase, make_batch, mix

COUNT, SIDE = 400, 16
IMAGES = np.repeat(np.arange(COUNT) % 2 * 200, SIDE * SIDE * 3).reshape(COUNT, SIDE, SIDE, 3).astype("uint8")
LABELS = np.arange(COUNT) % 2
TARGETS = np.eye(2, dtype="float32")[LABELS]  # class 1 is the bright pictures: brightness / 200 is its share


def drawn(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize(
    "share", [{"mixup": 1.0, "cutmix": 0.0}, {"mixup": 0.0, "cutmix": 1.0}, {"mixup": 0.5, "cutmix": 0.5}]
)
def test_a_label_is_mixed_as_its_picture_is(share):
    images, targets = mix(IMAGES, TARGETS, **share, draw=drawn())
    assert images.dtype == np.uint8
    np.testing.assert_allclose(images.mean(axis=(1, 2, 3)) / 200, targets[:, 1], atol=0.003)
    np.testing.assert_allclose(targets.sum(axis=1), 1, atol=1e-6)
    assert (
        0.2 < np.mean((targets[:, 1] > 0.01) & (targets[:, 1] < 0.99)) < 0.7
    )  # half of the partners are of the same class


def test_mixup_blends_whole_pictures_and_cutmix_pastes_a_box():
    blended, _ = mix(IMAGES, TARGETS, 1.0, 0.0, drawn())
    assert (np.ptp(blended.reshape(COUNT, -1), axis=1) == 0).all()
    pasted, _ = mix(IMAGES, TARGETS, 0.0, 1.0, drawn())
    assert set(np.unique(pasted)) == {0, 200}
    changed = (pasted != IMAGES)[..., 0]
    for picture in changed[changed.any(axis=(1, 2))]:
        rows, columns = picture.any(axis=1), picture.any(axis=0)
        assert (picture == rows[:, None] & columns[None]).all()


def test_only_the_share_asked_for_is_changed():
    for share in (0.0, 0.25, 1.0):
        changed = (erase(IMAGES, share, drawn()) != IMAGES).any(axis=(1, 2, 3))
        assert changed.mean() == pytest.approx(share, abs=0.06)
    _, targets = mix(IMAGES, TARGETS, 0.25, 0.25, drawn())
    assert np.mean(targets.max(axis=1) < 1) == pytest.approx(
        0.25, abs=0.06
    )  # half of half: partners of the other class
    images, targets = mix(IMAGES, TARGETS, 0.0, 0.0, drawn())
    assert (images == IMAGES).all() and (targets == TARGETS).all()


def test_an_erased_box_has_2_to_33_percent_of_the_picture_where_it_is_whole():
    changed = (erase(IMAGES, 1.0, drawn()) != IMAGES).any(axis=3).mean(axis=(1, 2))
    assert 0.01 < np.median(changed) < 0.33 and changed.max() < 0.36


def test_smoothing_takes_from_the_right_class_and_gives_to_all():
    _, targets = make_batch(Recipe(label_smoothing=0.1), 2, drawn())(IMAGES, LABELS)
    assert targets[0].tolist() == pytest.approx([0.95, 0.05])


def test_without_any_of_it_a_batch_stays_the_very_same():
    images, labels = make_batch(Recipe(), 2, drawn())(IMAGES, LABELS)
    assert images is IMAGES and labels is LABELS


def test_the_draw_alone_decides():
    make = [make_batch(Recipe(mixup=0.5, cutmix=0.5, erasing=0.5), 2, drawn(seed)) for seed in (3, 3, 4)]
    first, again, other = (batch(IMAGES, LABELS)[0] for batch in make)
    assert (first == again).all() and (first != other).any()
