"""Whether the fast path learns what the plain one learns: learning curves of both, seed by seed.

    python tests/benchmarks/curves.py plain|fast SEED [SEED ...] [--data FOLDER] [--epochs 15]

`plain` is the article's model the article's way (Keras's layers, its augmentation, `fit`), `fast` is `train`. Each seed
gives mixer_lib/measured/curves/<path>-<seed>.csv, in the form of a run's history, and curves.json beside it says on
what each was made.
"""

import argparse
import datetime
import json
import os
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT), str(HERE)]
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def plain(config, dataset, seed, epochs):
    """A history as text: the article's way, on the validation set that `train` would take."""
    import keras
    from models import keras_model

    from mixer_lib import evaluate
    from mixer_lib.runs.checkpoint import history_text

    keras.utils.set_random_seed(seed)
    (x_train, y_train), (x_val, y_val) = dataset.validation_split()
    model = keras_model("article", config, dataset.x_train)
    rows = []
    for epoch in range(1, epochs + 1):
        started = time.perf_counter()
        log = model.fit(x_train, y_train, batch_size=128, epochs=1, verbose=0).history
        judged = evaluate(model, x_val, y_val)
        rows.append(
            {
                "epoch": epoch,
                "seconds": round(time.perf_counter() - started, 2),
                "lr": 0.005,  # the article's rule does not cut it within so few epochs
                "loss": log["loss"][0],
                "top1": log["acc"][0],
                "top5": log["top5-acc"][0],
                **{f"val_{key}": value for key, value in judged.items()},
            }
        )
        print(f"plain, seed {seed}, epoch {epoch}: validation top-1 {judged['top1']:.2%}", flush=True)
    return history_text(rows)


def fast(config, dataset, seed, epochs):
    """The same by this library's `train`."""
    from mixer_lib import train

    with tempfile.TemporaryDirectory() as folder:
        train(config, dataset, folder, epochs=epochs, seed=seed)
        return (Path(folder) / "history.csv").read_text(encoding="utf-8")


def main():
    from mixer_lib import PRESETS, load_dataset
    from mixer_lib.analysis import benchmarks
    from mixer_lib.runs.provenance import commit, device_name, versions

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", choices=benchmarks.PATHS)
    parser.add_argument("seeds", type=int, nargs="+")
    parser.add_argument("--data", default=None, help="folder with CIFAR-100")
    parser.add_argument("--epochs", type=int, default=15)
    asked = parser.parse_args()
    dataset = load_dataset("cifar100", asked.data)
    folder = benchmarks.CURVES
    folder.mkdir(parents=True, exist_ok=True)
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    card = {"device": device_name(), "versions": versions(), "commit": commit(), "started": now}
    for seed in asked.seeds:
        history = {"plain": plain, "fast": fast}[asked.path](PRESETS["article"], dataset, seed, asked.epochs)
        (folder / f"{asked.path}-{seed}.csv").write_text(history, encoding="utf-8")
        cards = folder / "curves.json"
        known = json.loads(cards.read_text(encoding="utf-8")) if cards.is_file() else {}
        known[f"{asked.path}-{seed}"] = card
        cards.write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
