"""Images and labels of a `Dataset`: checked, with advice that fits what was received.

What stands in backticks is Python that can be run as it is.
"""

import os
import warnings

import numpy as np

LOAD = "Load it first; pictures in files, one folder for each class, are read by dataset_from_folder(path)."


def check_names(name, class_names):
    """Class names as a tuple; ValueError unless they are two or more, each once, and `name` is text."""
    if not isinstance(name, str) or not name:
        raise ValueError(f"A data set's name must be text: it stands on the card of a run. Received: {name!r}.")
    if isinstance(class_names, str):  # whose letters would be counted
        raise ValueError(f"class_names must be a list of names. Received one text: {class_names!r}.")
    try:
        names = tuple(class_names)
        unlike = len(set(names))
    except TypeError as error:
        raise ValueError(f"class_names must be a list of names. Received: {class_names!r} ({error}).") from None
    if len(names) < 2 or unlike < len(names):
        raise ValueError(f"class_names must name at least 2 classes, each once. Received: {names!r}.")
    return names


def _as_array(name, value):
    """A NumPy array of an array, a list, a tensor or an HDF5 data set; ValueError for anything else."""
    if isinstance(value, (str, os.PathLike)):
        raise ValueError(f"{name} must be an array. Received: the path {os.fspath(value)!r}. {LOAD}")
    if isinstance(value, (list, tuple)) and len({np.shape(part) for part in value}) > 1:
        raise ValueError(
            f"{name} must hold images of one size. Received: sizes {sorted({np.shape(part) for part in value})[:3]}. "
            f"Resize them, for instance to 32 x 32: "
            f"`np.stack([np.asarray(PIL.Image.fromarray(image).resize((32, 32))) for image in {name}])`."
        )
    if not (isinstance(value, (list, tuple)) or hasattr(value, "__array__")):
        raise ValueError(f"{name} must be an array. Received: {type(value).__name__}. Convert it with np.asarray.")
    try:
        array = np.asarray(value)
    except Exception as error:  # a closed file, a tensor on another device
        raise ValueError(f"{name} can't be read as an array ({error}). Bring it into memory first.") from error
    if array.dtype.kind in "USO" and name.startswith("x_"):
        raise ValueError(f"{name} must be an array of numbers. Received: {array.dtype} {array.shape}. {LOAD}")
    return array


def image_array(name, value):
    """`value` as an array of RGB images, uint8 (N, H, W, 3), N at least 1; ValueError with advice if it isn't one."""
    array = _as_array(name, value)
    advice = shape_advice(name, array) or _value_advice(name, array)
    if advice:
        raise ValueError(
            f"{name} must be an array of at least one RGB image: uint8 (N, H, W, 3), values 0-255. Received: "
            f"{described(array)}. {advice}"
        )
    return array


def described(array):
    """Type, shape and range of an array, in words."""
    reach = f", values {array.min():.4g} to {array.max():.4g}" if array.size and array.dtype.kind in "iuf" else ""
    return f"{array.dtype} {array.shape}{reach}"


def shape_advice(name, array):
    """What to do with an array of another shape; None if the shape is right."""
    shape = array.shape
    if 0 in shape:
        return "Keep at least one image in it."
    if len(shape) == 4 and shape[3] == 3:
        return None
    if len(shape) == 4 and shape[3] in (1, 2, 4):
        rgb = f"{name}[..., :3]" if shape[3] == 4 else f"np.repeat({name}[..., :1], 3, axis=3)"
        return f"Use `{rgb}`" + (", which leaves transparency out." if shape[3] != 1 else ": grey in three channels.")
    if len(shape) == 4 and shape[1] in (1, 3, 4):
        return f"Put the channels last: `np.moveaxis({name}, 1, 3)`."
    if len(shape) == 3 and shape[2] == 3:
        return f"One image is a set of one: `{name}[None]`."
    if len(shape) == 3:
        return f"Repeat a grey channel three times: `np.repeat({name}[..., None], 3, axis=3)`."
    if len(shape) == 2:
        for channels in (1, 3):
            side = round((shape[1] / channels) ** 0.5)
            if channels * side**2 == shape[1]:
                planes = f"{name}.reshape(-1, {channels}, {side}, {side})"
                return f"Make images of the rows: `{planes}`, if each begins with all of its first colour."
    return "Stack images of one size, each (H, W, 3): `np.stack(images)`."


def _value_advice(name, array):
    """What to do with an array of the right shape and other values; None if they are right."""
    kind = array.dtype.kind
    if kind not in "biuf":
        return LOAD
    low, high = array.min(), array.max()
    if kind == "f" and not np.isfinite([low, high]).all():
        keep = f"np.isfinite({name}).all(axis=(1, 2, 3))"
        return f"Some are NaN or infinite: load them again, or keep the others, `{name}[{keep}]`, and their labels."
    if low == high or (len(array) > 1 and all(np.array_equal(array[0], image) for image in array[1:])):
        black = "black (were fractions cast to whole numbers? Multiply by 255 before)" if high == 0 else "the same"
        return f"All images are {black}: load them again."
    advice = _scale_advice(name, array)
    if advice != "":
        return advice
    return (
        f"Undo what scaled them; if that is not known, spread them over 0-255, with one pair of bounds for x_train and "
        f'x_test: `np.interp({name}, ({low:.6g}, {high:.6g}), (0, 255)).round().astype("uint8")`.'
    )


def _scale_advice(name, array):
    """What to do with an array of another type or range: None if that is right, "" if nothing is known."""
    kind, low, high = array.dtype.kind, array.min(), array.max()
    if kind == "b":
        return f'Use `255 * {name}.astype("uint8")`.'
    if low >= 0 and high <= 1:
        return f'They reach from 0 to 1: `(255.0 * {name}).round().astype("uint8")`.'
    if kind == "f" and low >= -1 and high <= 1:
        return f'They reach from -1 to 1: `(127.5 * ({name} + 1)).round().astype("uint8")`.'
    if low >= 0 and high <= 255:
        return None if array.dtype == "uint8" else f"Use `{name}.round().astype('uint8')`."
    if kind == "u" and 4095 < high < 65536:
        return f'They have 16 bits: `({name} // 257).astype("uint8")`.'
    return ""


def check_pixel_range(images):
    """Check the values of pictures (N, H, W, 3): ValueError for NaN and infinity, a warning unless they are 0-255."""
    if images.dtype == "uint8":
        return
    if images.dtype.kind == "c" or not (images.dtype.kind == "b" or np.issubdtype(images.dtype, np.number)):
        raise ValueError(f"Pictures must hold numbers from 0 to 255. Received: {images.dtype}.")
    low, high = float(images.min()), float(images.max())
    if not np.isfinite([low, high]).all():
        broken = int(np.flatnonzero(~np.isfinite(images.astype("float32")).all(axis=(1, 2, 3)))[0])
        raise ValueError(f"Pictures must hold finite numbers. Picture {broken} holds NaN or infinity: load it again.")
    if low < 0 or high > 255 or 0 < high <= 1:
        warnings.warn(
            f"The pictures' values run from {low:.4g} to {high:.4g}, and the model takes 0-255 (it normalizes them "
            f"itself). Give pictures as they were read. {_scale_advice('images', images) or 'Undo what scaled them.'}",
            stacklevel=5,
        )


def label_array(name, value, count, names):
    """`value` as an array of `count` labels, whole numbers from 0 to len(names) - 1; ValueError with advice if not."""
    array = _as_array(name, value)
    advice = _label_advice(name, array, count, names)
    if advice:
        raise ValueError(
            f"{name} must be integer labels from 0 to {len(names) - 1}, one for each of the {count} images: "
            f"({count},). Received: {array.dtype} {array.shape}. {advice}"
        )
    return array


def _label_advice(name, array, count, names):
    if array.shape == (count, 1):
        return f"Use `{name}.reshape(-1)`: the numbers themselves are the labels."
    if array.ndim == 2 and len(array) == count and array.dtype.kind in "biuf":
        if array.shape[1] != len(names):
            return f"Rows of {array.shape[1]} do not fit {len(names)} class_names: name {array.shape[1]} classes."
        if ((array == 0) | (array == 1)).all() and (array.sum(axis=1) == 1).all():
            return f"Convert one-hot rows with `{name}.argmax(axis=1)`."
        return "The rows are not one-hot. Give one class number for each image."
    if array.shape != (count,):
        return "Keep images and labels together: one label for each image, in the same order."
    if array.dtype.kind in "USO":
        unknown = sorted(set(array.tolist()) - set(names), key=str)[:3]
        numbers = f"`np.array([{tuple(names)!r}.index(label) for label in {name}])`"
        return f"class_names lacks {unknown}: add them." if unknown else f"Use the place of each name: {numbers}."
    if array.dtype.kind not in "iu":
        if array.dtype.kind in "bf" and np.array_equal(array, np.floor(array)) and np.isfinite(array).all():
            return f"Use `{name}.astype('int64')`."
        return "These are no class numbers. Give each image the place of its class in class_names."
    low, high = array.min(), array.max()
    if (low, high) == (1, len(names)):
        return f"They reach from 1 to {high}, and classes are counted from 0: `{name} - 1`."
    if not 0 <= low <= high < len(names):
        return f"They reach from {low} to {high}, and class_names has {len(names)} names. Add names, or renumber them."
    if name == "y_train" and low == high:
        return f"All are {low}, and one class can't be learned. Give images of at least two classes."
    return None
