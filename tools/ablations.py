"""Runs that change one thing of the article's recipe at a time (for maintainers).

    python tools/ablations.py VARIANT [--data FOLDER] [--epochs 100] [--seed 0]

Each goes to runs/<dataset>-<variant>-seed<k>/ and can be stopped and called again. Choose between variants by the
validation figures on their cards; the test figures are for the telling.
"""

import argparse
import dataclasses
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

# variant: what differs in the model, what differs in the recipe
VARIANTS = {
    # as strong as the article's decay until the first cut of the learning rate, then shrinking with it
    "shrinking-decay": ({}, {"decay_follows_lr": True, "weight_decay": 0.0001 / 0.005}),
    # the article's arguments given to Keras's own AdamW: almost no decay
    "keras-decay": ({}, {"decay_follows_lr": True}),
    "no-early-stop": ({}, {"stop_patience": None}),
    "no-dropout": ({"dropout": 0.0}, {}),
    "cosine": ({}, {"schedule": "cosine", "stop_patience": None}),
    "no-dropout-cosine": ({"dropout": 0.0}, {"schedule": "cosine", "stop_patience": None}),
}


def main():
    from mixer_lib import PRESETS, RECIPES, load_dataset, train

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("variant", choices=VARIANTS)
    parser.add_argument("--dataset", default="cifar100")
    parser.add_argument("--data", default=None, help="folder with the data")
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    dataset = load_dataset(asked.dataset, asked.data)
    model_changes, recipe_changes = VARIANTS[asked.variant]
    card = train(
        dataclasses.replace(PRESETS["article"], num_classes=len(dataset.class_names), **model_changes),
        dataset,
        ROOT / "runs" / f"{asked.dataset}-{asked.variant}-seed{asked.seed}",
        epochs=asked.epochs,
        seed=asked.seed,
        recipe=dataclasses.replace(RECIPES["article"], **recipe_changes),
        name=asked.variant,
        command=f"python tools/ablations.py {asked.variant} --epochs {asked.epochs} --seed {asked.seed}",
    )
    found = f"validation top-1 {card.val_top1:.2%}, top-5 {card.val_top5:.2%}"
    print(f"{asked.variant}: {found} after {card.epochs_run} epochs")


if __name__ == "__main__":
    main()
