"""Write a published model or a run of your own as a file for other programs."""

HELP = "write a model as ONNX, LiteRT or safetensors"


def add_arguments(parser):
    parser.add_argument("model", help="a published model, such as article, or the folder of a finished run")
    parser.add_argument("path", help="the file; .onnx, .tflite or .safetensors")
    parser.add_argument("--image-size", type=int, default=None, help="a multiple of the model's own")


def run(asked, command):
    """Write the file, and its description beside it."""
    from .. import export
    from ..models.pretrained import load_model

    model, card = load_model(asked.model, asked.image_size)
    path = export(model, asked.path, card)
    print(f"{path} ({path.stat().st_size:,} bytes); input, class names and card in {path}.json")
