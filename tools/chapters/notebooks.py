"""The chapters as files: which there are, what each needs, what failed in one that ran."""

import nbformat

from tools.paths import NOTEBOOKS

TRAINS = "05_training"  # trains the run that the others may use: begins first, and is given the run folder
PUBLISHED = "cifar100"  # the data that the chapters' captions and alt texts describe
MEASURES = ("08_cost",)  # time something, so they have the machine to themselves


class ChapterFailed(Exception):
    """A chapter did not run to its end; the text says where and why."""


def chapter_paths(folder=NOTEBOOKS):
    """The chapters in reading order, appendices last. Raises ChapterFailed when there are none."""
    paths = sorted(path for names in ("[0-9][0-9]_*.ipynb", "[a-z]_*.ipynb") for path in folder.glob(names))
    if not paths:
        raise ChapterFailed(f"no chapters in {folder.name}/: expected files such as 01_data.ipynb")
    return paths


def takes_long(stem):
    """Whether a chapter is one that trains or measures."""
    return stem == TRAINS or stem in MEASURES


def priority(stem):
    """For sorting, longest first: the chapter that trains, those that measure, then the others in reading order."""
    return (0 if stem == TRAINS else 1 if stem in MEASURES else 2), stem


def check_parameters(path, parameters):
    """Raise ChapterFailed for a name that the chapter's parameters cell does not have (papermill only logs it)."""
    import papermill  # takes its time, and only running needs it

    known = set(papermill.inspect_notebook(nbformat.read(path, as_version=4)))
    unknown = sorted(set(parameters) - known)
    if unknown:
        raise ChapterFailed(
            f"{path.stem}: unknown parameter {', '.join(unknown)}; "
            f"its parameters cell has {', '.join(sorted(known)) or 'none'}"
        )


def failing_cell(notebook):
    """(number, source) of the first code cell that failed or never ran, or None."""
    for number, cell in enumerate(notebook.cells, 1):
        if cell.cell_type != "code" or not cell.source.strip():
            continue
        failed = any(output.output_type == "error" for output in cell.outputs)
        if failed or cell.execution_count is None:
            return number, cell.source
    return None


def missing_figures(notebook):
    """What a chapter promises and does not show, in words; "" when every figure with a caption has a picture."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    promised = [cell for cell in cells if cell.metadata.get("mystnb", {}).get("figure")]
    kinds = {cell.id: {kind for output in cell.outputs for kind in output.get("data", {})} for cell in promised}
    without = [cell.id for cell in promised if not any(kind.startswith("image/") for kind in kinds[cell.id])]
    if not without:
        return ""
    shown = len(promised) - len(without)
    return f"it shows {shown} of its {len(promised)} figures; none came from cell {', '.join(without)}"


def describe_other_data(notebook):
    """Give figures the captions and alt texts that their cells have for data other than CIFAR-100, if any."""
    for cell in notebook.cells:
        other = cell.metadata.get("mixer", {}).get("on_other_data", {})
        if "caption" in other:
            cell.metadata["mystnb"]["figure"]["caption"] = other["caption"]
        if "alt" in other:
            cell.metadata["mystnb"]["image"]["alt"] = other["alt"]


def failure_report(stem, notebook_path, error):
    """The text shown for a failed chapter: which cell, its code, the error."""
    lines = [f"{stem} failed"]
    if notebook_path.is_file():
        cell = failing_cell(nbformat.read(notebook_path, as_version=4))
        if cell:
            lines += [f"in cell {cell[0]}:", *("    " + line for line in cell[1].splitlines())]
    text = str(error).strip() or type(error).__name__
    return "\n".join([*lines, "\n".join(text.splitlines()[-40:])])
