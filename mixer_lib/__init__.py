"""MLP-Mixer for image classification: one room per idea, in the order of the book.

data -> layers -> classifier -> training -> evaluation -> results; optimizers beside training.
"""

import logging
import os
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported: no log lines about the machine
warnings.filterwarnings("ignore", message="[\\s\\S]*TensorFlow Addons", category=UserWarning)  # its end-of-life notice
logging.getLogger("tensorflow").setLevel(logging.ERROR)  # hints about its own speed would land in a chapter's output

from .hosts import refuse_old_versions  # noqa: E402

refuse_old_versions()  # before anything else is imported: an old Keras would fail with less to say

from .classifier import PRESETS, MixerConfig, build_classifier, multiply_adds  # noqa: E402
from .data import Dataset, load_dataset  # noqa: E402
from .evaluation import evaluate, predict  # noqa: E402
from .layers import MixerBlock, MlpBlock, Patches  # noqa: E402
from .noise import Augment  # noqa: E402
from .optimizers import adamw  # noqa: E402
from .pictures import dataset_from_folder  # noqa: E402
from .recipes import RECIPES, Recipe  # noqa: E402
from .results import RunResult, load_pretrained  # noqa: E402
from .settings import ChapterSettings, chapter_settings  # noqa: E402
from .training import train  # noqa: E402

__all__ = [
    "PRESETS",
    "RECIPES",
    "Augment",
    "ChapterSettings",
    "Dataset",
    "MixerBlock",
    "MixerConfig",
    "MlpBlock",
    "Patches",
    "Recipe",
    "RunResult",
    "adamw",
    "build_classifier",
    "chapter_settings",
    "dataset_from_folder",
    "evaluate",
    "load_dataset",
    "load_pretrained",
    "multiply_adds",
    "predict",
    "train",
]
