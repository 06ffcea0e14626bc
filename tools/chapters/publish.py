"""Write the chapters of the last `make execute` back to notebooks/ (`make publish`, for maintainers).

Prose is taken from notebooks/ as it is now, outputs from the run. Refused: a run with other settings than
the page shows, a chapter whose code has changed since it was run, or mixer_lib has, an error output, a cell that did
not run, a path of this machine in an output.
"""

import ast
import copy
import json
import re
import sys
from pathlib import Path

import nbformat

from tools.chapters.notebooks import ChapterFailed, chapter_paths, failing_cell, missing_figures
from tools.chapters.stamps import INSTALL_CELL, KEY, cells_hash, library_hash, stamp
from tools.paths import BUILD, NOTEBOOKS, ROOT
from tools.verbs import atomic_write_text, run, stop

# papermill's and the kernel's traces: times, execution states, the notebook's own run record
TRACES = ("papermill", "execution", "ExecuteTime", "collapsed")


def without_injected(notebook):
    """A copy without the cells that papermill put in."""
    clean = copy.deepcopy(notebook)
    clean.cells = [cell for cell in clean.cells if "injected-parameters" not in cell.metadata.get("tags", [])]
    return clean


def tidy_outputs(outputs):
    """Outputs without stderr and run traces; consecutive stdout merged into one."""
    kept = []
    for output in outputs:
        if output.output_type == "stream" and output.name == "stderr":
            continue
        if output.output_type == "stream" and kept and kept[-1].output_type == "stream":
            kept[-1].text += output.text
            continue
        kept.append(copy.deepcopy(output))
    return kept


def merge(current, executed):
    """Cells of `current` with the outputs of `executed`. Raises ChapterFailed when their code differs."""
    executed = without_injected(executed)
    if cells_hash(current) != cells_hash(executed):
        raise ChapterFailed("its code has changed since it was run: run `make execute` again")
    if executed.metadata.get(KEY, {}).get("library") != library_hash():
        raise ChapterFailed("mixer_lib has changed since it was run: run `make execute` again")
    cell = failing_cell(executed)
    if cell:
        raise ChapterFailed(f"cell {cell[0]} failed or did not run")
    if missing_figures(executed):
        raise ChapterFailed(missing_figures(executed))
    merged = copy.deepcopy(current)
    ran = iter([cell for cell in executed.cells if cell.cell_type == "code" and cell.get("id") != INSTALL_CELL])
    count = 0
    for cell in merged.cells:
        for trace in TRACES:
            cell.metadata.pop(trace, None)
        if cell.cell_type != "code" or cell.get("id") == INSTALL_CELL:
            continue
        count += bool(cell.source.strip())
        cell.outputs = tidy_outputs(next(ran).outputs)
        cell.execution_count = count if cell.source.strip() else None
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = count
    for trace in TRACES:
        merged.metadata.pop(trace, None)
    merged.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    merged.metadata["language_info"] = {"name": "python"}
    return merged


def parameters_shown(notebook):
    """Values of the parameters cell: {name: value}."""
    cells = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    values = [line.split(" = ", 1) for cell in cells for line in cell.source.splitlines() if " = " in line]
    return {name: ast.literal_eval(value.split("  #")[0]) for name, value in values}


def refuse_other_run(current, executed):
    """Raise ChapterFailed when the run had other settings than the page shows (places may differ)."""
    ran, shown = executed.metadata.get("papermill", {}).get("parameters", {}), parameters_shown(current)
    for name in ("profile", "dataset", "epochs", "seed"):
        if name in ran and ran[name] != shown.get(name):
            raise ChapterFailed(f"it was run with {name} = {ran[name]!r}, and shows {shown.get(name)!r}")


def machine_paths(notebook, places):
    """Paths of this machine that stand in the outputs, for `places` = folders that must not show."""
    text = json.dumps([cell.outputs for cell in notebook.cells if cell.cell_type == "code"], ensure_ascii=False)
    found = {place for place in places if place and place in text}
    return sorted(found | set(re.findall(r"(?:/home/|/Users/|/root/|/tmp/)[\w./-]+", text)))


def relative(notebook, root=ROOT):
    """Shorten paths below the repository to relative ones, in place."""
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        text = json.dumps(cell.outputs, ensure_ascii=False).replace(f"{root}/", "").replace(str(root), ".")
        cell.outputs = [nbformat.from_dict(output) for output in json.loads(text)]
    return notebook


def publishable(current, executed):
    """The merged, cleaned and stamped notebook. Raises ChapterFailed with what forbids it."""
    refuse_other_run(current, executed)
    notebook = relative(merge(current, executed))
    paths = machine_paths(notebook, [str(Path.home()), str(ROOT)])
    if paths:
        raise ChapterFailed(f"an output shows a path of this machine: {paths[0]}")
    stamp(notebook)
    seconds = executed.metadata.get("papermill", {}).get("duration")
    if seconds is not None:
        notebook.metadata[KEY]["seconds"] = round(seconds)  # for the status page
    return notebook


def main():
    ready, problems = {}, []
    for path in chapter_paths():
        source = BUILD / "full" / "executed" / path.name
        try:
            if not source.is_file():
                raise ChapterFailed("not run in full yet: run `make execute` first")
            ready[path] = publishable(nbformat.read(path, 4), nbformat.read(source, 4))
        except ChapterFailed as error:
            problems.append(f"{path.stem}: {error}")
    if problems:  # all or nothing: a book of two runs would contradict itself
        stop("\n".join(["nothing was published", *problems]))
    for path, notebook in ready.items():
        atomic_write_text(path, nbformat.writes(notebook).rstrip("\n") + "\n")
    print(f"published {len(ready)} chapters to {NOTEBOOKS.name}/", file=sys.stdout)


if __name__ == "__main__":
    run(main)
