"""`make mutate`: breaks the library in thirty-odd places, one at a time, and runs the tests that should notice.

Each mutant lives in a copy of library and tests; the checkout is never touched. Arguments choose mutants by a part of
their names. Ends with a list of killed ones and survivors; a survivor is an exit code of 1.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
LAYERS, TRAINING, CHECKPOINT = "test_layers.py", "test_training.py", "runs/test_checkpoint.py"

# name: (file in mixer_lib, what stands there, what the mutant has, the test files that should notice)
MUTANTS = {
    "patches cut in the wrong order": ("layers.py", "Permute((1, 3, 2, 4)", "Permute((1, 2, 3, 4)", LAYERS),
    "no skip around channel mixing": (
        "layers.py",
        "return x + self.channel_depth",
        "return self.channel_depth",
        LAYERS,
    ),
    "no skip around token mixing": ("layers.py", "x = x + self.token_depth", "x = self.token_depth", LAYERS),
    "another epsilon": ("layers.py", "EPSILON = 1e-6", "EPSILON = 1e-3", LAYERS),
    "one norm in place of two": (
        "layers.py",
        "norm = self.token_norm if self.shared_norm else self.channel_norm",
        "norm = self.token_norm",
        LAYERS,
    ),
    "another GELU": ("layers.py", "approximate=True", "approximate=False", LAYERS),
    "reflection off by one": (
        "augmentation.py",
        "ops.where(at < 0, -at - 1, at)",
        "ops.where(at < 0, -at, at)",
        "test_augmentation.py",
    ),
    "augmented when called plainly": (
        "augmentation.py",
        "if not training:",
        "if False:",
        "test_augmentation.py",
    ),
    "columns zoomed with the rows' factor": (
        "augmentation.py",
        "zoom_matrix(wide, mirrored",
        "zoom_matrix(tall, mirrored",
        "test_augmentation.py",
    ),
    "stochastic depth off by one": (
        "classifier.py",
        "max(1, config.num_blocks - 1)",
        "config.num_blocks",
        "test_classifier.py",
    ),
    "deviation for variance": ("classifier.py", "adapt_to.var(", "adapt_to.std(", "test_classifier.py"),
    "a head that is never zero": (
        "classifier.py",
        'initializer = "zeros" if',
        'initializer = "ones" if',
        "test_classifier.py",
    ),
    "decay times the learning rate": (
        "optimizers.py",
        "1 - self.weight_decay)",
        "1 - self.weight_decay * self.learning_rate)",
        "test_optimizers.py",
    ),
    "exclusions from decay ignored": (
        "optimizers.py",
        "filter(self._use_weight_decay, variables)",
        "variables",
        "test_optimizers.py",
    ),
    "the seed does not shuffle": (
        "training.py",
        "default_rng([seed, epoch])",
        "default_rng([epoch])",
        "test_training.py test_mutants.py",
    ),
    "the seed does not draw first weights": (
        "training.py",
        "with first_weights(request.seed)",
        "with first_weights(0)",
        "test_training.py test_mutants.py",
    ),
    "a cosine a step too late": (
        "training.py",
        "range((epoch - 1) * steps, epoch * steps)",
        "range((epoch - 1) * steps + 1, epoch * steps + 1)",
        TRAINING,
    ),
    "the last batch left out": (
        "training.py",
        "for start in range(0, len(order), size)",
        "for start in range(0, len(order) // size * size, size)",
        TRAINING,
    ),
    "a short batch counts like a whole one": (
        "training.py",
        "means.add(found, len(rows))",
        "means.add(found, size)",
        TRAINING,
    ),
    "last weights for best": (
        "training.py",
        "plain.set_weights(state.best_weights)",
        "plain.set_weights(model.get_weights())",
        "test_training.py test_mutants.py",
    ),
    "a tie is a hit": (
        "evaluation.py",
        "(logits >= right[:, None]).sum(axis=1) - 1",
        "(logits > right[:, None]).sum(axis=1)",
        "test_evaluation.py",
    ),
    "NaN is a hit": (
        "evaluation.py",
        "np.isfinite(logits).all(axis=1)",
        "np.isfinite(logits).any(axis=1)",
        "test_evaluation.py",
    ),
    "a twentieth to validate": ("data.py", "(fraction or 0.1)", "(fraction or 0.05)", "test_data.py"),
    "a fingerprint without test labels": (
        "data.py",
        "(self.x_train, self.y_train, self.x_test, self.y_test):",
        "(self.x_train, self.y_train, self.x_test):",
        "test_data.py test_mutants.py",
    ),
    "the checkpoint's checksums not compared": (
        "runs/checkpoint.py",
        "if sums and array_checksum(array) != sums[name]",
        "if False",
        CHECKPOINT,
    ),
    "a weights file's checksum not compared": (
        "runs/checkpoint.py",
        "sha256_of(weights) == card.weights_sha256",
        "True",
        CHECKPOINT,
    ),
    "another seed taken for the same run": (
        "runs/checkpoint.py",
        "for key in {**requested, **found}:",
        'for key in set(requested) - {"seed"}:',
        TRAINING,
    ),
    "the optimizer not restored": (
        "runs/state.py",
        'variable.assign(arrays[f"optimizer_{i}"])',
        "pass",
        "test_training.py runs/test_kills.py",
    ),
    "patience off by one": (
        "runs/state.py",
        "patience=recipe.stop_patience)",
        "patience=recipe.stop_patience + 1)",
        TRAINING,
    ),
    "the learning rate falls an epoch late": (
        "runs/state.py",
        "patience=recipe.lr_patience)",
        "patience=recipe.lr_patience + 1)",
        TRAINING,
    ),
    "the last epoch's scores on the card": (
        "runs/state.py",
        "self.history[self.best_epoch - 1]",
        "self.history[-1]",
        "test_training.py test_mutants.py",
    ),
    "a later epoch that is as good is the best": (
        "runs/state.py",
        'row["val_loss"] < self.best_loss',
        'row["val_loss"] <= self.best_loss',
        "test_training.py test_mutants.py",
    ),
    "a half-written file in place": (
        "runs/files.py",
        "part.unlink(missing_ok=True)",
        "os.replace(part, path)",
        "runs/test_files.py",
    ),
    "no epsilon in the faster norm": (
        "speedups/layers.py",
        "ops.rsqrt(variance + layer.epsilon)",
        "ops.rsqrt(variance)",
        "speedups/test_layers_speedup.py",
    ),
    "a lock that is never taken": (
        "runs/folder.py",
        "self.lock.acquire(timeout=0)",
        "pass",
        "runs/test_run_folder.py",
    ),
    "targets not mixed with their pictures": (
        "regularization.py",
        "(1 - share) * targets + share * targets[other]",
        "targets",
        "test_regularization.py",
    ),
    "smoothed targets above one": (
        "regularization.py",
        "(1 - recipe.label_smoothing) * labels",
        "labels",
        "test_regularization.py",
    ),
    "padding counts": (
        "speedups/data_parallel.py",
        "np.zeros(missing",
        "np.ones(missing",
        "speedups/test_data_parallel.py",
    ),
    "both halves draw the same": (
        "speedups/data_parallel.py",
        "part * KEYS_APART",
        "0",
        "speedups/test_data_parallel.py",
    ),
    "dropout that does not rescale": (
        "speedups/dropout.py",
        "inputs * (1 / (1 - layer.rate))",
        "inputs",
        "speedups/test_dropout.py",
    ),
    "every layer draws the same": (
        "compat.py",
        "[seed, epoch, place]",
        "[seed, epoch]",
        "test_training.py test_mutants.py",
    ),
}


def copy_of(folder):
    """A copy of what tests of the library need."""
    for name in ("mixer_lib", "tests", "tools"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "Makefile"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def outcome(name, folder):
    """ "killed", "survived" or "stale", if the text to replace isn't there once."""
    file, text, mutated, tests = MUTANTS[name]
    path = folder / "mixer_lib" / file
    original = path.read_text(encoding="utf-8")
    if original.count(text) != 1:
        return "stale"
    path.write_text(original.replace(text, mutated), encoding="utf-8")
    command = [sys.executable, "-B", "-m", "pytest", "-x", "-q", "-n", "0", "-p", "no:cacheprovider"]
    command += [f"tests/{test}" for test in tests.split()]
    environment = {**os.environ, "PYTHONPATH": "", "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)
    finally:
        path.write_text(original, encoding="utf-8")
    if done.returncode != 0 and not re.search(r"\d+ (failed|error)", done.stdout):  # no verdict: no test was run
        raise SystemExit(f"{name}: pytest ended with {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return "killed" if done.returncode else "survived"


def main(words):
    chosen = [name for name in MUTANTS if not words or any(word in name for word in words)]
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        copy = copy_of(pathlib.Path(folder))
        for name in chosen:
            found[name] = outcome(name, copy)
            print(f"{found[name]:9}{MUTANTS[name][0]}: {name}", flush=True)
    counts = {kind: list(found.values()).count(kind) for kind in ("killed", "survived", "stale")}
    print(", ".join(f"{count} {kind}" for kind, count in counts.items()))
    return 1 if counts["survived"] or counts["stale"] or not found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
