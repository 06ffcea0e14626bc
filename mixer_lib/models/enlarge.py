"""A trained Mixer for larger pictures than those it was trained on."""

import dataclasses

import numpy as np

from ..classifier import MixerConfig, build_classifier
from ..layers import MixerBlock
from ..validation import positive_integer


def enlarge(model, config, image_size):
    """A Mixer for pictures K times as high and wide, with weights from which training can go on; K a whole number.

    The larger picture is cut into K x K parts of the original size. Token mixing has K^2 times the width, and its
    matrices hold K^2 copies of the original ones, block by block, so that at first each part is processed by itself:
    the logits are the mean of those of the parts. Source: Tolstikhin et al. 2021, appendix C.

    Returns (model, config). ValueError for another size or another kind of model.
    """
    image_size = positive_integer("image_size", image_size)
    factor, rest = divmod(image_size, config.image_size)
    if not isinstance(config, MixerConfig) or rest or not factor:
        size = f"{config.image_size}x{config.image_size}"
        raise ValueError(
            f"The weights are for pictures of {size}, and token mixing has some for each patch. Received: "
            f"image_size={image_size}, {type(config).__name__}. A Mixer can be enlarged to a multiple, such as "
            f"{2 * config.image_size}; otherwise resize the pictures, or train for their size."
        )
    if factor == 1:
        return model, config
    sizes = {"image_size": image_size, "tokens_mlp_dim": factor**2 * config.tokens_mlp_dim}
    config = dataclasses.replace(getattr(config, "model", config), **sizes)
    larger, side = build_classifier(config), config.image_size // config.patch_size // factor
    # (K^2, S): the places of each part's patches among all, which are numbered row by row
    places = np.arange(config.num_patches).reshape(factor, side, factor, side).transpose(0, 2, 1, 3)
    places = places.reshape(factor**2, side**2)
    for layer in model.layers:
        target = larger.get_layer(layer.name)
        if isinstance(layer, MixerBlock):
            norms = ("token_norm",) if layer.shared_norm else ("token_norm", "channel_norm")
            for name in (*norms, "channel_mixing"):
                getattr(target, name).set_weights(getattr(layer, name).get_weights())
            _enlarge_mlp(layer.token_mixing, target.token_mixing, places)
        else:
            target.set_weights(layer.get_weights())
    larger.get_layer("normalize").finalize_state()
    return larger, config


def _enlarge_mlp(mlp, target, places):
    """Set `target`'s weights to copies of `mlp`'s, one for each row of `places`."""
    (into, into_bias), (out, out_bias) = mlp.hidden.get_weights(), mlp.out.get_weights()  # (S, D), (D,), (D, S), (S,)
    parts, width = len(places), into.shape[1]
    large_in = np.zeros((places.size, parts * width), "float32")
    large_out, large_bias = large_in.T.copy(), np.zeros(places.size, "float32")
    for part, rows in enumerate(places):
        columns = np.arange(part * width, (part + 1) * width)
        large_in[np.ix_(rows, columns)] = into
        large_out[np.ix_(columns, rows)] = out
        large_bias[rows] = out_bias
    target.hidden.set_weights([large_in, np.tile(into_bias, parts)])
    target.out.set_weights([large_out, large_bias])
