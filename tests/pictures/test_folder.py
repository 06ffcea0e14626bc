"""Pictures of the reader's own: read as they are seen, made a data set, or refused with file, rule and next step."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from mixer_lib.data import dataset_from_folder
from mixer_lib.pictures.read import PICTURE_SUFFIXES, read_picture

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def plain(colour, size=(8, 8), mode="RGB"):
    return Image.new(mode, size, colour)


def noisy(number, size=(12, 10)):
    draw = np.random.default_rng(number)
    return Image.fromarray(draw.integers(0, 256, (size[1], size[0], 3), "uint8"))


@pytest.fixture
def folder(tmp_path):
    """Three classes of six pictures, no two alike."""
    root = tmp_path / "fruit"
    for place, name in enumerate(("apple", "banana", "cherry")):
        (root / name).mkdir(parents=True)
        for i in range(6):
            noisy(10 * place + i).save(root / name / f"{i}.png")
    return root


# --- one file -------------------------------------------------------------------------------------


def left_half_red(mode="RGB"):
    picture = plain(BLUE, (8, 8))
    picture.paste(RED, (0, 0, 4, 8))
    return picture.convert(mode)


def test_a_picture_is_cut_to_its_central_square_and_resized(tmp_path):
    wide = plain(RED, (24, 8))
    wide.paste(GREEN, (8, 0, 16, 8))
    wide.save(tmp_path / "wide.png")
    found = read_picture(tmp_path / "wide.png", 4)
    assert found.dtype == np.uint8
    assert np.array_equal(found, np.full((4, 4, 3), GREEN))


def test_the_exif_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn by a quarter, clockwise
    left_half_red().save(tmp_path / "turned.png", exif=exif)
    found = read_picture(tmp_path / "turned.png", 8)
    assert np.array_equal(found[:4], np.full((4, 8, 3), RED))
    assert np.array_equal(found[4:], np.full((4, 8, 3), BLUE))


def test_cmyk_is_read_as_rgb(tmp_path):
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "print.jpg", quality=100)
    assert np.abs(read_picture(tmp_path / "print.jpg", 4).astype(int) - RED).max() <= 3


def test_sixteen_bits_of_grey_keep_their_shades(tmp_path):
    grey = np.repeat(np.array([[0, 16448, 32896, 65535]], "uint16"), 4, axis=0)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    assert read_picture(tmp_path / "grey.png", 4)[0, :, 0].tolist() == [0, 64, 128, 255]


def test_transparent_parts_are_white(tmp_path):
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    palette = plain(RED).convert("P", palette=Image.Palette.ADAPTIVE)
    palette.save(tmp_path / "palette.png", transparency=palette.getpixel((0, 0)))
    for name in ("clear.png", "palette.png"):
        assert np.array_equal(read_picture(tmp_path / name, 4), np.full((4, 4, 3), 255)), name


def truncated(path):
    noisy(0, (200, 200)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def huge(path):
    """A PNG of a few bytes that claims to have 20,000 x 20,000 pixels."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", *path_size(path), 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b""))


def path_size(path):
    return (10_000, 10_000) if "large" in path.name else (20_000, 20_000)


def animated(path):
    plain(RED).save(path, save_all=True, append_images=[plain(GREEN), plain(BLUE)])


def fractions(path):
    Image.fromarray(np.ones((4, 4), "float32")).save(path, format="TIFF")


@pytest.mark.parametrize(
    ("name", "make", "rule"),
    [
        ("empty.png", lambda path: path.write_bytes(b""), "save it again or remove it"),
        ("text.jpg", lambda path: path.write_text("not a picture"), "save it again or remove it"),
        ("half.png", truncated, "save it again or remove it"),
        ("half.jpg", truncated, "truncated.*save it again or remove it"),
        ("huge.png", huge, "save it again or remove it"),
        ("large.png", huge, "10000 x 10000 pixels, and at most 89,478,485.*Make it smaller"),
        ("moving.gif", animated, "animated, with 3 frames. Save one of them"),
        ("moving.webp", animated, "animated, with 3 frames. Save one of them"),
        ("fractions.png", fractions, "fractions"),
        ("folder.png", lambda path: path.mkdir(), "save it again or remove it"),
        ("missing.png", lambda path: None, "No such file"),
    ],
)
def test_a_file_that_is_not_a_complete_still_picture_is_refused_by_name_with_the_next_step(tmp_path, name, make, rule):
    make(tmp_path / name)
    with pytest.raises(ValueError, match=rf"(?s){name} can't be read as a picture.*{rule}"):
        read_picture(tmp_path / name, 8)


# --- a folder -------------------------------------------------------------------------------------


def test_a_folder_of_class_folders_becomes_a_data_set(folder):
    found = dataset_from_folder(folder, image_size=8)
    assert (found.name, found.class_names) == ("fruit", ("apple", "banana", "cherry"))
    assert found.x_train.shape == (15, 8, 8, 3) and found.x_test.shape == (3, 8, 8, 3)
    assert found.x_train.dtype == np.uint8 and found.y_train.dtype == np.int64
    assert sorted(found.y_train.tolist()) == [0] * 5 + [1] * 5 + [2] * 5
    assert sorted(found.y_test.tolist()) == [0, 1, 2]


def test_each_picture_is_in_one_part_with_the_label_of_its_folder(folder):
    found = dataset_from_folder(folder, image_size=8)
    whole = list(zip([*found.x_train, *found.x_test], [*found.y_train, *found.y_test], strict=True))
    expected = {
        (read_picture(file, 8).tobytes(), label)
        for label, name in enumerate(("apple", "banana", "cherry"))
        for file in (folder / name).iterdir()
    }
    assert {(picture.tobytes(), int(label)) for picture, label in whole} == expected
    assert len(whole) == len(expected) == 18


def test_the_split_follows_from_names_and_seed_alone(folder):
    first, again, other = (dataset_from_folder(folder, 8, seed=seed) for seed in (0, 0, 1))
    assert first.fingerprint == again.fingerprint != other.fingerprint


def test_training_pictures_are_shuffled_so_that_validation_has_all_classes(folder):
    labels = dataset_from_folder(folder, 8).y_train
    assert labels.tolist() != sorted(labels.tolist())


def test_files_of_the_operating_system_are_ignored(folder):
    (folder / ".hidden").mkdir()
    for name in (".DS_Store", "Thumbs.db"):
        (folder / "apple" / name).write_bytes(b"x")
    assert len(dataset_from_folder(folder, 8).x_train) == 15


def only_apples(folder):
    for name in ("banana", "cherry"):
        (folder / name).rename(folder.parent / name)


def emptied(folder, keep=0):
    for i in range(keep, 6):
        (folder / "banana" / f"{i}.png").unlink()


@pytest.mark.parametrize(
    ("spoil", "parts"),
    [
        (only_apples, ("holds apple alone", "at least 2", "subfolder for each class")),
        (emptied, ("banana", "holds 0 pictures", "at least 5", "Add pictures")),
        (lambda folder: emptied(folder, 4), ("banana", "holds 4 pictures", "at least 5", "Add pictures")),
        (lambda folder: truncated(folder / "cherry" / "3.png"), ("3.png", "can't be read", "remove it")),
        (lambda folder: (folder / "cherry" / "notes.txt").write_text("x"), ("notes.txt", "only pictures", "move")),
        (lambda folder: (folder / "cherry" / "photo.xcf").write_text("x"), ("photo.xcf", ".jpg", "Convert")),
        (lambda folder: (folder / "cherry" / "more").mkdir(), ("more", "only pictures", "move it away")),
        (lambda folder: noisy(99).save(folder / "loose.png"), ("loose.png", "no class folder", "Move it")),
        (lambda folder: noisy(0).save(folder / "cherry" / "twin.png"), ("twin.png", "0.png", "same picture")),
    ],
    ids=["one class", "empty class", "few", "truncated", "text", "unknown kind", "nested", "loose", "two labels"],
)
def test_a_folder_that_is_not_a_data_set_is_refused_with_file_rule_and_next_step(folder, spoil, parts):
    spoil(folder)
    with pytest.raises(ValueError) as refusal:
        dataset_from_folder(folder, 8)
    assert all(part in str(refusal.value) for part in parts), refusal.value


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="nowhere is not a folder. Name one that holds a subfolder"):
        dataset_from_folder(tmp_path / "nowhere")


@pytest.mark.parametrize("options", [{"image_size": 0}, {"test_fraction": 0}, {"test_fraction": 1}])
def test_an_impossible_size_or_fraction_is_refused_by_name(folder, options):
    with pytest.raises(ValueError, match=f"{next(iter(options))}|fraction"):
        dataset_from_folder(folder, **options)


def test_every_suffix_that_is_read_can_be_written_and_read_back(tmp_path):
    for suffix in PICTURE_SUFFIXES:
        plain(GREEN).save(tmp_path / f"green{suffix}")
        assert np.abs(read_picture(tmp_path / f"green{suffix}", 4).astype(int) - GREEN).max() <= 3, suffix
