"""Runs that change one thing of the article's at a time: in the recipe, in the model, or step by step to the paper's.

`python tools/ablations.py NAME` trains one into runs/; chapters 9 to 11 show those that are recorded.
"""

import dataclasses

from .baselines import GmlpConfig, VitConfig
from .classifier import PRESETS, MixerConfig
from .recipes import RECIPES, Recipe

ARTICLE = PRESETS["article"]
WALK_EPOCHS = 5


@dataclasses.dataclass(frozen=True)
class Variant:
    """A run to make: which model, how it is trained, and for how many epochs at most."""

    config: MixerConfig | GmlpConfig | VitConfig = ARTICLE
    recipe: Recipe = RECIPES["article"]
    epochs: int = 100


# From the article's block to the paper's, one difference at a time: what changes in the model, beside all before it.
# The paper's widths are C/2 along the patches, which at C = 128 is the article's 64, and 4 C along the channels.
WALK = {
    "walk-0-article": {},
    "walk-1-one-norm-each": {"shared_norm": False},
    "walk-2-norm-before-head": {"pre_head_norm": True},
    "walk-3-widths": {"tokens_mlp_dim": ARTICLE.hidden_dim // 2, "channels_mlp_dim": 4 * ARTICLE.hidden_dim},
    "walk-4-stochastic-depth": {"dropout": 0.0, "stochastic_depth": 0.1},
    "walk-5-zero-head": {"zero_head": True},
}


def walk():
    """The configs of the walk, {name of the step: `MixerConfig`}, each with all changes up to its own."""
    configs, config = {}, ARTICLE
    for name, changes in WALK.items():
        configs[name] = config = dataclasses.replace(config, **changes)
    return configs


def _recipe(**changes):
    return Variant(recipe=dataclasses.replace(RECIPES["article"], **changes))


def _plus(config=None, recipe=None):
    return Variant(
        dataclasses.replace(PRESETS["article-plus"], **(config or {})),
        dataclasses.replace(RECIPES["article-plus"], **(recipe or {})),
    )


VARIANTS = {
    # as strong as the article's decay until the first cut of the learning rate, then shrinking with it
    "shrinking-decay": _recipe(decay_follows_lr=True, weight_decay=0.0001 / 0.005),
    # the article's arguments given to Keras's own AdamW: almost no decay
    "keras-decay": _recipe(decay_follows_lr=True),
    "no-early-stop": _recipe(stop_patience=None),
    "no-dropout": Variant(dataclasses.replace(ARTICLE, dropout=0.0)),
    "cosine": _recipe(schedule="cosine", stop_patience=None),
    "no-dropout-cosine": Variant(
        dataclasses.replace(ARTICLE, dropout=0.0),
        dataclasses.replace(RECIPES["article"], schedule="cosine", stop_patience=None),
    ),
    # article-plus with one of its changes taken back: which of them are needed?
    "plus-without-shift": _plus(recipe={"shift": 0.0}),
    "plus-article-decay": _plus(recipe={"decay_follows_lr": False, "weight_decay": 0.0001}),
    "plus-plateau": _plus(recipe={"schedule": "plateau"}),
    "plus-article-dropout": _plus(config={"dropout": ARTICLE.dropout}),
    # other models of about the article's size, trained as the article's is
    "gmlp": Variant(GmlpConfig()),
    "vit": Variant(VitConfig()),
    **{name: Variant(config, epochs=WALK_EPOCHS) for name, config in walk().items()},
}
