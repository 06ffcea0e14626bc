"""The loss and accuracies of a published model or a run of your own on the test pictures of a data set."""

import json

HELP = "score a model on a data set"


def add_arguments(parser):
    parser.add_argument("model", help="a published model, such as article, or the folder of a finished run")
    parser.add_argument("dataset", help="a data set's name, or a folder of pictures by class")
    parser.add_argument("--data", default=None, help="folder with the data")
    parser.add_argument("--json", action="store_true", help="print JSON in place of a line")


def run(asked, command):
    """Print loss, top-1 and top-5 on the test pictures."""
    from .. import evaluate
    from ..choices import load_data
    from ..models.pretrained import load_model

    model, card = load_model(asked.model)
    data = load_data(asked.dataset, asked.data, model.input_shape[1], f"The model {asked.model}")
    classes, known = [str(name) for name in data.class_names], card.class_names
    if known and classes != known:
        odd = [name for name in classes if name not in known] or ["none"]
        missing = [name for name in known if name not in classes] or ["none"]
        differ = f"too many: {', '.join(odd[:10])}; missing: {', '.join(missing[:10])}"
        raise ValueError(f"{data.name} has other classes than the model {asked.model}, or another order; {differ}.")
    scores = evaluate(model, data.x_test, data.y_test)
    if asked.json:
        print(json.dumps({"images": len(data.x_test), "data_fingerprint": data.fingerprint, **scores}))
        return
    line = f"loss {scores['loss']:.4f}, top-1 {scores['top1']:.2%}, top-5 {scores['top5']:.2%}"
    print(f"{line} on {len(data.x_test):,} test pictures of {data.name}")
