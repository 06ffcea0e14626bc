"""Write what the page "The Mixer at work" needs: scripts, weights and pictures, beside the rendered book.

A page opened from disk can't read other files, so weights and pictures lie in scripts: float32 as base64 in
`weights-NAME.js`, one for each published model, and the gallery as data addresses in `gallery.js`. All of it is made
when the book is staged, and none of it is committed.
"""

import base64
import hashlib
import inspect
import json
import shutil

import h5py
import numpy as np

from mixer_lib.datasets.class_names import CLASS_NAMES
from tools.paths import ROOT

LIVE = ROOT / "book" / "live"
PRETRAINED = ROOT / "mixer_lib" / "pretrained"
# in the order in which the page offers them; others are added here
MODELS = ("article", "article-plus", "article-best")
# in the order in which a page loads them
SCRIPTS = ("mixer.js", "resize.js", "draw.js", "parts.js", "markup.js", "show.js", "lab.js")
CARD_FIELDS = ("top1", "top5", "parameters", "macs", "weights_sha256")
CODE = ("// live: code from here\n", "  // live: to here")


def layer_paths(config):
    """{path in the weights file: name on the page}: Keras numbers the layers of one class, except the first."""
    dense, norm = ("vars/0", "vars/1"), {"vars/0": "gamma", "vars/1": "beta"}
    paths = {"normalization/vars/0": "normalize/mean", "normalization/vars/1": "normalize/variance"}
    for layer, name in (("dense", "embed"), ("dense_1", "head")):
        paths |= {f"{layer}/{var}": f"{name}/{part}" for var, part in zip(dense, ("kernel", "bias"), strict=True)}
    for block in range(config["num_blocks"]):
        layer = "mixer_block" + (f"_{block}" if block else "")
        for name in ("token_norm",) if config["shared_norm"] else ("token_norm", "channel_norm"):
            paths |= {f"{layer}/{name}/{var}": f"block_{block}/{name}/{part}" for var, part in norm.items()}
        for mlp in ("token_mixing", "channel_mixing"):
            for half in ("hidden", "out"):
                name = f"{mlp}/{half}"
                paths |= {f"{layer}/{name}/vars/0": f"block_{block}/{name}/kernel"}
                paths |= {f"{layer}/{name}/vars/1": f"block_{block}/{name}/bias"}
    if config["pre_head_norm"]:
        paths |= {f"layer_normalization/{var}": f"pre_head_norm/{part}" for var, part in norm.items()}
    return paths


def class_names(card):
    """The names of a card's classes: its own, or those of its named data set."""
    names = card.get("class_names") or CLASS_NAMES.get(card.get("dataset"), ())
    if len(names) != card["config"]["num_classes"]:
        raise ValueError(f"the card has {card['config']['num_classes']} classes, and {len(names)} names were found")
    return [name.replace("_", " ") for name in names]


def pack_model(name, folder=PRETRAINED):
    """What `Mixer.unpack` takes, of a published model. ValueError if its weights are not those of its card."""
    card = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    weights = folder / f"{name}.weights.h5"
    if hashlib.sha256(weights.read_bytes()).hexdigest() != card["weights_sha256"]:
        raise ValueError(f"{weights.name}: its SHA-256 differs from the card's. Take both from the repository again.")
    tensors, data, config = [], b"", card["config"]
    with h5py.File(weights) as file:
        for path, tensor in layer_paths(config).items():
            values = np.asarray(file[f"layers/{path}"], "<f4")
            tensors.append((tensor, values.size))
            data += values.tobytes()
    counted = sum(size for tensor, size in tensors if not tensor.startswith("normalize/"))
    if counted != card["parameters"]:
        raise ValueError(f"{weights.name}: {counted:,} parameters were found, and the card says {card['parameters']:,}")
    packed = {"name": name, "config": config, "classes": class_names(card), "tensors": tensors}
    packed["card"] = {field: card[field] for field in CARD_FIELDS}
    return {**packed, "data": base64.b64encode(data).decode("ascii")}


def pack_gallery():
    """The gallery's pictures with their sources and licences; each picture as a data address."""
    pictures = json.loads((LIVE / "gallery" / "gallery.json").read_text(encoding="utf-8"))
    for picture in pictures:
        data = (LIVE / "gallery" / picture["file"]).read_bytes()
        kind = "png" if picture["file"].endswith("png") else "jpeg"
        picture["src"] = f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
    return pictures


def pack_code():
    """The code of the two mixings as the page runs it, and as layers.py has it: highlighted HTML."""
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import JavascriptLexer, PythonLexer

    script = (LIVE / "mixer.js").read_text(encoding="utf-8").split(CODE[0])[1].split(CODE[1])[0]
    source = (ROOT / "mixer_lib" / "layers.py").read_text(encoding="utf-8")
    texts = {"javascript": inspect.cleandoc("\n" + script), "python": python_calls(source)}
    lexers = {"javascript": JavascriptLexer(), "python": PythonLexer()}
    return {name: highlight(text, lexers[name], HtmlFormatter()) for name, text in texts.items()}


def python_calls(source):
    """The `call` of MlpBlock and of MixerBlock, from the text of layers.py."""
    import ast

    classes = {node.name: node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)}
    texts = []
    for name in ("MlpBlock", "MixerBlock"):
        call = next(node for node in classes[name].body if getattr(node, "name", "") == "call")
        lines = source.splitlines()[call.lineno - 1 : call.end_lineno]
        texts.append(f"class {name}:\n" + "\n".join(lines))
    return "\n\n".join(texts)


def write_live(target, models=MODELS):
    """Fill the folder `target`; its files."""
    target.mkdir(parents=True, exist_ok=True)
    for name in (*SCRIPTS, "lab.css"):
        shutil.copy(LIVE / name, target / name)
    for name in models:
        text = json.dumps(pack_model(name), separators=(",", ":"))
        write_script(target / f"weights-{name}.js", f'MixerData.models["{name}"]={text}')
    gallery = json.dumps(pack_gallery(), ensure_ascii=False)
    write_script(target / "gallery.js", f"MixerData.gallery={gallery};MixerData.code={json.dumps(pack_code())}")
    write_script(target / "models.js", f"MixerData.names={json.dumps(list(models))}")
    return sorted(target.iterdir())


def write_script(path, statement):
    start = "globalThis.MixerData??={models:{}};"
    path.write_text(f"{start}{statement};\n", encoding="utf-8")
