"""Measure what it costs trained models when the pictures move (for maintainers).

    python -m tools.maintain.shifts NAME RUN_DIR ... [--data FOLDER]

Top-1 of each run on all test pictures, moved by 0 to 8 pixels: mixer_lib/recorded/<NAME>.csv has a row for each run and
distance, with the run's model, seed and commit.
"""

import argparse
import csv
import sys
from pathlib import Path

from tools.paths import ROOT

PIXELS = (0, 1, 2, 3, 4, 6, 8)


def rows_of(run_dir, model, card, dataset):
    """The rows of one run, the shortest distance first."""
    from mixer_lib.analysis.probes import accuracy_when_moved

    known = {"run": Path(run_dir).name, "model": card.preset, "seed": card.seed, "commit": card.commit}
    for pixels in PIXELS:
        yield {**known, "pixels": pixels, "top1": accuracy_when_moved(model, dataset.x_test, dataset.y_test, pixels)}


def main(target=ROOT / "mixer_lib/recorded"):
    from mixer_lib import load_dataset
    from mixer_lib.models.pretrained import load_run

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="of the table, such as family-shifts")
    parser.add_argument("run_dirs", nargs="+", help="folders of finished runs")
    parser.add_argument("--dataset", default="cifar100")
    parser.add_argument("--data", default=None, help="folder with the data")
    asked = parser.parse_args()
    try:
        loaded = [(run_dir, *load_run(run_dir)) for run_dir in asked.run_dirs]
        dataset = load_dataset(asked.dataset, asked.data)
    except (OSError, ValueError) as error:
        sys.exit(str(error))
    rows = [row for run in loaded for row in rows_of(*run, dataset)]
    with open(target / f"{asked.name}.csv", "w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    print(f"recorded {asked.name}: {len(asked.run_dirs)} runs, {len(rows)} rows, in {target}/")


if __name__ == "__main__":
    main()
