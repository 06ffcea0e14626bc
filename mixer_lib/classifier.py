"""From a configuration to a Keras model: images in, logits out."""

import dataclasses
from typing import Any

import keras

from . import layers
from .augmentation import Augment
from .validation import check_fields


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
        stochastic_depth: rate at which the last block's mixings are dropped; lower in earlier blocks, linearly.
        zero_head: initialize the head with zeros (paper) or with Glorot's rule (article).

    ValueError for an invalid field, naming it, its value and what would be right.
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
        check_fields(self, dataclasses.fields(MixerConfig))
        if self.image_size % self.patch_size:
            divisors = [p for p in range(1, min(self.image_size, 512) + 1) if self.image_size % p == 0]
            raise ValueError(
                f"image_size must be a multiple of patch_size. Received: image_size={self.image_size}, "
                f"patch_size={self.patch_size}; patch_size could be any of {divisors}."
            )

    @property
    def num_patches(self) -> int:
        """S, the number of rows in the table of patches."""
        return (self.image_size // self.patch_size) ** 2


@dataclasses.dataclass(frozen=True)
class Preset(MixerConfig):
    """A model and how it is trained: a `MixerConfig` with the name of its recipe in `RECIPES`."""

    recipe: str = "article"

    @property
    def model(self):
        """The `MixerConfig` alone."""
        return MixerConfig(*(getattr(self, field.name) for field in dataclasses.fields(MixerConfig)))


def _paper(patch_size, num_blocks, hidden_dim):
    widths = {"hidden_dim": hidden_dim, "tokens_mlp_dim": hidden_dim // 2, "channels_mlp_dim": 4 * hidden_dim}
    choices = {"dropout": 0.0, "shared_norm": False, "pre_head_norm": True, "stochastic_depth": 0.1, "zero_head": True}
    return Preset(224, patch_size, num_blocks, **widths, num_classes=1000, **choices)


PRESETS = {
    "article": Preset(),
    "article-plus": Preset(dropout=0.1, recipe="article-plus"),
    "article-best": Preset(32, 4, 6, 96, 32, 64, 100, 0.0, False, True, recipe="article-best"),
    "mixer-s/32": _paper(32, 8, 512),
    "mixer-s/16": _paper(16, 8, 512),
    "mixer-b/32": _paper(32, 12, 768),
    "mixer-b/16": _paper(16, 12, 768),
    "mixer-l/32": _paper(32, 24, 1024),
    "mixer-l/16": _paper(16, 24, 1024),
    "mixer-h/14": _paper(14, 32, 1280),
}


def get_config(config):
    """The config itself, which may be of another family (`models/`), or the preset of that name; else ValueError."""
    if isinstance(config, str):
        if config not in PRESETS:
            raise ValueError(f"There is no preset {config!r}. Choose one of {', '.join(PRESETS)}.")
        return PRESETS[config]
    if not (isinstance(config, MixerConfig) or hasattr(config, "build")):
        raise ValueError(f"config must be a MixerConfig or the name of a preset ('article'). Received: {config!r}.")
    return config


def build_classifier(config: Any, adapt_to: Any = None, augment: Any = None) -> keras.Model:
    """Build the Mixer as a Keras model.

    Args:
        config: a `MixerConfig`, or the name of one in `PRESETS`.
        adapt_to: (N, H, W, 3) training images, 0-255, for each colour's mean and variance; loaded weights hold both.
        augment: an `Augment` layer, or None for the article's augmentation.

    Returns a `keras.Model`: (B, image_size, image_size, 3) images 0-255, uint8 or float -> (B, num_classes) logits.
    Augmentation is inside and acts with `training=True` alone. ValueError if config is neither a config nor a preset.
    """
    config = get_config(config)
    if not isinstance(config, MixerConfig):
        return config.build(adapt_to, augment)
    images, x = embed_patches(config, adapt_to, augment)  # x: (B, S, C)
    for block in range(config.num_blocks):
        depth = config.stochastic_depth * block / max(1, config.num_blocks - 1)
        sizes = (config.tokens_mlp_dim, config.channels_mlp_dim, config.dropout, config.shared_norm, depth)
        x = layers.MixerBlock(*sizes, name=f"block_{block}")(x)  # (B, S, C)
    if config.pre_head_norm:
        x = keras.layers.LayerNormalization(epsilon=layers.EPSILON, name="pre_head_norm")(x)
    return classify(config, images, x)


def embed_patches(config, adapt_to=None, augment=None):
    """The start of every model of this book: (B, H, W, 3) images, and the (B, S, C) table of their embedded patches.

    In between, images are normalized, augmented (in training) and cut into patches.
    """
    images, x = normalize_images(config, adapt_to, augment)
    x = layers.Patches(config.patch_size, name="patches")(x)  # (B, S, P*P*3)
    return images, keras.layers.Dense(config.hidden_dim, name="embed")(x)  # (B, S, C)


def normalize_images(config, adapt_to=None, augment=None):
    """(B, H, W, 3) images, and the same normalized and, in training, augmented."""
    # float32 at both ends of the model, also where the layers between compute in half precision
    normalize = keras.layers.Normalization(name="normalize", dtype="float32")
    normalize.build((None, config.image_size, config.image_size, 3))
    if adapt_to is not None:
        normalize.adapt_mean.assign(adapt_to.mean(axis=(0, 1, 2), dtype="float64").astype("float32"))
        normalize.adapt_variance.assign(adapt_to.var(axis=(0, 1, 2), dtype="float64").astype("float32"))
        normalize.finalize_state()
    images = keras.Input((config.image_size, config.image_size, 3), name="images")  # (B, H, W, 3)
    return images, (augment or Augment(name="augment", dtype="float32"))(normalize(images))


def classify(config, images, x):
    """The end of every model: the mean of the (B, S, C) table over its patches, dropout, a dense layer; as a model."""
    x = keras.layers.GlobalAveragePooling1D("channels_last", name="pool")(x)  # (B, C)
    x = layers.Dropout(config.dropout, name="head_dropout")(x)
    initializer = "zeros" if getattr(config, "zero_head", False) else "glorot_uniform"
    head = keras.layers.Dense(config.num_classes, kernel_initializer=initializer, name="head", dtype="float32")
    return keras.Model(images, head(x), name="mixer")  # logits: (B, num_classes)


def multiply_adds(config: Any) -> int:
    """Multiply-adds for one image: every dense layer's inputs x outputs, times how often it is applied."""
    if not isinstance(config, MixerConfig):
        return config.multiply_adds()
    patches, width = config.num_patches, config.hidden_dim
    embed = patches * config.patch_size**2 * 3 * width
    tokens = width * 2 * patches * config.tokens_mlp_dim
    channels = patches * 2 * width * config.channels_mlp_dim
    return embed + config.num_blocks * (tokens + channels) + width * config.num_classes
