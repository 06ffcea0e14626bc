"""Models that travel: each file gives the model's logits in its own runtime, and what it needs to be understood."""

import dataclasses
import json
import os

import numpy as np
import pytest
from small_models import TINY, dense, layer_norm, random_images, randomize

from mixer_lib import RunResult, build_classifier, export, load_dataset, load_pretrained
from mixer_lib.compat import KERAS_3, backend_name
from mixer_lib.exports import export as exporting

IMAGES = random_images(100)
NAMES = ["cat", "dog", "cow"]
written_by_keras = pytest.mark.skipif(not KERAS_3 or backend_name() != "tensorflow", reason="only on Keras 3")


@pytest.fixture(scope="module")
def model():
    images = IMAGES // 2 + np.array([100, 20, 0], "uint8")  # colours of different means and variances
    return randomize(build_classifier(dataclasses.replace(TINY, num_blocks=1), adapt_to=images))


def logits(model, images):
    return np.asarray(model.predict_on_batch(images.astype("float32")))


def by_onnx_runtime(path, images):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (given,), (found,) = session.get_inputs(), session.get_outputs()  # one input, one output
    assert (given.name, given.shape[0], found.name) == ("images", "batch", "logits")
    return session.run(None, {"images": images.astype("float32")})[0]


def by_litert(path, images):
    import tensorflow as tf

    interpreter = tf.lite.Interpreter(model_path=str(path))
    (given,), (found,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.resize_tensor_input(given["index"], images.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(given["index"], images.astype("float32"))
    interpreter.invoke()
    return interpreter.get_tensor(found["index"])


RUNTIMES = {".onnx": by_onnx_runtime, ".tflite": by_litert}


@written_by_keras
@pytest.mark.filterwarnings("ignore:[\\s\\S]*tf.lite.Interpreter is deprecated:UserWarning")
@pytest.mark.parametrize("suffix", RUNTIMES)
def test_an_exported_model_gives_the_same_logits_in_its_own_runtime(model, tmp_path, suffix):
    path = export(model, tmp_path / f"small{suffix}", class_names=NAMES)
    expected = logits(model, IMAGES)
    assert np.abs(RUNTIMES[suffix](path, IMAGES) - expected).max() < 3e-6 * max(1, np.abs(expected).max())
    assert np.abs(RUNTIMES[suffix](path, IMAGES[:1]) - expected[:1]).max() < 1e-5  # any number of pictures
    assert sorted(file.name for file in tmp_path.iterdir()) == [path.name, f"{path.name}.json"]
    assert np.array_equal(logits(model, IMAGES), expected)  # the model itself is as it was


@written_by_keras
@pytest.mark.hosted
@pytest.mark.parametrize("suffix", RUNTIMES)
def test_a_published_model_gives_the_same_logits_in_its_own_runtime(tmp_path, suffix):
    model, card = load_pretrained("article-digits")
    images = load_dataset("digits").x_test[:100]
    path = export(model, tmp_path / f"digits{suffix}", card)
    difference = np.abs(RUNTIMES[suffix](path, images) - logits(model, images)).max()
    print(f"largest difference of logits over 100 pictures, {suffix}: {difference:.1e}")
    assert difference < 1e-5


def test_safetensors_hold_every_weight_by_name_and_are_enough_to_compute_the_logits(model, tmp_path):
    from safetensors import safe_open

    path = export(model, tmp_path / "small.safetensors", class_names=NAMES)
    with safe_open(path, "numpy") as file:
        found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no dict)
        assert json.loads(file.metadata()["class_names"]) == NAMES
    assert sum(array.size for array in found.values()) == sum(np.size(weight) for weight in model.get_weights())
    assert np.abs(in_numpy(found, IMAGES) - logits(model, IMAGES)).max() < 1e-4


def in_numpy(weights, images):
    """The logits of TINY with one block, from the equations of the paper."""

    class Layer:
        def __init__(self, name):
            self.get_weights = lambda: [weights[f"{name}/kernel"], weights[f"{name}/bias"]]

    def mlp(x, name):
        x = dense(x, Layer(f"block_0/{name}/hidden"))
        x = 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
        return dense(x, Layer(f"block_0/{name}/out"))

    def norm(x):
        return layer_norm(x, weights["block_0/token_norm/gamma"], weights["block_0/token_norm/beta"])

    mean, variance = (weights[f"normalize/{name}"].reshape(-1).astype("float64") for name in ("mean", "variance"))
    x = (images - mean) / np.sqrt(variance)
    x = x.reshape(-1, 4, 2, 4, 2, 3).transpose(0, 1, 3, 2, 4, 5).reshape(-1, 16, 12)
    x = dense(x, Layer("embed"))
    x = x + mlp(norm(x).transpose(0, 2, 1), "token_mixing").transpose(0, 2, 1)
    x = x + mlp(norm(x), "channel_mixing")
    return dense(x.mean(axis=1), Layer("head"))


def test_class_names_and_card_lie_beside_the_file(tmp_path):
    model, card = load_pretrained("article-digits")
    path = export(model, tmp_path / "new" / "digits.safetensors", card)
    described = json.loads((tmp_path / "new" / "digits.safetensors.json").read_text())
    assert described["class_names"] == list("0123456789")
    assert described["card"]["top1"] == card.top1 and RunResult(**described["card"]) == card
    assert described["input"]["shape"] == [None, 32, 32, 3] and described["input"]["values"] == "0-255"
    assert described["sha256"] == exporting.sha256_of(path)


def test_what_cannot_be_exported_is_refused_before_anything_is_written(model, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"one of .onnx, .tflite, .safetensors. Received: .*small.pt"):
        export(model, tmp_path / "small.pt")
    with pytest.raises(ValueError, match="all 3 classes. Received: 2 names"):
        export(model, tmp_path / "small.safetensors", class_names=["cat", "dog"])
    (tmp_path / "folder.safetensors").mkdir()
    with pytest.raises(ValueError, match="is a folder"):
        export(model, tmp_path / "folder.safetensors")
    monkeypatch.setattr(exporting.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"^To write .onnx, install onnx and tf2onnx: pip install onnx tf2onnx$"):
        export(model, tmp_path / "small.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.safetensors"]


@pytest.mark.skipif(KERAS_3, reason="only on Keras 2")
def test_keras_2_says_what_it_lacks(model, tmp_path):
    with pytest.raises(ValueError, match="written by Keras 3 with TensorFlow.*Here is Keras 2.15"):
        export(model, tmp_path / "small.tflite")


def test_an_export_that_fails_half_way_leaves_what_was_there(model, tmp_path, monkeypatch):
    path = export(model, tmp_path / "small.safetensors", class_names=NAMES)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    for broken in ("_write_safetensors", "sha256_of"):
        with monkeypatch.context() as patch:
            patch.setattr(exporting, broken, half_written)
            with pytest.raises(OSError, match="No space left"):
                export(randomize(model, seed=2), path)
        assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def half_written(*arguments):
    path = next(argument for argument in arguments if isinstance(argument, os.PathLike))
    path.write_bytes(b"half")
    raise OSError(28, "No space left on device")


def test_a_home_folder_is_found_by_its_short_name(model, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert export(model, "~/small.safetensors") == tmp_path / "small.safetensors"
