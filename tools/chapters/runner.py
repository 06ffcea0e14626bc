"""Run the chapters with papermill, away from notebooks/: results go to _build/<profile>/executed/.

A chapter takes its place there only when every cell of it ran. On failure the failing cell and its error are shown.
"""

import os
import shutil
import time
from concurrent.futures import ProcessPoolExecutor, as_completed, wait
from multiprocessing import active_children, get_context
from pathlib import Path

import nbformat
import papermill

from tools.chapters.notebooks import (
    MEASURES,
    PUBLISHED,
    ChapterFailed,
    chapter_paths,
    check_parameters,
    describe_other_data,
    failing_cell,
    failure_report,
    missing_figures,
    priority,
)
from tools.chapters.stamps import KEY, library_hash
from tools.paths import BUILD
from tools.setup.shield import in_shielded_environment
from tools.verbs import exit_with_parent

# Settings of the caller's shell would win over the parameters passed here; only the place of the data may.
SHELL_SETTINGS = tuple(
    f"MIXER_{name}"
    for name in ("PROFILE", "DATASET", "EPOCHS", "SEED", "RUN_DIR", "JIT_COMPILE", "PRECISION", "DEVICES")
)


def as_template(path):
    """A path as papermill wants it: in its paths, braces hold parameters."""
    return str(path).replace("{", "{{").replace("}", "}}")


def run_chapter(source, profile, parameters, build=BUILD):
    """Run one chapter; returns its executed path. Raises ChapterFailed."""
    source = Path(source)
    check_parameters(source, parameters)
    work = build / profile / "work"
    done = build / profile / "executed"
    work.mkdir(parents=True, exist_ok=True)
    done.mkdir(parents=True, exist_ok=True)
    output = work / source.name
    output.unlink(missing_ok=True)
    library = library_hash()
    try:
        with in_shielded_environment(build / profile / "settings"):
            for name in SHELL_SETTINGS:
                os.environ.pop(name, None)
            papermill.execute_notebook(
                as_template(source),
                as_template(output),
                parameters=parameters,
                kernel_name="python3",
                cwd=str(work),
                progress_bar=False,
                start_timeout=180,
                extra_arguments=["--IPKernelApp.log_level=40"],  # its start-up warnings are not the reader's
            )
    except Exception as error:  # whatever stopped the chapter, the reader wants the cell and the reason
        raise ChapterFailed(failure_report(source.stem, output, error)) from None
    ran = nbformat.read(output, as_version=4)
    if failing_cell(ran):  # a kernel that died can leave cells that never ran, without an error
        raise ChapterFailed(failure_report(source.stem, output, "this cell did not run: the kernel died"))
    if missing_figures(ran):
        raise ChapterFailed(f"{source.stem} failed: {missing_figures(ran)}")
    if parameters.get("dataset", PUBLISHED) != PUBLISHED:
        describe_other_data(ran)
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


def _as_they_end(pool, profile, given):
    """(stem, finished run) of each chapter as it ends: those that measure begin when all others have ended."""
    paths = sorted(given, key=lambda path: priority(path.stem))
    alone = [path for path in paths if path.stem in MEASURES]
    runs = {pool.submit(timed, path, profile, given[path]): path for path in paths if path not in alone}
    for run in as_completed(runs):
        yield runs[run].stem, run
    for path in alone:
        run = pool.submit(timed, path, profile, given[path])
        wait([run])
        yield path.stem, run


def run_chapters(profile, parameters, extra=None, jobs=2):
    """Run all chapters, `jobs` at a time, saying what starts and ends; a list of executed paths.

    `extra` maps a chapter's stem to parameters of its own. Raises ChapterFailed after the others have ended.
    """
    paths = chapter_paths()
    extra = extra or {}
    given = {path: {**parameters, **extra.get(path.stem, {})} for path in paths}
    for path, values in given.items():
        check_parameters(path, values)
    done = BUILD / profile / "executed"
    shutil.rmtree(done, ignore_errors=True)
    failures = []
    print(f"running {len(paths)} chapters, profile {profile}", flush=True)
    # spawn: each chapter gets a clean process, also under a Python that has TensorFlow loaded already
    options = {"mp_context": get_context("spawn"), "initializer": exit_with_parent, "initargs": (os.getpid(),)}
    with ProcessPoolExecutor(jobs, **options) as pool:
        try:
            for count, (stem, run) in enumerate(_as_they_end(pool, profile, given), 1):
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
