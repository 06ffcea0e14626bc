"""The page's scripts in Node, and Keras's answers to compare them with."""

import base64
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from mixer_lib.pictures.read import read_picture
from tools.render import live

HERE = Path(__file__).parent
NODE = shutil.which("node")
MODELS = live.MODELS
TOLERANCE = 1e-4  # of a logit, and of a number in a table

needs_node = pytest.mark.skipif(NODE is None, reason="no node here")
each_model = pytest.mark.parametrize("name", MODELS)


def run(script, *arguments, **question):
    """What a script answers to a question."""
    command = [NODE, str(HERE / script), *map(str, arguments)]
    done = subprocess.run(command, input=json.dumps(question), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def ask(weights, do, images=(), mixer=live.LIVE / "mixer.js", **question):
    """What the page's forward pass answers about uint8 images."""
    images = [base64.b64encode(np.ascontiguousarray(image)).decode() for image in images]
    return json.loads(run("forward.js", mixer, weights, do=do, images=images, **question))


def gallery():
    """The gallery's pictures as the model sees them: (N, 32, 32, 3)."""
    return np.stack([read_picture(live.LIVE / "gallery" / one["file"], 32) for one in live.pack_gallery()])


def sample(count=20):
    """Pictures of all kinds: random numbers, smooth colours, one colour, the gallery."""
    draw = np.random.default_rng(0)
    noise = draw.integers(0, 256, (count, 32, 32, 3))
    smooth = np.kron(draw.integers(0, 256, (count, 4, 4, 3)), np.ones((1, 8, 8, 1)))
    flat = np.stack([np.full((32, 32, 3), value) for value in (0, 255)])
    return np.concatenate([noise, smooth, flat, gallery()]).astype("uint8")


def assert_same_logits(ours, keras):
    """Equal within the tolerance, and the same top five where Keras's own gaps are larger than that."""
    ours, keras = np.asarray(ours), np.asarray(keras)
    assert np.abs(ours - keras).max() <= TOLERANCE
    for a, b in zip(ours, keras, strict=True):
        best = np.argsort(-b, kind="stable")[:6]
        if np.diff(-b[best]).min() > 2 * TOLERANCE:
            assert np.argsort(-a, kind="stable")[:5].tolist() == best[:5].tolist()
