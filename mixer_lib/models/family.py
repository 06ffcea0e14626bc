"""The models that chapter 9 compares, each with about as many parameters as the article's Mixer."""

from ..classifier import PRESETS
from .cnn import CnnConfig
from .convmixer import ConvMixerConfig
from .gmlp import GmlpConfig
from .resmlp import ResMlpConfig
from .vit import VitConfig

TOLERANCE = 0.03  # of the Mixer's 119,780 parameters

FAMILY = {
    "mixer": PRESETS["article"].model,
    "gmlp": GmlpConfig(),
    "resmlp": ResMlpConfig(),
    "vit": VitConfig(hidden_dim=64, mlp_dim=72),
    "convmixer": ConvMixerConfig(),
    "cnn": CnnConfig(),
}
