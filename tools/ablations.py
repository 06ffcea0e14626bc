"""Runs that change one thing of the article's at a time (for maintainers).

    python tools/ablations.py VARIANT [--data FOLDER] [--epochs N] [--seed 0]

The variants stand in mixer_lib/variants.py. Each run goes to runs/<dataset>-<variant>-seed<k>/ and can be stopped
and called again. Choose between variants by the validation figures on their cards; the test figures are for the
telling.
"""

import argparse
import dataclasses
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


def main():
    from mixer_lib import devices, load_dataset, train
    from mixer_lib.variants import VARIANTS

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("variant", choices=VARIANTS)
    parser.add_argument("--dataset", default="cifar100")
    parser.add_argument("--data", default=None, help="folder with the data")
    parser.add_argument("--epochs", type=int, default=None, help="at most; default: the variant's")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=Path, default=ROOT / "runs", help="folder of the run folders")
    asked = parser.parse_args()
    devices.share_cores()
    dataset = load_dataset(asked.dataset, asked.data)
    variant = VARIANTS[asked.variant]
    epochs = asked.epochs or variant.epochs
    command = f"python tools/ablations.py {asked.variant} --epochs {epochs} --seed {asked.seed}"
    card = train(
        dataclasses.replace(variant.config, num_classes=len(dataset.class_names)),
        dataset,
        asked.runs / f"{asked.dataset}-{asked.variant}-seed{asked.seed}",
        epochs=epochs,
        seed=asked.seed,
        recipe=variant.recipe,
        name=asked.variant,
        command=command + (f" --dataset {asked.dataset}" if asked.dataset != "cifar100" else ""),
    )
    found = f"validation top-1 {card.val_top1:.2%}, top-5 {card.val_top5:.2%}"
    print(f"{asked.variant}: {found} after {card.epochs_run} epochs")


if __name__ == "__main__":
    main()
