"""Looking into a trained Mixer: its weights as pictures, and what it does with pictures that were disturbed.

Shapes: N images of H x W pixels, P the side of a patch, S = H/P * W/P patches, C channels.
"""

import numpy as np


def token_maps(model, block):
    """What each hidden unit of a token mixing reads, laid out as the image is.

    Args:
        model: a classifier of `build_classifier`.
        block: number of the block, from 0.

    Returns:
        (tokens_mlp_dim, H/P, W/P) weights: map u holds, at a patch's place, the weight of that patch in unit u.

    Raises:
        ValueError: if the model has no such block.
    """
    names = [layer.name for layer in model.layers if layer.name.startswith("block_")]
    if isinstance(block, str) or f"block_{block}" not in names:
        raise ValueError(f"The model has the blocks 0 to {len(names) - 1}. Received: block={block!r}.")
    kernel = np.asarray(model.get_layer(f"block_{block}").token_mixing.hidden.get_weights()[0])  # (S, units)
    side = round(len(kernel) ** 0.5)
    return kernel.T.reshape(-1, side, side)


def embedding_filters(model):
    """The patch embedding's weights as small pictures: (C, P, P, 3), one for each channel."""
    kernel = np.asarray(model.get_layer("embed").get_weights()[0])  # (P*P*3, C)
    size = model.get_layer("patches").patch_size
    return kernel.T.reshape(-1, size, size, 3)


def roughness(maps):
    """How much each map changes from a place to its neighbours.

    Args:
        maps: (N, rows, columns).

    Returns:
        (N,) mean squared difference of neighbours, divided by what it would be if the same values lay in random
        order: near 1 for noise, near 0 for smooth maps.
    """
    maps = np.asarray(maps, "float64")
    down, across = np.diff(maps, axis=1) ** 2, np.diff(maps, axis=2) ** 2
    neighbours = np.concatenate([down.reshape(len(maps), -1), across.reshape(len(maps), -1)], axis=1).mean(axis=1)
    count = maps[0].size
    return neighbours / (2 * maps.var(axis=(1, 2)) * count / (count - 1))


def to_patches(images, patch_size):
    """(N, H, W, 3) images -> (N, S, P*P, 3): the pixels of each patch, patches from left to right and top to bottom."""
    count, height, width, colours = images.shape
    rows, columns = height // patch_size, width // patch_size
    cut = images.reshape(count, rows, patch_size, columns, patch_size, colours).swapaxes(2, 3)
    return cut.reshape(count, rows * columns, patch_size**2, colours)


def from_patches(patches, height, width):
    """The inverse of `to_patches`: (N, S, P*P, 3) -> (N, height, width, 3)."""
    count, _, pixels, colours = patches.shape
    size = round(pixels**0.5)
    laid = patches.reshape(count, height // size, width // size, size, size, colours).swapaxes(2, 3)
    return laid.reshape(count, height, width, colours)


def reorder(images, patch_size, patch_order=None, pixel_order=None):
    """Put the patches of every image in another order, and the pixels of every patch, the same for all.

    Args:
        images: (N, H, W, 3).
        patch_size: P.
        patch_order: (S,) a permutation: which old patch comes to each place; None leaves them.
        pixel_order: (P*P,) likewise for the pixels of each patch.

    Returns:
        (N, H, W, 3).

    Raises:
        ValueError: if an order is no permutation of as many numbers as there are places.
    """
    patches = to_patches(images, patch_size)
    for name, order, count in (
        ("patch_order", patch_order, patches.shape[1]),
        ("pixel_order", pixel_order, patches.shape[2]),
    ):
        if order is not None and not np.array_equal(np.sort(order), np.arange(count)):
            raise ValueError(f"{name} must hold each number from 0 to {count - 1} once. Received: {order!r}.")
    if patch_order is not None:
        patches = patches[:, patch_order]
    if pixel_order is not None:
        patches = patches[:, :, pixel_order]
    return from_patches(patches, *images.shape[1:3])


def shuffle_everything(images, order):
    """All pixels of every image in another order (H*W,), the same for all: patches no longer hold what they held."""
    flat = images.reshape(len(images), -1, images.shape[-1])
    return flat[:, order].reshape(images.shape)


def follow_orders(model, patch_order=None, pixel_order=None):
    """Make a model see images reordered by `reorder` as it saw them before: move its weights along.

    The patches' order is the order of the rows of token mixing's first weights and of the columns of its second;
    the pixels' order is the order of the embedding's rows. Nothing else in a Mixer knows where a patch lies.

    Args:
        model: a classifier of `build_classifier`; changed in place.
        patch_order, pixel_order: as for `reorder`.
    """
    if pixel_order is not None:
        embed = model.get_layer("embed")
        kernel, bias = embed.get_weights()
        embed.set_weights([kernel.reshape(len(pixel_order), 3, -1)[pixel_order].reshape(kernel.shape), bias])
    if patch_order is not None:
        for layer in model.layers:
            if layer.name.startswith("block_"):
                hidden, out = layer.token_mixing.hidden, layer.token_mixing.out
                kernel, bias = hidden.get_weights()
                hidden.set_weights([kernel[patch_order], bias])
                kernel, bias = out.get_weights()
                out.set_weights([kernel[:, patch_order], bias[patch_order]])


def shifted(images, down, right):
    """Images moved by whole pixels; what comes in at the edge repeats the edge."""
    rows = np.clip(np.arange(images.shape[1]) - down, 0, images.shape[1] - 1)
    columns = np.clip(np.arange(images.shape[2]) - right, 0, images.shape[2] - 1)
    return images[:, rows][:, :, columns]


def noisy(images, deviation, seed=0):
    """Images with normal noise of that standard deviation (of 255) on every value, cut to 0-255 again."""
    noise = np.random.default_rng(seed).normal(scale=deviation, size=images.shape)
    return np.clip(images + noise, 0, 255).round().astype("uint8")
