"""Folders as readers have them: a split that is given, copies of a picture, names that are numbers, uneven classes."""

import io
import shutil
import warnings

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits, load_sample_images

from mixer_lib import dataset_from_folder
from mixer_lib.pictures import duplicates
from mixer_lib.pictures.duplicates import COLOUR_LEVELS, HASH_BITS, find_duplicates, group_copies, signature
from mixer_lib.pictures.read import read_picture

PHOTOGRAPHS = [Image.fromarray(array) for array in load_sample_images().images]


def noisy(number, size=(12, 12)):
    return Image.fromarray(np.random.default_rng(number).integers(0, 256, (*size, 3), "uint8"))


def fill(folder, first=0, counts=(6, 6), names=("apple", "banana")):
    """Class folders with pictures of which no two are alike; returns the folder."""
    for name, count in zip(names, counts, strict=True):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            noisy(first + i).save(folder / name / f"{i}.png")
        first += count
    return folder


def told(folder, **options):
    """(data set, all warnings as one text)"""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = dataset_from_folder(folder, 8, **options)
    return found, "\n".join(str(warning.message) for warning in caught)


def both_sides(dataset):
    """The pictures to train on and those to test on, as bytes."""
    return [{picture.tobytes() for picture in pictures} for pictures in (dataset.x_train, dataset.x_test)]


def as_bytes(path):
    return read_picture(path, 8).tobytes()


# --- a split that is given ------------------------------------------------------------------------


@pytest.mark.parametrize("other", ["test", "valid", "val", "Test"])
def test_a_split_that_the_folder_has_is_taken(tmp_path, other):
    fill(tmp_path / "train")
    fill(tmp_path / other, first=50, counts=(2, 3))
    found, said = told(tmp_path)
    assert (found.class_names, said) == (("apple", "banana"), "")
    assert both_sides(found)[0] == {as_bytes(path) for path in (tmp_path / "train").rglob("*.png")}
    assert both_sides(found)[1] == {as_bytes(path) for path in (tmp_path / other).rglob("*.png")}
    assert np.bincount(found.y_test).tolist() == [2, 3]


def test_a_validation_part_is_what_training_validates_on(tmp_path):
    fill(tmp_path / "train")
    fill(tmp_path / "validation", first=50, counts=(3, 1))
    fill(tmp_path / "test", first=70, counts=(1, 1))
    found, _ = told(tmp_path)
    (train, _), (validation, labels) = found.validation_split()
    assert len(train) == 12 and sorted(labels.tolist()) == [0, 0, 0, 1]
    assert {p.tobytes() for p in validation} == {as_bytes(path) for path in (tmp_path / "validation").rglob("*.png")}


def test_classes_that_are_named_like_parts_of_a_split_are_classes(tmp_path):
    found, _ = told(fill(tmp_path, names=("train", "test")))
    assert found.class_names == ("test", "train")


def test_a_class_on_one_side_alone_is_named(tmp_path):
    fill(tmp_path / "train")
    fill(tmp_path / "test", first=50, counts=(2, 2), names=("apple", "cherry"))
    with pytest.raises(ValueError, match="Not in the training part of .*, but in its test part: cherry"):
        dataset_from_folder(tmp_path, 8)
    shutil.rmtree(tmp_path / "test" / "cherry")
    with pytest.raises(ValueError, match="Not in the test part of .*, but in its training part: banana"):
        dataset_from_folder(tmp_path, 8)


def test_a_picture_in_both_parts_is_told_and_not_trained_on(tmp_path):
    fill(tmp_path / "train")
    fill(tmp_path / "test", first=50, counts=(2, 2))
    shutil.copy(tmp_path / "test" / "apple" / "0.png", tmp_path / "train" / "apple" / "again.png")
    noisy(51).resize((24, 24)).save(tmp_path / "train" / "apple" / "larger.png")
    found, said = told(tmp_path)
    assert "again.png shows the same picture as" in said and "1 more" in said and "left out of training" in said
    assert len(found.x_train) == 12 and not both_sides(found)[0] & both_sides(found)[1]


# --- copies ---------------------------------------------------------------------------------------


def test_copies_in_a_class_are_dropped_with_a_count_and_are_never_on_both_sides(tmp_path):
    fill(tmp_path)
    for i in range(10):
        shutil.copy(tmp_path / "apple" / "3.png", tmp_path / "apple" / f"copy{i}.png")
    Image.open(tmp_path / "apple" / "3.png").save(tmp_path / "apple" / "copy.bmp")  # the same pixels in another format
    for seed in range(5):
        found, said = told(tmp_path, seed=seed)
        assert "11 of 23 files are copies" in said and "copy.bmp has the pixels of" in said
        train, test = both_sides(found)
        assert len(found.x_train) + len(found.x_test) == 12 and not train & test


def test_the_same_photograph_in_another_size_and_format_stays_on_one_side(tmp_path):
    fill(tmp_path)
    for name, photograph in zip(("apple", "banana"), PHOTOGRAPHS, strict=True):
        for width in (320, 160, 80):
            photograph.resize((width, width * 2 // 3)).save(tmp_path / name / f"{width}.jpg", quality=60)
            photograph.resize((width, width * 2 // 3)).save(tmp_path / name / f"{width}.webp", quality=60)
    versions = {
        name: {as_bytes(p) for p in (tmp_path / name).iterdir() if p.suffix != ".png"} for name in found_in(tmp_path)
    }
    for seed in range(5):
        found, said = told(tmp_path, seed=seed)
        assert "12 files are versions of 2 photographs" in said and "kept on one side" in said
        train, test = both_sides(found)
        for group in versions.values():
            assert group <= train or group <= test
        (x, _), (x_validation, _) = found.validation_split()
        validation = {picture.tobytes() for picture in x_validation}
        assert all(group <= validation or not group & validation for group in versions.values())


def found_in(folder):
    return [path.name for path in folder.iterdir()]


def test_a_class_of_copies_alone_is_refused(tmp_path):
    fill(tmp_path, counts=(6, 0))
    for i in range(9):
        noisy(99).save(tmp_path / "banana" / f"{i}.png")
    with (
        pytest.warns(UserWarning, match="8 of 15"),
        pytest.raises(ValueError, match="banana holds 1 pictures, copies not"),
    ):
        dataset_from_folder(tmp_path, 8)
    for i in range(9):
        PHOTOGRAPHS[0].resize((90 + 8 * i, 60 + 5 * i)).save(tmp_path / "banana" / f"{i}.png")
    with (
        pytest.warns(UserWarning, match="of 1 photograph,"),
        pytest.raises(ValueError, match="banana are copies of one"),
    ):
        dataset_from_folder(tmp_path, 8)


def test_without_imagehash_only_exact_copies_are_found_and_that_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(duplicates, "has_imagehash", lambda: False)
    fill(tmp_path)
    shutil.copy(tmp_path / "apple" / "3.png", tmp_path / "apple" / "copy.png")
    found, said = told(tmp_path)
    assert "ImageHash is not installed" in said and "1 of 13 files" in said
    assert len(found.x_train) + len(found.x_test) == 12


def test_look_alikes_in_two_classes_are_told(tmp_path):
    fill(tmp_path)
    PHOTOGRAPHS[0].save(tmp_path / "apple" / "one.jpg")
    PHOTOGRAPHS[0].resize((200, 130)).save(tmp_path / "banana" / "two.png")
    assert "two.png and" in told(tmp_path)[1] and "of two classes" in told(tmp_path)[1]


@pytest.mark.parametrize("width", [50, 100, 640, 1280])
@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("JPEG", {"quality": 30}), ("WEBP", {"quality": 50})])
def test_a_photograph_is_recognized_in_other_sizes_formats_and_qualities(width, kind, options):
    for photograph in PHOTOGRAPHS:
        file = io.BytesIO()
        photograph.resize((width, width * 2 // 3), Image.Resampling.LANCZOS).save(file, kind, **options)
        groups = group_copies([signature(photograph), signature(Image.open(file).convert("RGB"))])
        assert groups[0] == groups[1], (HASH_BITS, COLOUR_LEVELS)


def test_different_pictures_are_hardly_ever_taken_for_copies():
    rows = load_digits().images[:600].astype("uint8") * 15
    digits = [Image.fromarray(row).resize((32, 32)).convert("RGB") for row in rows]
    plain = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green", "blue", "black", "white", "yellow")]
    groups = group_copies([signature(picture) for picture in (*digits, *plain, *PHOTOGRAPHS)])
    assert len(np.unique(groups)) >= len(groups) - 1


def test_copies_below_a_folder_are_listed_by_file(tmp_path):
    fill(tmp_path)
    shutil.copy(tmp_path / "apple" / "0.png", tmp_path / "banana" / "0 again.png")
    (tmp_path / "__MACOSX").mkdir()
    shutil.copy(tmp_path / "apple" / "0.png", tmp_path / "__MACOSX")
    assert find_duplicates(tmp_path) == [[tmp_path / "apple" / "0.png", tmp_path / "banana" / "0 again.png"]]
    with pytest.raises(ValueError, match="not a folder that holds pictures"):
        find_duplicates(tmp_path / "nowhere")


# --- what systems leave, names, uneven classes ----------------------------------------------------


def test_what_systems_leave_is_passed_over_everywhere(tmp_path):
    expected = told(fill(tmp_path))[0].fingerprint
    for name in ("__MACOSX", "@eaDir", ".Trashes"):
        fill(tmp_path / name / "apple", counts=(1,), names=("more",))
    for place in (tmp_path, tmp_path / "apple"):
        (place / "._IMG_1.jpg").write_bytes(b"\0\5\26\7")
        (place / ".DS_Store").write_bytes(b"x")
    shutil.copytree(tmp_path / "__MACOSX", tmp_path / "banana" / "__MACOSX")
    assert told(tmp_path)[0].fingerprint == expected


def test_classes_that_are_numbers_are_in_the_order_of_numbers_and_printed(tmp_path, capsys):
    fill(tmp_path, counts=(5,) * 4, names=("10", "2", "1", "0"))
    found, _ = told(tmp_path)
    assert found.class_names == ("0", "1", "2", "10")
    assert "3 is '10'" in capsys.readouterr().out
    assert {as_bytes(p) for p in (tmp_path / "10").iterdir()} == {
        x.tobytes()
        for x, y in zip([*found.x_train, *found.x_test], [*found.y_train, *found.y_test], strict=True)
        if y == 3
    }


def test_words_are_in_alphabetical_order_and_nothing_is_printed(tmp_path, capsys):
    assert told(fill(tmp_path, counts=(5,) * 3, names=("10", "b", "2")))[0].class_names == ("10", "2", "b")
    assert capsys.readouterr().out == ""


def test_uneven_classes_are_all_validated_and_tested_on(tmp_path):
    fill(tmp_path, counts=(120, 5, 7), names=("common", "rare", "scarce"))
    for seed in range(5):
        found, _ = told(tmp_path, seed=seed)
        (_, y_train), (_, y_validation) = found.validation_split()
        assert np.bincount(found.y_test).tolist() == [24, 1, 1]
        assert np.bincount(y_validation).tolist() == [10, 1, 1]
        assert np.bincount(y_train).tolist() == [86, 3, 5]


def test_a_home_folder_is_found_by_its_short_name(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    fill(tmp_path / "fruit")
    assert told("~/fruit")[0].name == "fruit"
