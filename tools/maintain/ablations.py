"""Runs that change one thing of the article's at a time (for maintainers).

    python -m tools.maintain.ablations VARIANT [--data FOLDER] [--epochs N] [--seed 0]

mixer_lib/analysis/variants.py has the variants. Each run goes to runs/<dataset>-<variant>-seed<k>/, and goes on when it
was stopped. Choose between variants by the validation figures on their cards; report the test figures.
"""

import argparse
import dataclasses
import shlex
from pathlib import Path

from tools.paths import ROOT


def main():
    from mixer_lib import load_dataset, train
    from mixer_lib.analysis.variants import VARIANTS

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("variant", choices=VARIANTS)
    parser.add_argument("--dataset", default="cifar100")
    parser.add_argument("--data", default=None, help="folder with the data")
    parser.add_argument("--epochs", type=int, default=None, help="at most; default: the variant's")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=Path, default=ROOT / "runs", help="folder of the run folders")
    asked = parser.parse_args()
    dataset = load_dataset(asked.dataset, asked.data)
    variant = VARIANTS[asked.variant]
    epochs = asked.epochs or variant.epochs
    command = ["python", "-m", "tools.maintain.ablations", asked.variant, "--epochs", str(epochs)]
    command += ["--seed", str(asked.seed)]
    for option, value, usual in (
        ("--dataset", asked.dataset, "cifar100"),
        ("--data", asked.data, None),
        ("--runs", asked.runs, ROOT / "runs"),
    ):
        command += [option, str(value)] if value != usual else []
    card = train(
        dataclasses.replace(variant.config, num_classes=len(dataset.class_names)),
        dataset,
        asked.runs / f"{asked.dataset}-{asked.variant}-seed{asked.seed}",
        epochs=epochs,
        seed=asked.seed,
        recipe=variant.recipe,
        name=asked.variant,
        command=shlex.join(command),
    )
    found = f"validation top-1 {card.val_top1:.2%}, top-5 {card.val_top5:.2%}"
    print(f"{asked.variant}: {found} after {card.epochs_run} epochs")


if __name__ == "__main__":
    main()
