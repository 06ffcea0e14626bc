"""The weights that the paper's authors released, as Keras models, and back.

A released file is a NumPy archive, without pickles. Its keys are paths, such as
`MixerBlock_3/token_mixing/Dense_0/kernel`; kernels are (in, out), the stem's is (height, width, colour, out).
Source of the names: google-research/vision_transformer, models_mixer.py.
"""

import base64
import contextlib
import json
import re
import urllib.request
import zipfile

import numpy as np

from ..classifier import MixerConfig, build_classifier
from ..compat import first_weights, standard_settings
from ..datasets.download import call_within, fetch
from ..datasets.locate import keras_cache
from ..layers import MixerBlock
from ..validation import user_path
from .enlarge import enlarge

HOST = "https://storage.googleapis.com/mixer_models"
RELEASED = {
    f"{name}-{data}": f"{HOST}/{data}/Mixer-{name.upper().replace('/', '_')}.npz"
    for name in ("b/16", "l/16")
    for data in ("imagenet1k", "imagenet21k")
}
# Keras's own list, {"0": ["n01440764", "tench"], ...}: in the order of the WordNet numbers, as the released heads are
IMAGENET_WORDS = "https://storage.googleapis.com/download.tensorflow.org/data/imagenet_class_index.json"
IMAGENET_WORDS_HASH = "md5:c2c37ea517e94d9795004a39431a14cb"
MIDDLE_GREY = 127.5  # the authors' models see colours from -1 to 1


def _keys(model):
    """Each layer with weights and the keys of its two arrays in a released file; a norm's kernel is its scale."""

    def dense(layer, path):
        return layer, (f"{path}/kernel", f"{path}/bias")

    def norm(layer, path):
        return layer, (f"{path}/scale", f"{path}/bias")

    yield dense(model.get_layer("embed"), "stem")
    blocks = [layer for layer in model.layers if isinstance(layer, MixerBlock)]
    for i, block in enumerate(blocks):
        yield norm(block.token_norm, f"MixerBlock_{i}/LayerNorm_0")
        yield norm(block.channel_norm, f"MixerBlock_{i}/LayerNorm_1")
        for name in ("token_mixing", "channel_mixing"):
            yield dense(getattr(block, name).hidden, f"MixerBlock_{i}/{name}/Dense_0")
            yield dense(getattr(block, name).out, f"MixerBlock_{i}/{name}/Dense_1")
    yield norm(model.get_layer("pre_head_norm"), "pre_head_layer_norm")
    yield dense(model.get_layer("head"), "head")


def _released_shape(key, shape, size):
    """The stem is a convolution there and a dense layer here: the same numbers in another shape."""
    return (size, size, 3, shape[-1]) if key == "stem/kernel" else tuple(shape)


def infer_config(arrays):
    """The `MixerConfig` that matches the shapes of a released file's arrays; ValueError if there is none."""

    def shape(key, axes):
        if key not in arrays:
            raise ValueError(
                f"A released Mixer holds an array {key!r}, and this file doesn't. It holds, for instance, "
                f"{sorted(arrays)[:3]}. Use one of the authors' files, such as Mixer-B_16.npz."
            )
        found = np.shape(arrays[key])
        if len(found) != axes:
            raise ValueError(f"{key} must have {axes} axes. Received: an array of shape {found}.")
        return found

    patch_size, _, _, hidden_dim = shape("stem/kernel", 4)
    blocks = {int(found[1]) for key in arrays if (found := re.match(r"MixerBlock_(\d+)/", key))}
    patches, tokens_mlp_dim = shape("MixerBlock_0/token_mixing/Dense_0/kernel", 2)
    channels_mlp_dim = shape("MixerBlock_0/channel_mixing/Dense_0/kernel", 2)[1]
    side = round(patches**0.5)
    if side**2 != patches:
        raise ValueError(f"The number of patches must be a square. Received: token mixing over {patches} patches.")
    widths = (hidden_dim, tokens_mlp_dim, channels_mlp_dim, shape("head/kernel", 2)[1])
    choices = {"dropout": 0.0, "shared_norm": False, "pre_head_norm": True}
    return MixerConfig(side * patch_size, patch_size, max(blocks) + 1, *widths, **choices)


def _read(file):
    """The arrays of an `.npz`, none of them pickled."""
    try:
        with np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise ValueError(f"{file} is not a NumPy archive of plain arrays: {error}. Fetch it again.") from error


def _published_md5(url):
    """The MD5 that the host publishes for a file, in hex digits."""
    with call_within(10, urllib.request.urlopen, urllib.request.Request(url, method="HEAD"), timeout=10) as answer:
        hashes = ",".join(answer.headers.get_all("x-goog-hash") or [])
    found = re.search(r"md5=([A-Za-z0-9+/=]+)", hashes)
    if not found:
        raise ValueError(f"{url} comes without a checksum. Download it by hand and pass its path to load_released.")
    return base64.b64decode(found[1]).hex()


def _place(name):
    """Where a released file lies once it is fetched; ValueError for a name that is not in `RELEASED`."""
    if name not in RELEASED:
        raise ValueError(f"There is no released model of this name: use one of {sorted(RELEASED)}. Received: {name!r}.")
    return keras_cache().parent / "released-mixers" / f"{name.replace('/', '_')}.npz"


def find_released(name):
    """The path of a file that `fetch_released` has downloaded before, or None. Uses no network.

    ValueError for a name that is not in `RELEASED`.
    """
    path = _place(name)
    return path if path.is_file() else None


def fetch_released(name):
    """Download a released file, such as "b/16-imagenet1k", into Keras's cache, unless it is there; returns its path.

    The file is compared with the MD5 that the host states. No checksum was published with the paper, so `load_released`
    checks the shape of every array, too.

    ValueError for a name that is not in `RELEASED`, or a file with another checksum; OSError if the host is silent.
    """
    path = _place(name)
    fetch(RELEASED[name], f"md5:{_published_md5(RELEASED[name])}", path)
    return path


def load_released(file, image_size=None):
    """A model with the weights of a released file, such as Mixer-B_16.npz; its sizes are those of the file's arrays.

    Returns a `keras.Model`: (B, H, W, 3) images 0-255 -> (B, num_classes) logits. Colours are scaled to -1..1 inside,
    as the authors do before their models. `image_size`: for larger pictures, see `enlarge`. FileNotFoundError if there
    is no such file; ValueError if it is no archive of plain arrays, or one of them is missing, unknown or of another
    shape.
    """
    arrays = _read(user_path(file))
    config = infer_config(arrays)
    with standard_settings(), first_weights(0):
        model = build_classifier(config)
    normalize = model.get_layer("normalize")
    normalize.adapt_mean.assign(np.full(3, MIDDLE_GREY, "float32"))
    normalize.adapt_variance.assign(np.full(3, MIDDLE_GREY**2, "float32"))
    normalize.finalize_state()
    for layer, keys in _keys(model):
        weights = layer.get_weights()
        for i, key in enumerate(keys):
            value, expected = arrays.pop(key, None), _released_shape(key, weights[i].shape, config.patch_size)
            if np.shape(value) != expected:
                found = "nothing" if value is None else f"an array of shape {value.shape}"
                raise ValueError(f"{file}: {key} must be an array of shape {expected}. Received: {found}.")
            weights[i] = value.reshape(weights[i].shape).astype("float32")
        layer.set_weights(weights)
    if arrays:
        raise ValueError(f"{file} holds arrays that a Mixer of {config} has no place for: {sorted(arrays)[:5]}.")
    return enlarge(model, config, image_size)[0] if image_size else model


def save_released(model, file):
    """Write the weights of a Mixer as the authors would, to an `.npz`.

    Raises ValueError unless the model has two norms in each block and one before the head, as "mixer-b/16" has.
    """
    names = [layer.name for layer in model.layers]
    shared = [layer.shared_norm for layer in model.layers if isinstance(layer, MixerBlock)]
    if "pre_head_norm" not in names or not shared or any(shared):
        raise ValueError(
            "A released file holds a Mixer with two norms in each block and one before the head. Received: a model of "
            f"{', '.join(names)}. Build it with shared_norm=False and pre_head_norm=True."
        )
    size, arrays = model.get_layer("patches").patch_size, {}
    for layer, keys in _keys(model):
        for key, weight in zip(keys, layer.get_weights(), strict=True):
            arrays[key] = weight.reshape(_released_shape(key, weight.shape, size))
    np.savez(user_path(file), **arrays)


def imagenet_words():
    """The names of ImageNet's 1,000 classes in the order of the released models' logits, or None.

    mixer_lib does not ship them: they are read from Keras's cache, and fetched into it where they are missing. None if
    their host can't be reached.
    """
    path = keras_cache().parent / "models" / "imagenet_class_index.json"
    with contextlib.suppress(OSError):
        fetch(IMAGENET_WORDS, IMAGENET_WORDS_HASH, path)
        entries = json.loads(path.read_text(encoding="utf-8"))
        return [entries[str(number)][1] for number in range(len(entries))]
