"""Looking into a trained Mixer: its weights as pictures, and what it does with disturbed pictures.

Shapes: N images of H x W pixels, P the side of a patch, S = H/P * W/P patches, C channels.
"""

import numpy as np

from ..evaluation import compute_logits, evaluate, softmax
from ..pictures.read import to_images


def token_maps(model, block):
    """What each hidden unit of a block's token mixing reads, laid out as the image is.

    Returns (tokens_mlp_dim, H/P, W/P) weights: map u holds, at a patch's place, the weight of that patch in unit u.
    Blocks are counted from 0; ValueError if the model has no such block.
    """
    names = [layer.name for layer in model.layers if layer.name.startswith("block_")]
    if isinstance(block, str) or f"block_{block}" not in names:
        raise ValueError(f"The model has the blocks 0 to {len(names) - 1}. Received: block={block!r}.")
    kernel = model.get_layer(f"block_{block}").token_mixing.hidden.get_weights()[0]  # (S, units)
    return kernel.T.reshape(kernel.shape[1], round(len(kernel) ** 0.5), -1)


def embedding_filters(model):
    """The patch embedding's weights as small pictures: (C, P, P, 3), one for each channel."""
    kernel = np.asarray(model.get_layer("embed").get_weights()[0])  # (P*P*3, C)
    size = model.get_layer("patches").patch_size
    return kernel.T.reshape(-1, size, size, 3)


def roughness(maps):
    """How much each map (N, rows, columns) changes from a place to its neighbours.

    Returns (N,) mean squared differences of neighbours, divided by what they would be for the same values in random
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
    cut = images.reshape(count, height // patch_size, patch_size, width // patch_size, patch_size, colours)
    return cut.swapaxes(2, 3).reshape(count, -1, patch_size**2, colours)


def from_patches(patches, height, width):
    """The inverse of `to_patches`: (N, S, P*P, 3) -> (N, height, width, 3)."""
    count, _, pixels, colours = patches.shape
    size = round(pixels**0.5)
    laid = patches.reshape(count, height // size, width // size, size, size, colours).swapaxes(2, 3)
    return laid.reshape(count, height, width, colours)


def check_order(name, order, count):
    """ValueError unless an order is None or a permutation of `count` numbers."""
    if order is not None and not np.array_equal(np.sort(order), np.arange(count)):
        raise ValueError(f"{name} must hold each number from 0 to {count - 1} once. Received: {order!r}.")


def reorder(images, patch_size, patch_order=None, pixel_order=None):
    """Permute the patches of every image (N, H, W, 3), and the pixels of every patch, in the same way for all.

    Args:
        patch_order: (S,) a permutation: which old patch comes to each place; None leaves them.
        pixel_order: (P*P,) likewise for the pixels of each patch.

    Returns (N, H, W, 3). Raises ValueError if an order is not a permutation.
    """
    patches = to_patches(images, patch_size)
    check_order("patch_order", patch_order, patches.shape[1])
    check_order("pixel_order", pixel_order, patches.shape[2])
    if patch_order is not None:
        patches = patches[:, patch_order]
    if pixel_order is not None:
        patches = patches[:, :, pixel_order]
    return from_patches(patches, *images.shape[1:3])


def shuffle_pixels(images, order):
    """All pixels of every image in another order (H*W,), the same for all; ValueError if it is no permutation."""
    check_order("order", order, images.shape[1] * images.shape[2])
    return images.reshape(len(images), -1, images.shape[-1])[:, order].reshape(images.shape)


def follow_orders(model, patch_order=None, pixel_order=None):
    """Permute a model's weights, in place, so that it sees images from `reorder` as it saw them before.

    The order of the patches is that of the rows of token mixing's first kernel and of the columns of its second; the
    order of the pixels is that of the embedding's rows. Nothing else in a Mixer knows where a patch lies. ValueError if
    an order is not a permutation.
    """
    size = model.get_layer("patches").patch_size
    check_order("patch_order", patch_order, (model.input_shape[1] // size) ** 2)
    check_order("pixel_order", pixel_order, size**2)
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


def shift_images(images, down, right):
    """Images moved by whole pixels; what comes in at the edge repeats the edge."""
    rows = np.clip(np.arange(images.shape[1]) - down, 0, images.shape[1] - 1)
    columns = np.clip(np.arange(images.shape[2]) - right, 0, images.shape[2] - 1)
    return images[:, rows][:, :, columns]


def accuracy_when_moved(model, images, labels, pixels):
    """Top-1, as a fraction, on images moved by so many pixels: the mean of down, up, right and left."""
    ways = [(pixels, 0), (-pixels, 0), (0, pixels), (0, -pixels)] if pixels else [(0, 0)]
    return float(np.mean([evaluate(model, shift_images(images, *way), labels)["top1"] for way in ways]))


def add_noise(images, deviation, seed=0):
    """Images with normal noise of that standard deviation (of 255) on every value, cut to 0-255 again."""
    noise = np.random.default_rng(seed).normal(scale=deviation, size=images.shape)
    return np.clip(images + noise, 0, 255).round().astype("uint8")


def occlusion(model, picture):
    """How much the probability of the best class falls when a patch is covered with the picture's mean colour.

    `picture` is what `predict` takes, one of them. Returns (picture (H, W, 3) uint8, fall (H/P, W/P)), P the side of a
    patch. ValueError for more than one picture. Source: Zeiler and Fergus 2014, section 4.2.
    """
    images, _ = to_images(picture, model.input_shape[1])
    if len(images) != 1:
        raise ValueError(f"picture must be one picture. Received: {len(images)}. Take one of them.")
    image, size = images[0], model.get_layer("patches").patch_size
    side = len(image) // size
    covered = np.repeat(image[None], 1 + side**2, axis=0)
    for place in range(side**2):
        row, column = divmod(place, side)
        rows, columns = slice(row * size, (row + 1) * size), slice(column * size, (column + 1) * size)
        covered[1 + place, rows, columns] = image.mean(axis=(0, 1))
    chances = softmax(compute_logits(model, covered))
    best = chances[0].argmax()
    return image, (chances[0, best] - chances[1:, best]).reshape(side, side)
