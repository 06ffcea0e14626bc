"""MLP-Mixer for image classification.

The core, in the order of the book: data, augmentation, layers, classifier, training (optimizers beside it), evaluation.
"""

import importlib
import importlib.util

from .quiet import import_tensorflow_quietly
from .registration import register_with_keras
from .requirements import check_backend, check_versions
from .version import VERSION as __version__  # noqa: F401 (for its readers)

check_versions()
import_tensorflow_quietly()
register_with_keras()

# Each public name and where it is defined; imported when it is first used, so that `--help` needn't wait for Keras.
_DEFINED_IN = {
    "PRESETS": "classifier",
    "RECIPES": "recipe",
    "Augment": "augmentation",
    "ChapterSettings": "notebook.settings",
    "Dataset": "data",
    "MixerBlock": "layers",
    "MixerConfig": "classifier",
    "MlpBlock": "layers",
    "Patches": "layers",
    "Recipe": "recipe",
    "RunResult": "runs.card",
    "adamw": "optimizers",
    "build_classifier": "classifier",
    "chapter_settings": "notebook.settings",
    "dataset_from_folder": "data",
    "evaluate": "evaluation",
    "export": "exports.export",
    "find_duplicates": "pictures.duplicates",
    "load_dataset": "data",
    "load_pretrained": "models.pretrained",
    "load_run": "models.pretrained",
    "multiply_adds": "classifier",
    "predict": "evaluation",
    "train": "training",
}
__all__ = list(_DEFINED_IN)


def __getattr__(name):
    if name in _DEFINED_IN:
        check_backend()
        value = getattr(importlib.import_module(f".{_DEFINED_IN[name]}", __name__), name)
    elif not name.startswith("_") and importlib.util.find_spec(f"{__name__}.{name}"):
        value = importlib.import_module(f".{name}", __name__)  # mixer_lib.figures, without an import of its own
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__():
    return sorted({*globals(), *__all__})
