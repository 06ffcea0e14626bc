"""Chapter 0: the blocks of code in Keras, PyTorch and JAX run as they stand on the page, and are one model."""

import os
import re
import subprocess

import hosted_images
import numpy as np
import pytest
from pages import read, sources

from mixer_lib import load_pretrained
from tools.paths import ROOT

CHAPTER = ROOT / "notebooks" / "00_thirty_lines.ipynb"
SIDE, PATCH, CLASSES = 16, 4, 7
SIZES = f"side={SIDE}, patch={PATCH}, blocks=2, hidden_dim=12, mlp_dims=(10, 9), classes={CLASSES}"
LOAD = "import numpy as np\nimages, *arrays = np.load('given.npz').values()\n"
COMPUTE = {
    "PyTorch": f"model = Mixer({SIZES})\nset_weights(model, arrays)\n"
    "logits = model(torch.tensor(images)).detach().numpy()\n",
    "JAX": "logits = jax.jit(mixer)(group_weights(arrays), images)\n",
}
SAVE = "np.save('logits.npy', np.asarray(logits))\n"


def keras_code():
    return next(cell.source for cell in read(CHAPTER).cells if cell.id == "keras-model")


def tab(name):
    """The code of a tab of the chapter."""
    text = "\n".join(sources(CHAPTER, "markdown"))
    content = re.search(rf"^::::\{{tab-item\}} {name}\n(.*?)^::::$", text, re.M | re.S)[1]
    return "\n\n".join(re.findall(r"^```python\n(.*?)^```$", content, re.M | re.S))


@pytest.fixture(scope="module")
def keras_names():
    """What the Keras block defines."""
    names = {}
    exec(keras_code(), names)
    return names


@pytest.fixture(scope="module")
def given(keras_names):
    """Pictures, the weights of a small Keras model, none of them zero, and its logits."""
    draw = np.random.default_rng(0)
    model = eval(f"mixer({SIZES})", keras_names)
    model.set_weights([draw.normal(0.2, 0.5, w.shape).astype("float32") for w in model.get_weights()])
    images = draw.normal(size=(5, SIDE, SIDE, 3)).astype("float32")
    return images, model.get_weights(), np.asarray(model(images))


def test_the_model_has_about_thirty_lines_in_each_framework():
    for code in (keras_code(), tab("PyTorch"), tab("JAX")):
        lines = code.splitlines()
        assert sum(map(bool, lines)) <= 38  # with the few that take over the weights
        assert max(map(len, lines)) <= 88
    assert len(keras_code().splitlines()) <= 30


def test_the_published_weights_give_the_published_logits(keras_names):
    published, _ = load_pretrained("article")
    model = keras_names["mixer"]()
    model.set_weights([np.asarray(weight) for weight in published.trainable_weights])
    pictures = np.random.default_rng(0).uniform(0, 255, (4, 32, 32, 3)).astype("float32")
    normalized = np.asarray(published.get_layer("normalize")(pictures))
    assert np.asarray(model(normalized)) == pytest.approx(np.asarray(published(pictures)), abs=1e-3)


@pytest.mark.hosted
@pytest.mark.parametrize(("name", "backend"), [("JAX", "jax"), ("PyTorch", "torch")])
def test_the_same_weights_give_the_same_logits_in_another_framework(given, name, backend, tmp_path):
    images, arrays, expected = given
    np.savez(tmp_path / "given.npz", images, *arrays)
    python = str(hosted_images.python_with(backend))
    command = [python, "-c", "\n".join([tab(name), LOAD, COMPUTE[name], SAVE])]
    values = {**os.environ, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(command, capture_output=True, text=True, env=values, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    logits = np.load(tmp_path / "logits.npy")
    assert logits.shape == expected.shape == (5, CLASSES)
    assert np.ptp(expected) > 1  # not the same number everywhere
    assert logits == pytest.approx(expected, rel=1e-4, abs=1e-4)
