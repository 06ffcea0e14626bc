"""From a configuration to a Keras model: images in, logits out."""

import dataclasses

import keras

from .checks import positive_integer, rate, yes_or_no
from .fast_layers import Dense, LayerNormalization
from .layers import LAYER_NORM_EPSILON, MixerBlock, Patches
from .noise import Augment, Dropout

AUGMENT_ZOOM = 0.2


@dataclasses.dataclass(frozen=True)
class MixerConfig:
    """The sizes and choices that make one Mixer; field names as in the paper and its code.

    Attributes:
        image_size: side of the square input images, in pixels; a multiple of patch_size.
        patch_size: side of a patch, in pixels.
        num_blocks: number of Mixer layers.
        hidden_dim: channels C of the table of patches.
        tokens_mlp_dim: hidden width of token mixing.
        channels_mlp_dim: hidden width of channel mixing.
        num_classes: number of logits.
        dropout: rate after each MLP and before the head.
        shared_norm: one LayerNorm for both mixings of a block (article) or one each (paper).
        pre_head_norm: a LayerNorm before the pooling (paper) or none (article).
        stochastic_depth: rate at which the last block's mixings are left out; earlier blocks less, linearly.
        zero_head: start the head at zero (paper) or as Glorot (article).

    Raises:
        ValueError: naming the field, its value and what would be right.
    """

    image_size: int = 32
    patch_size: int = 4
    num_blocks: int = 4
    hidden_dim: int = 128
    tokens_mlp_dim: int = 64
    channels_mlp_dim: int = 64
    num_classes: int = 100
    dropout: float = 0.2
    shared_norm: bool = True
    pre_head_norm: bool = False
    stochastic_depth: float = 0.0
    zero_head: bool = False

    def __post_init__(self):
        for field in dataclasses.fields(self):
            check = {"int": positive_integer, "float": rate, "bool": yes_or_no}[
                getattr(field.type, "__name__", field.type)
            ]
            value = check(field.name, getattr(self, field.name), f" The article has {field.default}.")
            object.__setattr__(self, field.name, value)  # a plain number, which a card can hold
        if self.image_size % self.patch_size:
            fitting = [p for p in range(1, min(self.image_size, 512) + 1) if self.image_size % p == 0]
            raise ValueError(
                f"image_size must be a multiple of patch_size. Received: image_size={self.image_size}, "
                f"patch_size={self.patch_size}; patch_size could be any of {fitting}."
            )

    @property
    def num_patches(self):
        """S, the number of rows in the table of patches."""
        return (self.image_size // self.patch_size) ** 2


def _paper(patch_size, num_blocks, hidden_dim):
    return MixerConfig(
        image_size=224,
        patch_size=patch_size,
        num_blocks=num_blocks,
        hidden_dim=hidden_dim,
        tokens_mlp_dim=hidden_dim // 2,
        channels_mlp_dim=hidden_dim * 4,
        num_classes=1000,
        dropout=0.0,
        shared_norm=False,
        pre_head_norm=True,
        stochastic_depth=0.1,
        zero_head=True,
    )


PRESETS = {
    "article": MixerConfig(),
    "article-plus": MixerConfig(dropout=0.1),  # the same size; RECIPES["article-plus"] is the rest of it
    "mixer-s/32": _paper(32, 8, 512),
    "mixer-s/16": _paper(16, 8, 512),
    "mixer-b/32": _paper(32, 12, 768),
    "mixer-b/16": _paper(16, 12, 768),
    "mixer-l/32": _paper(32, 24, 1024),
    "mixer-l/16": _paper(16, 24, 1024),
    "mixer-h/14": _paper(14, 32, 1280),
}


def check_config(config):
    """Refuse what is no `MixerConfig`, and no config of another family, which builds itself."""
    if not (isinstance(config, MixerConfig) or hasattr(config, "build")):
        raise ValueError(f"config must be a MixerConfig or the name of a preset ('article'). Received: {config!r}.")


def build_classifier(config, adapt_to=None, shift=0):
    """Build the Mixer as a Keras model.

    Args:
        config: a `MixerConfig`, or the name of one in `PRESETS`. A config of another family, which has `build`
            and `multiply_adds` of its own, builds itself.
        adapt_to: (N, H, W, 3) training images, 0-255, from which mean and variance of each colour are taken. Leave
            it out when weights are loaded afterwards: they hold both.
        shift: largest move of a picture in training, in pixels along each axis (see `Augment`).

    Returns:
        `keras.Model`: (B, image_size, image_size, 3) images 0-255, uint8 or float -> (B, num_classes) logits.
        Augmentation is inside and acts with `training=True` alone.

    Raises:
        ValueError: if the preset is unknown, or config is neither.
    """
    if isinstance(config, str):
        if config not in PRESETS:
            raise ValueError(f"There is no preset {config!r}. Choose one of {', '.join(PRESETS)}.")
        config = PRESETS[config]
    check_config(config)
    if not isinstance(config, MixerConfig):
        return config.build(adapt_to, shift)
    images, x = embedded_patches(config, adapt_to, shift)  # x: (B, S, C)
    for block in range(config.num_blocks):
        depth = config.stochastic_depth * block / max(1, config.num_blocks - 1)
        x = MixerBlock(
            config.tokens_mlp_dim,
            config.channels_mlp_dim,
            config.dropout,
            config.shared_norm,
            depth,
            name=f"block_{block}",
        )(x)  # (B, S, C)
    if config.pre_head_norm:
        x = LayerNormalization(epsilon=LAYER_NORM_EPSILON, name="pre_head_norm")(x)
    return classified(config, images, x)


def embedded_patches(config, adapt_to=None, shift=0):
    """The way from images to the table of patches, which every model of this book begins with.

    Args:
        config: any config with image_size, patch_size and hidden_dim.
        adapt_to: as for `build_classifier`.
        shift: as for `build_classifier`.

    Returns:
        Two symbolic tensors: the (B, image_size, image_size, 3) images, and the (B, S, C) table made of them:
        normalized, augmented with `training=True` alone, cut into patches and embedded.
    """
    # float32 at both ends, also where the layers between compute in half precision: pictures are scaled and
    # augmented exactly, and the loss sees logits that were not rounded
    normalize = keras.layers.Normalization(name="normalize", dtype="float32")
    normalize.build((None, config.image_size, config.image_size, 3))
    if adapt_to is not None:
        normalize.adapt_mean.assign(adapt_to.mean(axis=(0, 1, 2), dtype="float64").astype("float32"))
        normalize.adapt_variance.assign(adapt_to.var(axis=(0, 1, 2), dtype="float64").astype("float32"))
        normalize.finalize_state()

    images = keras.Input((config.image_size, config.image_size, 3), name="images")  # (B, H, W, 3)
    x = normalize(images)
    x = Augment(AUGMENT_ZOOM, shift, name="augment", dtype="float32")(x)
    x = Patches(config.patch_size, name="patches")(x)  # (B, S, P*P*3)
    x = Dense(config.hidden_dim, name="embed")(x)  # (B, S, C)
    return images, x


def classified(config, images, x):
    """The model's end: the (B, S, C) table's mean over its patches, dropout, and a dense layer to the logits.

    `config` has num_classes and dropout, and may have `zero_head`, which starts the dense layer at zero.
    """
    x = keras.layers.GlobalAveragePooling1D(name="pool")(x)  # (B, C)
    x = Dropout(config.dropout, name="head_dropout")(x)
    initializer = "zeros" if getattr(config, "zero_head", False) else "glorot_uniform"
    head = keras.layers.Dense(config.num_classes, kernel_initializer=initializer, name="head", dtype="float32")
    logits = head(x)  # (B, num_classes)
    return keras.Model(images, logits, name="mixer")


def multiply_adds(config):
    """Multiply-adds for one image: every dense layer's inputs x outputs, times how often it is applied."""
    if not isinstance(config, MixerConfig):
        return config.multiply_adds()
    patches, width = config.num_patches, config.hidden_dim
    embed = patches * config.patch_size**2 * 3 * width
    tokens = width * 2 * patches * config.tokens_mlp_dim
    channels = patches * 2 * width * config.channels_mlp_dim
    return embed + config.num_blocks * (tokens + channels) + width * config.num_classes
