"""`python -m mixer_lib train`: one recorded run from the command line."""

import argparse
import os
import sys


class _Parser(argparse.ArgumentParser):
    """A parser whose refusals are one line."""

    def error(self, message):
        sys.exit(f"error: {message}")


def main(arguments=None):
    """Train as asked and print the card's accuracies; a wrong value ends with a line that says why."""
    from . import PRESETS, dataset_from_folder, load_dataset, train
    from .data import LOADERS, SIDE
    from .devices import PRECISIONS, share_cores
    from .run_folder import Terminated
    from .training import check_request

    parser = _Parser(prog="python -m mixer_lib", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    run = verbs.add_parser("train", help="train a preset into a run folder, or go on with it")
    run.add_argument("--preset", default="article", choices=PRESETS)
    run.add_argument("--dataset", default="cifar100", help="a data set's name, or a folder of pictures by class")
    run.add_argument("--data", default=None, help="folder with the data")
    run.add_argument("--epochs", type=int, default=100)
    run.add_argument("--seed", type=int, default=0)
    run.add_argument("--run-dir", default=None, help="default: runs/<dataset>-<preset>-seed<seed>")
    run.add_argument("--jit-compile", default=None, action=argparse.BooleanOptionalAction, help="XLA; default: by size")
    run.add_argument("--precision", default="float32", choices=PRECISIONS)
    run.add_argument("--devices", type=int, default=1, help="how many share each batch")
    asked = parser.parse_args(arguments)
    command = f"python -m mixer_lib train --preset {asked.preset} --dataset {asked.dataset} --epochs {asked.epochs}"
    command += f" --seed {asked.seed}"
    machine = {"jit_compile": asked.jit_compile, "precision": asked.precision, "devices": asked.devices}
    if asked.jit_compile is not None:
        command += " --jit-compile" if asked.jit_compile else " --no-jit-compile"
    command += f" --precision {asked.precision}" if asked.precision != "float32" else ""
    command += f" --devices {asked.devices}" if asked.devices != 1 else ""
    try:
        check_request(asked.epochs, asked.seed)  # before the data are looked for
        size = PRESETS[asked.preset].image_size
        if asked.dataset in LOADERS and size != SIDE:
            raise ValueError(
                f"--preset {asked.preset} has image_size={size}, and every data set has pictures of {SIDE}x{SIDE}. "
                "Use --preset article, or give mixer_lib.train a MixerConfig of your own."
            )
        if asked.dataset not in LOADERS and os.path.isdir(asked.dataset):
            dataset = dataset_from_folder(asked.dataset, size)
        else:
            dataset = load_dataset(asked.dataset, asked.data)
        if arguments is None:  # a process of its own
            share_cores()
        run_dir = f"{dataset.name}-{asked.preset.replace('/', '-')}-seed{asked.seed}"
        run_dir = asked.run_dir or os.path.join("runs", run_dir)
        card = train(asked.preset, dataset, run_dir, asked.epochs, asked.seed, command=command, **machine)
    except (ValueError, OSError, FloatingPointError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt as stopped:
        print(f"\n{stopped or 'Stopped.'} The same command goes on from the last finished epoch.", file=sys.stderr)
        sys.exit(143 if isinstance(stopped, Terminated) else 130)  # as a shell counts SIGTERM and Ctrl-C
    print(
        f"top-1 {card.top1:.2%}, top-5 {card.top5:.2%} after {card.epochs_run} epochs "
        f"(best: {card.best_epoch}); card in {run_dir}"
    )


if __name__ == "__main__":
    main()
