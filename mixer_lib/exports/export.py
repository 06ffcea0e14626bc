"""Write a model for other programs, with the names of its classes and its card beside it."""

import contextlib
import dataclasses
import importlib.util
import json
import logging
import os
import pathlib
import warnings
from collections.abc import Sequence

import keras
import numpy as np

from ..checks.evaluated import check_model, names_of_classes
from ..compat import KERAS_3, backend_name, refresh_normalization
from ..runs.card import RunResult
from ..runs.files import atomic_write, sha256_of
from ..validation import user_path

NEEDED = {".onnx": ("onnx", "tf2onnx"), ".tflite": (), ".safetensors": ("safetensors",)}


def export(
    model: keras.Model,
    path: str | os.PathLike,
    card: RunResult | None = None,
    class_names: Sequence[str] | None = None,
) -> pathlib.Path:
    """Write a model to a file that needs neither this library nor Keras; the suffix of `path` names the format.

    Args:
        model: a classifier as `load_pretrained`, `load_run` or `build_classifier` gives it.
        path: ".onnx" (ONNX Runtime), ".tflite" (LiteRT) or ".safetensors" (the weights alone, by name). ONNX and LiteRT
            take float32 pictures (N, side, side, 3), 0-255, and give logits; normalization is inside.
        card: the model's `RunResult`.
        class_names: names of all classes; those of the card if left out.

    Beside it, `path` with ".json" behind it describes input and output and holds class names and card. Both files are
    whole or not there. Returns the path. ValueError for another suffix or number of names, or where Keras can't write
    the format; ImportError names a package that is missing; OSError if the file can't be written.
    """
    path = user_path(path)
    write, classes = _check(model, path, card), model.output_shape[-1]
    refresh_normalization(model)
    given = class_names if class_names is not None else getattr(card, "class_names", None) or None
    names = [] if given is None else [str(name) for name in names_of_classes(given, classes)]
    with atomic_write(path) as part:
        with _process_kept():
            write(model, part, names)
        description = {
            "file": path.name,
            "sha256": sha256_of(part),
            "input": {"name": "images", "shape": [None, *model.input_shape[1:]], "dtype": "float32", "values": "0-255"},
            "output": {"shape": [None, classes], "values": "logits; softmax gives probabilities"},
            "class_names": names,
            "card": dataclasses.asdict(card) if card is not None else None,
        }
        with atomic_write(path.with_name(f"{path.name}.json")) as beside:
            beside.write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
    return path


def _check(model, path, card):
    """The function that writes this format; raises unless it can."""
    check_model(model)
    if card is not None and not isinstance(card, RunResult):
        raise ValueError(f"card must be a RunResult, as load_run gives it. Received: {card!r}.")
    if not all(np.isfinite(np.asarray(weight)).all() for weight in model.get_weights()):
        raise ValueError(
            "The model's weights hold NaN or infinity: load it again, or train with a lower learning rate."
        )
    writers = {".onnx": _write_onnx, ".tflite": _write_litert, ".safetensors": _write_safetensors}
    kind = path.suffix.lower()
    if kind not in writers:
        raise ValueError(f"The suffix of path must be one of {', '.join(writers)}. Received: {str(path)!r}.")
    if path.is_dir():
        raise ValueError(f"{path} is a folder. Name a file in it, such as {path / ('model' + kind)}.")
    missing = [name for name in NEEDED[kind] if importlib.util.find_spec(name) is None]
    if missing:
        raise ImportError(f"To write {kind}, install {' and '.join(missing)}: pip install {' '.join(missing)}")
    if kind != ".safetensors" and not (KERAS_3 and backend_name() == "tensorflow"):
        here = f"Keras {keras.__version__} on {backend_name()}"
        raise ValueError(
            f"{kind} is written by Keras 3 with TensorFlow (Python 3.12 or newer, KERAS_BACKEND=tensorflow). Here is "
            f"{here}. .safetensors can be written anywhere."
        )
    return writers[kind]


@contextlib.contextmanager
def _process_kept():
    """Take back what the converters change of the process: variables, the level of a logger, the root's handlers."""
    variables, root, absl = dict(os.environ), logging.root, logging.getLogger("absl")
    levels, handlers = (root.level, absl.level), list(root.handlers)
    try:
        yield
    finally:
        for name in {*os.environ, *variables}:
            if name not in variables:
                del os.environ[name]
            elif os.environ.get(name) != variables[name]:
                os.environ[name] = variables[name]
        root.setLevel(levels[0])
        absl.setLevel(levels[1])
        root.handlers[:] = handlers


def _without_state(model):
    """The same function of the pictures, with the mean and variance of the colours as constants.

    Keras's exporters make required inputs of what a Normalization layer holds.
    """

    def replace(layer):
        if not isinstance(layer, keras.layers.Normalization):
            return layer
        mean, variance = (np.asarray(value, "float64").reshape(-1) for value in (layer.mean, layer.variance))
        scale = 1 / np.maximum(np.sqrt(variance), keras.config.epsilon())
        return keras.layers.Rescaling(scale.tolist(), (-mean * scale).tolist(), name=layer.name, dtype="float32")

    plain = keras.models.clone_model(model, clone_function=replace)
    plain(np.zeros((1, *model.input_shape[1:]), "float32"))  # the exporters want a model that was called
    return plain


def _write_onnx(model, path, class_names):
    import onnx

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # Keras's, of NumPy's names
        _without_state(model).export(str(path), format="onnx", verbose=False)
    written = onnx.load(str(path))
    (images,), (logits,) = written.graph.input, written.graph.output
    for value, name in ((images, "images"), (logits, "logits")):
        for node in written.graph.node:
            for ends in (node.input, node.output):
                ends[:] = [name if end == value.name else end for end in ends]
        value.name = name
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.helper.set_model_props(written, {"class_names": json.dumps(class_names)})
    onnx.checker.check_model(written)
    onnx.save(written, str(path))


def _write_litert(model, path, class_names):
    with contextlib.redirect_stdout(None):  # the converter's word about a temporary folder
        _without_state(model).export(str(path), format="litert", verbose=False)


def _write_safetensors(model, path, class_names):
    from safetensors.numpy import save

    arrays = {name: np.ascontiguousarray(value) for name, value in named_weights(model).items()}
    path.write_bytes(save(arrays, {"class_names": json.dumps(class_names)}))  # save_file hides it from other accounts


def named_weights(model):
    """{name: array} of a model's weights, such as "block_0/token_mixing/hidden/kernel"."""
    found, seen = {}, set()

    def visit(layer, path):
        for inner in (*vars(layer).values(), *vars(layer).get("_modules", {}).values()):  # PyTorch keeps them apart
            if isinstance(inner, keras.layers.Layer):
                visit(inner, f"{path}/{inner.name}")
        for weight in layer.weights:  # what is left is the layer's own
            if id(weight) not in seen:
                seen.add(id(weight))
                found[f"{path}/{weight.name.split('/')[-1].removesuffix(':0')}"] = np.asarray(weight)

    for layer in model.layers:
        visit(layer, layer.name)
    return found
