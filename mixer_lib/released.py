"""The weights that the paper's authors released, as Keras models, and back.

A released file is a NumPy archive. Its keys are paths, such as `MixerBlock_3/token_mixing/Dense_0/kernel`; kernels
are (in, out), the stem's is (height, width, colour, out). Nothing in it is pickled. Source of the names:
google-research/vision_transformer, models_mixer.py.
"""

import base64
import pathlib
import re
import urllib.request
import zipfile

import keras
import numpy as np

from .classifier import MixerConfig, build_classifier
from .data_files import keras_cache

HOST = "https://storage.googleapis.com/mixer_models"
RELEASED = {
    f"{name}-{data}": f"{HOST}/{data}/Mixer-{name.upper().replace('/', '_')}.npz"
    for name in ("b/16", "l/16")
    for data in ("imagenet1k", "imagenet21k")
}
MIDDLE_GREY = 127.5  # the authors' models see colours from -1 to 1


def _block_names(block):
    """(path in a released file, path in our block) of one block's pieces; a norm's `kernel` is its scale."""
    for ours, theirs in (("token_norm", "LayerNorm_0"), ("channel_norm", "LayerNorm_1")):
        yield f"MixerBlock_{block}/{theirs}/", (f"block_{block}", ours), ("scale", "bias")
    for mixing in ("token_mixing", "channel_mixing"):
        for ours, theirs in (("hidden", "Dense_0"), ("out", "Dense_1")):
            yield f"MixerBlock_{block}/{mixing}/{theirs}/", (f"block_{block}", mixing, ours), ("kernel", "bias")


def _pieces(num_blocks):
    """Every piece of a released model: its path in the file, its layer here, the names of its two arrays."""
    yield "stem/", ("embed",), ("kernel", "bias")
    for block in range(num_blocks):
        yield from _block_names(block)
    yield "pre_head_layer_norm/", ("pre_head_norm",), ("scale", "bias")
    yield "head/", ("head",), ("kernel", "bias")


def _layer(model, path):
    layer = model.get_layer(path[0])
    for name in path[1:]:
        layer = getattr(layer, name)
    return layer


def config_of(arrays):
    """The `MixerConfig` that a released file's arrays have the shapes of.

    Raises:
        ValueError: if an array is missing or doesn't fit the others.
    """

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
    return MixerConfig(
        image_size=side * patch_size,
        patch_size=patch_size,
        num_blocks=max(blocks) + 1,
        hidden_dim=hidden_dim,
        tokens_mlp_dim=tokens_mlp_dim,
        channels_mlp_dim=channels_mlp_dim,
        num_classes=shape("head/kernel", 2)[1],
        dropout=0.0,
        shared_norm=False,
        pre_head_norm=True,
    )


def _read(file):
    """The arrays of an `.npz`, none of them pickled."""
    try:
        with np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise ValueError(f"{file} is no NumPy archive of plain arrays: {error}. Fetch it again.") from error


def _stated_sum(url):
    """The MD5 that the host states for a file, in hex digits."""
    with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=10) as answer:
        stated = ",".join(answer.headers.get_all("x-goog-hash") or [])
    found = re.search(r"md5=([A-Za-z0-9+/=]+)", stated)
    if not found:
        raise ValueError(f"{url} comes without a sum to check it by. Fetch it by hand and name the file.")
    return base64.b64decode(found[1]).hex()


def fetch_released(name):
    """Download a released file into Keras's cache, unless it is there.

    Args:
        name: one of `RELEASED`, such as "b/16-imagenet1k".

    Returns:
        `pathlib.Path` of the `.npz`. What arrives is compared with the MD5 that the host states for it; no sum was
        published with the paper, so `load_released` checks every array's shape besides.

    Raises:
        ValueError: for an unknown name, or a file that isn't the one the host speaks of.
        OSError: if the host can't be reached.
    """
    if name not in RELEASED:
        raise ValueError(f"There is no released model of this name: use one of {sorted(RELEASED)}. Received: {name!r}.")
    url = RELEASED[name]
    keras_cache().mkdir(parents=True, exist_ok=True)  # Keras would go elsewhere if its cache were not there
    return pathlib.Path(
        keras.utils.get_file(
            f"{name.replace('/', '_')}.npz",
            url,
            file_hash=_stated_sum(url),
            hash_algorithm="md5",
            cache_subdir="released-mixers",
            cache_dir=str(keras_cache().parent),
        )
    )


def load_released(file):
    """A model with the weights of a released file.

    Args:
        file: path of an `.npz`, such as Mixer-B_16.npz; `fetch_released` gets one. Its sizes are read from the shapes
            of its arrays.

    Returns:
        `keras.Model`: (B, H, W, 3) images 0-255 -> (B, num_classes) logits. Colours are taken to -1..1 inside, as
        the authors do before their models.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no NumPy archive of plain arrays, or an array is missing, is one too many or has a
            shape that doesn't fit.
    """
    arrays = _read(pathlib.Path(file))
    config = config_of(arrays)
    model = build_classifier(config)
    normalize = model.get_layer("normalize")
    normalize.adapt_mean.assign(np.full(3, MIDDLE_GREY, "float32"))
    normalize.adapt_variance.assign(np.full(3, MIDDLE_GREY**2, "float32"))
    normalize.finalize_state()
    left = set(arrays)
    for path, place, names in _pieces(config.num_blocks):
        layer = _layer(model, place)
        values = []
        for name, weight in zip(names, layer.get_weights(), strict=True):
            key = path + name
            value = arrays.get(key)
            expected = _released_shape(key, weight.shape, config)
            if value is None or value.shape != expected:
                found = "nothing" if value is None else f"an array of shape {value.shape}"
                raise ValueError(f"{file}: {key} must be an array of shape {expected}. Received: {found}.")
            values.append(value.reshape(weight.shape).astype("float32"))
            left.discard(key)
        layer.set_weights(values)
    if left:
        raise ValueError(f"{file} holds arrays that a Mixer of {config} has no place for: {sorted(left)[:5]}.")
    return model


def _released_shape(key, shape, config):
    """The stem is a convolution there and a dense layer here: the same numbers in another shape."""
    if key == "stem/kernel":
        return (config.patch_size, config.patch_size, 3, config.hidden_dim)
    return tuple(shape)


def save_released(model, file):
    """Write a model's weights as the authors would.

    Args:
        model: a classifier of two norms a block and one before the head, as `build_classifier("mixer-b/16")` makes.
        file: path of the `.npz` to write.

    Raises:
        ValueError: if the model has not all the pieces of the paper's Mixer.
    """
    names = [layer.name for layer in model.layers]
    if "pre_head_norm" not in names or model.get_layer("block_0").shared_norm:
        raise ValueError(
            "A released file has two norms in each block and one before the head. Received: a model of "
            f"{', '.join(names)}. Build it with shared_norm=False and pre_head_norm=True."
        )
    arrays = {}
    patch_size = model.get_layer("patches").patch_size
    for path, place, keys in _pieces(sum(name.startswith("block_") for name in names)):
        for name, weight in zip(keys, _layer(model, place).get_weights(), strict=True):
            if path + name == "stem/kernel":
                weight = weight.reshape(patch_size, patch_size, 3, -1)
            arrays[path + name] = weight
    np.savez(file, **arrays)
