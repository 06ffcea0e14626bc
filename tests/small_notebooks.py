"""Chapters in small, and what a run leaves of them: for tests of the tools."""

import copy

import nbformat

from tools.chapters import stamps
from tools.paths import ROOT

PARAMETERS = 'profile = "full"\nseed = 0'


def notebook(*sources):
    """A chapter in small: a title, a parameters cell, then these code cells."""
    cells = [nbformat.v4.new_markdown_cell("# A chapter")]
    cells += [nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})]
    cells += [nbformat.v4.new_code_cell(source) for source in sources]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}})


def executed(current, *outputs, root=ROOT):
    """`current` as a run on the library in `root` would have left it, with these outputs in its last cell."""
    done = copy.deepcopy(current)
    injected = nbformat.v4.new_code_cell('profile = "full"', metadata={"tags": ["injected-parameters"]})
    done.cells.insert(2, injected)
    for count, cell in enumerate((c for c in done.cells if c.cell_type == "code"), 1):
        cell.execution_count = count
        cell.metadata["papermill"] = {"duration": 1.5}
        cell.metadata["execution"] = {"iopub.status.busy": "now"}
    done.cells[-1].outputs = list(outputs)
    done.metadata["papermill"] = {"input_path": "/home/someone/x.ipynb"}
    done.metadata[stamps.KEY] = {"library": stamps.library_hash(root)}
    return done


def stream(text, name="stdout"):
    return nbformat.v4.new_output("stream", name=name, text=text)
