"""Name what is on pictures, with a published model or a run of your own."""

import json

HELP = "name what is on pictures"


def add_arguments(parser):
    parser.add_argument("model", help="a published model, such as article, or the folder of a finished run")
    parser.add_argument("pictures", nargs="+", help="picture files, or one folder of them")
    parser.add_argument("-k", type=int, default=5, help="how many guesses; default: 5, or all classes if fewer")
    parser.add_argument("--image-size", type=int, default=None, help="a multiple of the model's own")
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")


def run(asked, command):
    """Print the guesses for each picture."""
    from .. import predict
    from ..models.pretrained import load_model

    model, card = load_model(asked.model, asked.image_size)
    pictures = asked.pictures if len(asked.pictures) > 1 else asked.pictures[0]
    names = card.class_names or None
    found = predict(model, pictures, asked.k, names)
    if asked.json:
        rows = [{"file": str(one.file), "guesses": [{"class": n, "probability": p} for n, p in one]} for one in found]
        print(json.dumps(rows, indent=2))
        return
    rows = [[str(one.file), *(f"{name} {chance:.1%}" for name, chance in one)] for one in found]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
