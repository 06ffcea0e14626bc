"""Run the chapters with papermill, away from notebooks/: results go to _build/<profile>/executed/.

A chapter takes its place there only when every cell of it ran. On failure the failing cell and its error are
shown.
"""

import os
import shutil
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor, as_completed, wait
from multiprocessing import active_children, get_context
from pathlib import Path

from stamps import KEY, library_hash

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
BUILD = ROOT / "_build"

# Settings of the caller's shell would win over the parameters passed here; only the place of the data may.
SHELL_SETTINGS = tuple(
    f"MIXER_{name}" for name in ("PROFILE", "DATASET", "EPOCHS", "SEED", "RUN_DIR", "JIT_COMPILE", "PRECISION")
)


class ChapterFailed(Exception):
    """A chapter did not run to its end; the text says where and why."""


def chapter_paths(folder=NOTEBOOKS):
    """The chapters in reading order. Raises ChapterFailed when there are none."""
    paths = sorted(folder.glob("[0-9][0-9]_*.ipynb"))
    if not paths:
        raise ChapterFailed(f"no chapters in {folder.name}/: expected files such as 01_data.ipynb")
    return paths


def refuse_unknown(path, parameters):
    """Raise ChapterFailed for a name that the chapter's parameters cell does not have (papermill logs it)."""
    import papermill

    known = set(papermill.inspect_notebook(str(path)))
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


def report(stem, notebook_path, error):
    """The text shown for a failed chapter: which cell, its code, the error."""
    import nbformat

    lines = [f"{stem} failed"]
    if notebook_path.is_file():
        cell = failing_cell(nbformat.read(notebook_path, as_version=4))
        if cell:
            lines += [f"in cell {cell[0]}:", *("    " + line for line in cell[1].splitlines())]
    text = str(error).strip() or type(error).__name__
    return "\n".join([*lines, "\n".join(text.splitlines()[-40:])])


def run_chapter(source, profile, parameters, build=BUILD):
    """Run one chapter; returns its executed path. Raises ChapterFailed."""
    import nbformat
    import papermill

    source = Path(source)
    refuse_unknown(source, parameters)
    work = build / profile / "work"
    done = build / profile / "executed"
    work.mkdir(parents=True, exist_ok=True)
    done.mkdir(parents=True, exist_ok=True)
    output = work / source.name
    output.unlink(missing_ok=True)
    for name in SHELL_SETTINGS:
        os.environ.pop(name, None)
    os.environ["PYTHONPATH"] = str(ROOT)
    library = library_hash()
    try:
        papermill.execute_notebook(
            str(source),
            str(output),
            parameters=parameters,
            kernel_name="python3",
            cwd=str(work),
            progress_bar=False,
            start_timeout=180,
            extra_arguments=["--IPKernelApp.log_level=40"],  # its start-up warnings are not the reader's
        )
    except Exception as error:  # whatever stopped the chapter, the reader wants the cell and the reason
        raise ChapterFailed(report(source.stem, output, error)) from None
    ran = nbformat.read(output, as_version=4)
    cell = failing_cell(ran)
    if cell:  # a kernel that died can leave cells that never ran, without an error
        raise ChapterFailed(report(source.stem, output, "this cell did not run: the kernel died"))
    ran.metadata[KEY] = {**ran.metadata.get(KEY, {}), "library": library}  # `make publish` asks for it
    nbformat.write(ran, output)
    final = done / source.name
    shutil.move(str(output), str(final))
    return final


def timed(source, profile, parameters):
    """Run a chapter in a process of its own; seconds. What TensorFlow logs goes to a file beside it."""
    start = time.monotonic()
    work = BUILD / profile / "work"
    work.mkdir(parents=True, exist_ok=True)
    with open(work / f"{source.stem}.log", "wb") as log:
        os.dup2(log.fileno(), 2)
    run_chapter(source, profile, parameters)
    return time.monotonic() - start


def end_with(parent):
    """End this process when `parent` is gone: a killed verb must not go on writing where the next one works."""

    def watch():
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def longest_first(paths):
    """The training chapter first: it takes the longest, and the others fit beside it."""
    return sorted(paths, key=lambda path: ("training" not in path.stem, path.stem))


def _one_after_another(pool, profile, given):
    """(stem, finished run) of each chapter as it ends: those that measure begin when all others have ended."""
    quiet = [path for path in given if measures(path)]
    runs = {pool.submit(timed, path, profile, given[path]): path for path in longest_first(set(given) - set(quiet))}
    for run in as_completed(runs):
        yield runs[run].stem, run
    for path in quiet:
        run = pool.submit(timed, path, profile, given[path])
        wait([run])
        yield path.stem, run


def measures(path):
    """Whether a chapter times something, and so must have the machine to itself."""
    return "cost" in path.stem


def run_chapters(profile, parameters, extra=None, jobs=2):
    """Run all chapters, `jobs` at a time, saying what starts and ends; a list of executed paths.

    `extra` maps a chapter's stem to parameters of its own. Raises ChapterFailed after the others have ended.
    """
    paths = chapter_paths()
    extra = extra or {}
    given = {path: {**parameters, **extra.get(path.stem, {})} for path in paths}
    for path, values in given.items():
        refuse_unknown(path, values)
    done = BUILD / profile / "executed"
    shutil.rmtree(done, ignore_errors=True)
    failures = []
    print(f"running {len(paths)} chapters, profile {profile}", flush=True)
    # spawn: each chapter gets a clean process, also under a Python that has TensorFlow loaded already
    options = {"mp_context": get_context("spawn"), "initializer": end_with, "initargs": (os.getpid(),)}
    with ProcessPoolExecutor(jobs, **options) as pool:
        try:
            for count, (stem, run) in enumerate(_one_after_another(pool, profile, given), 1):
                try:
                    print(f"[{count}/{len(paths)}] {stem}: {run.result():.0f} s", flush=True)
                except ChapterFailed as error:
                    failures.append(str(error))
                    print(f"[{count}/{len(paths)}] {stem}: FAILED", flush=True)
        except KeyboardInterrupt:  # the pool would run the waiting chapters before it ends
            for process in active_children():
                process.terminate()
            raise
    if failures:
        raise ChapterFailed("\n\n".join(failures))
    return [done / path.name for path in paths]


def stop(error):
    """End the verb with the error's text on stderr."""
    print(f"\n{error}", file=sys.stderr)
    sys.exit(1)
