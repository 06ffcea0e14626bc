"""The directive ``{cards-table}``: one row for each recorded run, read from the cards when the book is built.

A card is the JSON that a run leaves behind. Cards lie in ``mixer_lib/pretrained`` (runs whose weights are
published) and in ``mixer_lib/recorded`` (the other recorded runs). A run that is added there appears in the table
without an edit to any page, and a figure in the table can be nothing but a figure in a card.
"""

import json
import re
import statistics
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

MISSING = "–"
# the accuracies first: on a phone the first columns are what is seen
COLUMNS = (
    "Run",
    "Top-1 %",
    "Top-5 %",
    "Last top-1 %",
    "Last top-5 %",
    "Seed",
    "Epochs",
    "Best epoch",
    "s per epoch",
    "Device",
)
COMPARED = ("Run", "Validation top-1 %", "Validation top-5 %", "Top-1 %", "Top-5 %", "Seed", "Epochs", "Best epoch")
ACCURACIES = ("top1", "top5", "top1_last", "top5_last")
AFTER = len(ACCURACIES) + 1  # the first column after the run's name and its accuracies
SHORT_RUNS = ("walk-", "family-")  # runs of a few epochs, shown by the chapter alone that sets them side by side


def card_folders(source):
    """Folders of cards: ``pretrained`` and ``recorded`` in the nearest ``mixer_lib`` at or above `source`."""
    source = Path(source).resolve()
    # The book may be staged below the repository root, so the library can lie further up.
    libraries = (folder / "mixer_lib" for folder in (source, *source.parents))
    nearest = next((folder for folder in libraries if (folder / "pretrained").is_dir()), None)
    folders = [nearest / "pretrained", nearest / "recorded"] if nearest else []
    return [folder for folder in folders if folder.is_dir()]


def run_name(path):
    """The name that runs differing only in their seed share: ``article-seed3`` -> ``article``."""
    return re.sub(r"-seed\d+$", "", path.stem)


def read_cards(folders, dataset):
    """Cards of `dataset` in `folders` -> [(run name, path, card)] by name and seed, a copied card once."""
    found, seen = [], set()
    for folder in folders:
        for path in sorted(folder.glob("*.json")):
            card = json.loads(path.read_text(encoding="utf-8"))
            if "top1" not in card or card.get("dataset") != dataset or path.stem.startswith(SHORT_RUNS):
                continue
            # The same run may be kept twice: beside its weights and among the results.
            key = (run_name(path), card.get("seed"), card["top1"], card["top5"], card.get("started"))
            if key not in seen:
                seen.add(key)
                found.append((run_name(path), path, card))
    return sorted(found, key=lambda item: (item[0], item[2].get("seed") is None, item[2].get("seed") or 0))


def percent(fraction):
    """A fraction in percent with two decimals, ``48.43``; a dash where the card has none."""
    return MISSING if fraction is None else f"{100 * fraction:.2f}"


def plain(value):
    """A value of a card as text; a dash where the card has none."""
    return MISSING if value is None else str(value)


def device_name(card):
    """The device of a card, in few words; with the Keras backend where the card names one other than TensorFlow."""
    device, versions = plain(card.get("device")), card.get("versions") or {}
    device = re.sub(r"^two CPU cores$", "CPU, 2 cores", device).replace("1 cores", "1 core")
    device = re.sub(r"\(R\)| Processor\b", "", device)
    backend = versions.get("backend", "tensorflow")
    return device if backend == "tensorflow" else f"{device}, {backend}"


def card_row(name, card):
    """The cells of one run."""
    seconds = card.get("seconds_per_epoch")
    return [
        name,
        *(percent(card.get(key)) for key in ACCURACIES),
        plain(card.get("seed")) if card.get("seed") is not None else "not fixed",
        plain(card.get("epochs_run")),
        plain(card.get("best_epoch")),
        MISSING if seconds is None else f"{seconds:.1f}",
        device_name(card),
    ]


def compared_rows(cards, names):
    """Rows of the runs named, in that order, with what a choice between them rests on: the validation figures."""
    rows = []
    for wanted in names:
        for name, _, card in cards:
            if name == wanted:
                accuracies = (card.get(key) for key in ("val_top1", "val_top5", "top1", "top5"))
                rows.append(([name, *map(percent, accuracies), *card_row(name, card)[AFTER : AFTER + 3]], False))
    return rows


def spread(values):
    """Mean and sample standard deviation of fractions, in percent, or a dash where a run lacks the figure."""
    if any(value is None for value in values):
        return MISSING
    mean, deviation = statistics.mean(values) * 100, statistics.stdev(values) * 100
    return f"{mean:.2f} ± {deviation:.2f}"


def mean_row(name, cards):
    """The row below several runs of one name: mean and standard deviation over their seeds."""
    cells = [MISSING] * len(COLUMNS)
    cells[0], cells[AFTER] = f"{name}, mean ± sd", f"{len(cards)} seeds"
    for place, key in enumerate(ACCURACIES, 1):
        cells[place] = spread([card.get(key) for card in cards])
    return cells


def table_rows(cards):
    """All rows: the runs of one name one after another, closed by their mean where there is more than one."""
    rows = []
    for name in dict.fromkeys(name for name, _, _ in cards):
        runs = [card for other, _, card in cards if other == name]
        rows += [(card_row(name, card), False) for card in runs]
        if len(runs) > 1:
            rows.append((mean_row(name, runs), True))
    return rows


def table_node(rows, columns=COLUMNS, name="cards-table"):
    """A docutils table with one header row; mean rows are set in bold. `name` is its class in HTML."""
    group = nodes.tgroup(cols=len(columns))
    group += [nodes.colspec(colwidth=1) for _ in columns]
    head, body = nodes.thead(), nodes.tbody()
    head += row_node(columns, strong=False)
    body += [row_node(cells, strong) for cells, strong in rows]
    group += [head, body]
    return nodes.table("", group, classes=[name])


def row_node(cells, strong):
    """One row of text cells."""
    row = nodes.row()
    for cell in cells:
        paragraph = nodes.paragraph()
        paragraph += nodes.strong(text=cell) if strong else nodes.Text(cell)
        row += nodes.entry("", paragraph)
    return row


class CardsTable(SphinxDirective):
    """``{cards-table}`` with the options ``:dataset:`` (default ``cifar100``) and ``:names:``.

    With names, the table sets these runs side by side in that order, as far as they are recorded.
    """

    option_spec = {"dataset": directives.unchanged, "names": directives.unchanged}

    def run(self):
        dataset = self.options.get("dataset", "cifar100")
        folders = card_folders(self.env.srcdir)
        cards = read_cards(folders, dataset)
        if not cards:
            looked = ", ".join(str(folder) for folder in folders) or "no folder with cards"
            raise ExtensionError(
                f"cards-table: no card of dataset {dataset!r} in {looked}. Name a dataset that has a "
                "recorded run in :dataset:, or put the card.json of one into mixer_lib/recorded."
            )
        for _, path, _ in cards:
            self.env.note_dependency(str(path))
        if "names" in self.options:
            return [table_node(compared_rows(cards, self.options["names"].split()), COMPARED)]
        return [table_node(table_rows(cards))]


def setup(app):
    app.add_directive("cards-table", CardsTable)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
