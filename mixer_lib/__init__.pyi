# The public names for type checkers; at run time each is imported when it is first used.
from .augmentation import Augment as Augment
from .classifier import (
    MixerConfig as MixerConfig,
    PRESETS as PRESETS,
    build_classifier as build_classifier,
    multiply_adds as multiply_adds,
)
from .data import Dataset as Dataset, dataset_from_folder as dataset_from_folder, load_dataset as load_dataset
from .evaluation import evaluate as evaluate, predict as predict
from .exports.export import export as export
from .layers import MixerBlock as MixerBlock, MlpBlock as MlpBlock, Patches as Patches
from .models.pretrained import load_pretrained as load_pretrained, load_run as load_run
from .notebook.settings import ChapterSettings as ChapterSettings, chapter_settings as chapter_settings
from .optimizers import adamw as adamw
from .pictures.duplicates import find_duplicates as find_duplicates
from .recipe import RECIPES as RECIPES, Recipe as Recipe
from .runs.card import RunResult as RunResult
from .training import train as train

__version__: str
