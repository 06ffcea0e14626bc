"""The public names as a reader uses them: mypy checks this file (`make lint`), nothing runs it."""

import pathlib

import keras
import numpy as np

import mixer_lib
from mixer_lib import Augment, Dataset, MixerBlock, MixerConfig, MlpBlock, Patches, Recipe, RunResult


def data(folder: pathlib.Path) -> Dataset:
    named: Dataset = mixer_lib.load_dataset("digits", data_dir=folder)
    mine: Dataset = mixer_lib.dataset_from_folder("~/fruit", image_size=32, test_fraction=0.2, seed=1)
    copies: list[list[pathlib.Path]] = mixer_lib.find_duplicates(folder)
    names: tuple = named.class_names
    print(copies, names, mine.fingerprint.upper(), named.validation_split())
    return mine


def run(dataset: Dataset) -> RunResult:
    recipe = Recipe(batch_size=16)
    optimizer: keras.optimizers.Optimizer = mixer_lib.adamw(0.005, 1e-4)
    print(optimizer, recipe.cosine(0.5) + 1, mixer_lib.RECIPES["article"].batch_size + 1)
    card: RunResult = mixer_lib.train("article", dataset, pathlib.Path("runs"), epochs=3, recipe=recipe)
    card.save("card.json")
    return RunResult.load("card.json")


def use(pictures: np.ndarray) -> None:
    model, card = mixer_lib.load_pretrained("article", image_size=64)
    model, card = mixer_lib.load_run(pathlib.Path("runs"))
    scores: dict[str, float] = mixer_lib.evaluate(model, pictures, [0, 1])
    for guesses in mixer_lib.predict(model, pictures, k=2, class_names=card.class_names):
        print(guesses.file, guesses[0], scores["top1"] + 1)
    path: pathlib.Path = mixer_lib.export(model, "model.onnx", card)
    print(path.stem, card.top1 + 1)


def build() -> None:
    config = MixerConfig(num_blocks=2)
    model = mixer_lib.build_classifier(config, augment=Augment(zoom=0.1))
    count: int = mixer_lib.multiply_adds(mixer_lib.PRESETS["article"])
    layers = [Patches(4), MlpBlock(8, dropout=0.1), MixerBlock(8, 8, shared_norm=True)]
    settings: mixer_lib.ChapterSettings = mixer_lib.chapter_settings(profile="fast")
    print(model, count + config.num_patches, layers, settings.caption.upper(), mixer_lib.__version__.upper())
