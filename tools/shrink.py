"""Take from published weights what is not the model: the optimizer's memory (for maintainers).

    python tools/shrink.py

Writes the files in mixer_lib/pretrained/ anew, each weight as it was to the last bit, and their cards' checksums.
Versions of libraries that did not compute are taken off the cards, too.
"""

import dataclasses
import os
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
BACKENDS = {"tensorflow", "jax", "torch"}


def shrink(name, folder):
    """Write one model's weights and card anew; returns the sizes before and after, in bytes."""
    import numpy as np

    from mixer_lib import build_classifier, load_pretrained
    from mixer_lib.classifier import MixerConfig
    from mixer_lib.results import sha256_of

    model, card = load_pretrained(name)
    file = folder / f"{name}.weights.h5"
    with tempfile.TemporaryDirectory(dir=folder) as beside:
        small = Path(beside) / file.name
        model.save_weights(small)
        again = build_classifier(MixerConfig(**card.config))
        again.load_weights(small)
        for one, two in zip(model.get_weights(), again.get_weights(), strict=True):
            if not np.array_equal(one, two):
                sys.exit(f"{file} would change: nothing was written")
        unused = BACKENDS - {card.versions["backend"]}
        versions = {key: value for key, value in card.versions.items() if key not in unused}
        before, after, checksum = file.stat().st_size, small.stat().st_size, sha256_of(small)
        os.replace(small, file)
        dataclasses.replace(card, versions=versions, weights_sha256=checksum).save(folder / f"{name}.json")
    return before, after


def main():
    from mixer_lib.results import PRETRAINED

    for card in sorted(PRETRAINED.glob("*.json")):
        before, after = shrink(card.stem, PRETRAINED)
        print(f"{card.stem}: {before:,} bytes before, {after:,} now")


if __name__ == "__main__":
    main()
