"""Evaluation: the same numbers as Keras's metrics and as counting by hand; predictions for any picture."""

import dataclasses

import keras
import numpy as np
import pytest
from PIL import Image
from small_models import TINY, random_images, randomize

from mixer_lib import build_classifier, evaluate, load_dataset, load_pretrained, predict
from mixer_lib.evaluation import compute_logits, rank_of_right, score_logits, softmax

CLASSES = 12
CONFIG = dataclasses.replace(TINY, num_blocks=1, num_classes=CLASSES)


@pytest.fixture(scope="module")
def images():
    return random_images(57)


@pytest.fixture(scope="module")
def labels():
    return np.random.default_rng(1).integers(0, CLASSES, 57)


@pytest.fixture(scope="module")
def model(images):
    return randomize(build_classifier(CONFIG, adapt_to=images), scale=0.5)


# --- evaluate -------------------------------------------------------------------------------------


def test_evaluate_agrees_with_the_metrics_of_keras(model, images, labels):
    logits = np.asarray(model(images))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    metrics = {
        "top1": keras.metrics.SparseCategoricalAccuracy(),
        "top5": keras.metrics.SparseTopKCategoricalAccuracy(5),
    }
    expected = {"loss": float(loss(labels, logits))}
    for name, metric in metrics.items():
        metric.update_state(labels, logits)
        expected[name] = float(metric.result())
    found = evaluate(model, images, labels)
    assert set(found) == {"loss", "top1", "top5"}
    assert found == pytest.approx(expected, rel=1e-5)
    assert 0 < found["top1"] < found["top5"] < 1


def test_scores_are_those_counted_by_hand():
    logits = np.array([[3, 2, 1, 0, -1, -2], [0, 1, 2, 3, 4, 5], [5, 0, 4, 1, 3, 2]], "float32")
    labels = np.array([0, 0, 4])  # ranks 1, 6 and 3
    found = score_logits(logits, labels)
    assert found["top1"] == pytest.approx(1 / 3)
    assert found["top5"] == pytest.approx(2 / 3)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert found["loss"] == pytest.approx(-np.log(shares[[0, 1, 2], labels]).mean(), rel=1e-6)


def test_a_tie_is_no_hit_whether_two_some_or_all_logits_are_equal():
    logits = np.array([[7, 7, 0, 0, 0, 0], [7, 7, 7, 7, 7, 0], [7, 7, 7, 7, 7, 7], [7, 6, 6, 6, 6, 6]], "float32")
    assert rank_of_right(logits, np.zeros(4, int)).tolist() == [1, 4, 5, 0]
    found = score_logits(logits, np.zeros(4, int))
    assert (found["top1"], found["top5"]) == (0.25, 0.75)
    overflown = np.float32([[np.inf, np.inf, 10]])
    assert score_logits(overflown, np.array([0]))["top1"] == 0
    assert rank_of_right(np.float32([[1e8 + 1, 1e8, 0]]), np.array([0])).tolist() == [1]  # one float32 number


def test_a_fresh_model_with_a_zero_head_has_no_hit_and_with_four_classes_top_5_is_everything(images):
    fresh = build_classifier(dataclasses.replace(CONFIG, zero_head=True))
    found = evaluate(fresh, images, np.zeros(57, int))
    assert (found["top1"], found["top5"]) == (0, 0)
    few = build_classifier(dataclasses.replace(CONFIG, num_classes=4, zero_head=True))
    assert (evaluate(few, images, np.zeros(57, int))["top1"], evaluate(few, images, np.zeros(57, int))["top5"]) == (
        0,
        1,
    )


def test_huge_logits_do_not_overflow():
    assert score_logits(np.array([[1e4, 0.0, -1e4]]), np.array([1]))["loss"] == pytest.approx(1e4)
    assert softmax(np.array([1e4, 0.0])).tolist() == [1, 0]


def test_logits_that_are_no_numbers_count_as_misses():
    logits = np.full((4, 6), np.nan)
    logits[0] = [9, 0, 0, 0, 0, 0]
    logits[1] = [9, np.nan, 0, 0, 0, 0]
    logits[2] = [np.inf, 0, 0, 0, 0, 0]
    found = score_logits(logits, np.zeros(4, int))
    assert (found["top1"], found["top5"]) == (0.25, 0.25)
    assert not np.isfinite(found["loss"])


@pytest.mark.parametrize("batch_size", [10, 56, 57, 58])
def test_the_size_of_the_batches_does_not_change_the_logits(model, images, batch_size):
    expected = np.asarray(model(images))
    found = compute_logits(model, images, batch_size)
    assert found.shape == (57, CLASSES) and found.dtype == np.float32
    assert np.allclose(found, expected, atol=1e-5)


@pytest.fixture(scope="module")
def published():
    """A published model, pictures that it was tested on, and their labels."""
    data = load_dataset("digits")
    return load_pretrained("article-digits")[0], data.x_test, data.y_test


@pytest.mark.parametrize("batch_size", [1, 64, 364])
def test_the_size_of_the_batches_does_not_change_how_many_answers_are_right(published, batch_size):
    model, images, labels = published
    images, labels = images[-100:], labels[-100:]
    usual = compute_logits(model, images)
    found = compute_logits(model, images, batch_size)
    assert np.abs(found - usual).max() < 1e-5 * np.abs(usual).max()
    one, other = score_logits(found, labels), score_logits(usual, labels)
    assert (one["top1"], one["top5"]) == (other["top1"], other["top5"])
    assert one["loss"] == pytest.approx(other["loss"], rel=1e-5)


def test_a_picture_by_itself_gets_what_it_gets_among_others(published):
    model, images, _ = published
    among = predict(model, images[:8], k=10)
    for picture, expected in zip(images[:8], among, strict=True):
        (alone,) = predict(model, picture, k=10)
        assert alone[0][0] == expected[0][0]
        assert dict(alone) == pytest.approx(dict(expected), rel=1e-4, abs=1e-7)


def test_labels_may_come_as_a_column(model, images, labels):
    assert evaluate(model, images, labels[:, None]) == evaluate(model, images, labels)  # and it repeats exactly


def test_images_without_labels_and_labels_out_of_range_are_refused(model, images, labels):
    with pytest.raises(ValueError, match="57 images and 56 labels"):
        evaluate(model, images, labels[:-1])
    with pytest.raises(ValueError, match=r"Received: uint8 \(0, 8, 8, 3\)"):
        evaluate(model, images[:0], labels[:0])
    with pytest.raises(ValueError, match="from 0 to 11 .*12 classes.*to 12"):
        evaluate(model, images, np.full(57, 12))
    with pytest.raises(ValueError, match="labels from -1"):
        evaluate(model, images, np.full(57, -1))


# --- predict --------------------------------------------------------------------------------------


def test_predict_gives_the_k_most_probable_classes_in_order(model, images):
    chances = softmax(np.asarray(model(images), "float64"))
    found = predict(model, images, k=3)
    assert len(found) == 57
    for row, guesses in zip(chances, found, strict=True):
        best = np.sort(row)[::-1][:3]
        assert [chance for _, chance in guesses] == pytest.approx(best, rel=1e-4)
        assert [row[number] for number, _ in guesses] == pytest.approx(best, rel=1e-4)


def test_the_probabilities_of_all_classes_add_up_to_one(model, images):
    for guesses in predict(model, images[:5], k=CLASSES):
        assert sum(chance for _, chance in guesses) == pytest.approx(1, abs=1e-5)
        assert sorted(number for number, _ in guesses) == list(range(CLASSES))


def test_names_take_the_place_of_numbers(model, images):
    names = [f"class {i}" for i in range(CLASSES)]
    (numbers,), (named,) = predict(model, images[:1]), predict(model, images[:1], class_names=names)
    assert len(numbers) == 5
    assert named == [(names[number], chance) for number, chance in numbers]


@pytest.fixture
def folder(tmp_path, images):
    for i in range(3):
        Image.fromarray(images[i]).save(tmp_path / f"{i}.png")
    (tmp_path / "notes.txt").write_text("not a picture")
    return tmp_path


def assert_same_guesses(found, expected):
    assert len(found) == len(expected)
    for one, two in zip(found, expected, strict=True):
        assert [number for number, _ in one] == [number for number, _ in two]
        assert [chance for _, chance in one] == pytest.approx([chance for _, chance in two], rel=1e-4)


@pytest.mark.filterwarnings("ignore:.*skipped, since they are none. notes.txt")
def test_files_lists_and_folders_give_what_their_arrays_give(model, images, folder):
    expected = predict(model, images[:3])
    assert_same_guesses(predict(model, folder), expected)
    assert_same_guesses(predict(model, str(folder)), expected)
    assert_same_guesses(predict(model, [folder / f"{i}.png" for i in range(3)]), expected)
    assert_same_guesses(predict(model, folder / "1.png"), expected[1:2])


@pytest.mark.parametrize("k", [0, -1, 13, 2.5, "5", True, None])
def test_a_k_that_is_not_from_1_to_the_number_of_classes_is_refused(model, images, k):
    with pytest.raises(ValueError, match=f"k must be .*Received: {k!r}"):
        predict(model, images, k=k)


def test_names_must_be_as_many_as_classes(model, images):
    with pytest.raises(ValueError, match="all 12 classes. Received: 2 names"):
        predict(model, images, class_names=["a", "b"])


@pytest.mark.parametrize("shape", [(57, 9, 8, 3), (8, 8), (0, 8, 8, 3), (2, 8, 8, 1)])
def test_arrays_of_another_shape_are_refused_with_both_shapes_named(model, shape):
    with pytest.raises(ValueError, match=r"\(N, 8, 8, 3\).*Received: uint8 \(" + str(shape)[1:-1]):
        predict(model, np.zeros(shape, "uint8"))


@pytest.mark.filterwarnings("ignore:.*skipped, since they are none. notes.txt")
def test_files_that_are_no_pictures_or_not_there_are_refused_by_name(model, folder, tmp_path_factory):
    with pytest.raises(ValueError, match="notes.txt can't be read as a picture"):
        predict(model, folder / "notes.txt")
    with pytest.raises(ValueError, match="missing.png can't be read as a picture"):
        predict(model, folder / "missing.png")
    (folder / "half.png").write_bytes((folder / "0.png").read_bytes()[:60])
    with pytest.raises(ValueError, match="half.png can't be read"):
        predict(model, folder)
    with pytest.raises(ValueError, match="holds no pictures"):
        predict(model, tmp_path_factory.mktemp("empty"))
    with pytest.raises(ValueError, match="Keep at least one image"):
        predict(model, [])
