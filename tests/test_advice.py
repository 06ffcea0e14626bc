"""What a message advises works: each is provoked, its advice followed to the letter, and the next try succeeds."""

import dataclasses
import io
import re

import h5py
import keras
import numpy as np
import PIL.Image
import pytest
from small_runs import NO_PROGRESS, QUICK, TINY, forbid_steps, replace_step, train_nothing

from mixer_lib import Dataset, MixerConfig, Recipe, adamw, build_classifier, compat, predict, train
from mixer_lib.requirements import check_backend
from mixer_lib.speedups.devices import Execution

COUNT = 40
RIGHT = np.random.default_rng(0).integers(0, 256, (COUNT, 8, 8, 3)).astype("uint8")
LABELS = np.random.default_rng(1).integers(0, 2, COUNT)
NAMES = ("no", "yes")


def dataset(x_train=RIGHT, y_train=LABELS, x_test=RIGHT, y_test=LABELS, class_names=NAMES):
    return Dataset("mine", x_train, y_train, x_test, y_test, class_names)


def refusal(act):
    with pytest.raises(ValueError) as refused:
        act()
    return str(refused.value)


def follow(message, values):
    """Run the last piece of Python in a message's backticks on the value it names."""
    code = re.findall(r"`([^`]+)`", message)[-1]
    name = re.search(r"\b[xy]_(?:train|test)\b", code)[0]
    return {**values, name: eval(code, {"np": np, "PIL": PIL}, values)}


def followed_until_it_works(**values):
    """How many pieces of advice are followed until a `Dataset` is made, and that one."""
    for steps in range(5):
        try:
            return steps, dataset(**values)
        except ValueError as error:
            values = follow(str(error), values)
    raise AssertionError("advice without end")


GREY = RIGHT[..., 0]
IMAGES = {  # what is given, and the images that are meant
    "0 to 1": (RIGHT / 255, RIGHT),
    "0 to 1, float32": ((RIGHT / 255).astype("float32"), RIGHT),
    "-1 to 1": (RIGHT / 127.5 - 1, RIGHT),
    "0 to 255 as floats": (RIGHT.astype("float32"), RIGHT),
    "int64": (RIGHT.astype("int64"), RIGHT),
    "16 bits": (RIGHT.astype("uint16") * 257, RIGHT),
    "0 and 1 as uint8": (RIGHT // 128, RIGHT // 128 * 255),
    "bool": (RIGHT > 127, (RIGHT > 127) * np.uint8(255)),
    "bool in float": ((RIGHT > 127).astype(float), (RIGHT > 127) * np.uint8(255)),
    "grey": (GREY, np.repeat(GREY[..., None], 3, axis=3)),
    "grey with its axis": (GREY[..., None], np.repeat(GREY[..., None], 3, axis=3)),
    "transparency": (np.concatenate([RIGHT, RIGHT[..., :1]], axis=3), RIGHT),
    "channels first": (np.moveaxis(RIGHT, 3, 1), RIGHT),
    "channels first, 0 to 1": (np.moveaxis(RIGHT, 3, 1) / 255, RIGHT),
    "rows as in CIFAR's files": (np.moveaxis(RIGHT, 3, 1).reshape(COUNT, -1), RIGHT),
    "grey rows": (GREY.reshape(COUNT, -1), np.repeat(GREY[..., None], 3, axis=3)),
}


@pytest.mark.parametrize("name", IMAGES)
def test_advice_about_images_leads_to_the_images_that_are_meant(name):
    given, meant = IMAGES[name]
    steps, made = followed_until_it_works(x_train=given)
    assert 1 <= steps <= 3
    assert np.abs(made.x_train.astype(int) - meant).max() <= 1


def test_images_that_were_standardized_are_spread_over_the_whole_range():
    _, made = followed_until_it_works(x_train=(RIGHT - 127.0) / 50)
    assert (made.x_train.min(), made.x_train.max()) == (0, 255)


def test_images_with_nan_are_taken_out_with_their_labels():
    broken = RIGHT.astype("float32")
    broken[3, 0, 0, 0] = np.nan
    message = refusal(lambda: dataset(x_train=broken))
    kept = follow(message, {"x_train": broken})["x_train"]
    message = refusal(lambda: dataset(x_train=kept.astype("uint8")))
    assert "Keep images and labels together" in message
    assert len(dataset(x_train=kept.astype("uint8"), y_train=np.delete(LABELS, 3)).x_train) == COUNT - 1


def test_images_of_several_sizes_are_resized_and_stacked():
    mixed = [RIGHT[0], np.zeros((5, 9, 3), "uint8"), RIGHT[2], RIGHT[3]]
    message = refusal(lambda: dataset(x_train=mixed))
    values = follow(message, {"x_train": mixed})
    assert dataset(values["x_train"], [0, 1, 0, 1], values["x_train"], [0, 1, 0, 1]).x_train.shape == (4, 32, 32, 3)


@pytest.mark.parametrize("wrong", [-1, COUNT, 1.5, True, "4"])
def test_more_images_to_validate_than_there_are_is_refused(wrong):
    message = refusal(lambda: dataclasses.replace(dataset(), validation_count=wrong))
    for count in re.search(r"from (\d+) .* to (\d+),", message).groups():
        assert dataclasses.replace(dataset(), validation_count=int(count))


@pytest.mark.parametrize(
    "wrong",
    [{"coarse_train": LABELS[1:]}, {"coarse_train": LABELS + 1}, {"coarse_test": LABELS / 2}, {"coarse_names": None}],
)
def test_superclasses_that_do_not_fit_are_refused(wrong):
    right = {"coarse_train": LABELS, "coarse_test": LABELS, "coarse_names": ("a", "b")}
    assert dataclasses.replace(dataset(), **right)
    assert "one for each image, or None" in refusal(lambda: dataclasses.replace(dataset(), **{**right, **wrong}))


def test_one_image_is_a_set_of_one():
    values = follow(refusal(lambda: dataset(x_test=RIGHT[0])), {"x_test": RIGHT[0]})
    assert len(dataset(**values, y_test=LABELS[:1]).x_test) == 1


TEXTS = np.array(NAMES)[LABELS]
LABELLINGS = {
    "a column": LABELS[:, None],
    "a column of floats": LABELS[:, None].astype(float),
    "one-hot": np.eye(2)[LABELS],
    "one-hot bool": np.eye(2, dtype=bool)[LABELS],
    "floats": LABELS.astype("float32"),
    "bool": LABELS.astype(bool),
    "from 1": LABELS + 1,
    "names": TEXTS,
    "a list of names": TEXTS.tolist(),
}


@pytest.mark.parametrize("name", LABELLINGS)
def test_advice_about_labels_leads_to_the_labels_that_are_meant(name):
    steps, made = followed_until_it_works(y_train=LABELLINGS[name])
    assert 1 <= steps <= 2
    assert np.array_equal(made.y_train, LABELS)


def in_a_file(array):
    return h5py.File(io.BytesIO(), "w").create_dataset("images", data=array)


@pytest.mark.parametrize(
    "convert", [list, np.ndarray.tolist, keras.ops.array if hasattr(keras, "ops") else list, in_a_file]
)
def test_lists_tensors_and_hdf5_data_sets_are_taken_as_arrays(convert, tmp_path, monkeypatch):
    images = convert(RIGHT)
    if convert is np.ndarray.tolist:  # plain numbers: their type is lost
        images = follow(refusal(lambda: dataset(x_train=images)), {"x_train": np.array(images)})["x_train"]
    made = dataset(x_train=images, y_train=convert(LABELS))
    assert type(made.x_train) is type(made.y_train) is np.ndarray
    assert made.fingerprint == dataset().fingerprint
    train_nothing(monkeypatch)
    train(MixerConfig(8, 4, 1, 8, 4, 8, 2), made, tmp_path, np.int64(1), np.int64(3), recipe=QUICK)


@pytest.mark.parametrize(
    ("wrong", "part"),
    [
        ({"x_train": RIGHT * 0}, "All images are black"),
        ({"x_train": RIGHT * 0 + 9}, "All images are the same"),
        ({"x_test": np.repeat(RIGHT[:1], COUNT, axis=0)}, "All images are the same"),
        ({"x_train": RIGHT / 1e9 // 1}, "All images are black"),
        ({"y_train": LABELS * 0}, "All are 0, and one class can't be learned"),
        ({"x_train": "pictures/"}, "the path 'pictures/'. Load it first"),
        ({"x_train": ["a.png", "b.png"]}, "Load it first"),
        ({"x_train": None}, "NoneType"),
        ({"y_train": np.eye(3)[LABELS]}, "Rows of 3 do not fit 2 class_names"),
        ({"y_train": LABELS + 0.5}, "no class numbers"),
        ({"y_train": np.array(["no", "maybe"])[LABELS]}, r"class_names lacks ['maybe']"),
        ({"y_train": LABELS * 7}, "from 0 to 7, and class_names has 2 names"),
    ],
)
def test_what_can_not_be_mended_by_a_conversion_is_refused_and_none_is_advised(wrong, part):
    message = refusal(lambda: dataset(**wrong))
    assert part in message
    assert "astype" not in message and "argmax" not in message


# --- train ----------------------------------------------------------------------------------------


def attempt(folder, made, config=None, **options):
    asked = {"epochs": 1, "recipe": QUICK, **options}
    return train(config or MixerConfig(8, 4, 1, 8, 4, 8, len(made.class_names)), made, folder, **asked)


@pytest.mark.parametrize("classes", [2, 4, 10])
def test_images_sorted_by_label_are_refused_and_shuffled_as_advised_they_train(classes, tmp_path, monkeypatch):
    labels = np.sort(np.arange(COUNT) % classes)
    made = dataset(y_train=labels, y_test=labels, class_names=range(classes))
    with monkeypatch.context() as patch:
        forbid_steps(patch)
        message = refusal(lambda: attempt(tmp_path / "run", made))
    assert "Shuffle images and labels together" in message
    assert not (tmp_path / "run").exists()
    values = {"x_train": RIGHT, "y_train": labels, "np": np}
    order, *shuffled = re.findall(r"`([^`]+)`", message)
    exec(order, values)
    images, labels = (eval(code, values) for code in shuffled)
    train_nothing(monkeypatch)
    attempt(tmp_path / "run", dataset(images, labels, y_test=labels, class_names=range(classes)))


def test_a_class_that_is_tested_and_never_trained_is_refused_by_name(tmp_path):
    made = dataset(y_test=LABELS + 1, class_names=("no", "yes", "perhaps"))
    assert "class 'perhaps' and none to train on" in refusal(lambda: attempt(tmp_path, made))


def test_a_class_whose_images_all_come_first_is_refused_though_the_rest_is_shuffled(tmp_path):
    images = np.random.default_rng(2).integers(0, 256, (400, 8, 8, 3)).astype("uint8")
    labels = np.concatenate([np.zeros(150, int), np.random.default_rng(3).integers(1, 3, 250)])
    made = Dataset("mine", images, labels, images, labels, range(3))
    assert "none of class 0 would be validated" in refusal(lambda: attempt(tmp_path, made))


def test_one_image_to_train_on_is_too_few(tmp_path):
    assert "one class can't be learned" in refusal(lambda: dataset(x_train=RIGHT[:1], y_train=LABELS[:1]))
    made = dataset(x_train=RIGHT[:2], y_train=[0, 1])
    assert "none to train on" in refusal(lambda: attempt(tmp_path, made))


@pytest.mark.parametrize(
    ("wrong", "part", "mended"),
    [
        ({"epochs": "1"}, "epochs must be a whole number", {"epochs": 1}),
        ({"seed": 1.0}, "seed must be a whole number", {"seed": 1}),
        ({"jit_compile": "no"}, "Leave it out to let `train` decide", {}),
        ({"name": 5}, "Put it in quotes, or leave it out", {"name": "5"}),
        ({"command": None}, "Put it in quotes, or leave it out", {}),
        ({"precision": "half"}, "precision must be one of float32", {"precision": "float32"}),
        ({"devices": 0}, "devices must be a whole number of at least 1", {"devices": 1}),
        ({"recipe": "article"}, "recipe must be a Recipe", {"recipe": QUICK}),
        ({"recipe": Recipe(shift=5)}, "move by half a side at most", {"recipe": Recipe(shift=4, batch_size=16)}),
        ({"config": "small"}, "Choose one of article", {"config": "article"}),
        ({"config": MixerConfig(8, 4, 1, 8, 4, 8, 5)}, "num_classes=5", {"config": MixerConfig(8, 4, 1, 8, 4, 8, 2)}),
    ],
)
def test_a_value_that_is_refused_and_then_given_as_advised_is_taken(wrong, part, mended, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        forbid_steps(patch)
        assert part in refusal(lambda: attempt(tmp_path / "run", dataset(), **wrong))
    assert not (tmp_path / "run").exists()
    train_nothing(monkeypatch)
    made = dataset()
    if mended.get("config") == "article":
        big = np.repeat(np.repeat(RIGHT, 4, axis=1), 4, axis=2)
        made, mended = dataset(big, LABELS, big, LABELS), {**mended, "recipe": Recipe(batch_size=36)}
    attempt(tmp_path / "run", made, **mended)


@pytest.mark.parametrize("wrong", [None, 5, ""])
def test_a_run_dir_that_is_no_path_is_refused(wrong):
    assert "run_dir must be the path of a folder" in refusal(lambda: attempt(wrong, dataset()))


@pytest.mark.parametrize("wrong", ["cifar100", (RIGHT, LABELS), None])
def test_what_is_no_dataset_is_refused(wrong, tmp_path):
    assert "Use load_dataset, dataset_from_folder" in refusal(lambda: train("article", wrong, tmp_path))


def test_training_that_diverges_advises_a_rate_and_a_folder_and_both_work(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        replace_step(patch, lambda model, step: lambda images, labels: {**NO_PROGRESS, "loss": np.nan})
        with pytest.raises(FloatingPointError) as stopped:
            attempt(tmp_path / "one", dataset(), recipe=Recipe(learning_rate=0.5, batch_size=16))
    advised = float(re.search(r"for instance to (\S+),", str(stopped.value))[1])
    train_nothing(monkeypatch)
    attempt(tmp_path / "another", dataset(), recipe=Recipe(learning_rate=advised, batch_size=16))


def test_another_run_s_folder_advises_another_or_to_remove_it_and_both_work(tmp_path, monkeypatch):
    train_nothing(monkeypatch)
    attempt(tmp_path / "run", dataset())
    assert "Name another run_dir, or remove this one" in refusal(lambda: attempt(tmp_path / "run", dataset(), seed=1))
    attempt(tmp_path / "another", dataset(), seed=1)
    (tmp_path / "run").rename(tmp_path / "removed")
    attempt(tmp_path / "run", dataset(), seed=1)


def test_a_damaged_checkpoint_moved_away_lets_the_run_start_anew(tmp_path, monkeypatch):
    train_nothing(monkeypatch)
    attempt(tmp_path / "run", dataset())
    (tmp_path / "run" / "checkpoint.npz").write_bytes(b"no archive")
    said = refusal(lambda: attempt(tmp_path / "run", dataset()))
    assert "move the folder away: then the run starts from epoch 1" in said
    (tmp_path / "run").rename(tmp_path / "away")
    attempt(tmp_path / "run", dataset())


# --- the rest -------------------------------------------------------------------------------------


def test_sizes_of_patches_that_are_offered_all_work():
    message = refusal(lambda: MixerConfig(image_size=12, patch_size=5))
    for size in re.search(r"any of \[([\d, ]+)\]", message)[1].split(","):
        assert build_classifier(MixerConfig(12, int(size), 1, 4, 4, 4, 2))


def test_devices_that_are_offered_all_share_a_batch(monkeypatch):
    if not compat.KERAS_3:
        pytest.skip("only on Keras 3")
    message = refusal(lambda: Execution(devices=5, batch_size=12))
    assert [12 % int(n) for n in re.search(r"one of \[([\d, ]+)\]", message)[1].split(",")] == [0] * 6


@pytest.mark.parametrize("wrong", [0, -1.0, float("nan"), "0.1"])
def test_the_rates_of_the_article_that_messages_name_work(wrong):
    rate = float(re.search(r"the article uses ([\d.]+)\)", refusal(lambda: adamw(wrong, 0.0)))[1])
    decay = float(re.search(r"the article uses ([\d.]+)\)", refusal(lambda: adamw(rate, 5)))[1])
    assert adamw(rate, decay)


def test_a_k_within_the_range_that_the_message_names_works():
    model = build_classifier(TINY)
    message = refusal(lambda: predict(model, RIGHT[:1], k=11))
    assert len(predict(model, RIGHT[:1], k=int(re.search(r"from 1 to (\d+)", message)[1]))[0]) == 10


@pytest.mark.parametrize("wrong", ["tensorfow", "mxnet", "numpy", "jax"])
def test_a_backend_that_is_unknown_or_not_installed_is_refused_with_the_variable_named(wrong, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", wrong)
    monkeypatch.setattr("mixer_lib.requirements.is_installed", lambda package: package != "jax")
    with pytest.raises(ImportError, match=f"and {wrong} is not.*KERAS_BACKEND={wrong}: Set it to") as refused:
        check_backend()
    monkeypatch.setenv("KERAS_BACKEND", re.search(r"Set it to (\w+)", str(refused.value))[1])
    check_backend()
