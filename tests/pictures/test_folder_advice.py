"""What is wrong with a folder of pictures, mended as the message says, is right: the next try makes a data set."""

import pathlib
import re
import shutil
import tracemalloc

import numpy as np
import PIL.Image
import pytest

from mixer_lib import dataset_from_folder, find_duplicates, predict
from mixer_lib.pictures import read
from mixer_lib.pictures.read import read_picture

CLASSES = ("apple", "banana")


def noisy(number, size=12, kind="uint8"):
    return PIL.Image.fromarray(np.random.default_rng(number).integers(0, 256, (size, size, 3)).astype(kind))


def fill(folder, names=CLASSES, count=5, first=0):
    """A folder for each class, of `count` pictures, no two alike."""
    for place, name in enumerate(names):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            noisy(first + 100 * place + i).save(folder / name / f"{first + i}.png")
    return folder


@pytest.fixture
def root(tmp_path):
    return fill(tmp_path / "fruit")


@pytest.fixture
def parted(tmp_path):
    """The same classes in train/ and test/."""
    fill(tmp_path / "fruit" / "train")
    return fill(tmp_path / "fruit" / "test", first=1000).parent


def refusal(act):
    with pytest.raises(ValueError) as refused:
        act()
    return str(refused.value)


def named(message):
    """The first path in a message."""
    return pathlib.Path(re.search(r"/[^\s,:;()]+?(?=[\s,:;()]|\.(?:\s|$))", message)[0])


def remove(message):
    path = named(message)
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def convert(message):
    PIL.Image.open(named(message)).save(named(message).with_suffix(".png"))
    remove(message)


def save_again(message):
    noisy(77).save(named(message))


def first_frame(message):
    with PIL.Image.open(named(message)) as picture:
        picture.seek(0)
        picture.convert("RGB").save(named(message).with_suffix(".png"))
    remove(message)


def smaller(message):
    with PIL.Image.open(named(message)) as picture:
        picture.resize((20, 20)).save(named(message))


def animated(path):
    noisy(201).save(path, save_all=True, append_images=[noisy(202)])


def rows(path):  # black and white, so that few bytes are many pixels
    PIL.Image.new("1", (read.MAX_PIXELS // 100, 101)).save(path)


FILES = {  # what is put into the folder apple, the advice, and how it is followed
    "of another kind": (lambda p: noisy(9).save(p / "x.ppm"), "Convert it, or move it away", convert),
    "a text": (lambda p: (p / "notes.txt").write_text("x"), "Convert it, or move it away", remove),
    "a folder": (lambda p: (p / "more").mkdir(), "move it away", remove),
    "truncated": (lambda p: (p / "x.png").write_bytes((p / "0.png").read_bytes()[:99]), "save it again", save_again),
    "no picture": (lambda p: (p / "x.jpg").write_text("x"), "or remove it", remove),
    "fractions": (lambda p: PIL.Image.new("F", (9, 9), 0.5).save(p / "x.tiff"), "save it again", save_again),
    "animated": (lambda p: animated(p / "x.gif"), "Save one of them as a file of its own", first_frame),
    "huge": (lambda p: rows(p / "x.png"), "Make it smaller first", smaller),
}


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_refused_is_converted_mended_or_removed(name, root):
    put, advice, follow = FILES[name]
    put(root / "apple")
    message = refusal(lambda: dataset_from_folder(root, 8))
    assert advice in message
    follow(message)
    assert dataset_from_folder(root, 8).class_names == CLASSES


def test_a_loose_picture_is_moved_into_the_folder_of_its_class(root):
    noisy(50).save(root / "x.png")
    message = refusal(lambda: dataset_from_folder(root, 8))
    assert "Move it into the subfolder of its class" in message
    named(message).rename(root / "apple" / "x.png")
    assert len(dataset_from_folder(root, 8).x_train) > 5


def test_a_single_folder_gets_another_one_beside_it(root):
    shutil.rmtree(root / "banana")
    assert "Make a subfolder for each class" in refusal(lambda: dataset_from_folder(root, 8))
    fill(root, ("cherry",), first=500)
    assert dataset_from_folder(root, 8).class_names == ("apple", "cherry")


def test_a_class_of_few_pictures_gets_more_or_is_removed(root):
    fill(root, ("cherry",), count=4, first=500)
    message = refusal(lambda: dataset_from_folder(root, 8))
    assert "Add pictures, or remove the folder" in message
    fill(root, ("cherry",), count=1, first=600)
    assert len(dataset_from_folder(root, 8).class_names) == 3
    remove(message)
    assert len(dataset_from_folder(root, 8).class_names) == 2


def test_a_picture_in_two_classes_is_removed_from_the_wrong_one(root):
    shutil.copy(root / "apple" / "0.png", root / "banana" / "x.png")
    message = refusal(lambda: dataset_from_folder(root, 8))
    assert "Remove the wrong one" in message
    remove(message)
    assert dataset_from_folder(root, 8).class_names == CLASSES


@pytest.mark.filterwarnings("ignore:.*are 1 photographs")
def test_a_class_of_one_photograph_gets_others_or_is_removed(root):
    pytest.importorskip("imagehash")
    (root / "cherry").mkdir()
    smooth = PIL.Image.fromarray(np.random.default_rng(5).integers(0, 256, (8, 8, 3), "uint8")).resize((256, 256))
    for i in range(5):
        smooth.resize((256 - 16 * i,) * 2).save(root / "cherry" / f"{i}.png")
    message = refusal(lambda: dataset_from_folder(root, 8))
    assert "Add others, or remove the class" in message
    fill(root, ("cherry",), count=2, first=700)
    assert len(dataset_from_folder(root, 8).class_names) == 3
    shutil.rmtree(named(message).parent)
    assert len(dataset_from_folder(root, 8).class_names) == 2


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize("how", ["added", "removed"])
def test_a_class_in_one_part_alone_is_added_to_the_other_or_removed(part, how, parted):
    other = {"train": "test", "test": "train"}[part]
    fill(parted / part, ("cherry",), first=2000)
    message = refusal(lambda: dataset_from_folder(parted, 8))
    assert f"Add pictures to {'train' if other == 'train' else 'test'} on, or remove these classes" in message
    if how == "added":
        fill(parted / other, ("cherry",), first=3000)
    else:
        shutil.rmtree(parted / part / re.search(r"part: (\w+)", message)[1])
    assert len(dataset_from_folder(parted, 8).class_names) == (3 if how == "added" else 2)


@pytest.mark.filterwarnings("ignore:.*shows the same picture as")
def test_a_class_whose_pictures_are_all_tested_gets_others_to_train_on(parted):
    shutil.rmtree(parted / "train" / "apple")
    shutil.copytree(parted / "test" / "apple", parted / "train" / "apple")
    assert "Add some, or remove it" in refusal(lambda: dataset_from_folder(parted, 8))
    fill(parted / "train", ("apple",), first=4000)
    assert len(dataset_from_folder(parted, 8).class_names) == 2


def test_two_folders_for_one_part_become_one(parted):
    fill(parted / "training", first=5000)
    message = refusal(lambda: dataset_from_folder(parted, 8))
    assert "two folders for one part: test, train, training" in message and "Keep one of them" in message
    shutil.rmtree(parted / "training")
    assert len(dataset_from_folder(parted, 8).class_names) == 2


def test_a_folder_that_is_none_is_named_and_its_arguments_have_rules(root):
    assert "Name one that holds a subfolder" in refusal(lambda: dataset_from_folder(root / "apple" / "0.png", 8))
    assert "must be above 0" in refusal(lambda: dataset_from_folder(root, 8, test_fraction=0.0))
    assert "at least 1" in refusal(lambda: dataset_from_folder(root, 0))
    for wrong in (-1, 0.5, "0", None, True):
        assert "such as 0" in refusal(lambda wrong=wrong: dataset_from_folder(root, 8, seed=wrong))
    assert dataset_from_folder(root, 8, seed=np.int64(0)).fingerprint == dataset_from_folder(root, 8).fingerprint
    assert len(dataset_from_folder(root, 1, test_fraction=0.01).x_test) == 2
    assert "Name one, with or without subfolders" in refusal(lambda: find_duplicates(root / "nothing"))
    assert find_duplicates(root) == find_duplicates(root / "apple") == []


def test_a_heic_photograph_is_converted_to_jpeg(root, monkeypatch):
    monkeypatch.setattr(read, "has_heic", lambda: False)
    (root / "apple" / "IMG_1.HEIC").write_bytes(b"x")
    message = refusal(lambda: dataset_from_folder(root, 8))
    assert "Convert it to JPEG, or install what reads it" in message
    noisy(8).save(named(message).with_suffix(".jpg"))
    remove(message)
    assert len(dataset_from_folder(root, 8).class_names) == 2


def test_a_folder_without_pictures_gets_one(tmp_path):
    class Model:
        input_shape, output_shape = (None, 4, 4, 3), (None, 2)

        def predict_on_batch(self, images):
            return np.array([[0.0, 3.0]] * len(images))

    message = refusal(lambda: predict(Model(), tmp_path))
    noisy(3).save(tmp_path / f"x{re.search(r'[.]png', message)[0]}")
    assert predict(Model(), tmp_path)[0][0][0] == 1


def test_a_folder_takes_little_more_memory_than_its_pictures(tmp_path):
    fill(tmp_path / "fruit", count=60)
    dataset_from_folder(fill(tmp_path / "small"), 8)  # what is imported on the way
    tracemalloc.start()
    made = dataset_from_folder(tmp_path / "fruit", 64)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.6 * (made.x_train.nbytes + made.x_test.nbytes)


def test_each_picture_keeps_its_label_when_they_are_put_in_order(tmp_path):
    for place in range(3):
        (tmp_path / str(place)).mkdir()
        for i in range(20):  # its first pixel says which class and which picture it is
            picture = noisy(100 * place + i)
            picture.putpixel((0, 0), (80 * place + i, 0, 0))
            picture.save(tmp_path / str(place) / f"{i}.png")
    made = dataset_from_folder(tmp_path, 12)
    found = []
    for images, labels in ((made.x_train, made.y_train), (made.x_test, made.y_test)):
        assert (images[:, 0, 0, 0] // 80 == labels).all()
        found += images[:, 0, 0, 0].tolist()
    assert sorted(found) == [80 * place + i for place in range(3) for i in range(20)]


def test_sixteen_bits_of_grey_with_transparent_black_become_white_as_other_kinds_do(tmp_path):
    grey = np.array([[0, 0, 65535, 32896]] * 4, "uint16")
    PIL.Image.fromarray(grey).save(tmp_path / "grey16.png", transparency=0)
    assert PIL.Image.open(tmp_path / "grey16.png").info["transparency"] == 0
    PIL.Image.fromarray((grey // 257).astype("uint8")).save(tmp_path / "grey8.png", transparency=0)
    for name in ("grey16.png", "grey8.png"):
        assert read_picture(tmp_path / name, 4)[0, :, 0].tolist() == [255, 255, 255, 128]
