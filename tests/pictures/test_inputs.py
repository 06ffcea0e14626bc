"""What `predict` and `evaluate` take for pictures and labels, what they warn of, and what they refuse."""

import dataclasses
import warnings

import numpy as np
import pytest
from PIL import Image
from small_models import TINY, random_images, randomize

from mixer_lib import build_classifier, evaluate, predict
from mixer_lib.pictures import read

IMAGES = random_images(6)
LABELS = np.array([0, 1, 2, 2, 1, 0])


@pytest.fixture(scope="module")
def model():
    return randomize(build_classifier(dataclasses.replace(TINY, num_blocks=1), adapt_to=IMAGES))


def silent(function, *arguments, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return function(*arguments, **options)


def assert_same(found, expected):
    assert [[number for number, _ in one] for one in found] == [[number for number, _ in one] for one in expected]
    for one, other in zip(found, expected, strict=True):
        assert [chance for _, chance in one] == pytest.approx([chance for _, chance in other], rel=1e-4)


# --- pictures -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        (lambda x: x / 255, "from 0 to 1"),
        (lambda x: (x / 127.5 - 1).astype("float16"), "from -1 to 1"),
        (lambda x: x.astype("float64") * 257, "to 6.554e"),
        (lambda x: x.astype("int16") - 128, "from -128 to 127"),
    ],
    ids=["0..1", "-1..1", "16 bits", "shifted"],
)
def test_pictures_on_another_scale_are_warned_about_with_the_range_seen_and_meant(model, change, seen):
    images = IMAGES.copy()
    images[0, 0, 0] = 0, 255, 255
    for ask in (lambda x: predict(model, x, k=2), lambda x: evaluate(model, x, LABELS)):
        with pytest.warns(UserWarning, match=rf"run {seen}|run from .*{seen}") as caught:
            ask(change(images))
        assert "takes 0-255" in str(caught[0].message)
        assert caught[0].filename == __file__


@pytest.mark.parametrize(
    "images",
    [IMAGES // 200, IMAGES * 0, IMAGES * 0.0, IMAGES.astype("float32"), IMAGES.astype("int64")],
    ids=["dark", "black", "black floats", "floats", "integers"],
)
def test_dark_pictures_and_whole_floats_are_no_reason_to_warn(model, images):
    silent(predict, model, images, k=2)
    silent(evaluate, model, images, LABELS)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_pictures_with_nan_or_infinity_are_refused_by_number(model, bad):
    images = IMAGES.astype("float32")
    images[4, 2, 1, 0] = bad
    for ask in (lambda x: predict(model, x, k=2), lambda x: evaluate(model, x, LABELS)):
        with pytest.raises(ValueError, match="Picture 4 holds NaN or infinity"):
            ask(images)


def test_what_holds_no_numbers_is_refused(model):
    with pytest.raises(ValueError, match="numbers from 0 to 255. Received: <U"):
        predict(model, IMAGES.astype(str), k=2)
    with pytest.raises(ValueError, match="arrays of one size"):
        predict(model, [IMAGES[0], IMAGES[1, :4]], k=2)


def test_a_pil_picture_and_a_list_of_them_are_taken_as_files_are(model, tmp_path):
    pictures = [Image.fromarray(random_images(1, side=64, seed=i)[0]) for i in range(3)]
    for i, picture in enumerate(pictures):
        picture.save(tmp_path / f"{i}.png")
    expected = predict(model, tmp_path, k=3)
    assert_same(predict(model, pictures, k=3), expected)
    assert_same(predict(model, pictures[1], k=3), expected[1:2])
    assert_same(predict(model, [pictures[0], tmp_path / "1.png"], k=3), expected[:2])
    assert pictures[0].size == (64, 64)
    assert evaluate(model, pictures, LABELS[:3])["top1"] == evaluate(model, tmp_path, LABELS[:3])["top1"]


def test_every_result_says_which_file_it_belongs_to(model, tmp_path):
    for name in ("b.png", "a.tiff", "c.JPG"):
        Image.fromarray(IMAGES[0]).save(tmp_path / name)
    assert [found.file for found in predict(model, tmp_path, k=1)] == [
        tmp_path / n for n in ("a.tiff", "b.png", "c.JPG")
    ]
    assert [found.file for found in predict(model, [tmp_path / "b.png", Image.fromarray(IMAGES[1])], k=1)] == [
        tmp_path / "b.png",
        None,
    ]
    assert [found.file for found in predict(model, IMAGES[:2], k=1)] == [None, None]


def test_what_is_no_picture_in_a_folder_is_named_and_what_a_system_left_is_not(model, tmp_path):
    Image.fromarray(IMAGES[0]).save(tmp_path / "a.png")
    for name in ("._a.png", ".DS_Store", "Thumbs.db"):
        (tmp_path / name).write_bytes(b"x")
    assert len(silent(predict, model, tmp_path, k=1)) == 1
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "more").mkdir()
    with pytest.warns(
        UserWarning, match="1 pictures of .* are read; skipped, since they are none: more, notes.txt"
    ) as caught:
        predict(model, tmp_path, k=1)
    assert caught[0].filename == __file__


def test_a_heic_photograph_is_read_where_pillow_heif_is_installed(model, tmp_path):
    heif = pytest.importorskip("pillow_heif", reason="needs pillow-heif")
    photograph = Image.fromarray(np.full((64, 64, 3), (200, 30, 90), "uint8"))
    heif.from_pillow(photograph).save(tmp_path / "IMG_0001.HEIC", quality=95)
    assert np.abs(read.read_picture(tmp_path / "IMG_0001.HEIC", 8).astype(int) - (200, 30, 90)).max() <= 6
    assert_same(silent(predict, model, tmp_path, k=1), predict(model, photograph, k=1))


def test_a_heic_photograph_is_named_with_the_extra_where_it_is_not(model, tmp_path, monkeypatch):
    monkeypatch.setattr(read, "has_heic", lambda: False)
    (tmp_path / "IMG_0001.HEIC").write_bytes(b"x")
    Image.fromarray(IMAGES[0]).save(tmp_path / "a.png")
    with pytest.warns(UserWarning, match=r"skipped.*IMG_0001.HEIC.*pip install pillow-heif"):
        assert len(predict(model, tmp_path, k=1)) == 1
    with pytest.raises(ValueError, match=r"IMG_0001.HEIC can't be read.*pip install pillow-heif"):
        predict(model, tmp_path / "IMG_0001.HEIC", k=1)


def test_a_tiff_of_several_pages_is_refused(tmp_path):
    page = Image.fromarray(IMAGES[0])
    page.save(tmp_path / "scan.tiff", save_all=True, append_images=[page])
    with pytest.raises(ValueError, match="scan.tiff can't be read as a picture: it has several pages, with 2 frames"):
        read.read_picture(tmp_path / "scan.tiff", 8)


def test_a_home_folder_is_found_by_its_short_name(model, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    Image.fromarray(IMAGES[0]).save(tmp_path / "a.png")
    for place in ("~", "~/a.png", ["~/a.png"]):
        assert [found.file for found in predict(model, place, k=1)] == [tmp_path / "a.png"]


# --- labels ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "labels",
    [LABELS.astype("float32"), LABELS[:, None], np.eye(3)[LABELS], np.eye(3, dtype=bool)[LABELS], LABELS.tolist()],
    ids=["whole floats", "column", "one-hot", "one-hot booleans", "list"],
)
def test_whole_floats_columns_and_one_hot_rows_are_taken_as_numbers(model, labels):
    assert evaluate(model, IMAGES, labels) == evaluate(model, IMAGES, LABELS)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (LABELS + 0.5, "whole numbers from 0 to 2, or one-hot rows of 3. Received: 0.5"),
        (np.where(LABELS == 2, np.nan, LABELS), "Received: nan"),
        (["cat"] * 6, "Received: <U3. Use the place of each name: "),
        (np.full((6, 3), 1 / 3), "one 1 in each"),
        (np.ones((6, 3), int), "one 1 in each"),
        (np.zeros((6, 2), int), r"6 images and labels \(6, 2\)"),
        (LABELS[:5], "6 images and 5 labels"),
    ],
    ids=["fractions", "nan", "names", "soft", "several", "two columns", "too few"],
)
def test_other_labels_are_refused_with_the_rule(model, labels, said):
    with pytest.raises(ValueError, match=said):
        evaluate(model, IMAGES, labels)
