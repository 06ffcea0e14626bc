"""The card of a run: what was trained, on what, how, and what came out."""

import dataclasses
import json
import math
import pathlib
import platform
import subprocess

from .whole_files import sha256_of, written_whole

PRETRAINED = pathlib.Path(__file__).parent / "pretrained"
FORMAT = 1  # of a card; to be raised when a field changes its meaning
LATER = {"weights_sha256", "format"}  # fields that the first cards don't have
FRACTIONS = ("val_top1", "val_top5", "top1", "top5", "top1_last", "top5_last")


@dataclasses.dataclass(frozen=True)
class RunResult:
    """A recorded run. Accuracies are fractions of the official test set, unless named `val_`.

    `top1`, `top5` belong to the weights of the best epoch (lowest validation loss), `top1_last`, `top5_last` to
    those of the last. `macs` counts multiply-adds for one image; `seconds_total` leaves testing out.
    """

    preset: str
    config: dict
    recipe: dict
    dataset: str
    data_fingerprint: str
    seed: int
    epochs_asked: int
    epochs_run: int
    best_epoch: int
    val_top1: float
    val_top5: float
    top1: float
    top5: float
    top1_last: float
    top5_last: float
    parameters: int
    macs: int
    seconds_total: float
    seconds_per_epoch: float
    device: str
    versions: dict
    command: str
    commit: str
    started: str
    weights_sha256: str = ""
    format: int = FORMAT

    def save(self, path):
        """Write the card as JSON, whole or not at all."""
        with written_whole(path) as part:
            part.write_text(self.as_json(), encoding="utf-8")

    def as_json(self):
        """The card as text."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def load(cls, path):
        """Read a card; ValueError if it isn't one, or if a newer version of this library wrote it."""
        try:
            content = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise ValueError(
                f"{path} is not a card: {error}. Write it again by training or from the repository."
            ) from error
        if not isinstance(content, dict):
            raise ValueError(f"{path} is not a card: it holds a {type(content).__name__}, and a card is a JSON object.")
        written_as = content.get("format", FORMAT)
        if isinstance(written_as, int) and written_as > FORMAT:
            raise ValueError(
                f"{path} is a card of format {written_as}, and this mixer_lib reads up to format {FORMAT}: a newer one "
                f"wrote it. Update mixer_lib."
            )
        fields = {field.name: field.type for field in dataclasses.fields(cls)}
        if set(fields) - LATER != set(content) - LATER:
            odd = sorted(set(fields).symmetric_difference(content) - LATER)
            raise ValueError(f"{path} is not a card of this version: the fields {odd} differ. Update mixer_lib.")
        for name, value in content.items():
            if not _fits(name, value, fields[name]):
                raise ValueError(
                    f"{path} is not a card: {name} can't be {value!r}. Take it from the repository or the run again."
                )
        return cls(**content)


def _fits(name, value, kind):
    """Whether a card's field may have this value."""
    if kind is float:
        right = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < math.inf
        return right and (value <= 1 or name not in FRACTIONS)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return isinstance(value, kind)


def device_name():
    """What computes: the GPU's name, or the CPU's and how many cores this process may use."""
    from .devices import cores
    from .worlds import backend_name

    if backend_name() == "tensorflow":
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
        names = [tf.config.experimental.get_device_details(gpu).get("device_name", "GPU") for gpu in gpus]
    elif backend_name() == "jax":
        import jax

        names = [device.device_kind for device in jax.devices() if device.platform != "cpu"]
    else:
        import torch

        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    if names:
        return f"{len(names)} x {names[0]}" if len(names) > 1 else names[0]
    return f"CPU, {cores()} core{'s' if cores() != 1 else ''} ({_cpu_model()})"


def _cpu_model():
    try:
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def versions():
    """Versions of what decides a result: Python, Keras, its backend, NumPy."""
    import importlib.metadata

    import keras
    import numpy

    from .worlds import backend_name

    found = {"python": platform.python_version(), "keras": keras.__version__, "backend": backend_name()}
    for package in (backend_name(), "tensorflow-cpu", "tensorflow-addons"):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {**found, "numpy": numpy.__version__}


def commit():
    """The commit of the checkout that this library lies in, "+" behind it if files differ; "" outside one."""
    folder = pathlib.Path(__file__).parent
    try:
        git = ["git", "-C", str(folder)]
        head = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True)
        dirty = subprocess.run([*git, "status", "--porcelain", "--", str(folder)], capture_output=True, text=True)
        return head.stdout.strip() + ("+" if dirty.stdout.strip() else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def load_pretrained(name="article"):
    """A published model with its card.

    Args:
        name: one of the files in mixer_lib/pretrained: "article", "article-digits" ...

    Returns:
        (model, card): a `keras.Model` that gives logits, and its `RunResult`.

    Raises:
        ValueError: if there is no such model, or its weights don't fit the card.
    """
    from .classifier import MixerConfig, build_classifier

    names = sorted(path.stem for path in PRETRAINED.glob("*.json"))
    if name not in names:
        raise ValueError(f"There is no published model {name!r}. Choose one of {', '.join(names)}.")
    card = RunResult.load(PRETRAINED / f"{name}.json")
    weights = PRETRAINED / f"{name}.weights.h5"
    if not weights.exists() or sha256_of(weights) != card.weights_sha256:
        raise ValueError(
            f"{weights.name} is not the file that its card describes (it is not there, or its SHA-256 differs): it is "
            f"damaged or was replaced. Take it from the repository again."
        )
    try:
        model = build_classifier(MixerConfig(**card.config))
        parameters = sum(math.prod(w.shape) for w in model.trainable_weights)
        if parameters != card.parameters:
            raise ValueError(f"its config makes {parameters:,} parameters, and it says {card.parameters:,}")
        model.load_weights(weights)
    except (KeyError, OSError, TypeError, ValueError) as error:
        raise ValueError(
            f"{name}.json and {weights.name} don't describe one model: {error}. Take both from the repository again."
        ) from error
    return model, card
