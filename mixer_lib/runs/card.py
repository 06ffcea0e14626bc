"""The card of a run: what was trained, on what, how, and what came out."""

import dataclasses
import json
import math
import os

from ..validation import user_path
from .files import atomic_write

FORMAT = 1  # of a card; increased when a field changes its meaning
OPTIONAL = {"weights_sha256", "format", "class_names"}  # fields that the first cards don't have
FRACTIONS = ("val_top1", "val_top5", "top1", "top5", "top1_last", "top5_last")


@dataclasses.dataclass(frozen=True)
class RunResult:
    """A recorded run. Accuracies are fractions of the official test set, unless named `val_`.

    `top1`, `top5` belong to the weights of the best epoch (lowest validation loss), `top1_last`, `top5_last` to
    those of the last. `macs` counts multiply-adds for one image; `seconds_total` excludes the final test. Cards written
    before `class_names` was added have none; `load_pretrained` and `load_run` fill in those of named data sets.
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
    class_names: list = dataclasses.field(default_factory=list)

    def save(self, path: str | os.PathLike) -> None:
        """Write the card as JSON, atomically."""
        with atomic_write(path) as part:
            part.write_text(self.as_json(), encoding="utf-8")

    def as_json(self) -> str:
        """The card as text."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def load(cls, path: str | os.PathLike) -> "RunResult":
        """Read a card; ValueError if it isn't one, or if a newer version of this library wrote it."""
        try:
            content = json.loads(user_path(path).read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path} is not a card: {error}. Take it from the repository or the run again.") from error
        if not isinstance(content, dict):
            raise ValueError(f"{path} is not a card: it holds a {type(content).__name__}, and a card is a JSON object.")
        written = content.get("format", FORMAT)
        if isinstance(written, int) and written > FORMAT:
            raise ValueError(f"{path} is a card of format {written}, newer than {FORMAT}. Update mixer_lib.")
        fields = {field.name: field.type for field in dataclasses.fields(cls)}
        if set(fields) - OPTIONAL != set(content) - OPTIONAL:
            odd = sorted(set(fields).symmetric_difference(content) - OPTIONAL)
            raise ValueError(f"{path} is not a card of this version: the fields {odd} differ. Update mixer_lib.")
        for name, value in content.items():
            if not _is_valid(name, value, fields[name]):
                reason = f"{name} can't be {value!r}. Take it from the repository or the run again."
                raise ValueError(f"{path} is not a card: {reason}")
        return cls(**content)


def _is_valid(name, value, kind):
    """Whether a field of a card may have this value."""
    if kind is float:
        valid = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < math.inf
        return valid and (value <= 1 or name not in FRACTIONS)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return isinstance(value, kind) and (kind is not list or all(isinstance(word, str) for word in value))
