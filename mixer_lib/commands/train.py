"""Train a model into a run folder, or continue the run in it."""

import argparse
import os

HELP = "train a model into a run folder, or continue the run in it"


def add_arguments(parser):
    parser.add_argument("--preset", default="article", help="or a model of chapter 9, such as gmlp; default: article")
    parser.add_argument("--recipe", default=None, help="default: the preset's, or the article's")
    parser.add_argument(
        "--set", action="append", default=[], metavar="FIELD=VALUE", help="a field of the model or recipe; repeatable"
    )
    parser.add_argument("--name", default=None, help="what the card calls it; default: what was asked for")
    parser.add_argument(
        "--dataset", default="cifar100", help="a data set's name, or a folder of pictures by class, such as ./pictures"
    )
    parser.add_argument("--data", default=None, help="folder with the data")
    parser.add_argument(
        "--share", type=float, default=1.0, help="of the pictures to train on, such as 0.1; default: all"
    )
    parser.add_argument("--no-test", action="store_true", help="test on the validation pictures, as a search does")
    parser.add_argument("--epochs", type=int, default=100, help="default: 100")
    parser.add_argument("--seed", type=int, default=0, help="default: 0")
    parser.add_argument("--run-dir", default=None, help="default: runs/<dataset>-<name>-seed<seed>")
    jit = "let XLA compile a step; default: if there are many, without convolutions"
    parser.add_argument("--jit-compile", default=None, action=argparse.BooleanOptionalAction, help=jit)
    parser.add_argument("--precision", default="float32", help="float32 (default), mixed_float16 or mixed_bfloat16")
    parser.add_argument("--devices", type=int, default=1, help="how many share each batch; default: 1")


def run(asked, command):
    """Train and print the card's accuracies."""
    import dataclasses

    from .. import train
    from ..choices import choose, label, load_data, read_changes, with_share, without_test
    from ..runs.request import check_epochs, check_seed

    check_epochs(asked.epochs)  # before the data are looked for
    check_seed(asked.seed)
    changes = read_changes(asked.set)
    config, recipe = choose(asked.preset, asked.recipe, changes)
    dataset = load_data(asked.dataset, asked.data, config.image_size, f"--preset {asked.preset}")
    dataset = with_share(dataset, asked.share)
    dataset = without_test(dataset) if asked.no_test else dataset
    config = dataclasses.replace(config, num_classes=len(dataset.class_names))
    name = asked.name or label(asked.preset, asked.recipe, changes, asked.share)
    run_dir = f"{dataset.name}-{name.replace('/', '-')}-seed{asked.seed}"
    run_dir = asked.run_dir or os.path.join("runs", run_dir)
    machine = {"jit_compile": asked.jit_compile, "precision": asked.precision, "devices": asked.devices}
    card = train(config, dataset, run_dir, asked.epochs, asked.seed, recipe, name=name, command=command, **machine)
    scores = f"top-1 {card.top1:.2%}, top-5 {card.top5:.2%} after {card.epochs_run} epochs"
    print(f"{scores} (best: {card.best_epoch}); card in {run_dir}")
