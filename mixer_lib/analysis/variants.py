"""Runs that change one thing of the article's at a time: in the recipe, in the model, or step by step to the paper's.

`python -m tools.maintain.ablations NAME` trains one into runs/; chapters 9 and 10 and appendix A show
those that are recorded.
"""

import dataclasses

from ..classifier import PRESETS, MixerConfig
from ..models.gmlp import GmlpConfig
from ..models.vit import VitConfig
from ..recipe import RECIPES, Recipe

ARTICLE, PLUS = PRESETS["article"].model, PRESETS["article-plus"].model
SHORT_EPOCHS = 5


@dataclasses.dataclass(frozen=True)
class Variant:
    """A run to make: which model, how it is trained, and for how many epochs at most."""

    config: MixerConfig | GmlpConfig | VitConfig = ARTICLE
    recipe: Recipe = RECIPES["article"]
    epochs: int = 100


# From the article's block to the paper's, one difference at a time: what changes, beside all before it. The paper's
# widths are C/2 along the patches, which at C = 128 is the article's 64, and 4 C along the channels.
STEPS_TO_PAPER = {
    "walk-0-article": {},
    "walk-1-one-norm-each": {"shared_norm": False},
    "walk-2-norm-before-head": {"pre_head_norm": True},
    "walk-3-widths": {"tokens_mlp_dim": ARTICLE.hidden_dim // 2, "channels_mlp_dim": 4 * ARTICLE.hidden_dim},
    "walk-4-stochastic-depth": {"dropout": 0.0, "stochastic_depth": 0.1},
    "walk-5-zero-head": {"zero_head": True},
}


def steps_to_paper():
    """{name of the step: `MixerConfig`} from the article's to the paper's, each with all changes up to its own."""
    configs, config = {}, ARTICLE
    for name, changes in STEPS_TO_PAPER.items():
        configs[name] = config = dataclasses.replace(config, **changes)
    return configs


def _with(config=ARTICLE, base="article", **changes):
    return Variant(config, dataclasses.replace(RECIPES[base], **changes))


VARIANTS = {
    # as strong as the article's decay until the first cut of the learning rate, then shrinking with it
    "shrinking-decay": _with(decay_follows_lr=True, weight_decay=0.0001 / 0.005),
    # the article's arguments given to Keras's own AdamW: almost no decay
    "keras-decay": _with(decay_follows_lr=True),
    "no-dropout": Variant(dataclasses.replace(ARTICLE, dropout=0.0)),
    # article-plus with one of its changes taken back: which of them are needed?
    "plus-without-shift": _with(PLUS, "article-plus", shift=0.0),
    "plus-article-decay": _with(PLUS, "article-plus", decay_follows_lr=False, weight_decay=0.0001),
    "plus-plateau": _with(PLUS, "article-plus", schedule="plateau"),
    "plus-article-dropout": _with(dataclasses.replace(PLUS, dropout=ARTICLE.dropout), "article-plus"),
    # other models of about the article's size, trained as the article's is
    "gmlp": Variant(GmlpConfig()),
    "vit": Variant(VitConfig()),
    **{name: Variant(config, epochs=SHORT_EPOCHS) for name, config in steps_to_paper().items()},
}
